//! Which connections to a service are closed.

/// A call that is under way keeps its own connection until it ends, and then that is closed, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    All,
    /// Those that are idle, or have been busy for long.
    Worn,
}
