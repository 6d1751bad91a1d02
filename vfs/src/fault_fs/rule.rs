//! Which calls fail, and how.

use std::io;

use super::{Call, Operation};

/// Which call fails, and how.
///
/// Without more, `Rule::nth(3)` lets the third call from now on fail, whatever it is, once, before it has
/// any effect, with [`io::ErrorKind::Other`]. Each method narrows or changes that.
///
/// ```
/// use std::io;
/// use lsmkit_vfs::{Operation, Rule};
///
/// // Every sync of a log from the second on has its effect and says that it failed.
/// let rule = Rule::nth(2).on(Operation::Sync).path_contains(".log").after_effect().from_then_on();
/// // The next write puts down 100 bytes and finds the disk full.
/// let rule = Rule::nth(1).on(Operation::Write).after_bytes(100).error(io::ErrorKind::StorageFull);
/// ```
#[derive(Clone, Debug)]
pub struct Rule {
    nth: u64,
    calls: Calls,
    path_contains: Option<String>,
    repeat: Repeat,
    pub(super) moment: Moment,
    error: Failure,
}

#[derive(Clone, Copy, Debug)]
enum Calls {
    Any,
    Mutating,
    Of(Operation),
}

#[derive(Clone, Copy, Debug)]
enum Repeat {
    Once,
    FromThenOn,
}

/// How much of its effect a failing call has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    Before,
    AfterBytes(usize),
    After,
}

#[derive(Clone, Copy, Debug)]
enum Failure {
    Kind(io::ErrorKind),
    Os(i32),
}

impl Rule {
    /// Lets the `nth` call fail of those that fit, counted from 1 when the rule is added.
    ///
    /// # Panics
    ///
    /// If `nth` is zero.
    pub fn nth(nth: u64) -> Rule {
        assert!(nth > 0, "calls are counted from 1");
        Rule {
            nth,
            calls: Calls::Any,
            path_contains: None,
            repeat: Repeat::Once,
            moment: Moment::Before,
            error: Failure::Kind(io::ErrorKind::Other),
        }
    }

    /// Fits only this operation.
    #[must_use]
    pub fn on(self, operation: Operation) -> Rule {
        Rule { calls: Calls::Of(operation), ..self }
    }

    /// Fits only operations that change something on disk; see [`Operation::is_mutating`].
    #[must_use]
    pub fn on_mutating(self) -> Rule {
        Rule { calls: Calls::Mutating, ..self }
    }

    /// Fits only a path that contains `part`; of a rename, either path. A file's path is the one it
    /// was opened by.
    #[must_use]
    pub fn path_contains(self, part: impl Into<String>) -> Rule {
        Rule { path_contains: Some(part.into()), ..self }
    }

    /// Lets every call fail from the nth on, not that one only.
    #[must_use]
    pub fn from_then_on(self) -> Rule {
        Rule { repeat: Repeat::FromThenOn, ..self }
    }

    /// The call has its effect, and fails none the less. A file that it creates is there, but is not
    /// returned; a lock that it takes is let go.
    #[must_use]
    pub fn after_effect(self) -> Rule {
        Rule { moment: Moment::After, ..self }
    }

    /// A write puts down its first `bytes` bytes and fails then. Any other call fails before its
    /// effect.
    #[must_use]
    pub fn after_bytes(self, bytes: usize) -> Rule {
        Rule { moment: Moment::AfterBytes(bytes), ..self }
    }

    /// Fails with this kind of error, and a message that names the call.
    #[must_use]
    pub fn error(self, kind: io::ErrorKind) -> Rule {
        Rule { error: Failure::Kind(kind), ..self }
    }

    /// Fails with an error of the operating system by its number, such as 5 for `EIO` on Unix.
    #[must_use]
    pub fn os_error(self, code: i32) -> Rule {
        Rule { error: Failure::Os(code), ..self }
    }

    fn fits(&self, call: &Call) -> bool {
        let fits_operation = match self.calls {
            Calls::Any => true,
            Calls::Mutating => call.operation.is_mutating(),
            Calls::Of(operation) => call.operation == operation,
        };
        fits_operation
            && self.path_contains.as_ref().is_none_or(|part| {
                let contains = |path: &std::path::Path| path.to_string_lossy().contains(part);
                contains(&call.path) || call.to.as_deref().is_some_and(contains)
            })
    }

    pub(super) fn to_error(&self, call: &Call) -> io::Error {
        match self.error {
            Failure::Kind(kind) => io::Error::new(
                kind,
                format!("a fault as ordered: {:?} of {}", call.operation, call.path.display()),
            ),
            Failure::Os(code) => io::Error::from_raw_os_error(code),
        }
    }
}

/// A rule that was added, with what it has seen since.
#[derive(Debug)]
pub(super) struct Armed {
    pub(super) rule: Rule,
    seen: u64,
}

impl Armed {
    pub(super) fn new(rule: Rule) -> Armed {
        Armed { rule, seen: 0 }
    }

    /// Counts the call if it fits, and tells whether it is to fail.
    pub(super) fn strikes(&mut self, call: &Call) -> bool {
        if !self.rule.fits(call) {
            return false;
        }
        self.seen += 1;
        match self.rule.repeat {
            Repeat::Once => self.seen == self.rule.nth,
            Repeat::FromThenOn => self.seen >= self.rule.nth,
        }
    }
}
