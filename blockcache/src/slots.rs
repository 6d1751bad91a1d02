//! The entries of a shard, in slots, strung into queues.
//!
//! A slot is split over two arrays: what a hit touches, two slots to a cache line, and what only inserts and
//! evictions touch.
//!
//! Invariants:
//! 1. A slot is in exactly one of the queues (small or main), and holds a value; or it is vacant, holds none,
//!    and is on the list of vacant slots.
//! 2. A queue's `bytes` are the sum of the sizes of its slots.
//! 3. Both arrays have the same length.

use arc_swap::RefCnt;

use crate::BlockKey;
use crate::berths::{Berth, USES_MAX, note_use};
use crate::sync::{AtomicU8, Ordering};

/// Entries by slot number, and the queues they stand in.
#[derive(Debug)]
pub(crate) struct Slots<V: RefCnt> {
    entries: Vec<Entry<V>>,
    links: Vec<Link<V>>,
    /// The first of the vacant slots, which are linked by `next`.
    vacant: u32,
    occupied: usize,
    queues: [Queue; 2],
}

/// The queue an entry stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// Newcomers on probation.
    Small,
    /// Those that have been asked for again.
    Main,
}

/// What comes into the cache.
#[derive(Debug)]
pub(crate) struct Entrant<V: RefCnt> {
    pub(crate) key: BlockKey,
    pub(crate) value: V,
    pub(crate) size_bytes: usize,
    pub(crate) berth: Option<Berth<V>>,
}

/// What leaves the cache, for whoever has to note it or drop it.
#[derive(Debug)]
pub(crate) struct Removed<V: RefCnt> {
    pub(crate) key: BlockKey,
    pub(crate) value: V,
    pub(crate) berth: Option<Berth<V>>,
    pub(crate) place: Place,
    pub(crate) uses: u8,
}

/// The half of a slot that a hit touches. Aligned so that it lies within one cache line.
#[derive(Debug)]
#[repr(align(32))]
struct Entry<V> {
    key: BlockKey,
    value: Option<V>,
    place: Place,
    /// How often the entry was asked for by its key since it took its place, up to `USES_MAX`. Its berth counts too.
    uses: AtomicU8,
}

/// The other half of a slot.
#[derive(Debug)]
struct Link<V: RefCnt> {
    size_bytes: usize,
    berth: Option<Berth<V>>,
    previous: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    head: u32,
    tail: u32,
    bytes: usize,
}

const NIL: u32 = u32::MAX;

impl<V: RefCnt> Slots<V> {
    pub(crate) fn new() -> Self {
        let empty = Queue { head: NIL, tail: NIL, bytes: 0 };
        Slots { entries: Vec::new(), links: Vec::new(), vacant: NIL, occupied: 0, queues: [empty; 2] }
    }

    /// Whether `slot` holds the entry of `key`.
    #[inline]
    pub(crate) fn holds(&self, slot: u32, key: BlockKey) -> bool {
        self.entries[slot as usize].key == key
    }

    /// The value in an occupied slot; counts the use.
    #[inline]
    pub(crate) fn use_value(&self, slot: u32) -> Option<V> {
        let entry = &self.entries[slot as usize];
        note_use(&entry.uses);
        entry.value.clone()
    }

    /// How often an occupied slot's entry was asked for since it took its place, up to `USES_MAX`.
    fn uses(&self, slot: u32) -> u8 {
        let berth = self.links[slot as usize].berth.as_ref().and_then(Berth::uses);
        let in_berth = berth.map_or(0, |uses| uses.load(Ordering::Relaxed));
        (self.entries[slot as usize].uses.load(Ordering::Relaxed) + in_berth).min(USES_MAX)
    }

    fn set_uses(&self, slot: u32, uses: u8) {
        self.entries[slot as usize].uses.store(uses.min(USES_MAX), Ordering::Relaxed);
        if let Some(in_berth) = self.links[slot as usize].berth.as_ref().and_then(Berth::uses) {
            in_berth.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn occupied(&self) -> usize {
        self.occupied
    }

    /// The bytes of the values in a queue.
    pub(crate) fn bytes_in(&self, place: Place) -> usize {
        self.queues[place as usize].bytes
    }

    /// The bytes of the arrays themselves.
    pub(crate) fn size_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<V>>() + self.links.capacity() * size_of::<Link<V>>()
    }

    /// By how many bytes the arrays grow if another entry is added.
    pub(crate) fn growth_bytes(&self) -> usize {
        if self.vacant != NIL || self.entries.len() < self.entries.capacity() {
            return 0;
        }
        self.growth() * (size_of::<Entry<V>>() + size_of::<Link<V>>())
    }

    /// A quarter rather than the double of the usual vector: these bytes are taken from the blocks.
    fn growth(&self) -> usize {
        (self.entries.len() / 4).max(4)
    }

    /// Whether the arrays are much larger than their entries need.
    pub(crate) fn is_sparse(&self) -> bool {
        self.entries.len() > 16 && self.occupied < self.entries.len() / 2
    }

    /// Adds an entry at the tail of a queue; gives its slot.
    pub(crate) fn push(&mut self, entrant: Entrant<V>, place: Place, uses: u8) -> u32 {
        let Entrant { key, value, size_bytes, berth } = entrant;
        let entry = Entry { key, value: Some(value), place, uses: AtomicU8::new(0) };
        let link = Link { size_bytes, berth, previous: NIL, next: NIL };
        let slot = self.vacant;
        let slot = if slot == NIL {
            if self.entries.len() == self.entries.capacity() {
                let growth = self.growth();
                self.entries.reserve_exact(growth);
                self.links.reserve_exact(growth);
            }
            self.entries.push(entry);
            self.links.push(link);
            (self.entries.len() - 1) as u32
        } else {
            self.vacant = self.links[slot as usize].next;
            self.entries[slot as usize] = entry;
            self.links[slot as usize] = link;
            slot
        };
        self.occupied += 1;
        self.set_uses(slot, uses);
        self.link(slot, place);
        slot
    }

    /// Takes an occupied slot's entry out and leaves the slot vacant.
    pub(crate) fn remove(&mut self, slot: u32) -> Removed<V> {
        self.unlink(slot);
        let uses = self.uses(slot);
        let link = &mut self.links[slot as usize];
        link.next = self.vacant;
        let berth = link.berth.take();
        self.vacant = slot;
        self.occupied -= 1;
        let entry = &mut self.entries[slot as usize];
        let value = entry.value.take().expect("because the slot is occupied (invariant 1)");
        Removed { key: entry.key, value, berth, place: entry.place, uses }
    }

    /// The oldest entry of a queue and how often it was used since it took its place.
    pub(crate) fn oldest(&self, place: Place) -> Option<(u32, u8)> {
        let head = self.queues[place as usize].head;
        (head != NIL).then(|| (head, self.uses(head)))
    }

    /// Moves an occupied slot to the tail of a queue, its uses set anew.
    pub(crate) fn move_to_tail(&mut self, slot: u32, place: Place, uses: u8) {
        self.unlink(slot);
        self.entries[slot as usize].place = place;
        self.set_uses(slot, uses);
        self.link(slot, place);
    }

    /// The same entries in the same order of queues, in arrays with room for them and few more. All slot
    /// numbers change: `moved` is told each key's new one.
    pub(crate) fn compact(mut self, mut moved: impl FnMut(BlockKey, u32)) -> Self {
        let mut compacted = Slots::new();
        let room = self.occupied + self.occupied / 4;
        compacted.entries.reserve_exact(room);
        compacted.links.reserve_exact(room);
        for place in [Place::Small, Place::Main] {
            while let Some((slot, uses)) = self.oldest(place) {
                let size_bytes = self.links[slot as usize].size_bytes;
                let Removed { key, value, berth, .. } = self.remove(slot);
                moved(key, compacted.push(Entrant { key, value, size_bytes, berth }, place, uses));
            }
        }
        compacted
    }

    fn link(&mut self, slot: u32, place: Place) {
        let queue = &mut self.queues[place as usize];
        let tail = queue.tail;
        queue.tail = slot;
        queue.bytes += self.links[slot as usize].size_bytes;
        match tail {
            NIL => queue.head = slot,
            _ => self.links[tail as usize].next = slot,
        }
        self.links[slot as usize].previous = tail;
        self.links[slot as usize].next = NIL;
    }

    fn unlink(&mut self, slot: u32) {
        let Link { previous, next, size_bytes, .. } = self.links[slot as usize];
        let queue = &mut self.queues[self.entries[slot as usize].place as usize];
        queue.bytes -= size_bytes;
        match previous {
            NIL => queue.head = next,
            _ => self.links[previous as usize].next = next,
        }
        match next {
            NIL => queue.tail = previous,
            _ => self.links[next as usize].previous = previous,
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn key(n: u64) -> BlockKey {
        BlockKey { table: n, block: 0 }
    }

    fn entrant(n: u64) -> Entrant<Arc<u64>> {
        Entrant { key: key(n), value: Arc::new(n), size_bytes: 10, berth: None }
    }

    fn order(slots: &Slots<Arc<u64>>, place: Place) -> Vec<u64> {
        let mut order = Vec::new();
        let mut at = slots.queues[place as usize].head;
        let mut previous = NIL;
        while at != NIL {
            assert_eq!(slots.links[at as usize].previous, previous);
            order.push(slots.entries[at as usize].key.table);
            previous = at;
            at = slots.links[at as usize].next;
        }
        assert_eq!(slots.queues[place as usize].tail, previous);
        order
    }

    fn filled(count: u64) -> (Slots<Arc<u64>>, Vec<u32>) {
        let mut slots = Slots::new();
        let numbers = (0..count).map(|n| slots.push(entrant(n), Place::Small, 0)).collect();
        (slots, numbers)
    }

    #[test]
    fn a_slot_takes_64_bytes() {
        assert_eq!(size_of::<Entry<Arc<u64>>>(), 32);
        assert_eq!(size_of::<Link<Arc<u64>>>(), 32);
    }

    #[test]
    fn queues_keep_their_order_and_bytes() {
        let (mut slots, numbers) = filled(5);
        assert_eq!(order(&slots, Place::Small), [0, 1, 2, 3, 4]);
        slots.remove(numbers[2]);
        slots.move_to_tail(numbers[0], Place::Main, 0);
        slots.move_to_tail(numbers[1], Place::Small, 0);
        slots.move_to_tail(numbers[4], Place::Main, 0);
        assert_eq!(order(&slots, Place::Small), [3, 1]);
        assert_eq!(order(&slots, Place::Main), [0, 4]);
        assert_eq!((slots.bytes_in(Place::Small), slots.bytes_in(Place::Main)), (20, 20));
        assert_eq!(slots.occupied(), 4);
        assert_eq!(slots.push(entrant(9), Place::Small, 0), numbers[2], "a vacant slot is used again");
        assert_eq!(order(&slots, Place::Small), [3, 1, 9]);
    }

    #[test]
    fn uses_are_counted_up_to_seven() {
        let (slots, numbers) = filled(1);
        for expected in [1, 2, 3, 4, 5, 6, 7, 7, 7] {
            assert_eq!(slots.use_value(numbers[0]), Some(Arc::new(0)));
            assert_eq!(slots.oldest(Place::Small), Some((numbers[0], expected)));
        }
    }

    #[test]
    fn growth_is_foretold() {
        let mut slots = Slots::new();
        for n in 0..1000 {
            let (before, growth) = (slots.size_bytes(), slots.growth_bytes());
            slots.push(entrant(n), Place::Small, 0);
            assert_eq!(slots.size_bytes(), before + growth);
        }
        assert!(slots.size_bytes() <= 1250 * 64);
    }

    #[test]
    fn compacting_keeps_entries_order_and_uses() {
        let (mut slots, numbers) = filled(200);
        for &slot in &numbers[20..] {
            slots.remove(slot);
        }
        slots.move_to_tail(numbers[3], Place::Main, 2);
        assert!(slots.is_sparse());
        let before = slots.size_bytes();
        let mut moved = Vec::new();
        let slots = slots.compact(|key, slot| moved.push((key, slot)));
        assert!(slots.size_bytes() < before / 4 && !slots.is_sparse());
        assert_eq!(order(&slots, Place::Main), [3]);
        assert_eq!(order(&slots, Place::Small).len(), 19);
        assert_eq!(slots.oldest(Place::Main), Some((moved.last().unwrap().1, 2)));
        assert!(moved.iter().all(|&(key, slot)| slots.holds(slot, key)));
    }
}
