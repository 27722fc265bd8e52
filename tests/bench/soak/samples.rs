//! What the daemon takes, over time.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::world::World;

/// One look at the daemon.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    /// Seconds since the start.
    pub at: f64,
    /// MiB.
    pub resident: f64,
    /// What is locked and left out of images: the memory for values. MiB.
    pub locked: f64,
    pub descriptors: f64,
    pub threads: f64,
    /// Since the start.
    pub operations: f64,
    /// Since the start.
    pub failed: f64,
}

/// Looks at the process `pid`; None where it is gone.
pub fn take(world: &World, pid: u32) -> Option<Sample> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let number = |name: &str| -> Option<f64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some(Sample {
        at: Instant::now().duration_since(world.began).as_secs_f64(),
        resident: number("VmRSS:")? / 1024.0,
        locked: for_values(pid)? / 1024.0,
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as f64,
        threads: number("Threads:")?,
        operations: world.tally.operations.load(Ordering::Relaxed) as f64,
        failed: world.tally.failed.load(Ordering::Relaxed) as f64,
    })
}

/// The size of mappings that hold values, in KiB. All else may be locked, too, but is not left out of images by itself.
fn for_values(pid: u32) -> Option<f64> {
    let (mut all, mut size) = (0.0, 0.0);
    for line in std::fs::read_to_string(format!("/proc/{pid}/smaps")).ok()?.lines() {
        if let Some(text) = line.strip_prefix("Size:") {
            size = text.split_whitespace().next()?.parse().ok()?;
        } else if let Some(flags) = line.strip_prefix("VmFlags:")
            && ["lo", "dd"].iter().all(|flag| flags.split_whitespace().any(|it| it == *flag))
        {
            all += size;
        }
    }
    Some(all)
}
