//! One entry, as bytes in an arena.
//!
//! ```text
//! ┌─────────┬─────────┬───────────┬─────┬───────┬─────────────────────┐
//! │ version │ key_len │ value_len │ key │ value │ to a multiple of 8  │
//! │ u64     │ u32     │ u32       │     │       │                     │
//! └─────────┴─────────┴───────────┴─────┴───────┴─────────────────────┘
//! ```

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::slice;

use lsmkit_base::{Entry, KeyRef, SeqNo, ValueKind};

use crate::arena::Arena;
use crate::sync::WrittenOnce;

/// A record, for as long as `'a` keeps its arena.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    at: NonNull<Header>,
    arena: PhantomData<&'a Arena>,
}

// SAFETY: invariant 1. What is shared is never written again.
unsafe impl Send for Record<'_> {}
// SAFETY: as above.
unsafe impl Sync for Record<'_> {}

/// What lies before a key.
#[repr(C, align(8))]
pub(super) struct Header {
    /// The sequence number in 56 bits, the kind in eight.
    version: u64,
    key_len: u32,
    value_len: u32,
    written: WrittenOnce,
}

const _: () = assert!(size_of::<Header>().is_multiple_of(8));

impl Record<'static> {
    /// Writes a record that nothing points to yet.
    ///
    /// # Safety
    ///
    /// The record is used only while the arena lives.
    pub(super) unsafe fn write(arena: &mut Arena, entry: Entry<'_>) -> Record<'static> {
        let (key, value) = (entry.user_key, entry.value);
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).expect("because the tree checks lengths");
        let header = Header {
            version: entry.seq.value() << 8 | entry.kind as u64,
            key_len: len(key),
            value_len: len(value),
            written: WrittenOnce::written(),
        };
        let at = arena.alloc((size_of::<Header>() + key.len() + value.len()).next_multiple_of(8));
        // SAFETY: the arena's invariant. The piece is new, ours alone and of the length asked for, which is
        // that of the three parts; it is aligned, as all pieces of this arena are multiples of
        // eight. The entry's bytes can't overlap memory that nobody had until now.
        unsafe {
            at.cast::<Header>().write(header);
            let start = at.add(size_of::<Header>());
            start.copy_from_nonoverlapping(NonNull::from(key).cast(), key.len());
            start.add(key.len()).copy_from_nonoverlapping(NonNull::from(value).cast(), value.len());
        }
        Record { at: at.cast(), arena: PhantomData }
    }
}

impl<'a> Record<'a> {
    /// The record at an address that [`as_ptr`](Record::as_ptr) gave.
    #[inline]
    pub(super) fn from_ptr(at: *mut Header) -> Option<Record<'a>> {
        NonNull::new(at).map(|at| Record { at, arena: PhantomData })
    }

    #[inline]
    pub(super) fn as_ptr(self) -> *mut Header {
        self.at.as_ptr()
    }

    /// The key as the user gave it.
    #[inline]
    pub(super) fn user_key(self) -> &'a [u8] {
        let header = self.header();
        // SAFETY: invariant 1. `key_len` bytes of key follow the header.
        unsafe { slice::from_raw_parts(self.bytes(), header.key_len as usize) }
    }

    #[inline]
    pub(super) fn seq(self) -> SeqNo {
        SeqNo::new(self.header().version >> 8).expect("because it was made from one")
    }

    /// Where the record stands in the order.
    #[inline]
    pub(super) fn key(self) -> KeyRef<'a> {
        KeyRef::new(self.user_key(), self.seq())
    }

    /// The whole entry, in place.
    #[inline]
    pub(super) fn entry(self) -> Entry<'a> {
        let header = self.header();
        // SAFETY: invariant 1. `value_len` bytes of value follow those of the key.
        let value = unsafe {
            slice::from_raw_parts(self.bytes().add(header.key_len as usize), header.value_len as usize)
        };
        Entry {
            user_key: self.user_key(),
            seq: self.seq(),
            kind: ValueKind::from_byte(header.version as u8).expect("because it was made from one"),
            value,
        }
    }

    /// Asks for the key and the beginning of the value.
    #[inline]
    pub(super) fn prefetch(self) {
        #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
        // SAFETY: a prefetch is a hint that never faults, whatever the address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.at.as_ptr().cast());
            _mm_prefetch::<_MM_HINT_T0>(self.at.as_ptr().cast::<i8>().wrapping_add(64));
        }
    }

    #[inline]
    fn header(self) -> &'a Header {
        // SAFETY: invariant 1. It is never written again.
        let header = unsafe { self.at.as_ref() };
        header.written.read();
        header
    }

    #[inline]
    fn bytes(self) -> *const u8 {
        // SAFETY: invariant 1. Key and value follow the header in the same piece.
        unsafe { self.at.add(1).cast::<u8>().as_ptr() }
    }
}
