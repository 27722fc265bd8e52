//! A soak: the real binary over a real mount, with three providers of which two are behind a proxy that fails by a
//! plan, readers in every manner, writers, an operator, and killed programs. It judges every byte that is read.
//!
//!     cargo bench --bench soak -- --minutes 60 [--seed N] [--plot FILE.svg]
//!
//! The values say what they are (`value`), what was written when is known (`history`), and so are the faults
//! (`faults`): from that follows what a reader may get (`world`). The status is 1 where one got anything else.

mod faults;
mod history;
mod operator;
#[path = "../plot.rs"]
mod plot;
mod random;
mod readers;
mod report;
mod samples;
#[path = "../../support/mod.rs"]
mod support;
mod tally;
mod value;
mod world;
mod writers;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use faults::Faults;
use history::Secret;
use random::Random;
use serde_json::json;
use support::cloud::Cloud;
use support::daemon::{Place, is_mounted};
use support::fault_proxy::FaultProxy;
use support::openbao::OpenBao;
use support::store::Store;
use tally::Tally;
use world::{LIST_TTL, MAX_STALE, NEGATIVE_TTL, TIMEOUT, TTL, World};
use writers::{InAws, InFiles, InVault, Keeper};

const SECRETS: usize = 24;
/// So many of each scope are never deleted.
const NEVER_DELETED: usize = 12;
const READERS: u64 = 6;
/// Less than the values take, so that some go.
const MAX_BYTES: &str = "512KiB";
const EVERY: Duration = Duration::from_secs(5);

struct Options {
    time: Duration,
    seed: u64,
    plot: Option<String>,
}

fn options() -> Options {
    let mut options = Options { time: Duration::from_secs(60), seed: 1, plot: None };
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--minutes" => options.time = Duration::from_secs_f64(60.0 * value.parse::<f64>().expect("minutes")),
            "--seed" => options.seed = value.parse().expect("a number"),
            "--plot" => options.plot = Some(value),
            _ => panic!("{word}: not one of --minutes, --seed, --plot"),
        }
    }
    options
}

fn main() -> ExitCode {
    let options = options();
    let place = Place::new();
    let cloud = Cloud::start(&place);
    let server = OpenBao::start();
    let in_front = FaultProxy::start(server.address());
    let store = Store::new(place.path());
    let keepers: [&dyn Keeper; 3] = [&InAws(&cloud), &InVault(&server), &InFiles(&store)];
    let scopes = keepers.map(Keeper::scope);

    let secrets =
        scopes.iter().flat_map(|&scope| (0..SECRETS).map(move |n| Secret::new(scope, format!("secret-{n:02}"))));
    let world = World {
        mnt: place.mnt(),
        secrets: secrets.collect(),
        faults: Faults::new(&scopes),
        tally: Tally::default(),
        stop: AtomicBool::new(false),
        began: Instant::now(),
    };
    for secret in &world.secrets {
        secret.write(false, |version| {
            let object = value::object(&secret.place(), version);
            match keepers.iter().find(|keeper| keeper.scope() == secret.scope) {
                Some(_) if secret.scope == "aws" => cloud.create(&secret.name, object.to_string().as_bytes()),
                keeper => keeper.expect("a keeper").put(&secret.name, &object),
            }
        });
    }
    server.policy("hushfs", r#"path "secret/*" { capabilities = ["read", "list"] }"#);
    let token = server.file("token", &server.token(&["hushfs"], json!({})));
    let configuration = format!(
        "[cache]\nttl = \"{}s\"\nmax_stale = \"{}s\"\nnegative_ttl = \"{}s\"\nlist_ttl = \"{}s\"\ntimeout = \"{}s\"\ncalls = \"unlimited\"\n\
         iam_ttl = \"0\"\nmax_bytes = \"{MAX_BYTES}\"\nmax_secret_bytes = \"64KiB\"\n{}{}\
         [scopes.vault]\nprovider = \"vault\"\naddress = {:?}\nprefix = \"soak/\"\n\
         auth = {{ method = \"token\", token_file = {token:?} }}\n",
        TTL.as_secs(),
        MAX_STALE.as_secs(),
        NEGATIVE_TTL.as_secs(),
        LIST_TTL.as_secs(),
        TIMEOUT.as_secs(),
        cloud.scope("aws", ""),
        store.scope("files"),
        in_front.url(),
    );
    let mut daemon = cloud.mount(&place, &configuration);
    let pid = daemon.child.id();

    let no_more_faults = AtomicBool::new(false);
    let mut samples = Vec::new();
    let began = Instant::now();
    let statuses = std::thread::scope(|scope| {
        let (world, stop_faults) = (&world, &no_more_faults);
        let random = |number: u64| Random::new(options.seed.wrapping_mul(1_000_003).wrapping_add(number));
        for (number, (name, proxy)) in (100..).zip([("aws", &cloud.proxy), ("vault", &in_front)]) {
            scope.spawn(move || world.faults.play(name, proxy, &mut random(number), stop_faults));
        }
        for (number, keeper) in (200..).zip(keepers) {
            scope.spawn(move || writers::run(world, keeper, NEVER_DELETED, &mut random(number)));
        }
        for number in 0..READERS {
            scope.spawn(move || readers::Reader::new(world, random(number)).run());
        }
        let operator = scope.spawn(move || operator::run(world, &mut random(300)));
        while began.elapsed() < options.time && daemon.child.try_wait().is_ok_and(|status| status.is_none()) {
            samples.extend(samples::take(world, pid));
            faults::wait(EVERY.min(options.time.saturating_sub(began.elapsed())), stop_faults);
        }
        no_more_faults.store(true, Ordering::Relaxed);
        world.stop.store(true, Ordering::Relaxed);
        operator.join().expect("the operator")
    });
    let ran = began.elapsed();

    let recovered = recover(&world);
    samples.extend(samples::take(&world, pid));
    let calls = [("aws", cloud.proxy.all_calls()), ("vault", in_front.all_calls())];
    let stopping = Instant::now();
    let is_alive = daemon.child.try_wait().is_ok_and(|status| status.is_none());
    if is_alive {
        daemon.signal(libc::SIGTERM);
    }
    let status = daemon.wait();
    if !is_alive || !status.success() || is_mounted(&place.mnt()) {
        let log: Vec<String> = place.log().lines().rev().take(20).map(str::to_owned).collect();
        world.tally.defect("did not end well", format!("{status}, {log:#?}"));
    }
    if place.log().contains(value::MARK) {
        world.tally.defect("a value in the log", "see the log".into());
    }
    let report = report::Report {
        world: &world,
        samples: &samples,
        statuses,
        calls,
        ran,
        recovered,
        stopped: stopping.elapsed(),
    };
    report.print(options.seed);
    if let Some(file) = &options.plot {
        std::fs::write(file, report.plot()).expect("the plot is written");
    }
    if world.tally.totals().defects.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reads every secret until its newest version is what is read; how long that took.
fn recover(world: &World) -> Duration {
    let began = Instant::now();
    for secret in &world.secrets {
        let (key, newest) = (format!("{}/username", secret.place()), secret.newest_done(Instant::now()));
        loop {
            let bytes = std::fs::read(world.mnt.join(&key));
            let is_right = match &bytes {
                Ok(bytes) => !secret.is_gone() && value::version_of(&key, bytes) == Some(newest),
                Err(error) => secret.is_gone() && error.raw_os_error() == Some(libc::ENOENT),
            };
            if is_right {
                break;
            }
            if began.elapsed() > Duration::from_secs(60) {
                world.tally.defect("does not recover", format!("{key}: {:?}", bytes.map(|bytes| bytes.len())));
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    began.elapsed()
}
