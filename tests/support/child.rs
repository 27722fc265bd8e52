//! Child processes that never outlive the test.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// Kills and reaps its process when dropped.
pub struct Guarded(pub Child);

impl Guarded {
    /// Spawns `command`; the kernel kills it too when the thread that called this ends, however it does.
    pub fn spawn(command: &mut Command) -> std::io::Result<Self> {
        let parent = std::process::id();
        // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                // The parent may have gone before the line above.
                if libc::getppid() as u32 != parent {
                    return Err(std::io::ErrorKind::BrokenPipe.into());
                }
                Ok(())
            });
        }
        command.spawn().map(Self)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
