//! That the bugs can still be planted: what they replace is there, once.

use std::path::Path;

use lsmkit_fuzz::planted::BUGS;

#[test]
fn each_can_be_planted() {
    for bug in BUGS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(bug.file);
        let source = std::fs::read_to_string(&path).expect("the file is there");
        assert_eq!(source.matches(bug.from).count(), 1, "{}: {}", bug.what, bug.file);
        assert_ne!(bug.from, bug.to);
    }
}
