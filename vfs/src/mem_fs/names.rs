//! The names of files: what they are now, what is durable, and the changes that lie between.
//!
//! Directories are created and never removed or renamed, as `Fs` has no operation for it, so one is
//! known by its path.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use super::inode::Inode;

/// The names in each directory. The root is the directory "".
pub(super) type Dirs = BTreeMap<Arc<str>, BTreeMap<Arc<str>, Node>>;

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(Arc<Inode>),
    Dir,
}

/// A name in a directory.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Place {
    pub(super) dir: Arc<str>,
    pub(super) name: Arc<str>,
}

impl Place {
    /// The path from the root on, "/db/1.log".
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.dir, self.name)
    }
}

/// What was done to names and isn't durable yet.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Create { at: Place, node: Node },
    Rename { from: Place, to: Place, file: Arc<Inode> },
    Remove { at: Place, file: Arc<Inode> },
}

impl Change {
    /// The names that it changes.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> + Clone {
        let (one, other) = match self {
            Change::Create { at, .. } | Change::Remove { at, .. } => (at, None),
            Change::Rename { from, to, .. } => (from, Some(to)),
        };
        std::iter::once(one).chain(other)
    }

    /// The file it is about.
    fn file(&self) -> Option<&Arc<Inode>> {
        match self {
            Change::Create { node: Node::Dir, .. } => None,
            Change::Create { node: Node::File(file), .. }
            | Change::Rename { file, .. }
            | Change::Remove { file, .. } => Some(file),
        }
    }
}

#[derive(Debug)]
pub(super) struct Names {
    pub(super) now: Dirs,
    /// Has the names of every directory there is now; what counts of them is what can be reached.
    pub(super) durable: Dirs,
    /// In the order in which they were made.
    pub(super) pending: Vec<Change>,
}

impl Names {
    pub(super) fn new() -> Names {
        let root = Dirs::from([("".into(), BTreeMap::new())]);
        Names { now: root.clone(), durable: root, pending: Vec::new() }
    }

    /// The names in a directory.
    pub(super) fn list(&self, dir: &Path) -> io::Result<&BTreeMap<Arc<str>, Node>> {
        let dir = joined(&components(dir)?);
        self.now.get(dir.as_str()).ok_or_else(|| self.why_no_dir(&dir))
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<&Arc<Inode>> {
        let Some(place) = place(path)? else { return Err(io::ErrorKind::IsADirectory.into()) };
        self.file_at(&place)
    }

    pub(super) fn file_at(&self, place: &Place) -> io::Result<&Arc<Inode>> {
        match self.node(place)? {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn node(&self, place: &Place) -> io::Result<Option<&Node>> {
        let dir = self.now.get(&place.dir).ok_or_else(|| self.why_no_dir(&place.dir))?;
        Ok(dir.get(&place.name))
    }

    /// A file in the way is another thing than a directory that is missing.
    fn why_no_dir(&self, dir: &str) -> io::Error {
        let mut rest = dir;
        while let Some((parent, name)) = rest.rsplit_once('/') {
            if let Some(names) = self.now.get(parent) {
                return match names.get(name) {
                    Some(Node::File(_)) => io::ErrorKind::NotADirectory.into(),
                    _ => io::ErrorKind::NotFound.into(),
                };
            }
            rest = parent;
        }
        io::ErrorKind::NotFound.into()
    }

    pub(super) fn create_dir(&mut self, dir: &Path) -> io::Result<()> {
        let components = components(dir)?;
        for depth in 0..components.len() {
            let at = Place { dir: joined(&components[..depth]).into(), name: components[depth].into() };
            match self.node(&at)? {
                Some(Node::Dir) => {}
                Some(Node::File(_)) if depth + 1 < components.len() => {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
                Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => {
                    let path: Arc<str> = at.path().into();
                    self.now.insert(Arc::clone(&path), BTreeMap::new());
                    self.durable.insert(path, BTreeMap::new());
                    self.bind(at, Node::Dir);
                }
            }
        }
        Ok(())
    }

    pub(super) fn create(&mut self, at: Place, file: Arc<Inode>) -> io::Result<()> {
        if self.node(&at)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.bind(at, Node::File(file));
        Ok(())
    }

    fn bind(&mut self, at: Place, node: Node) {
        let dir = self.now.get_mut(&at.dir).expect("the caller has looked the name up in its directory");
        dir.insert(Arc::clone(&at.name), node.clone());
        self.pending.push(Change::Create { at, node });
    }

    /// Returns the file that had the new name, and has none now.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<Option<Arc<Inode>>> {
        let (Some(from), Some(to)) = (place(from)?, place(to)?) else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        let file = Arc::clone(self.file_at(&from)?);
        let replaced = match self.node(&to)? {
            Some(Node::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
            Some(Node::File(replaced)) => Some(Arc::clone(replaced)),
            None => None,
        };
        if from == to {
            return Ok(None);
        }
        let change = Change::Rename { from, to, file };
        apply(&mut self.now, &change);
        self.pending.push(change);
        Ok(replaced)
    }

    /// Returns the file, which has no name now.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<Arc<Inode>> {
        let Some(at) = place(path)? else { return Err(io::ErrorKind::IsADirectory.into()) };
        let file = Arc::clone(self.file_at(&at)?);
        let change = Change::Remove { at, file: Arc::clone(&file) };
        apply(&mut self.now, &change);
        self.pending.push(change);
        Ok(file)
    }

    /// Makes the changes in a directory durable.
    ///
    /// A rename between two directories is one change of both, and what was done before in the other
    /// one goes with it: made durable without, it could be undone by its own past.
    pub(super) fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        let dir: Arc<str> = joined(&components(dir)?).into();
        if !self.now.contains_key(&dir) {
            return Err(self.why_no_dir(&dir));
        }
        let mut dirs = BTreeSet::from([dir]);
        let mut is_synced = vec![false; self.pending.len()];
        for (change, is_synced) in self.pending.iter().zip(&mut is_synced).rev() {
            if change.places().any(|place| dirs.contains(&place.dir)) {
                dirs.extend(change.places().map(|place| Arc::clone(&place.dir)));
                *is_synced = true;
            }
        }
        let mut is_synced = is_synced.into_iter();
        let durable = &mut self.durable;
        self.pending.retain(|change| {
            let is_synced = is_synced.next().expect("there is one for each change");
            if is_synced {
                apply(durable, change);
            }
            !is_synced
        });
        Ok(())
    }

    /// The same names for other files.
    pub(super) fn copied(&self, copy: impl Fn(&Arc<Inode>) -> Arc<Inode>) -> Names {
        let copied_node = |node: &Node| match node {
            Node::File(file) => Node::File(copy(file)),
            Node::Dir => Node::Dir,
        };
        let copied_names = |names: &BTreeMap<Arc<str>, Node>| {
            names.iter().map(|(name, node)| (Arc::clone(name), copied_node(node))).collect()
        };
        let copied_dirs =
            |dirs: &Dirs| dirs.iter().map(|(dir, names)| (Arc::clone(dir), copied_names(names))).collect();
        let copied_change = |change: &Change| match change {
            Change::Create { at, node } => Change::Create { at: at.clone(), node: copied_node(node) },
            Change::Rename { from, to, file } => {
                Change::Rename { from: from.clone(), to: to.clone(), file: copy(file) }
            }
            Change::Remove { at, file } => Change::Remove { at: at.clone(), file: copy(file) },
        };
        Names {
            now: copied_dirs(&self.now),
            durable: copied_dirs(&self.durable),
            pending: self.pending.iter().map(copied_change).collect(),
        }
    }

    /// Every file there is, with or without a name, some of them more than once.
    pub(super) fn inodes(&self) -> impl Iterator<Item = &Arc<Inode>> {
        let named = [&self.now, &self.durable].into_iter().flat_map(files);
        named.map(|(_, file)| file).chain(self.pending.iter().filter_map(Change::file))
    }
}

/// Makes a change to names that the change fits.
pub(super) fn apply(dirs: &mut Dirs, change: &Change) {
    let mut set = |place: &Place, node: Option<Node>| {
        let names = dirs.get_mut(&place.dir).expect("directories are never removed");
        match node {
            Some(node) => names.insert(Arc::clone(&place.name), node),
            None => names.remove(&place.name),
        };
    };
    match change {
        Change::Create { at, node } => set(at, Some(node.clone())),
        Change::Rename { from, to, file } => {
            set(from, None);
            set(to, Some(Node::File(Arc::clone(file))));
        }
        Change::Remove { at, .. } => set(at, None),
    }
}

/// The files of all directories, in the order of their paths' parts.
pub(super) fn files(dirs: &Dirs) -> impl Iterator<Item = (Place, &Arc<Inode>)> {
    dirs.iter().flat_map(|(dir, names)| {
        names.iter().filter_map(move |(name, node)| match node {
            Node::File(file) => Some((Place { dir: Arc::clone(dir), name: Arc::clone(name) }, file)),
            Node::Dir => None,
        })
    })
}

/// Where a path leads; the root, which has no name, is `None`.
pub(super) fn place(path: &Path) -> io::Result<Option<Place>> {
    let components = components(path)?;
    Ok(components.split_last().map(|(name, above)| Place { dir: joined(above).into(), name: (*name).into() }))
}

/// The names on the way from the root, which a relative path starts at too.
fn components(path: &Path) -> io::Result<Vec<&str>> {
    // What the operating system says to it.
    if path.as_os_str().is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            // There are no links, so the name above is the directory above.
            Component::ParentDir => drop(names.pop()),
            Component::Prefix(_) | Component::Normal(_) => {
                names.push(component.as_os_str().to_str().ok_or(io::ErrorKind::InvalidFilename)?);
            }
        }
    }
    Ok(names)
}

/// A directory's path from the root on, "/db"; the root's is empty.
fn joined(names: &[&str]) -> String {
    names.iter().flat_map(|name| ["/", name]).collect()
}
