//! The entries of a shard, in one array of slots, strung into queues.
//!
//! Invariants:
//! 1. A slot is in exactly one of the queues (small or main), and holds a value; or it is vacant, holds none,
//!    and is on the list of vacant slots.
//! 2. A queue's `bytes` are the sum of the sizes of its slots.

use crate::BlockKey;
use crate::sync::{AtomicU8, Ordering};

/// Entries by slot number, and the queues they stand in.
#[derive(Debug)]
pub(crate) struct Slots<V> {
    slots: Vec<Slot<V>>,
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

/// What leaves the cache, for whoever has to note it or drop it.
#[derive(Debug)]
pub(crate) struct Removed<V> {
    pub(crate) key: BlockKey,
    pub(crate) value: V,
    pub(crate) place: Place,
    pub(crate) uses: u8,
}

/// One cache line, so that a hit touches one line besides the index and the value's own.
#[derive(Debug)]
#[repr(align(64))]
struct Slot<V> {
    key: BlockKey,
    value: Option<V>,
    size_bytes: usize,
    previous: u32,
    next: u32,
    place: Place,
    /// How often the entry was asked for since it took its place, up to `USES_MAX`. Readers count under the shared lock:
    /// two at the same moment may count one, which does not matter.
    uses: AtomicU8,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    head: u32,
    tail: u32,
    bytes: usize,
}

const NIL: u32 = u32::MAX;

/// S3-FIFO (see `shard.rs`) counts to three. Counting to seven gives up to a point more hits with the skewed reads
/// of `benches/hit_rate.rs`, and more than that makes the cache slow to follow when the hot blocks change.
const USES_MAX: u8 = 7;

impl<V: Clone> Slots<V> {
    pub(crate) fn new() -> Self {
        let empty = Queue { head: NIL, tail: NIL, bytes: 0 };
        Slots { slots: Vec::new(), vacant: NIL, occupied: 0, queues: [empty; 2] }
    }

    /// Whether `slot` holds the entry of `key`.
    #[inline]
    pub(crate) fn holds(&self, slot: u32, key: BlockKey) -> bool {
        self.slots[slot as usize].key == key
    }

    /// The value in an occupied slot; counts the use.
    #[inline]
    pub(crate) fn use_value(&self, slot: u32) -> Option<V> {
        let slot = &self.slots[slot as usize];
        let uses = slot.uses.load(Ordering::Relaxed);
        // A hot block is at its maximum, and its line stays shared between the cores.
        if uses < USES_MAX {
            slot.uses.store(uses + 1, Ordering::Relaxed);
        }
        slot.value.clone()
    }

    pub(crate) fn occupied(&self) -> usize {
        self.occupied
    }

    /// The bytes of the values in a queue.
    pub(crate) fn bytes_in(&self, place: Place) -> usize {
        self.queues[place as usize].bytes
    }

    /// The bytes of the array itself.
    pub(crate) fn size_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<V>>()
    }

    /// By how many bytes the array grows if another entry is added.
    pub(crate) fn growth_bytes(&self) -> usize {
        if self.vacant != NIL || self.slots.len() < self.slots.capacity() {
            return 0;
        }
        self.growth() * size_of::<Slot<V>>()
    }

    /// A quarter rather than the double of the usual vector: these bytes are taken from the blocks.
    fn growth(&self) -> usize {
        (self.slots.capacity() / 4).max(4)
    }

    /// Whether the array is much larger than its entries need.
    pub(crate) fn is_sparse(&self) -> bool {
        self.slots.len() > 16 && self.occupied < self.slots.len() / 2
    }

    /// Adds an entry at the tail of a queue; gives its slot.
    pub(crate) fn push(&mut self, key: BlockKey, value: V, size_bytes: usize, place: Place, uses: u8) -> u32 {
        let entry = Slot {
            key,
            value: Some(value),
            size_bytes,
            previous: NIL,
            next: NIL,
            place,
            uses: AtomicU8::new(uses.min(USES_MAX)),
        };
        let slot = self.vacant;
        let slot = if slot == NIL {
            if self.slots.len() == self.slots.capacity() {
                self.slots.reserve_exact(self.growth());
            }
            self.slots.push(entry);
            (self.slots.len() - 1) as u32
        } else {
            self.vacant = self.slots[slot as usize].next;
            self.slots[slot as usize] = entry;
            slot
        };
        self.occupied += 1;
        self.link(slot, place);
        slot
    }

    /// Takes an occupied slot's entry out and leaves the slot vacant.
    pub(crate) fn remove(&mut self, slot: u32) -> Removed<V> {
        self.unlink(slot);
        self.occupied -= 1;
        let vacant = self.vacant;
        self.vacant = slot;
        let slot = &mut self.slots[slot as usize];
        slot.next = vacant;
        let value = slot.value.take().expect("because the slot is occupied (invariant 1)");
        Removed { key: slot.key, value, place: slot.place, uses: slot.uses.load(Ordering::Relaxed) }
    }

    /// The oldest entry of a queue and how often it was used since it took its place.
    pub(crate) fn oldest(&self, place: Place) -> Option<(u32, u8)> {
        let head = self.queues[place as usize].head;
        (head != NIL).then(|| (head, self.slots[head as usize].uses.load(Ordering::Relaxed)))
    }

    /// Moves an occupied slot to the tail of a queue, its uses set anew.
    pub(crate) fn move_to_tail(&mut self, slot: u32, place: Place, uses: u8) {
        self.unlink(slot);
        self.slots[slot as usize].place = place;
        self.slots[slot as usize].uses.store(uses, Ordering::Relaxed);
        self.link(slot, place);
    }

    /// The same entries in the same order of queues, in an array with room for them and few more. All slot numbers change:
    /// `moved` is told each key's new one.
    pub(crate) fn compact(self, mut moved: impl FnMut(BlockKey, u32)) -> Self {
        let mut compacted = Slots::new();
        compacted.slots.reserve_exact(self.occupied + self.occupied / 4);
        let mut old = self;
        for place in [Place::Small, Place::Main] {
            while let Some((slot, _)) = old.oldest(place) {
                let size_bytes = old.slots[slot as usize].size_bytes;
                let Removed { key, value, uses, .. } = old.remove(slot);
                moved(key, compacted.push(key, value, size_bytes, place, uses));
            }
        }
        compacted
    }

    fn link(&mut self, slot: u32, place: Place) {
        let queue = &mut self.queues[place as usize];
        let tail = queue.tail;
        queue.tail = slot;
        queue.bytes += self.slots[slot as usize].size_bytes;
        match tail {
            NIL => queue.head = slot,
            _ => self.slots[tail as usize].next = slot,
        }
        self.slots[slot as usize].previous = tail;
        self.slots[slot as usize].next = NIL;
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { previous, next, size_bytes, place, .. } = self.slots[slot as usize];
        let queue = &mut self.queues[place as usize];
        queue.bytes -= size_bytes;
        match previous {
            NIL => queue.head = next,
            _ => self.slots[previous as usize].next = next,
        }
        match next {
            NIL => queue.tail = previous,
            _ => self.slots[next as usize].previous = previous,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn key(n: u64) -> BlockKey {
        BlockKey { table: n, offset: 0 }
    }

    fn order(slots: &Slots<u64>, place: Place) -> Vec<u64> {
        let mut order = Vec::new();
        let mut at = slots.queues[place as usize].head;
        let mut previous = NIL;
        while at != NIL {
            let slot = &slots.slots[at as usize];
            assert_eq!(slot.previous, previous);
            order.push(slot.key.table);
            previous = at;
            at = slot.next;
        }
        assert_eq!(slots.queues[place as usize].tail, previous);
        order
    }

    fn filled(count: u64) -> (Slots<u64>, Vec<u32>) {
        let mut slots = Slots::new();
        let numbers = (0..count).map(|n| slots.push(key(n), n, 10, Place::Small, 0)).collect();
        (slots, numbers)
    }

    #[test]
    fn a_slot_is_a_cache_line() {
        assert_eq!(size_of::<Slot<std::sync::Arc<[u8]>>>(), 64);
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
        assert_eq!(slots.push(key(9), 9, 10, Place::Small, 0), numbers[2], "a vacant slot is used again");
        assert_eq!(order(&slots, Place::Small), [3, 1, 9]);
    }

    #[test]
    fn uses_are_counted_up_to_seven() {
        let (slots, numbers) = filled(1);
        for expected in [1, 2, 3, 4, 5, 6, 7, 7, 7] {
            assert_eq!(slots.use_value(numbers[0]), Some(0));
            assert_eq!(slots.oldest(Place::Small), Some((numbers[0], expected)));
        }
    }

    #[test]
    fn growth_is_foretold() {
        let mut slots = Slots::new();
        for n in 0..1000 {
            let (before, growth) = (slots.size_bytes(), slots.growth_bytes());
            slots.push(key(n), n, 10, Place::Small, 0);
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
