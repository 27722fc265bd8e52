//! systemd is told when a reload begins and when it is over.

use sd_notify::NotifyState;

use crate::control::Reloaded;

/// Tells systemd, which waits for the end of it where it has begun it (`Type=notify-reload`).
pub fn begins() {
    // Without the time systemd would not know which reload is meant.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        let _ = sd_notify::notify(&[NotifyState::Reloading, now]);
    }
}

pub fn ends(reloaded: &Reloaded) {
    let status = reloaded.message.as_ref().map_or_else(String::new, |why| {
        // One line, and no longer than anybody reads.
        format!("not reloaded: {}", why.replace(char::is_control, " ").chars().take(200).collect::<String>())
    });
    let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
}
