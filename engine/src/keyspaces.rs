//! Making and dropping keyspaces while the store runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use lsmkit_base::KeyspaceId;
use lsmkit_manifest::{Change, Edit, Manifest};
use lsmkit_wal::Log;

use crate::batch::DEFAULT_KEYSPACE;
use crate::health::lock;
use crate::state::ReadState;
use crate::store::{Mode, Store};
use crate::tree::KeyspaceTree;
use crate::version::Version;
use crate::{Error, KeyspaceOptions, Parts};

/// The longest name of a keyspace.
const MAX_NAME_BYTES: usize = 255;

impl<P: Parts> Store<P> {
    /// The keyspace named `name`, made if it is not there; durable when it returns.
    pub(crate) fn keyspace(
        &self,
        name: &str,
        options: &KeyspaceOptions,
    ) -> Result<Arc<KeyspaceTree<P>>, Error> {
        self.health.check_open()?;
        if let Some(known) = self.keyspace_named(name) {
            known.write_by(self.parts.tables(&self.site, &options.clone().of(known.id, name)));
            return Ok(known);
        }
        let refuse = |what| Err(Error::KeyspaceName { name: name.to_owned(), what });
        if name.is_empty() {
            return refuse("a keyspace needs a name");
        }
        if name.len() > MAX_NAME_BYTES {
            return refuse("a name has at most 255 bytes");
        }
        if self.mode == Mode::ReadOnly {
            return Err(Error::OpenedReadOnly);
        }
        self.health.check()?;
        let mut manifest = lock(&self.manifest);
        self.health.check()?;
        if let Some(known) = self.keyspace_named(name) {
            return Ok(known);
        }
        let id = manifest.state().next_keyspace;
        let options = options.clone().of(id, name);
        // The parts first: what they refuse must not be durable.
        let tables = Arc::new(self.parts.tables(&self.site, &options));
        let picker = self.parts.picker(&self.site, &options);
        let log_floor = lock(&self.writer).log.segment();
        let edit = Edit::new()
            .with(Change::CreateKeyspace { id, name: name.to_owned(), log_floor })
            .with(Change::NextKeyspace(KeyspaceId(id.0 + 1)));
        self.commit_edit(&mut manifest, &edit)?;
        // Memory that one keyspace gives up is for all of them.
        let other = Arc::clone(&self.keyspaces.load()[&DEFAULT_KEYSPACE]);
        let state = ReadState {
            active: other.state().active.successor(self.options.memtable_bytes, log_floor),
            frozen: Vec::new(),
            version: Arc::new(Version::empty()),
        };
        let keyspace = KeyspaceTree::new(id, name, tables, picker, state, &self.memory);
        self.change_keyspaces(|keyspaces| {
            keyspaces.insert(id, Arc::clone(&keyspace));
        });
        Ok(keyspace)
    }

    /// Drops a keyspace with all it holds; durable when it returns. False where there is none.
    pub(crate) fn drop_keyspace(&self, name: &str) -> Result<bool, Error> {
        self.health.check_open()?;
        if self.mode == Mode::ReadOnly {
            return Err(Error::OpenedReadOnly);
        }
        let mut manifest = lock(&self.manifest);
        self.health.check()?;
        let Some(keyspace) = self.keyspace_named(name) else { return Ok(false) };
        if keyspace.id == DEFAULT_KEYSPACE {
            let what = "the default keyspace can't be dropped";
            return Err(Error::KeyspaceName { name: name.to_owned(), what });
        }
        // No write may be acknowledged once the edit may be durable, and none that was
        // acknowledged may be in a log that replay would read for it.
        self.change_keyspaces(|keyspaces| {
            keyspaces.remove(&keyspace.id);
        });
        let edit = Edit::new().with(Change::DropKeyspace(keyspace.id));
        if let Err(error) = self.commit_edit(&mut manifest, &edit) {
            self.change_keyspaces(|keyspaces| {
                keyspaces.insert(keyspace.id, Arc::clone(&keyspace));
            });
            return Err(error);
        }
        keyspace.set_dropped(true);
        keyspace.clear();
        self.signals.wake();
        Ok(true)
    }

    fn commit_edit(&self, manifest: &mut Manifest, edit: &Edit) -> Result<(), Error> {
        manifest.commit(edit).map_err(|fault| match manifest.failed() {
            Some(failed) => {
                self.health.fail(failed);
                Error::ReadOnly(fault)
            }
            None => fault.into(),
        })
    }

    fn keyspace_named(&self, name: &str) -> Option<Arc<KeyspaceTree<P>>> {
        self.keyspaces.load().values().find(|keyspace| &*keyspace.name == name).cloned()
    }

    /// Changes the writers' view of the keyspaces and everybody else's. The caller holds the manifest.
    fn change_keyspaces(&self, change: impl FnOnce(&mut BTreeMap<KeyspaceId, Arc<KeyspaceTree<P>>>)) {
        let mut writer = lock(&self.writer);
        change(&mut writer.keyspaces);
        self.memory.set_active(writer.active_bytes());
        self.keyspaces.store(Arc::new(writer.keyspaces.clone()));
    }
}
