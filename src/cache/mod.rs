//! Between readers and providers: memory, one fetch however many ask, and the rules of freshness.

mod clock;
mod freshness;
mod lru;
mod memory;
mod predictions;
mod renewal;
mod source;
mod sources;
mod store;
mod watch;

pub use clock::{Clock, SystemClock, rfc3339};
pub use freshness::{Failure, Good, Kept, Policy};
pub use memory::{ListingKey, Memory, ValueChange, ValueKey};
pub use predictions::{Prediction, Predictions};
pub use renewal::{Forgotten, Renewed};
pub use source::{LastError, Source};
pub use sources::{Build, Sources};
pub use store::{Held, Remembered};
pub use watch::follow;
