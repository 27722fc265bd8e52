//! Is the clock right, as far as this host can tell? Providers refuse requests whose signatures or certificates do
//! not go with their own; see `providers`.

use super::finding::Finding;

pub const NAME: &str = "clock";
pub const MEND: &str = "timedatectl set-ntp true, or start chronyd or ntpd; then: timedatectl";

pub fn check() -> Finding {
    // SAFETY: all zeroes is a timex that asks for nothing to be changed.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: it lives on the stack, and is only filled in.
    let told = unsafe { libc::adjtimex(&mut state) };
    if told < 0 {
        return Finding::note(NAME, "the kernel does not tell whether the clock is kept right");
    }
    if state.status & libc::STA_UNSYNC != 0 {
        return Finding::note(NAME, "no time service keeps the clock right")
            .why("providers refuse signed requests that are off by minutes (AWS: 5), and so do certificates and tokens")
            .mend(MEND);
    }
    Finding::ok(NAME, "a time service keeps it right")
}
