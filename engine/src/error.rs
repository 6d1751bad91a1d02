//! What can go wrong, grouped by what the caller can do about it.

use std::path::PathBuf;

use lsmkit_base::{Fault, FaultKind, MAX_KEY_BYTES, MAX_VALUE_BYTES};

/// Why an operation failed. Nothing that was acknowledged before is lost by it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system is full. Reads go on; writes succeed again once there is room.
    #[error("no room on the file system: {0}")]
    Full(#[source] Fault),

    /// The file system refused an operation.
    #[error("{0}")]
    Io(#[source] Fault),

    /// Bytes on disk are damaged.
    #[error("{0}")]
    Corrupt(#[source] Fault),

    /// The store was written in a way this build does not know.
    #[error("{0}")]
    Unsupported(#[source] Fault),

    /// A fault has made it unsafe to go on writing: the store can still be read. Reopen it once the
    /// cause is mended.
    #[error("the store has turned read-only, because of: {0}")]
    ReadOnly(#[source] Fault),

    /// The store was opened for reading only.
    #[error("the store was opened for reading only")]
    OpenedReadOnly,

    /// Another process, or another part of this one, has the store open.
    #[error("the store {} is in use: another process, or another part of this one, has it open", .0.display())]
    Locked(PathBuf),

    /// There is no store at this path, and it was not to be created.
    #[error("there is no store at {}", .0.display())]
    NoStore(PathBuf),

    /// The directory holds files but no store. Where there was one, its `CURRENT-` file is gone.
    #[error(
        "{} holds {file:?} but no store: it is another directory, or the store has lost its CURRENT- file",
        dir.display()
    )]
    NotAStore {
        /// The directory.
        dir: PathBuf,
        /// One of the files.
        file: String,
    },

    /// The store was closed.
    #[error("the store is closed")]
    Closed,

    /// The key is too long.
    #[error("a key of {size_bytes} bytes is longer than the longest, {MAX_KEY_BYTES}")]
    KeyTooLong {
        /// How long it is.
        size_bytes: usize,
    },

    /// The value is too long.
    #[error("a value of {size_bytes} bytes is longer than the longest, {MAX_VALUE_BYTES}")]
    ValueTooLong {
        /// How long it is.
        size_bytes: usize,
    },

    /// The batch is too large for one log record.
    #[error("a batch of {size_bytes} bytes is larger than the largest, {max_bytes}")]
    BatchTooLarge {
        /// How large it is.
        size_bytes: usize,
        /// How large it may be.
        max_bytes: usize,
    },

    /// The keyspace was dropped, or belongs to another store.
    #[error("the keyspace {0:?} is not, or no longer, in this store")]
    NoKeyspace(String),

    /// The name can't be that of a keyspace, or this keyspace can't be dropped.
    #[error("keyspace {name:?}: {what}")]
    KeyspaceName {
        /// The name.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },

    /// Every sequence number has been used: after 2⁵⁶ writes.
    #[error("every sequence number of this store has been used")]
    Exhausted,
}

/// What to do about an [`Error`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// Try again later: the cause passes by itself, or is somebody else's to end.
    Retry,
    /// Mend the cause, then open the store anew.
    Reopen,
    /// The files are damaged: `lsmkit verify` tells which. From a backup, or by a [`Repair`](crate::Repair).
    Repair,
    /// The call itself is wrong.
    FixCall,
}

impl Error {
    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Error::Full(_) | Error::Locked(_) => Remedy::Retry,
            Error::Io(_) | Error::ReadOnly(_) | Error::Unsupported(_) | Error::Exhausted => Remedy::Reopen,
            Error::Corrupt(_) => Remedy::Repair,
            Error::OpenedReadOnly
            | Error::NoStore(_)
            | Error::NotAStore { .. }
            | Error::Closed
            | Error::KeyTooLong { .. }
            | Error::ValueTooLong { .. }
            | Error::BatchTooLarge { .. }
            | Error::NoKeyspace(_)
            | Error::KeyspaceName { .. } => Remedy::FixCall,
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        match fault.kind() {
            FaultKind::Corrupt { .. } => Error::Corrupt(fault),
            FaultKind::Unsupported { .. } => Error::Unsupported(fault),
            _ if fault.is_full_disk() => Error::Full(fault),
            _ => Error::Io(fault),
        }
    }
}
