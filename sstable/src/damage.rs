//! What can be wrong with bytes, before it is known in which file and where they stand.

use std::borrow::Cow;
use std::path::Path;

use lsmkit_base::Fault;

/// Why bytes are refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Damage {
    /// They are not what a table writer wrote.
    Corrupt(Cow<'static, str>),
    /// They are written in a way this build does not know.
    Unsupported(Cow<'static, str>),
}

impl Damage {
    pub(crate) fn corrupt(what: impl Into<Cow<'static, str>>) -> Damage {
        Damage::Corrupt(what.into())
    }

    pub(crate) fn unsupported(what: impl Into<Cow<'static, str>>) -> Damage {
        Damage::Unsupported(what.into())
    }

    /// The damage as found at `offset` of the file at `path`.
    pub(crate) fn at(self, path: &Path, offset: u64) -> Fault {
        match self {
            Damage::Corrupt(what) => Fault::corrupt(path, offset, what),
            Damage::Unsupported(what) => Fault::unsupported(path, what),
        }
    }
}
