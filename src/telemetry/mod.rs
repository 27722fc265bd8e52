//! What the daemon says of itself. None of it can hold a value.

mod histogram;
mod logs;
pub mod metrics;
mod panics;

pub use histogram::{Histogram, Reading};
pub use logs::{Level, init as init_logs};
pub use panics::silence as silence_panics;
