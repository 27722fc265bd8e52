//! The bytes of a secret: wiped on drop, in locked memory that is left out of core dumps.
//!
//! Nothing here depends on the rest of the crate. A [`Secret`] has no `Debug`, `Display`, `Clone` or
//! `Serialize`, so no log line, error or panic message can carry one by accident; code that needs the
//! bytes says so with [`Secret::expose`].

mod limit;
mod locked;
mod stack;
mod system;
mod wiping_alloc;

use std::io;

use zeroize::Zeroize;

pub use limit::{lockable, room_in};
pub use locked::{LockedMemory, usage};
pub use stack::wipe_stack;
#[cfg(debug_assertions)]
pub use wiping_alloc::leave_copies;
pub use wiping_alloc::{WipingAllocator, leaves_copies};

use locked::Slot;

/// A value as a provider holds it, or a part of one.
pub struct Secret {
    slot: Option<Slot>,
    len: usize,
}

impl Secret {
    /// Copies `bytes` into locked memory. Fails only where the kernel has no memory to give.
    pub fn copy_from(bytes: &[u8]) -> io::Result<Self> {
        let mut writer = SecretWriter::with_capacity(bytes.len())?;
        writer.push(bytes)?;
        Ok(writer.finish())
    }

    /// Moves `bytes` into locked memory and wipes the vector, its spare capacity included.
    pub fn from_vec(mut bytes: Vec<u8>) -> io::Result<Self> {
        let secret = Self::copy_from(&bytes);
        bytes.zeroize();
        secret
    }

    /// As [`Secret::from_vec`], for text.
    pub fn from_string(text: String) -> io::Result<Self> {
        Self::from_vec(text.into_bytes())
    }

    /// The bytes themselves. Whoever calls this is responsible for where they go.
    pub fn expose(&self) -> &[u8] {
        self.slot.as_ref().map_or(&[], |slot| &slot.bytes()[..self.len])
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Builds a [`Secret`] piece by piece without leaving copies behind as it grows.
pub struct SecretWriter {
    slot: Option<Slot>,
    len: usize,
}

impl SecretWriter {
    pub fn new() -> Self {
        Self { slot: None, len: 0 }
    }

    /// Room for `capacity` bytes before the first move.
    pub fn with_capacity(capacity: usize) -> io::Result<Self> {
        let slot = if capacity == 0 { None } else { Some(Slot::new(capacity)?) };
        Ok(Self { slot, len: 0 })
    }

    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let needed = self.len.checked_add(bytes.len()).ok_or(io::ErrorKind::OutOfMemory)?;
        let room = self.slot.as_ref().map_or(0, Slot::capacity);
        if needed > room {
            let mut larger = Slot::new(needed.max(room.saturating_mul(2)))?;
            if let Some(old) = &self.slot {
                larger.bytes_mut()[..self.len].copy_from_slice(&old.bytes()[..self.len]);
            }
            self.slot = Some(larger);
        }
        if let Some(slot) = &mut self.slot {
            slot.bytes_mut()[self.len..needed].copy_from_slice(bytes);
        }
        self.len = needed;
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn finish(self) -> Secret {
        Secret { slot: self.slot, len: self.len }
    }
}

impl Default for SecretWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl io::Write for SecretWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // DESIGN: a value cannot be printed, copied or serialised by accident.
    static_assertions::assert_not_impl_any!(
        Secret: std::fmt::Debug, std::fmt::Display, Clone, Copy, serde::Serialize
    );
    static_assertions::assert_impl_all!(Secret: Send, Sync);

    #[test]
    fn the_bytes_come_back_exactly() {
        for len in [0, 1, 15, 16, 17, 4095, 4096, 4097, 16_384, 16_385, 65_536, 1 << 20] {
            // Miri takes its time.
            if cfg!(miri) && ![0, 1, 16, 4097, 16_385].contains(&len) {
                continue;
            }
            let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let secret = Secret::copy_from(&bytes).unwrap();
            assert_eq!(secret.expose(), &bytes[..]);
            assert_eq!(secret.len(), len);
        }
    }

    #[test]
    fn a_writer_that_grows_keeps_every_byte() {
        let mut writer = SecretWriter::new();
        let mut expected = Vec::new();
        for i in 0..if cfg!(miri) { 100 } else { 3000_u32 } {
            let piece = i.to_string();
            writer.push(piece.as_bytes()).unwrap();
            expected.extend_from_slice(piece.as_bytes());
        }
        assert_eq!(writer.finish().expose(), &expected[..]);
    }

    #[test]
    fn threads_that_make_read_and_drop_values_at_once_do_not_meet() {
        let value = |thread: u8, round: u8| vec![thread; 40 * usize::from(round % 7) + 1];
        let (sender, receiver) = std::sync::mpsc::channel::<Secret>();
        std::thread::scope(|scope| {
            for thread in 1..=4 {
                let sender = sender.clone();
                scope.spawn(move || {
                    for round in 0..if cfg!(miri) { 8 } else { 40 } {
                        let secret = Secret::from_vec(value(thread, round)).unwrap();
                        assert_eq!(secret.expose(), value(thread, round));
                        // Every other one is dropped by another thread than the one that made it.
                        if round % 2 == 0 {
                            sender.send(secret).unwrap();
                        }
                    }
                });
            }
            drop(sender);
            let same = |secret: &Secret| secret.expose().iter().all(|byte| *byte == secret.expose()[0]);
            assert!(receiver.iter().all(|secret| same(&secret)));
        });
    }

    #[test]
    fn a_new_slot_never_shows_what_the_last_one_held() {
        for _ in 0..if cfg!(miri) { 3 } else { 100 } {
            drop(Secret::copy_from(&[0xAA; 200]).unwrap());
            let fresh = Slot::new(200).unwrap();
            assert!(fresh.bytes().iter().all(|&byte| byte == 0));
        }
    }
}
