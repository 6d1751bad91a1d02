//! Files that nothing needs any more.

use std::fmt;
use std::sync::{Arc, Mutex};

use lsmkit_base::{Fault, TableId};
use lsmkit_sstable::Tables;

use crate::Parts;
use crate::background::Signals;
use crate::health::lock;

/// Tables to be removed. Readers put them here when they let go, so that no reader ever waits for a removal.
pub(crate) struct Bin<P: Parts> {
    signals: Arc<Signals>,
    files: Mutex<Vec<(Arc<P::Tables>, TableId)>>,
}

impl<P: Parts> Bin<P> {
    pub(crate) fn new(signals: &Arc<Signals>) -> Arc<Bin<P>> {
        Arc::new(Bin { signals: Arc::clone(signals), files: Mutex::new(Vec::new()) })
    }

    pub(crate) fn put(&self, tables: Arc<P::Tables>, id: TableId) {
        lock(&self.files).push((tables, id));
        self.signals.wake();
    }

    /// Removes what is in the bin; false where it was empty. A file that can't be removed is left
    /// over, harmless, and swept when the store is opened next.
    pub(crate) fn empty(&self) -> (bool, Result<(), Fault>) {
        let files = std::mem::take(&mut *lock(&self.files));
        let mut outcome = Ok(());
        for (tables, id) in &files {
            if let Err(fault) = tables.remove(*id)
                && !fault.is_not_found()
            {
                outcome = Err(fault);
            }
        }
        (!files.is_empty(), outcome)
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.files).is_empty()
    }
}

impl<P: Parts> fmt::Debug for Bin<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bin({} files)", lock(&self.files).len())
    }
}
