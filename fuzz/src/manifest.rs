use std::path::Path;

use lsmkit_base::SegmentId;
use lsmkit_manifest::{Edit, Manifest};
use lsmkit_vfs::{Fs, MemFs};
use lsmkit_wal::{Purpose, SegmentHeader, SegmentWriter};

use crate::draw::Draw;

const DIR: &str = "/store";

/// The manifest: edits of any bytes, in whole frames. It opens or it is refused; one that opens comes out the same once it is written anew.
pub fn manifest(data: &[u8]) {
    let mut draw = Draw::new(data);
    let disk = MemFs::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    disk.create(&Path::new(DIR).join("CURRENT-000001")).unwrap();
    let header =
        SegmentHeader { purpose: Purpose::Manifest, id: SegmentId(1), prev: None, base: 0, synced: 0 };
    let mut segment = SegmentWriter::create(&disk, &Path::new(DIR).join("MANIFEST-000001"), header).unwrap();
    while !draw.is_used_up() {
        let edit = draw.bytes();
        segment.append(&[edit], segment.position()).unwrap();
    }
    let salvaged = Manifest::salvage(&disk, Path::new(DIR));
    match Manifest::open(disk.shared(), Path::new(DIR)) {
        Ok(None) => panic!("the marker is there"),
        Ok(Some(mut manifest)) => {
            assert_eq!(salvaged.unwrap().as_ref(), Some(manifest.state()));
            manifest.commit(&Edit::new()).unwrap();
            let state = manifest.state().clone();
            manifest.close().unwrap();
            let again = Manifest::open(disk.shared(), Path::new(DIR)).unwrap().unwrap();
            assert_eq!(*again.state(), state, "a manifest written anew says something else");
        }
        Err(fault) => assert!(fault.is_corrupt() || fault.is_unsupported(), "{fault}"),
    }
}
