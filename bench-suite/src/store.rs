//! What a workload asks of an engine.

use anyhow::Result;

use crate::inside::Inside;

/// An engine under test, open on a directory.
///
/// A write must be as safe once the call returns as [`crate::Durability`] of the settings says, for
/// every engine alike. Keys and values are shown, not handed over, so that an engine that need not
/// copy them is not made to.
pub trait Store: Send + Sync {
    /// Sets `key`.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()>;

    /// Removes `key`.
    fn delete(&self, key: &[u8]) -> Result<()>;

    /// Sets all of these keys together, or none.
    fn write(&self, records: &[(&[u8], &[u8])]) -> Result<()>;

    /// Shows the value of `key`, if it has one, and says whether it has.
    fn get(&self, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Shows the values of those of `keys` that have one, each with the place of its key, and says how many these are.
    /// All of them are of one moment, where the engine can do that.
    fn get_many(&self, keys: &[&[u8]], show: &mut dyn FnMut(usize, &[u8])) -> Result<usize> {
        let mut found = 0;
        for (place, key) in keys.iter().enumerate() {
            found += usize::from(self.get(key, &mut |value| show(place, value))?);
        }
        Ok(found)
    }

    /// Visits up to `count_max` records in the order of their keys: forward from the first at or after
    /// `from`, or from the very first. All of them are of one moment.
    fn scan(&self, from: Option<&[u8]>, count_max: u64, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()>;

    /// Visits all records from the last to the first.
    fn scan_back(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()>;

    /// Writes to tables what is in memory, and returns when nothing is left to compact. An engine
    /// that has no such work returns at once.
    fn settle(&self) -> Result<()>;

    /// What the engine tells of itself, as far as it does; called once a second while it works, so
    /// it has to be cheap.
    fn inside(&self) -> Inside {
        Inside::default()
    }
}
