//! Locked memory for values: anonymous pages that are mlocked, left out of core dumps and not inherited
//! by children, carved into slots so that a small value does not cost a page of `RLIMIT_MEMLOCK`.
//!
//! Invariants:
//! - a slot on a free list is all zeroes: it was wiped when its owner dropped it;
//! - a slot belongs to one owner at a time, so handing out `&mut [u8]` from `&mut Slot` aliases nothing;
//! - small slabs are never unmapped, so a slot's pages outlive every slot.

use std::io;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use super::system::{map, unmap, wipe};

/// Bytes mapped at a time for small slots.
const SLAB: usize = 64 * 1024;
const SMALLEST: usize = 32;
/// Slots above this have a mapping of their own.
const LARGEST: usize = 16 * 1024;
const CLASSES: usize = (LARGEST / SMALLEST).ilog2() as usize + 1;

/// How much memory is mapped for values, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LockedMemory {
    /// Mapped for values.
    pub mapped: usize,
    /// Of that, what the kernel refused to lock (`RLIMIT_MEMLOCK`) and could therefore swap.
    pub unlocked: usize,
}

struct Arena {
    free: [Vec<Address>; CLASSES],
    usage: LockedMemory,
}

/// The start of a free slot.
struct Address(NonNull<u8>);

// SAFETY: a free slot has no owner; the arena's mutex hands it to one thread at a time.
unsafe impl Send for Address {}

static ARENA: Mutex<Arena> =
    Mutex::new(Arena { free: [const { Vec::new() }; CLASSES], usage: LockedMemory { mapped: 0, unlocked: 0 } });

fn arena() -> std::sync::MutexGuard<'static, Arena> {
    // A panic cannot leave the lists inconsistent: each step is one push or pop.
    ARENA.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is mapped for values now.
pub fn usage() -> LockedMemory {
    arena().usage
}

/// An owned, zeroed range of locked memory.
pub(super) struct Slot {
    start: NonNull<u8>,
    capacity: usize,
    /// For a mapping of its own: was it locked?
    own_mapping: Option<bool>,
}

// SAFETY: a slot is plain memory with one owner; nothing in it is tied to a thread.
unsafe impl Send for Slot {}
// SAFETY: `&Slot` only reads.
unsafe impl Sync for Slot {}

impl Slot {
    pub(super) fn new(wanted: usize) -> io::Result<Self> {
        if wanted > LARGEST {
            let capacity = wanted.checked_next_multiple_of(4096).ok_or(io::ErrorKind::OutOfMemory)?;
            let (start, locked) = map(capacity)?;
            count(&mut arena().usage, capacity, locked);
            return Ok(Self { start, capacity, own_mapping: Some(locked) });
        }
        let class = class_of(wanted);
        let capacity = SMALLEST << class;
        let mut arena = arena();
        if arena.free[class].is_empty() {
            let (slab, locked) = map(SLAB)?;
            count(&mut arena.usage, SLAB, locked);
            arena.free[class].extend((0..SLAB / capacity).map(|i| {
                // SAFETY: `i * capacity` stays inside the slab that was just mapped.
                Address(unsafe { slab.add(i * capacity) })
            }));
        }
        match arena.free[class].pop() {
            Some(Address(start)) => Ok(Self { start, capacity, own_mapping: None }),
            None => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `capacity` bytes from `start` are mapped, initialised (the kernel's zeroes) and owned.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.capacity) }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `&mut self` makes the borrow unique.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.capacity) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: the range is mapped and owned.
        unsafe { wipe(self.start.as_ptr(), self.capacity) };
        match self.own_mapping {
            None => arena().free[class_of(self.capacity)].push(Address(self.start)),
            Some(locked) => {
                // SAFETY: this mapping was made for this slot alone and nothing refers to it any more.
                if unsafe { unmap(self.start, self.capacity) } {
                    let mut arena = arena();
                    arena.usage.mapped -= self.capacity;
                    if !locked {
                        arena.usage.unlocked -= self.capacity;
                    }
                }
            }
        }
    }
}

fn class_of(wanted: usize) -> usize {
    (wanted.max(SMALLEST).next_power_of_two() / SMALLEST).ilog2() as usize
}

fn count(usage: &mut LockedMemory, bytes: usize, locked: bool) {
    usage.mapped += bytes;
    if !locked {
        usage.unlocked += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_fits_its_class() {
        for wanted in (1..=LARGEST).step_by(if cfg!(miri) { 61 } else { 1 }) {
            let class = class_of(wanted);
            assert!(class < CLASSES);
            assert!(SMALLEST << class >= wanted);
            assert_eq!(class_of(SMALLEST << class), class);
        }
    }

    #[test]
    fn large_slots_are_given_back() {
        let before = usage().mapped;
        let slot = Slot::new(10 << 20).unwrap();
        assert!(usage().mapped >= before + (10 << 20));
        drop(slot);
        assert!(usage().mapped < before + (10 << 20));
    }
}
