//! Files that nothing needs any more.

use std::fmt;
use std::sync::{Arc, Mutex};

use lsmkit_base::{Fault, TableId, TableMeta};
use lsmkit_sstable::Tables;

use crate::Parts;
use crate::background::Signals;
use crate::health::lock;
use crate::version::Reader;

/// Tables to be removed. Readers put them here when they let go, so that no reader ever waits for a removal.
pub(crate) struct Bin<P: Parts> {
    signals: Arc<Signals>,
    contents: Mutex<Contents<P>>,
}

struct Contents<P: Parts> {
    files: Vec<Discarded<P>>,
    /// Whether nobody empties it any more.
    is_closed: bool,
    /// How many threads are removing files that were in it.
    emptying: usize,
}

struct Discarded<P: Parts> {
    tables: Arc<P::Tables>,
    id: TableId,
    /// Where it is still open. Closed by whoever removes the file: of the two, the later waits until the file system has its blocks back.
    reader: Option<Arc<Reader<P>>>,
}

impl<P: Parts> Bin<P> {
    pub(crate) fn new(signals: &Arc<Signals>) -> Arc<Bin<P>> {
        Arc::new(Bin {
            signals: Arc::clone(signals),
            contents: Mutex::new(Contents { files: Vec::new(), is_closed: false, emptying: 0 }),
        })
    }

    pub(crate) fn put(&self, tables: Arc<P::Tables>, id: TableId, reader: Option<Arc<Reader<P>>>) {
        let discarded = Discarded { tables, id, reader };
        let mut contents = lock(&self.contents);
        if contents.is_closed {
            drop(contents);
            drop(discarded);
            return;
        }
        contents.files.push(discarded);
        drop(contents);
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
        let was_empty = files.is_empty();
        for Discarded { tables, id, reader } in files {
            drop(reader);
            if let Err(fault) = tables.remove(id)
                && !fault.is_not_found()
            {
                outcome = Err(fault);
            }
        }
        lock(&self.contents).emptying -= 1;
        (!was_empty, outcome)
    }

    /// Lets go of what is in it, and from now on at once of what is put in. The files stay, harmless, and are swept when the store is
    /// opened next.
    pub(crate) fn close(&self) {
        let left = {
            let mut contents = lock(&self.contents);
            contents.is_closed = true;
            std::mem::take(&mut contents.files)
        };
        drop(left);
    }

    /// Whether all that was put in it has been removed.
    pub(crate) fn is_empty(&self) -> bool {
        let contents = lock(&self.contents);
        contents.files.is_empty() && contents.emptying == 0
    }
}

/// Tables that are written and that no edit on disk names. Dropped, they leave none of their files.
#[derive(Debug)]
pub(crate) struct Unnamed<T: Tables> {
    tables: Vec<(Arc<T>, TableMeta)>,
}

impl<T: Tables> Unnamed<T> {
    pub(crate) fn new() -> Unnamed<T> {
        Unnamed { tables: Vec::new() }
    }

    pub(crate) fn push(&mut self, tables: &Arc<T>, meta: &TableMeta) {
        self.tables.push((Arc::clone(tables), meta.clone()));
    }

    pub(crate) fn metas(&self) -> impl Iterator<Item = &TableMeta> {
        self.tables.iter().map(|(_, meta)| meta)
    }

    /// The bytes of their files.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.metas().map(|meta| meta.size_bytes).sum()
    }

    /// From now on an edit names them, or may, or somebody else takes care of them.
    pub(crate) fn release(&mut self) {
        self.tables.clear();
    }
}

impl<T: Tables> Drop for Unnamed<T> {
    fn drop(&mut self) {
        for (tables, meta) in &self.tables {
            // What stays is swept when the store is opened next.
            let _ = tables.remove(meta.id);
        }
    }
}

impl<P: Parts> fmt::Debug for Bin<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bin({} files)", lock(&self.contents).files.len())
    }
}
