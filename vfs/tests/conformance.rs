//! Each file system of this crate keeps the laws.

use lsmkit_vfs::testkit::Subject;
use lsmkit_vfs::{FaultFs, Fs, MemFs, PooledFs, StdFs};

mod std_fs {
    use super::*;

    lsmkit_vfs::conformance!(|| {
        let dir = tempfile::tempdir().unwrap();
        Subject::keeping(StdFs::shared(), dir.path().to_owned(), dir)
    });
}

mod mem_fs {
    use super::*;

    lsmkit_vfs::conformance!(|| Subject::new(MemFs::new().shared(), "/"));
}

mod mem_fs_with_relative_paths {
    use super::*;

    lsmkit_vfs::conformance!(|| {
        let fs = MemFs::new().shared();
        fs.create_dir("some/where".as_ref()).unwrap();
        Subject::new(fs, "some/./else/../where")
    });
}

mod mem_fs_after_a_crash {
    use super::*;

    lsmkit_vfs::conformance!(|| {
        let fs = MemFs::new();
        fs.write("/dir/other", b"other").unwrap();
        let fs = fs.crash(3);
        fs.create_dir("/dir/root".as_ref()).unwrap();
        Subject::new(fs.kill().shared(), "/dir/root")
    });
}

mod pooled_fs {
    use super::*;

    lsmkit_vfs::conformance!(|| {
        let dir = tempfile::tempdir().unwrap();
        Subject::keeping(PooledFs::new(StdFs::shared(), 1).shared(), dir.path().to_owned(), dir)
    });
}

mod fault_fs_without_rules {
    use super::*;

    lsmkit_vfs::conformance!(|| Subject::new(FaultFs::new(MemFs::new().shared()).shared(), "/"));
}

mod fault_fs_with_a_trace {
    use super::*;

    lsmkit_vfs::conformance!(|| {
        let fs = FaultFs::new(MemFs::new().shared());
        fs.start_trace();
        Subject::new(fs.shared(), "/")
    });
}
