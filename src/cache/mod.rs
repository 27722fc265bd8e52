//! Between readers and providers: memory, one fetch however many ask, and the rules of freshness.

mod budget;
mod clock;
mod crowd;
mod freshness;
#[cfg(test)]
mod generation_test;
mod lru;
mod memory;
mod predictions;
#[cfg(all(test, feature = "local"))]
mod properties_test;
mod renewal;
mod room;
mod source;
mod sources;
mod store;
mod traffic;
mod watch;

pub use budget::{About, Budget, BudgetReport};
pub use clock::{Clock, Sleep, SystemClock, rfc3339};
pub use freshness::{Failure, Good, Kept, Policy};
pub use memory::{ListingKey, Memory, NameKey, ValueChange, ValueKey};
pub use predictions::{Prediction, Predictions};
pub use renewal::{Forgotten, Renewed};
pub use room::room_for_values;
pub use source::{Generation, LastError, Source};
pub use sources::{Build, Sources, close_all};
pub use store::{Held, Remembered};
pub use traffic::{Call, Served, Traffic};
pub use watch::{Followers, Heard};
