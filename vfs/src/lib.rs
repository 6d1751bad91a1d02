#![doc = include_str!("../README.md")]

mod fault_fs;
mod fs;
mod mem_fs;
mod pooled_fs;
mod seeded;
mod std_fs;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use fault_fs::{Call, FaultFs, Operation, Outcome, Rule};
pub use fs::{DirEntry, DirEntryKind, File, FileLock, Fs, LockKind, Window};
pub use mem_fs::MemFs;
pub use pooled_fs::PooledFs;
pub use std_fs::{StdFs, open_files_limit};
