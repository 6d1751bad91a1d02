//! What is called, as rules, functions and traces see it.

use std::path::Path;
use std::sync::Arc;

/// What a call asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// [`Fs::create_dir`](crate::Fs::create_dir)
    CreateDir,
    /// [`Fs::create`](crate::Fs::create)
    Create,
    /// [`Fs::open`](crate::Fs::open)
    Open,
    /// [`Fs::open_write`](crate::Fs::open_write)
    OpenWrite,
    /// [`Fs::rename`](crate::Fs::rename)
    Rename,
    /// [`Fs::remove`](crate::Fs::remove)
    Remove,
    /// [`Fs::list`](crate::Fs::list)
    List,
    /// [`Fs::sync_dir`](crate::Fs::sync_dir)
    SyncDir,
    /// [`Fs::lock`](crate::Fs::lock)
    Lock,
    /// [`File::read_at`](crate::File::read_at) and [`File::read_exact_at`](crate::File::read_exact_at)
    Read,
    /// [`File::write_at`](crate::File::write_at) and [`Window::write`](crate::Window::write)
    Write,
    /// [`File::sync`](crate::File::sync)
    Sync,
    /// [`File::size_bytes`](crate::File::size_bytes)
    Size,
    /// [`File::allocate`](crate::File::allocate)
    Allocate,
    /// [`File::window`](crate::File::window)
    Window,
    /// The last handle to an open file goes. Nobody can be told of a failure, so none is made: rules, the power and
    /// the counts leave it out.
    Close,
}

impl Operation {
    /// Whether it changes what is on disk, or what of it is durable. A lock may create its file.
    pub fn is_mutating(self) -> bool {
        match self {
            Operation::CreateDir
            | Operation::Create
            | Operation::Rename
            | Operation::Remove
            | Operation::SyncDir
            | Operation::Lock
            | Operation::Write
            | Operation::Sync
            | Operation::Allocate => true,
            Operation::Open
            | Operation::OpenWrite
            | Operation::List
            | Operation::Read
            | Operation::Size
            | Operation::Window
            | Operation::Close => false,
        }
    }
}

/// A call of the file system or of one of its files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// What it asks for.
    pub operation: Operation,
    /// Of what; a file's path is the one it was opened by.
    pub path: Arc<Path>,
    /// The new name, of a rename.
    pub to: Option<Arc<Path>>,
    /// Where in the file, of a read, a write or a window; zero of anything else.
    pub offset: u64,
    /// How much, of a read, a write, a window or an allocation; zero of anything else.
    pub size_bytes: u64,
}

impl Call {
    pub(super) fn of(operation: Operation, path: impl Into<Arc<Path>>) -> Call {
        Call { operation, path: path.into(), to: None, offset: 0, size_bytes: 0 }
    }
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It did what was asked for.
    Done,
    /// It failed, by itself or by a rule.
    Failed,
}
