//! What is said at the end.

use std::time::{Duration, Instant};

use super::operator::Statuses;
use super::plot::{self, Panel, Series};
use super::samples::Sample;
use super::world::World;

/// Points of a line; more cannot be seen.
const POINTS: usize = 240;

pub struct Report<'a> {
    pub world: &'a World,
    pub samples: &'a [Sample],
    pub statuses: Statuses,
    /// To each server.
    pub calls: [(&'static str, usize); 2],
    pub ran: Duration,
    /// From the end of all faults until every newest version was read.
    pub recovered: Duration,
    /// From SIGTERM to the end of the daemon.
    pub stopped: Duration,
}

impl Report<'_> {
    pub fn print(&self, seed: u64) {
        let totals = self.world.tally.totals();
        let operations: u64 = totals.by_kind.values().map(|(count, _)| count).sum();
        let faults = self.world.faults.counts();
        let versions: usize = self.world.secrets.iter().map(super::history::Secret::written).sum();
        println!("ran for {:.1} min with seed {seed}", self.ran.as_secs_f64() / 60.0);
        println!("operations                {operations:>10}");
        for (kind, (count, longest)) in &totals.by_kind {
            println!("  {kind:24}{count:>10}   longest {:.2} s", longest.as_secs_f64());
        }
        println!("versions written          {versions:>10}");
        println!("faults                    {:>10}", faults.values().sum::<usize>());
        for (kind, count) in faults {
            println!("  {:24}{count:>10}", kind.name());
        }
        for (scope, calls) in self.calls {
            println!("calls to {scope:17}{calls:>10}");
        }
        println!("errors                    {:>10}", totals.errors.values().sum::<u64>());
        for ((errno, is_explained), count) in &totals.errors {
            let why = if *is_explained { "" } else { "   NOT EXPLAINED" };
            println!("  {:24}{count:>10}{why}", std::io::Error::from_raw_os_error(*errno).to_string());
        }
        for ((command, status), count) in &self.statuses {
            println!(
                "hushfs {command}, status {:10}{count:>8}",
                status.map_or("none".into(), |status| status.to_string())
            );
        }
        let ages = |name: &str, of: fn(&Sample) -> f64| {
            let values: Vec<f64> = self.samples.iter().map(of).collect();
            let quarter = (values.len() / 4).max(1);
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
            let most = values.iter().copied().fold(0.0, f64::max);
            let (second, last) = (values.iter().skip(quarter).take(quarter), values.iter().rev().take(quarter));
            let (second, last): (Vec<f64>, Vec<f64>) = (second.copied().collect(), last.copied().collect());
            println!(
                "{name:26}{:>10.1} in the 2nd quarter, {:.1} in the 4th, {most:.1} at most",
                mean(&second),
                mean(&last)
            );
        };
        ages("resident memory, MiB", |sample| sample.resident);
        ages("locked memory, MiB", |sample| sample.locked);
        ages("descriptors", |sample| sample.descriptors);
        ages("threads", |sample| sample.threads);
        println!("all newest versions read  {:>9.1} s after the last fault", self.recovered.as_secs_f64());
        println!("ended                     {:>9.2} s after SIGTERM", self.stopped.as_secs_f64());
        println!("wrong bytes               {:>10}", totals.defects.get("wrong bytes").copied().unwrap_or(0));
        for (kind, count) in &totals.defects {
            println!("DEFECT: {kind}: {count}");
        }
        for told in &totals.told {
            println!("  {told}");
        }
    }

    /// Memory, descriptors, threads, operations and errors over time, with the faults behind them.
    pub fn plot(&self) -> String {
        let every = self.samples.len().div_ceil(POINTS).max(1);
        let samples: Vec<Sample> = self.samples.iter().step_by(every).copied().collect();
        let line = |name, of: fn(&Sample) -> f64| Series {
            name,
            points: samples.iter().map(|sample| (sample.at / 60.0, of(sample))).collect(),
        };
        let rate = |name, of: fn(&Sample) -> f64| Series {
            name,
            points: samples
                .windows(2)
                .map(|pair| (pair[1].at / 60.0, (of(&pair[1]) - of(&pair[0])) / (pair[1].at - pair[0].at).max(0.001)))
                .collect(),
        };
        let minutes = |at: Instant| at.saturating_duration_since(self.world.began).as_secs_f64() / 60.0;
        let bands = |scope| {
            let times = self.world.faults.times(scope).into_iter();
            times.map(|(from, until)| (minutes(from), minutes(until))).collect::<Vec<_>>()
        };
        let panel = |title, series, bands| Panel { title, series, bands };
        let memory = vec![line("resident", |it| it.resident), line("locked", |it| it.locked)];
        let counts = vec![line("descriptors", |it| it.descriptors), line("threads", |it| it.threads)];
        let panels = [
            panel("memory, MiB", memory, Vec::new()),
            panel("descriptors and threads", counts, Vec::new()),
            panel("operations a second, and faults at aws", vec![rate("operations", |it| it.operations)], bands("aws")),
            panel("errors a second, and faults at vault", vec![rate("errors", |it| it.failed)], bands("vault")),
        ];
        plot::svg("hushfs under faults", "minutes", &panels)
    }
}
