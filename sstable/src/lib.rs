#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod block;
mod compress;
mod cursor;
mod damage;
mod filter;
mod footer;
#[cfg(any(test, feature = "testkit"))]
mod forge;
#[cfg(test)]
mod golden;
mod guide;
mod handle;
#[cfg(test)]
mod hostile;
mod index;
mod options;
mod probes;
mod properties;
mod reader;
mod salvage;
mod source;
mod table;
mod tables;
#[cfg(feature = "testkit")]
pub mod testkit;
mod verify;
mod writer;

pub use compress::Compression;
pub use cursor::FileCursor;
pub use options::TableOptions;
pub use probes::FilterUsage;
pub use properties::Properties;
pub use reader::FileReader;
pub use salvage::{LostKeys, Salvage};
pub use table::{Found, Lookup, Reading, TableParts, TablePlace, TableReader, TableWriter, Tables};
pub use tables::BlockTables;
pub use writer::FileWriter;
