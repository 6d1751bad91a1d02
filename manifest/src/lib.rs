#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod current;
mod edit;
mod log;
mod state;

pub use edit::{Change, Edit};
pub use log::Manifest;
pub use state::{EditError, KeyspaceState, State};
