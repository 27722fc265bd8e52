//! Metrics as they are before they are text: families of samples.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::telemetry::Reading;

/// The labels of a sample: names and values.
pub type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
pub enum Value {
    /// Only ever grows.
    Counter(u64),
    /// The same, in seconds.
    Seconds(f64),
    Gauge(f64),
    Histogram(Reading),
}

/// A metric: one sample for each set of labels. None where there is nothing to say.
#[derive(Debug)]
pub struct Family {
    /// Without the suffixes that its unit and its kind bring: `_seconds`, `_total`.
    pub name: &'static str,
    pub help: &'static str,
    pub unit: Option<Unit>,
    pub samples: Vec<(Labels, Value)>,
}

impl Family {
    pub fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, unit: None, samples: Vec::new() }
    }

    pub fn bytes(self) -> Self {
        Self { unit: Some(Unit::Bytes), ..self }
    }

    pub fn seconds(self) -> Self {
        Self { unit: Some(Unit::Seconds), ..self }
    }

    /// With one sample that has no labels.
    pub fn only(mut self, value: Value) -> Self {
        self.add(Labels::new(), value);
        self
    }

    pub fn add(&mut self, labels: Labels, value: Value) {
        self.samples.push((labels, value));
    }
}

/// Sizes and counts are exact up to 2^53.
pub fn gauge(number: impl TryInto<u64>) -> Value {
    Value::Gauge(number.try_into().unwrap_or(u64::MAX) as f64)
}

/// The two texts that Prometheus reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    OpenMetrics,
    /// Of before that, which every tool understands.
    Prometheus,
}

impl Format {
    /// What a client that sends this `Accept` header reads.
    pub fn accepted(header: &str) -> Self {
        if header.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// # Errors
/// None that a `String` could meet.
pub fn to_text(families: Vec<Family>, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut text = String::new();
    match format {
        Format::OpenMetrics => text::encode(&mut text, &registry)?,
        Format::Prometheus => prometheus_text::encode(&mut text, &registry)?,
    }
    Ok(text)
}

#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            let Some((_, first)) = family.samples.first() else { continue };
            let kind = match first {
                Value::Counter(_) | Value::Seconds(_) => MetricType::Counter,
                Value::Gauge(_) => MetricType::Gauge,
                Value::Histogram(_) => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(family.name, family.help, family.unit.as_ref(), kind)?;
            for (labels, value) in &family.samples {
                if labels.is_empty() {
                    write(&mut metric, value)?;
                } else {
                    write(&mut metric.encode_family(labels)?, value)?;
                }
            }
        }
        Ok(())
    }
}

fn write(metric: &mut MetricEncoder<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Counter(count) => metric.encode_counter::<NoLabelSet, _, u64>(count, None),
        Value::Seconds(seconds) => metric.encode_counter::<NoLabelSet, _, u64>(seconds, None),
        Value::Gauge(number) => metric.encode_gauge(number),
        Value::Histogram(Reading { buckets, sum, count }) => {
            metric.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_written_as_its_format_says() {
        let mut calls = Family::new("hushfs_calls", "Calls");
        calls.add(vec![("scope", "a\"b\\c\nd".to_owned())], Value::Counter(7));
        let reading = Reading { buckets: vec![(0.5, 1), (f64::INFINITY, 2)], sum: 9.5, count: 3 };
        let families = || {
            vec![
                Family::new("hushfs_memory", "Memory").bytes().only(gauge(1024_u64)),
                Family::new("hushfs_wait", "Waits").seconds().only(Value::Histogram(reading.clone())),
                Family::new("hushfs_nothing", "Not there"),
            ]
        };
        let mut with_calls = families();
        with_calls.push(calls);
        let text = to_text(with_calls, Format::OpenMetrics).unwrap();
        assert_eq!(
            text,
            "# HELP hushfs_memory_bytes Memory\n# TYPE hushfs_memory_bytes gauge\n# UNIT hushfs_memory_bytes bytes\n\
             hushfs_memory_bytes 1024.0\n\
             # HELP hushfs_wait_seconds Waits\n# TYPE hushfs_wait_seconds histogram\n# UNIT hushfs_wait_seconds seconds\n\
             hushfs_wait_seconds_sum 9.5\nhushfs_wait_seconds_count 3\n\
             hushfs_wait_seconds_bucket{le=\"0.5\"} 1\nhushfs_wait_seconds_bucket{le=\"+Inf\"} 3\n\
             # HELP hushfs_calls Calls\n# TYPE hushfs_calls counter\n\
             hushfs_calls_total{scope=\"a\\\"b\\\\c\\nd\"} 7\n# EOF\n"
        );
        let older = to_text(families(), Format::Prometheus).unwrap();
        assert!(older.contains("\nhushfs_memory_bytes 1024") && !older.contains("# UNIT"), "{older}");
    }

    #[test]
    fn the_format_is_the_one_that_the_client_names() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Prometheus);
    }
}
