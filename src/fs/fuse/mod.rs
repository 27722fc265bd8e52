//! The transport: FUSE over `/dev/fuse`, from the kernel's bytes to calls of `operations` and back.
//!
//! - `session` runs the threads, `device` is what they read and write, and `pulse` tells whether one hangs;
//! - `wire` has the form of messages, and `adapter` takes each to the operation that answers it;
//! - `reply` is an answer to be given once, `directory` one that lists;
//! - `interrupts` lets callers go who are to end, `detached` those who wait in a mount that is not to be seen any more;
//! - `walks` has all requests of one call share one `timeout`;
//! - `agreed` is what holds for as long as a connection lives.
//!
//! It is our own because of what the operations need of it and fuser's session keeps to itself: to be told that a
//! caller is interrupted (which it answers with ENOSYS, and the kernel never tells again), to learn that an answer
//! reached nobody, and to serve a connection that another process has set up. fuser's names for flags are used.

mod adapter;
mod agreed;
mod detached;
mod device;
mod directory;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod interrupts;
mod pulse;
mod reply;
mod session;
mod walks;
mod wire;

pub use agreed::Agreed;
pub use device::open as open_device;
pub use pulse::{Look, Pulse};
pub use session::{Beginning, Session, send_again, start};
