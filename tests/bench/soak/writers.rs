//! Whoever rotates, deletes and makes anew, through each provider's own API and past the faults.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::faults::wait;
use super::random::Random;
use super::value;
use super::world::World;
use crate::support::cloud::Cloud;
use crate::support::openbao::OpenBao;
use crate::support::store::Store;

/// A provider as whoever keeps secrets in it sees it.
pub trait Keeper: Sync {
    fn scope(&self) -> &'static str;

    /// The longest pause between two writes.
    fn pause(&self) -> Duration;

    fn put(&self, name: &str, object: &Value);

    /// Makes it go. False where the provider keeps what is deleted for some time.
    fn delete(&self, name: &str) -> bool;
}

pub struct InAws<'a>(pub &'a Cloud);
pub struct InVault<'a>(pub &'a OpenBao);
pub struct InFiles<'a>(pub &'a Store);

impl Keeper for InAws<'_> {
    fn scope(&self) -> &'static str {
        "aws"
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(300)
    }

    fn put(&self, name: &str, object: &Value) {
        self.0.wait(self.0.account.rotate(name, object.to_string().as_bytes()));
    }

    fn delete(&self, _: &str) -> bool {
        false
    }
}

impl Keeper for InVault<'_> {
    fn scope(&self) -> &'static str {
        "vault"
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(300)
    }

    fn put(&self, name: &str, object: &Value) {
        self.0.root("POST", &format!("secret/data/soak/{name}"), &json!({"data": object}));
    }

    fn delete(&self, name: &str) -> bool {
        // As `vault kv delete`: the numbers of versions go on.
        self.0.root("DELETE", &format!("secret/data/soak/{name}"), &Value::Null);
        true
    }
}

impl Keeper for InFiles<'_> {
    fn scope(&self) -> &'static str {
        "files"
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(1000)
    }

    fn put(&self, name: &str, object: &Value) {
        self.0.put(&format!("{name}.json.age"), object.to_string().as_bytes());
    }

    fn delete(&self, name: &str) -> bool {
        self.0.remove(&format!("{name}.json.age"));
        true
    }
}

/// Writes until it is told to stop. The first secrets of a scope are never deleted.
pub fn run(world: &World, keeper: &dyn Keeper, never_deleted: usize, random: &mut Random) {
    let secrets: Vec<_> = world.secrets.iter().filter(|secret| secret.scope == keeper.scope()).collect();
    while !world.stop.load(Ordering::Relaxed) {
        let at = random.below(secrets.len());
        let secret = secrets[at];
        if at >= never_deleted && !secret.is_gone() && random.one_in(4) && keeper.scope() != "aws" {
            secret.write(true, |_| {
                keeper.delete(&secret.name);
            });
        } else {
            secret.write(false, |version| keeper.put(&secret.name, &value::object(&secret.place(), version)));
        }
        wait(random.between(Duration::from_millis(20), keeper.pause()), &world.stop);
    }
}
