//! Runs the real command.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Run {
    /// The output, of a run that went well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        String::from_utf8(self.out).unwrap()
    }

    /// What was said, of a run that ended with `code`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.starts_with("error: "), "{self:?}");
        self.err
    }
}

pub(crate) fn lsmkit(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
    lsmkit_with(args, b"")
}

/// With something on standard input.
pub(crate) fn lsmkit_with(args: impl IntoIterator<Item = impl AsRef<OsStr>>, input: &[u8]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lsmkit"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever does not read it may end before it is written.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().expect("because nobody kills it"),
        out: output.stdout,
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A store of these entries in the default keyspace.
#[allow(dead_code, reason = "not every test file makes stores")]
pub(crate) fn store(path: &Path, entries: &[(Vec<u8>, Vec<u8>)]) {
    let db = lsmkit::Db::open(path).unwrap();
    for (key, value) in entries {
        db.put(key, value).unwrap();
    }
    db.close().unwrap();
}

/// Everything in the default keyspace.
#[allow(dead_code, reason = "not every test file compares stores")]
pub(crate) fn entries(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let db = lsmkit::Options::new().open_read_only(path).unwrap();
    db.scan(..).map(|entry| entry.unwrap()).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}
