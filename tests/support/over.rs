//! The end of what threads do meanwhile, also where the test fails: otherwise it would wait for them for ever.

use std::sync::atomic::{AtomicBool, Ordering};

/// True once it is over.
#[derive(Default)]
pub struct IsOver(AtomicBool);

/// Makes it over when it goes.
pub struct Over<'a>(&'a IsOver);

impl IsOver {
    pub fn now(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn at_the_end(&self) -> Over<'_> {
        Over(self)
    }
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}
