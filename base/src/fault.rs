//! What can go wrong beneath the engine.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The one error of every layer beneath the engine.
///
/// One word, so that a step of a cursor that may fail costs no more than one that can't; and cheap to clone, because a
/// failed append or sync reaches every member of the group that shared it.
#[derive(Clone)]
pub struct Fault(Arc<FaultKind>);

/// What a [`Fault`] is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// The operating system refused an operation on `path`.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Bytes on disk are not what this store wrote.
    #[error("{}: corrupt at byte {offset}: {what}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in the file, in bytes from its start.
        offset: u64,
        /// What was expected there and what was found.
        what: Cow<'static, str>,
    },
    /// The file is sound, as far as can be told, but written in a way this build does not know.
    #[error("{}: not supported: {what}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not known: a version, a codec, a comparator.
        what: Cow<'static, str>,
    },
}

impl Fault {
    /// An operation on `path` that failed.
    #[cold]
    pub fn io(path: &Path, source: io::Error) -> Fault {
        Fault(Arc::new(FaultKind::Io { path: path.to_path_buf(), source }))
    }

    /// Bytes at `offset` of `path` that can't be right.
    #[cold]
    pub fn corrupt(path: &Path, offset: u64, what: impl Into<Cow<'static, str>>) -> Fault {
        Fault(Arc::new(FaultKind::Corrupt { path: path.to_path_buf(), offset, what: what.into() }))
    }

    /// A file this build can't read.
    #[cold]
    pub fn unsupported(path: &Path, what: impl Into<Cow<'static, str>>) -> Fault {
        Fault(Arc::new(FaultKind::Unsupported { path: path.to_path_buf(), what: what.into() }))
    }

    /// What it is.
    pub fn kind(&self) -> &FaultKind {
        &self.0
    }

    /// The file concerned.
    pub fn path(&self) -> &Path {
        match self.kind() {
            FaultKind::Io { path, .. }
            | FaultKind::Corrupt { path, .. }
            | FaultKind::Unsupported { path, .. } => path,
        }
    }

    /// Whether it is [`FaultKind::Corrupt`].
    pub fn is_corrupt(&self) -> bool {
        matches!(self.kind(), FaultKind::Corrupt { .. })
    }

    /// Whether it is [`FaultKind::Unsupported`].
    pub fn is_unsupported(&self) -> bool {
        matches!(self.kind(), FaultKind::Unsupported { .. })
    }

    /// Whether the cause is a full disk or an exhausted quota: the one fault that passes by itself
    /// once there is room.
    pub fn is_full_disk(&self) -> bool {
        match self.kind() {
            FaultKind::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// Whether something on disk is damaged or gone, rather than that an operation was refused for a reason that may pass: bytes that
    /// can't be right, a device that can't read them, a file that is not there or ends too early.
    pub fn is_damage(&self) -> bool {
        /// EIO: the device has failed.
        const IO_ERROR: i32 = 5;
        match self.kind() {
            FaultKind::Corrupt { .. } => true,
            FaultKind::Unsupported { .. } => false,
            FaultKind::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::IsADirectory => true,
                _ => cfg!(unix) && source.raw_os_error() == Some(IO_ERROR),
            },
        }
    }

    /// Whether the cause is that there is no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind(), FaultKind::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.kind(), f)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.kind(), f)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind().source()
    }
}

/// Names the file in an I/O error: `fs.open(path).at(path)?`.
pub trait FaultContext<T> {
    /// The result with its error, if any, as a [`FaultKind::Io`] of `path`.
    fn at(self, path: &Path) -> Result<T, Fault>;
}

impl<T> FaultContext<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, Fault> {
        self.map_err(|source| Fault::io(path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_file_offset_and_cause() {
        let fault = Fault::corrupt(Path::new("000007.sst"), 4096, "block checksum 1, computed 2");
        assert_eq!(fault.to_string(), "000007.sst: corrupt at byte 4096: block checksum 1, computed 2");

        let fault = Fault::io(Path::new("000002.log"), io::Error::from(io::ErrorKind::StorageFull));
        assert!(fault.is_full_disk() && fault.source().is_some());
        assert!(!fault.is_not_found());
        assert_eq!(fault.path(), Path::new("000002.log"));
    }
}
