//! How a command ends: its exit code, and what it says where something went wrong.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use lsmkit::{Error, Remedy};

use crate::output::note;

/// The exit codes; `lsmkit --help` lists them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// There is no such key.
    NotFound = 1,
    /// The command line makes no sense. The parser of the command line gives the same.
    Usage = 2,
    /// The store can't be opened, or an operation on it failed.
    Store = 3,
    /// What was to be imported, or is to be exported, does not fit the format.
    BadRecord = 4,
    /// Bytes of the store are damaged.
    Damage = 5,
    /// The tour found a promise broken.
    BrokenPromise = 6,
}

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Whoever read our output has seen enough (`lsmkit scan … | head`): no failure of ours.
    PipeClosed,
    /// Something went wrong.
    Failed {
        exit: Exit,
        what: String,
        /// What to do next.
        next: Option<String>,
    },
}

impl Failure {
    pub(crate) fn new(exit: Exit, what: impl Display) -> Failure {
        Failure::Failed { exit, what: what.to_string(), next: None }
    }

    pub(crate) fn usage(what: impl Display) -> Failure {
        Failure::new(Exit::Usage, what)
    }

    pub(crate) fn bad_record(what: impl Display) -> Failure {
        Failure::new(Exit::BadRecord, what)
    }

    /// With what to do next.
    #[must_use]
    pub(crate) fn next(mut self, advice: impl Display) -> Failure {
        if let Failure::Failed { next, .. } = &mut self {
            *next = Some(advice.to_string());
        }
        self
    }

    /// With `before` put before what went wrong.
    #[must_use]
    pub(crate) fn after(mut self, before: impl Display) -> Failure {
        if let Failure::Failed { what, .. } = &mut self {
            *what = format!("{before}{what}");
        }
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let exit = if error.remedy() == Remedy::Repair { Exit::Damage } else { Exit::Store };
        Failure::new(exit, &error).next(advice(&error))
    }
}

/// Of the output only: whoever reads input names the file.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::PipeClosed;
        }
        Failure::new(Exit::Store, format!("the output can't be written: {error}"))
    }
}

fn advice(error: &Error) -> &'static str {
    match error {
        Error::Full(_) => {
            "make room on the file system and run the command again; nothing acknowledged is lost"
        }
        Error::Locked(_) => "a writer has a store to itself: try again once the other process has closed it",
        Error::NoStore(_) => {
            "check the path; `lsmkit put` and `lsmkit import` make a store where there is none"
        }
        Error::NotAStore { .. } => {
            "check the path; where a store was, `lsmkit repair --dry-run` tells what can be kept of it"
        }
        Error::NoKeyspace(_) | Error::KeyspaceName { .. } => "`lsmkit keyspaces STORE` lists the names",
        Error::Unsupported(_) => "read the store with the version of lsmkit that wrote it, or a later one",
        Error::Io(fault) if is_permission(fault) => "run the command as the user who owns the store",
        _ => match error.remedy() {
            Remedy::Retry => "try again later",
            Remedy::Reopen => "mend the cause named above, then run the command again",
            Remedy::Repair => {
                "copy the whole directory before anything else, then restore it from a backup; where there is none, \
                 `lsmkit repair --dry-run` tells what can be kept, and `lsmkit repair` keeps it"
            }
            Remedy::FixCall => "change what the command was given; `--help` tells the limits",
        },
    }
}

fn is_permission(fault: &lsmkit::Fault) -> bool {
    matches!(fault.kind(), lsmkit::FaultKind::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
}

/// Says on standard error what went wrong, and gives the code to exit with.
pub(crate) fn code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) | Err(Failure::PipeClosed) => ExitCode::SUCCESS,
        Err(Failure::Failed { exit, what, next }) => {
            let next = next.map(|next| format!("\n  next: {next}")).unwrap_or_default();
            note(format_args!("error: {what}{next}"));
            ExitCode::from(exit as u8)
        }
    }
}
