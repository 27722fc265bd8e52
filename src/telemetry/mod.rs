//! What the daemon says of itself. None of it can hold a value.

mod logs;
mod panics;

pub use logs::{Level, init as init_logs};
pub use panics::silence as silence_panics;
