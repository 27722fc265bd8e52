//! A fleet of hosts against the published quotas of providers, under virtual time: `make fleet`.
//!
//! Every host has the tree, the memory, the freshness rules and the budget that the daemon has; the provider is made from its
//! published quota, and time goes on when nobody has anything to do. All hosts boot within a minute, read every secret
//! once a minute, and live through an outage of ten minutes. The dice are the same each time.
//!
//! HOSTS=10000 SECRETS=50 are the defaults. EACH=10: so many hosts are represented by one that is simulated, which has
//! that part of the quota; EACH=1 takes ten times as long. PLOT=FILE draws what is called.

mod clock;
mod cloud;
mod host;
mod plot;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use clock::{Dice, Virtual};
use cloud::{By, Cloud, Names, Quota, Second};
use host::{Host, Told};
use hushfs::cache::Clock;
use hushfs::config::CacheSettings;
use hushfs::provider::{Provider, SecretName};

const BOOT: Duration = Duration::from_secs(60);
const OUTAGE: (Duration, Duration) = (Duration::from_secs(20 * 60), Duration::from_secs(30 * 60));
const LENGTH: Duration = Duration::from_secs(50 * 60);

/// DescribeSecret counts as GetSecretValue does; ListSecrets has a quota of its own.
const AWS: Quota = Quota {
    name: "aws-secrets-manager",
    reads: 10_000,
    per: Duration::from_secs(1),
    names: Names { listings: Some(100), look: &[By::Reads, By::Listings], page: 100, lists_many: true },
    retry_after: None,
    price: 0.05,
    price_of_names: 0.05,
};
/// DescribeParameters does not count as reads do; AWS publishes no quota of it, so it is given the same. A name directly in
/// the path takes two.
const SSM: Quota = Quota {
    name: "aws-parameter-store",
    reads: 40,
    per: Duration::from_secs(1),
    names: Names { listings: Some(40), look: &[By::Listings, By::Listings], page: 50, lists_many: false },
    retry_after: None,
    price: 0.0,
    price_of_names: 0.0,
};
/// All that is no access of a value is one quota.
const GCP: Quota = Quota {
    name: "gcp-secret-manager",
    reads: 90_000,
    per: Duration::from_secs(60),
    names: Names { listings: Some(600), look: &[By::Listings], page: 25_000, lists_many: true },
    retry_after: None,
    price: 0.03,
    price_of_names: 0.0,
};
const AZURE: Quota = Quota {
    name: "azure-key-vault",
    reads: 4_000,
    per: Duration::from_secs(10),
    names: Names { listings: None, look: &[By::Listings], page: 25, lists_many: false },
    retry_after: Some(Duration::from_secs(10)),
    price: 0.03,
    price_of_names: 0.03,
};

const QUOTAS: [Quota; 4] = [AWS, SSM, GCP, AZURE];
const TTLS: [Duration; 2] = [Duration::from_secs(5 * 60), Duration::from_secs(60 * 60)];

/// What one fleet has lived through.
struct Story {
    told: Told,
    seconds: Vec<Second>,
}

fn main() {
    let number =
        |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (hosts, secrets, each) = (number("HOSTS", 10_000), number("SECRETS", 50), number("EACH", 10));
    println!(
        "{hosts} hosts (one in {each} simulated) of {secrets} secrets, each read every {} s; all boot within {} s; an outage from minute {} to {}",
        host::READ_EVERY.as_secs(),
        BOOT.as_secs(),
        OUTAGE.0.as_secs() / 60,
        OUTAGE.1.as_secs() / 60
    );
    println!(
        "{:20} {:>5} | {:>8} {:>8} {:>9} {:>8} | {:>9} {:>9} {:>9} {:>9} | {:>7} {:>6} | {:>8}",
        "provider",
        "ttl",
        "quota/s",
        "peak/s",
        "throttled",
        "wanted/s",
        "fresh",
        "stale",
        "EBUSY",
        "failed",
        "started",
        "by",
        "$/month"
    );
    let stories: Vec<Vec<Story>> = thread::scope(|scope| {
        let fleets = QUOTAS.map(|quota| {
            let part = quota.part(each as u32);
            scope.spawn(move || TTLS.map(|ttl| tell(part, ttl, hosts / each, secrets)).into())
        });
        fleets.map(|fleet| fleet.join().expect("a story")).into()
    });
    let mut panels = Vec::new();
    for (quota, stories) in QUOTAS.into_iter().zip(stories) {
        for (ttl, mut story) in TTLS.into_iter().zip(stories) {
            for second in &mut story.seconds {
                *second = second.times(each as u32);
            }
            report(&quota, ttl, &story, (hosts / each * secrets, each as u64));
            if ttl == TTLS[0] {
                let title = format!("{}, quota {:.0} a second, ttl = 5m", quota.name, quota.per_second());
                panels.push(plot::Panel { quota, title, seconds: story.seconds });
            }
        }
    }
    if let Ok(file) = std::env::var("PLOT") {
        let title = format!("{hosts} hosts of {secrets} secrets: calls to the provider");
        std::fs::write(&file, plot::draw(&title, &panels, LENGTH, OUTAGE)).expect("the plot is written");
    }
}

fn tell(quota: Quota, ttl: Duration, hosts: usize, secrets: usize) -> Story {
    let clock = Arc::new(Virtual::default());
    let hands = Arc::clone(&clock);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .on_thread_park(move || hands.advance())
        .build()
        .expect("a runtime");
    let names: Vec<SecretName> =
        (0..secrets).filter_map(|number| SecretName::new(format!("secret-{number}"))).collect();
    let cloud = Arc::new(Cloud::new(quota, Arc::clone(&clock), OUTAGE.0..OUTAGE.1, names.clone()));
    let told = Arc::new(Mutex::new(Told::default()));
    runtime.block_on(async {
        let cache = CacheSettings { ttl, ..CacheSettings::default() };
        let (names, mut dice) = (Arc::new(names), Dice::default());
        for _ in 0..hosts {
            let provider: Arc<dyn Provider> = cloud.clone();
            let host = Host::new(&cache, provider, &clock, &told).expect("a scope's name");
            tokio::spawn(host.run(BOOT.mul_f64(dice.throw()), Arc::clone(&names)));
        }
        clock.sleep(LENGTH).await;
    });
    let told = *told.lock().unwrap();
    Story { told, seconds: cloud.seconds() }
}

fn report(quota: &Quota, ttl: Duration, story: &Story, (programs, each): (usize, u64)) {
    let Story { told, seconds } = story;
    let peak = seconds.iter().map(|second| second.reads.all()).max().unwrap_or(0);
    let throttled: u32 = seconds.iter().map(|second| second.reads.throttled).sum();
    // What a fleet in use asks for in the long run: each value at 0.72 to 0.8 of its ttl, when it is read next.
    let wanted = programs as f64 * each as f64 / (0.76 * ttl.as_secs_f64() + host::READ_EVERY.as_secs_f64() / 2.0);
    // Between start and outage.
    let calm = seconds.iter().skip(10 * 60).take(10 * 60).map(|second| f64::from(second.names.answered));
    let names = calm.sum::<f64>() / 600.0;
    let month = (wanted * quota.price + names * quota.price_of_names) * 30.0 * 86_400.0 / 10_000.0;
    println!(
        "{:20} {:>4}m | {:>8.0} {:>8} {:>9} {:>8.0} | {:>9} {:>9} {:>9} {:>9} | {:>6.1}% {:>5.1}m | {:>8.0}",
        quota.name,
        ttl.as_secs() / 60,
        quota.per_second(),
        peak,
        throttled,
        wanted,
        told.fresh * each,
        told.stale * each,
        told.busy * each,
        told.failed * each,
        100.0 * told.started as f64 / programs as f64,
        told.last_start.as_secs_f64() / 60.0,
        month
    );
    let at_start = || seconds.iter().take(10 * 60).map(|second| second.names);
    println!(
        "{:20}       | longest wait of a reader {:.1} s; about names {} answers in the first 10 minutes and {} refusals, {names:.1} answers/s in the next 10",
        "",
        told.longest_wait.as_secs_f64(),
        at_start().map(|names| names.answered).sum::<u32>(),
        at_start().map(|names| names.throttled).sum::<u32>(),
    );
}
