//! Tells systemd that the mount is served (`WatchdogSec=` of the unit), and only while it is: a daemon that hangs is
//! then killed, and the next one goes on.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::broker::Broker;
use crate::fs::fuse::{Look, Pulse};

/// So often within the time that systemd waits.
const TIMES: u32 = 3;

/// How often systemd is to be told; None where it does not want to be.
pub fn interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|longest| longest / TIMES).filter(|every| !every.is_zero())
}

/// Tells it for as long as requests of the kernel are answered, no thread that serves it hangs, and the runtime, which
/// this task is a part of, goes on.
pub async fn watch(pulse: Arc<Pulse>, broker: &'static Broker, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // None at first: two looks at one moment find a thread at one message that is at work.
    let mut earlier: Option<Look> = None;
    loop {
        ticks.tick().await;
        let look = pulse.look();
        let stuck = earlier.and_then(|earlier| look.stuck_since(&earlier));
        earlier = Some(look);
        if let Some(thread) = stuck {
            // A request of ours might be one more that is never answered.
            tracing::error!(thread, "a thread that serves the kernel hangs");
            continue;
        }
        // Without an answer it waits here, and systemd hears nothing more.
        match tokio::task::spawn_blocking(|| broker.ask_mount()).await {
            Ok(Ok(())) => {
                // Without systemd there is nobody to tell.
                let _ = sd_notify::notify(&[NotifyState::Watchdog]);
            }
            Ok(Err(error)) => tracing::error!("the mount is not served: {error}"),
            Err(_) => tracing::error!("the mount cannot be asked whether it is served"),
        }
    }
}
