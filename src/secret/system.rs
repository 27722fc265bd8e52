//! What locked memory asks of the kernel. Miri knows neither mlock nor madvise, nor explicit_bzero: for it the same is done
//! with the allocator, so that it can follow what is done with the memory.

#[cfg(not(miri))]
pub use kernel::{map, unmap, wipe};
#[cfg(miri)]
pub use stand_in::{map, unmap, wipe};

#[cfg(not(miri))]
mod kernel {
    use std::io;
    use std::ptr::{self, NonNull};

    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};

    /// Maps `bytes` of zeroed memory; the flag tells whether the kernel locked it.
    pub fn map(bytes: usize) -> io::Result<(NonNull<u8>, bool)> {
        // SAFETY: a fresh private anonymous mapping at an address of the kernel's choice aliases nothing.
        let start =
            unsafe { mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }?;
        // SAFETY: the three calls below are about the mapping just made and change no contents.
        let locked = unsafe {
            // Advice the kernel does not take costs nothing but defence in depth: the process is not dumpable.
            let _ = madvise(start, bytes, Advice::LinuxDontDump);
            let _ = madvise(start, bytes, Advice::LinuxDontFork);
            mlock(start, bytes).is_ok()
        };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok((start, locked))
    }

    /// Did the kernel take it back?
    ///
    /// # Safety
    /// `start` and `bytes` are those of a [`map`], and nothing refers to that memory any more.
    pub unsafe fn unmap(start: NonNull<u8>, bytes: usize) -> bool {
        // SAFETY: as the caller says.
        unsafe { munmap(start.as_ptr().cast(), bytes) }.is_ok()
    }

    /// Writes zeroes in a way that is not optimised away.
    ///
    /// # Safety
    /// `bytes` from `start` on are the caller's to write to.
    pub unsafe fn wipe(start: *mut u8, bytes: usize) {
        // SAFETY: as the caller says.
        unsafe { libc::explicit_bzero(start.cast(), bytes) }
    }
}

#[cfg(miri)]
mod stand_in {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::io;
    use std::ptr::NonNull;

    const PAGE: usize = 4096;

    pub fn map(bytes: usize) -> io::Result<(NonNull<u8>, bool)> {
        let layout = Layout::from_size_align(bytes, PAGE).map_err(io::Error::other)?;
        // SAFETY: nobody maps nothing.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok((start, true))
    }

    pub unsafe fn unmap(start: NonNull<u8>, bytes: usize) -> bool {
        let layout = Layout::from_size_align(bytes, PAGE).expect("as it was mapped");
        // SAFETY: as the caller says.
        unsafe { dealloc(start.as_ptr(), layout) };
        true
    }

    pub unsafe fn wipe(start: *mut u8, bytes: usize) {
        // SAFETY: as the caller says.
        unsafe { start.write_bytes(0, bytes) }
    }
}
