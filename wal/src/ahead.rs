//! Windows opened by one thread for another that appends.
//!
//! To show a page of a file through a window takes the kernel some microseconds, and now and then it waits for the file
//! system's journal. An append that comes to the end of its window would spend a fifth of its time on that. So it says
//! where the next window will be wanted, and whoever has the time ([`LogHandle::prepare`](crate::LogHandle::prepare))
//! opens it meanwhile. Where nobody does, or not in time, the append opens a smaller one itself.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use lsmkit_vfs::{File, Window};

/// How much is set aside for windows at a time, at most. A file system that has to read its maps for it, from a busy device, may take most of
/// a second, and appends to the file by a call would wait for that as well: so half of this at least is there at any time.
const ALLOCATED_BYTES_MAX: u64 = 32 << 20;
/// The largest window. Some 0.8 ms of work.
const WINDOW_BYTES_MAX: u64 = 1 << 20;
/// So many windows are opened before whoever opens them sees to something else.
const ROUNDS: usize = 4;
/// So much is shown by windows that are ready, at most: what is written while the kernel waits for a journal.
const READY_BYTES_MAX: u64 = 4 << 20;
/// The same where the file is likely to end soon. What a window shows is written to the disk, though nothing else may ever be
/// written there: with 4 MiB ready at the end of each file of 45 MB that were nine in a hundred bytes.
const LAST_READY_BYTES_MAX: u64 = 512 << 10;
/// A window there.
const LAST_WINDOW_BYTES: u64 = 256 << 10;
/// An append takes down windows that are of no more use where there are more than this; it may have to wait for the thread that opens one.
const SPENT_MAX: usize = 4;
/// What windows begin and end at, whatever the machine: the largest size of a page.
const PAGE_BYTES: u64 = 64 << 10;

/// A window and the part of the file that it shows.
#[derive(Debug)]
pub(crate) struct View {
    file: Arc<dyn File>,
    offset: u64,
    size_bytes: u64,
    /// The first so many bytes of the file have been set aside.
    allocated_bytes: u64,
    window: Box<dyn Window>,
}

/// Where a view is to be.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) file: Arc<dyn File>,
    /// A place within the first page that is to be seen.
    pub(crate) offset: u64,
    pub(crate) size_bytes: u64,
    /// The first so many bytes of the file have been set aside.
    pub(crate) allocated_bytes: u64,
}

/// What the appending thread wants next, and what others have done for it.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// Whether there is something to do; may lag behind.
    is_wanted: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Raised when the file is done with.
    generation: u64,
    /// The first so many bytes of the file have been set aside, and perhaps more.
    allocated_bytes: u64,
    /// How far the file before this one was written.
    usual_bytes: u64,
    /// Whether this one is written through windows.
    has_windows: bool,
    /// How much is to be set aside in the file after this one, if that is to be made now.
    wanted_file: Option<u64>,
    wanted: Option<Place>,
    /// One behind the other.
    ready: VecDeque<View>,
    /// Of no more use; to take them down takes time too.
    spent: Vec<View>,
}

impl View {
    /// Opens a window; `None` where there is no such thing.
    ///
    /// Where room has to be set aside for it, then for `step_bytes` more.
    pub(crate) fn open(place: &Place, step_bytes: u64) -> io::Result<Option<View>> {
        let offset = place.offset - place.offset % PAGE_BYTES;
        let end = offset + place.size_bytes;
        let mut allocated_bytes = place.allocated_bytes;
        if end > allocated_bytes {
            allocated_bytes = end + step_bytes;
            if place.file.allocate(allocated_bytes).is_err() {
                // There may be room for this one alone.
                allocated_bytes = end;
                place.file.allocate(allocated_bytes)?;
            }
        }
        let window = place.file.window(offset, place.size_bytes as usize)?;
        let file = Arc::clone(&place.file);
        Ok(window.map(|window| View { file, offset, size_bytes: place.size_bytes, allocated_bytes, window }))
    }

    /// Sets aside the first `room_bytes` of a new file, and opens the first window onto it.
    pub(crate) fn first(file: &Arc<dyn File>, room_bytes: u64) -> io::Result<Option<View>> {
        let size_bytes = room_bytes.next_multiple_of(PAGE_BYTES).clamp(2 * PAGE_BYTES, WINDOW_BYTES_MAX);
        let allocated_bytes = room_bytes.max(size_bytes);
        file.allocate(allocated_bytes)?;
        View::open(&Place { file: Arc::clone(file), offset: 0, size_bytes, allocated_bytes }, 0)
    }

    /// Whether it shows `len` bytes of its file from `offset` on.
    #[inline]
    pub(crate) fn shows(&self, offset: u64, len: u64) -> bool {
        offset >= self.offset && offset + len <= self.offset + self.size_bytes
    }

    /// Writes bytes that it shows.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.window.write(bytes, (offset - self.offset) as usize)
    }

    pub(crate) fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes
    }

    /// Where the next one is to be: it begins within the last page of this one, as the last record will not fill that.
    fn next(&self) -> Place {
        let end = self.end();
        Place {
            file: Arc::clone(&self.file),
            offset: end - PAGE_BYTES,
            // Little beside what is there already.
            size_bytes: if end < 2 * WINDOW_BYTES_MAX { self.size_bytes } else { WINDOW_BYTES_MAX },
            allocated_bytes: self.allocated_bytes,
        }
    }

    fn end(&self) -> u64 {
        self.offset + self.size_bytes
    }
}

impl State {
    /// As much as is there already, so that a small log stays small, or as the one before this leads to expect.
    fn step_bytes(&self, written_bytes: u64) -> u64 {
        written_bytes.max(self.usual_bytes / 2).min(ALLOCATED_BYTES_MAX)
    }

    /// Whether the file may be done with soon once it has so many bytes, if it is anything like the one before it.
    fn is_ending(&self, written_bytes: u64) -> bool {
        let usual = self.usual_bytes;
        (usual - usual / 16..usual + usual / 8).contains(&written_bytes)
    }

    /// Wants a view behind `last` and those that are ready, unless there are enough.
    fn want_behind(&mut self, last: Place) {
        let mut next =
            self.ready.back().map(View::next).filter(|next| next.offset > last.offset).unwrap_or(last);
        let mut enough_bytes = (next.offset / 4).min(READY_BYTES_MAX);
        if self.is_ending(next.offset) {
            enough_bytes = enough_bytes.min(LAST_READY_BYTES_MAX);
            next.size_bytes = next.size_bytes.min(LAST_WINDOW_BYTES);
        }
        let ready_bytes: u64 = self.ready.iter().map(|view| view.size_bytes).sum();
        self.wanted = (ready_bytes == 0 || ready_bytes < enough_bytes).then_some(next);
    }
}

impl Ahead {
    /// Whether [`make`](Ahead::make) has something to do.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// The view that shows `len` bytes of `file` from `offset` on, if it has been made ready.
    pub(crate) fn take(&self, file: &Arc<dyn File>, offset: u64, len: u64) -> Option<View> {
        let mut state = self.state();
        let State { ready, spent, .. } = &mut *state;
        // Records too long for windows may have come in between, or one that was not ready in time.
        while ready.front().is_some_and(|view| view.end() < offset + len) {
            spent.extend(ready.pop_front());
        }
        let fits = |view: &View| Arc::ptr_eq(&view.file, file) && view.shows(offset, len);
        if ready.front().is_some_and(fits) { ready.pop_front() } else { None }
    }

    /// Lets views behind `view` be made, and `spent` be taken down, by whoever has the time.
    pub(crate) fn want_after(&self, view: &View, spent: Option<View>) {
        let mut state = self.state();
        state.want_behind(view.next());
        state.has_windows = true;
        self.leave(state, spent);
    }

    /// Lets the next file be made by whoever has the time, once `written_bytes` of this one are half of what the last one came to; from
    /// where on to ask again.
    pub(crate) fn want_file(&self, written_bytes: u64) -> u64 {
        let mut state = self.state();
        if written_bytes < state.usual_bytes / 2 {
            return state.usual_bytes / 2;
        }
        let room_bytes = state.step_bytes(written_bytes.max(1)) / 2;
        state.wanted_file = Some(if state.has_windows { room_bytes.max(PAGE_BYTES) } else { 0 });
        drop(state);
        self.is_wanted.store(true, Ordering::Relaxed);
        u64::MAX
    }

    /// How much to set aside at a time where `written_bytes` have been written, and how much has been.
    pub(crate) fn allocation(&self, written_bytes: u64) -> (u64, u64) {
        let state = self.state();
        (state.step_bytes(written_bytes), state.allocated_bytes)
    }

    /// How much is to be set aside in the next file, if it is to be made now.
    pub(crate) fn take_wanted_file(&self) -> Option<u64> {
        self.state().wanted_file.take()
    }

    /// A file is begun that has been made ahead.
    pub(crate) fn begin(&self, first: View) {
        let mut state = self.state();
        state.allocated_bytes = first.allocated_bytes();
        state.ready.push_back(first);
    }

    /// Nothing more is appended to the file for now, of which `written_bytes` have been written.
    pub(crate) fn rest(&self, spent: Option<View>, written_bytes: u64) {
        let mut state = self.state();
        state.generation += 1;
        (state.wanted, state.wanted_file, state.has_windows) = (None, None, false);
        (state.allocated_bytes, state.usual_bytes) = (0, written_bytes);
        let State { ready, spent: all, .. } = &mut *state;
        all.extend(ready.drain(..));
        self.leave(state, spent);
    }

    /// Leaves a view, and what is wanted, to whoever has the time.
    fn leave(&self, mut state: MutexGuard<'_, State>, spent: Option<View>) {
        state.spent.extend(spent);
        // Nobody has had the time for long: by the thread that is here, then.
        let unspent = if state.spent.len() > SPENT_MAX { mem::take(&mut state.spent) } else { Vec::new() };
        drop(state);
        drop(unspent);
        self.is_wanted.store(true, Ordering::Relaxed);
    }

    /// Makes ready what is wanted. A fault is met again by whoever wanted it.
    pub(crate) fn make(&self) {
        self.is_wanted.store(false, Ordering::Relaxed);
        for _ in 0..ROUNDS {
            self.take_down();
            if self.make_one().is_none() {
                return;
            }
        }
        if self.state().wanted.is_some() {
            self.is_wanted.store(true, Ordering::Relaxed);
        }
    }

    /// Makes a view, unless none is wanted or to be had.
    fn make_one(&self) -> Option<()> {
        let (place, step_bytes, generation) = {
            let mut state = self.state();
            let mut place = state.wanted.take()?;
            place.allocated_bytes = place.allocated_bytes.max(state.allocated_bytes);
            let step_bytes = state.step_bytes(place.offset);
            (place, step_bytes, state.generation)
        };
        let view = View::open(&place, step_bytes).ok()??;
        let (end, mut allocated_bytes) = (view.end(), view.allocated_bytes());
        {
            let mut state = self.state();
            if state.generation != generation {
                // The file has been done with meanwhile: this would keep its blocks when it is removed.
                drop(state);
                drop(view);
                return None;
            }
            let next = view.next();
            // Another thread may have been faster.
            let is_behind = state.ready.back().is_none_or(|last| last.end() < view.end());
            if is_behind {
                state.ready.push_back(view)
            } else {
                state.spent.push(view)
            }
            let last = state.wanted.take().filter(|wanted| wanted.offset > next.offset).unwrap_or(next);
            state.want_behind(last);
        }
        // In good time before it is needed, and only now that there is a window to go on with.
        if allocated_bytes < end + step_bytes / 2 && place.file.allocate(end + step_bytes).is_ok() {
            allocated_bytes = end + step_bytes;
        }
        let mut state = self.state();
        if state.generation == generation {
            state.allocated_bytes = state.allocated_bytes.max(allocated_bytes);
        }
        Some(())
    }

    /// Takes down the views that are of no more use, if nobody has yet.
    pub(crate) fn take_down(&self) {
        let spent = mem::take(&mut self.state().spent);
        drop(spent);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("because nothing panics while it is held")
    }
}
