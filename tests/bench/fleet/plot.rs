//! Calls a second that the quota of reads counts, over time, one panel for each provider, as SVG: logarithmic, since quotas
//! differ by 250 times.

use std::fmt::Write;
use std::time::Duration;

use super::cloud::{Quota, Second};

const WIDTH: f64 = 760.0;
const PANEL: f64 = 150.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 26.0;
const GAP: f64 = 34.0;
/// Seconds that make one point.
const BIN: usize = 5;
/// Powers of ten from 1 on.
const DECADES: f64 = 5.0;

/// Calls of one kind in a second.
type Count = fn(&Second) -> u32;

pub struct Panel {
    pub quota: Quota,
    pub title: String,
    pub seconds: Vec<Second>,
}

pub fn draw(title: &str, panels: &[Panel], length: Duration, outage: (Duration, Duration)) -> String {
    let height = TOP + panels.len() as f64 * (PANEL + GAP) + 30.0;
    let x = |time: f64| LEFT + (WIDTH - LEFT - 16.0) * time / length.as_secs_f64();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"15\" font-size=\"13\">{title}</text>\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        let bottom = TOP + number as f64 * (PANEL + GAP) + PANEL + 14.0;
        let y = |calls: f64| bottom - PANEL * (calls.max(1.0).log10() / DECADES).min(1.0);
        let mut line = |text: std::fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _ = writeln!(svg, "{text}");
        };
        line(format_args!("<text x=\"{LEFT}\" y=\"{:.0}\">{}</text>", bottom - PANEL - 4.0, panel.title));
        line(format_args!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{PANEL}\" fill=\"#eee\"/>",
            x(outage.0.as_secs_f64()),
            bottom - PANEL,
            x(outage.1.as_secs_f64()) - x(outage.0.as_secs_f64())
        ));
        for decade in 0..=DECADES as u32 {
            let calls = 10_f64.powi(decade as i32);
            line(format_args!(
                "<path d=\"M{LEFT} {:.1}H{:.1}\" stroke=\"#ccc\" stroke-width=\"0.5\"/><text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{calls}</text>",
                y(calls),
                WIDTH - 16.0,
                LEFT - 4.0,
                y(calls) + 4.0
            ));
        }
        let quota = y(panel.quota.per_second());
        line(format_args!(
            "<path d=\"M{LEFT} {quota:.1}H{:.1}\" stroke=\"#c00\" stroke-dasharray=\"5 3\"/>",
            WIDTH - 16.0
        ));
        let curves: [(&str, Count); 2] = [
            ("#e69f00", |second| second.reads.throttled + second.reads.lost),
            ("#0072b2", |second| second.reads.answered),
        ];
        for (colour, count) in curves {
            let points: Vec<String> = panel
                .seconds
                .chunks(BIN)
                .enumerate()
                .map(|(bin, seconds)| {
                    let calls = seconds.iter().map(count).sum::<u32>();
                    format!("{:.1},{:.1}", x((bin * BIN) as f64), y(f64::from(calls) / seconds.len() as f64))
                })
                .collect();
            line(format_args!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.2\"/>",
                points.join(" ")
            ));
        }
    }
    let foot = height - 24.0;
    for minute in (0..=length.as_secs() / 60).step_by(5) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{foot:.0}\" text-anchor=\"middle\">{minute}</text>",
            x(minute as f64 * 60.0)
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.0}\">minutes; calls a second (logarithmic): <tspan fill=\"#0072b2\">answered</tspan>, \
         <tspan fill=\"#e69f00\">throttled, or lost in the outage (grey)</tspan>, <tspan fill=\"#c00\">the quota</tspan></text>\n</svg>",
        height - 8.0
    );
    svg
}
