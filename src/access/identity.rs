//! Who is asking.

use std::path::Path;

/// The process behind a request, as the kernel names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub uid: u32,
    pub gid: u32,
    /// A thread id, in the daemon's pid namespace; 0 where the caller is in none that we can see.
    pub pid: u32,
}

impl Caller {
    /// Is `thread` of the process that asks? Looks into /proc; no where that cannot be told.
    pub fn is_of_the_process_of(&self, thread: u32) -> bool {
        let (mine, other) = (self.pid, thread);
        mine != 0 && other != 0 && (mine == other || Path::new(&format!("/proc/{mine}/task/{other}")).exists())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(pid: u32) -> Caller {
        Caller { uid: 0, gid: 0, pid }
    }

    #[test]
    fn threads_of_one_process_are_told_from_others() {
        let here = std::process::id();
        let thread = || u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        let other = std::thread::scope(|scope| {
            let spawned = scope.spawn(|| {
                assert!(caller(thread()).is_of_the_process_of(here));
                assert!(caller(here).is_of_the_process_of(thread()));
                thread()
            });
            spawned.join().unwrap()
        });
        assert_ne!(other, here);
        assert!(caller(here).is_of_the_process_of(here));
        assert!(!caller(here).is_of_the_process_of(1));
        assert!(!caller(0).is_of_the_process_of(0));
    }
}
