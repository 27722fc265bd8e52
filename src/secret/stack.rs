//! What calls that have returned left on the stack.

use std::mem::MaybeUninit;

/// How deep calls that handle values go, in bytes; measured in a build without optimisation, where they go deepest: 56 KiB.
const DEPTH: usize = 128 * 1024;

/// Wipes what calls that have returned left on this thread's stack. Parsers and searches that compare many bytes at a
/// time leave some of the value there. Threads have 2 MiB or more.
#[inline(never)]
pub fn wipe_stack() {
    if super::leaves_copies() {
        return;
    }
    let mut below = MaybeUninit::<[u8; DEPTH]>::uninit();
    // SAFETY: the array is ours, and any bytes are allowed in what is never read.
    unsafe { super::system::wipe(below.as_mut_ptr().cast(), DEPTH) };
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    /// Where a local array was that holds `byte`, and is gone.
    #[inline(never)]
    fn leave(byte: u8) -> *const u8 {
        let local = black_box([byte; 64]);
        black_box(local.as_ptr())
    }

    // It looks at what is nobody's any more, which Miri forbids.
    #[cfg_attr(miri, ignore)]
    #[test]
    fn what_a_call_left_is_wiped() {
        let at = leave(0x5A);
        wipe_stack();
        // SAFETY: below us, on our own stack, whose pages have been touched and stay; nothing runs that writes there.
        let left = unsafe { black_box(at).read_volatile() };
        assert_ne!(left, 0x5A);
    }
}
