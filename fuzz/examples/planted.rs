//! Plants each bug of [`lsmkit_fuzz::planted`] in a copy of the repository and runs the tests that have to find it: some five minutes.
//!
//! ```text
//! cargo run -p lsmkit-fuzz --example planted
//! cargo run -p lsmkit-fuzz --example planted -- snapshot
//! ```
//!
//! Prints a line for each bug, with the tests that failed, and fails where one was not found. A word plants only the bugs in whose
//! description it is.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use lsmkit_fuzz::planted::{BUGS, Bug};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<ExitCode> {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let copy = Copy::make()?;
    let mut missed = 0;
    let planted = || BUGS.iter().filter(|bug| bug.what.contains(&wanted));
    // What fails anyway finds nothing.
    for tests in planted().map(|bug| bug.tests).collect::<BTreeSet<_>>() {
        let failing = copy.failing_tests(tests)?;
        if !failing.is_empty() {
            return Err(format!("without any bug {failing:?} of {} fail", tests.0).into());
        }
    }
    for bug in planted() {
        let found = copy.with(bug, || copy.failing_tests(bug.tests))?;
        if found.is_empty() {
            missed += 1;
        }
        let found =
            if found.is_empty() { "NOT FOUND".to_owned() } else { format!("`{}`", found.join("`, `")) };
        println!("| {} | {found} |", bug.what);
    }
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A copy of the repository, with a target directory that is kept from run to run.
struct Copy {
    dir: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn make() -> Outcome<Copy> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let planted = root.join("target/planted");
        let copy = Copy { dir: planted.join("copy"), target: planted.join("target") };
        if copy.dir.exists() {
            fs::remove_dir_all(&copy.dir)?;
        }
        let listed = Command::new("git")
            .args(["ls-files", "-co", "--exclude-standard"])
            .current_dir(&root)
            .output()?;
        for name in String::from_utf8(listed.stdout)?.lines().filter(|name| root.join(name).is_file()) {
            let to = copy.dir.join(name);
            fs::create_dir_all(to.parent().ok_or("a file has a directory")?)?;
            fs::copy(root.join(name), to)?;
        }
        Ok(copy)
    }

    /// Does something while the bug is there.
    fn with<T>(&self, bug: &Bug, act: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        let path = self.dir.join(bug.file);
        let sound = fs::read_to_string(&path)?;
        fs::write(&path, sound.replacen(bug.from, bug.to, 1))?;
        let outcome = act();
        fs::write(&path, sound)?;
        outcome
    }

    /// The tests that fail. What does not compile is no answer.
    fn failing_tests(&self, (package, args): (&str, &[&str])) -> Outcome<Vec<String>> {
        let cargo = |more: &[&str]| {
            let mut command = Command::new(env!("CARGO"));
            command.current_dir(&self.dir).env("CARGO_TARGET_DIR", &self.target).env("RUST_BACKTRACE", "0");
            command.args(["test", "--no-fail-fast", "-p", package]).args(args).args(more).output()
        };
        let built = cargo(&["--no-run"])?;
        if !built.status.success() {
            let said = String::from_utf8_lossy(&built.stderr).into_owned();
            return Err(format!("does not compile: {said}").into());
        }
        let said = String::from_utf8_lossy(&cargo(&[])?.stdout).into_owned();
        let failed = said.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
        let mut failed: Vec<String> = failed.map(str::to_owned).collect();
        failed.sort();
        Ok(failed)
    }
}
