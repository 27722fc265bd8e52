//! A global allocator that wipes memory before giving it back.
//!
//! The vendors' SDKs pass values through `String`s and buffers of their own. They cannot be made to wipe
//! them, but what they free can be wiped: set as the global allocator, this leaves no copy behind once
//! the SDK has let go of it.

use std::alloc::{GlobalAlloc, Layout, System};

/// What the measurement of copies compares with; see `tests/e2e/as_root/left_in_memory.rs`. Not in a release build.
#[cfg(debug_assertions)]
static LEAVES_COPIES: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// From now on nothing is done against copies of values. Not in a release build.
#[cfg(debug_assertions)]
pub fn leave_copies() {
    LEAVES_COPIES.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// Is nothing done against copies of values? Never in a release build.
pub fn leaves_copies() -> bool {
    #[cfg(debug_assertions)]
    return LEAVES_COPIES.load(std::sync::atomic::Ordering::Relaxed);
    #[cfg(not(debug_assertions))]
    return false;
}

/// [`System`], with every block wiped before it is freed.
pub struct WipingAllocator;

// SAFETY: every block comes from and goes back to `System` with the layout it was asked for with;
// wiping touches only bytes that the caller has just given up.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is passed on unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller owns `layout.size()` bytes at `block` and gives them up here.
        unsafe {
            if !leaves_copies() {
                super::system::wipe(block, layout.size());
            }
            System.dealloc(block, layout);
        }
    }

    /// Never in place: `System` could move the block and free the old one unwiped.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that `new_size`, rounded up to the alignment, fits an isize;
        // the old block is valid for `layout.size()` bytes and does not overlap a new one.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(block, new, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_and_shrinking_keep_the_contents() {
        let layout = Layout::from_size_align(64, 8).unwrap();
        // SAFETY: each block is used within its size and freed once with the layout it has by then.
        unsafe {
            let block = WipingAllocator.alloc(layout);
            block.write_bytes(7, 64);
            let block = WipingAllocator.realloc(block, layout, 4096);
            assert!(std::slice::from_raw_parts(block, 64).iter().all(|&byte| byte == 7));
            let block = WipingAllocator.realloc(block, Layout::from_size_align_unchecked(4096, 8), 16);
            assert!(std::slice::from_raw_parts(block, 16).iter().all(|&byte| byte == 7));
            WipingAllocator.dealloc(block, Layout::from_size_align_unchecked(16, 8));
        }
    }
}
