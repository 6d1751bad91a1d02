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
    contents: Mutex<Contents<P>>,
}

struct Contents<P: Parts> {
    files: Vec<(Arc<P::Tables>, TableId)>,
    /// How many threads are removing files that were in it.
    emptying: usize,
}

impl<P: Parts> Bin<P> {
    pub(crate) fn new(signals: &Arc<Signals>) -> Arc<Bin<P>> {
        Arc::new(Bin {
            signals: Arc::clone(signals),
            contents: Mutex::new(Contents { files: Vec::new(), emptying: 0 }),
        })
    }

    pub(crate) fn put(&self, tables: Arc<P::Tables>, id: TableId) {
        lock(&self.contents).files.push((tables, id));
        self.signals.wake();
    }

    /// Removes what is in the bin; false where it was empty. A file that can't be removed is left
    /// over, harmless, and swept when the store is opened next.
    pub(crate) fn empty(&self) -> (bool, Result<(), Fault>) {
        let mut contents = lock(&self.contents);
        let files = std::mem::take(&mut contents.files);
        contents.emptying += 1;
        drop(contents);
        let mut outcome = Ok(());
        for (tables, id) in &files {
            if let Err(fault) = tables.remove(*id)
                && !fault.is_not_found()
            {
                outcome = Err(fault);
            }
        }
        lock(&self.contents).emptying -= 1;
        (!files.is_empty(), outcome)
    }

    /// Whether all that was put in it has been removed.
    pub(crate) fn is_empty(&self) -> bool {
        let contents = lock(&self.contents);
        contents.files.is_empty() && contents.emptying == 0
    }
}

impl<P: Parts> fmt::Debug for Bin<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bin({} files)", lock(&self.contents).files.len())
    }
}
