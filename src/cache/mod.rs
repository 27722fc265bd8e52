//! Between readers and providers: memory, one fetch however many ask, and the rules of freshness.

mod clock;
mod freshness;
mod lru;
mod memory;
mod source;
mod store;

pub use clock::{Clock, SystemClock, rfc3339};
pub use freshness::{Failure, Good, Kept, Policy};
pub use memory::{Memory, NameKey, ValueChange, ValueKey};
pub use source::{LastError, Source};
pub use store::{Held, Weigh};
