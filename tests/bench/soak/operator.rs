//! An operator who has values refreshed and flushed while all goes on.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::faults::wait;
use super::random::Random;
use super::value;
use super::world::World;
use crate::support::daemon::HUSHFS;

/// Exit statuses of each command, counted.
pub type Statuses = BTreeMap<(&'static str, Option<i32>), u64>;

/// Gives its orders until it is told to stop.
pub fn run(world: &World, random: &mut Random) -> Statuses {
    let mut statuses = Statuses::new();
    while !world.stop.load(Ordering::Relaxed) {
        wait(random.between(Duration::from_secs(1), Duration::from_secs(8)), &world.stop);
        let secret = random.pick(&world.secrets);
        let scope = world.mnt.join(secret.scope);
        let (command, path) = match random.below(10) {
            0..4 => ("refresh", scope.join(&secret.name)),
            4..6 => ("refresh", scope),
            6..9 => ("flush", scope.join(&secret.name)),
            _ => ("flush", scope),
        };
        let (newest, ordered) = (secret.newest_done(Instant::now()), Instant::now());
        let output = Command::new(HUSHFS).args([command, "--json"]).arg(&path).output().expect("hushfs runs");
        *statuses.entry((command, output.status.code())).or_default() += 1;
        if !output.status.success() {
            if !world.may_be_stale(secret, ordered, Instant::now()) && !world.may_miss(secret, ordered) {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                world.tally.defect("unexplained error", format!("{command} {}: {said}", secret.place()));
            }
            continue;
        }
        // What was there before is there for sure now.
        let key = value::KEYS[random.below(value::KEYS.len())].0;
        if let Ok(bytes) = std::fs::read(world.mnt.join(secret.place()).join(key)) {
            let version = value::version_of(&format!("{}/{key}", secret.place()), &bytes);
            if version.is_none_or(|version| version < newest) {
                let what = format!("{}: {version:?} after {command}, and there was {newest}", secret.place());
                world.tally.defect("not refreshed", what);
            }
        }
    }
    statuses
}
