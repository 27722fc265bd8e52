//! Line plots as SVG: panels below each other over one axis of time.

use std::fmt::Write;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const GAP: f64 = 46.0;
const COLOURS: [&str; 4] = ["#1f6fb2", "#c8451b", "#3a8f3a", "#7a4fa0"];

pub struct Series {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

pub struct Panel {
    pub title: &'static str,
    pub series: Vec<Series>,
    /// Shaded from one x to another.
    pub bands: Vec<(f64, f64)>,
}

/// The picture. `x` names the axis that all panels share, which begins at 0.
pub fn svg(title: &str, x: &str, panels: &[Panel]) -> String {
    let height = 40.0 + panels.len() as f64 * (HEIGHT + GAP) + 10.0;
    let of_all = panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
    let longest = of_all.map(|point| point.0).fold(1.0, f64::max);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{title}</text>\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        let top = 56.0 + number as f64 * (HEIGHT + GAP);
        draw(&mut out, panel, top, longest);
    }
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{}\">{x}</text>\n</svg>", height - 8.0);
    out
}

fn draw(out: &mut String, panel: &Panel, top: f64, longest: f64) {
    let wide = WIDTH - LEFT - RIGHT;
    let highest = panel.series.iter().flat_map(|series| &series.points).map(|point| point.1).fold(0.0, f64::max);
    let highest = round_up(highest);
    let x = |value: f64| LEFT + value / longest * wide;
    let y = |value: f64| top + HEIGHT - value / highest * HEIGHT;
    for (from, to) in &panel.bands {
        let (from, to) = (x(*from), x(to.min(longest)));
        let width = (to - from).max(0.0);
        let _ = writeln!(
            out,
            "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{HEIGHT}\" fill=\"#f3e6d8\"/>"
        );
    }
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{}</text>", top - 6.0, panel.title);
    for step in 0..=2 {
        let value = highest * f64::from(step) / 2.0;
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {0:.1}H{1}\" stroke=\"#ccc\"/><text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\">{value}</text>",
            y(value),
            WIDTH - RIGHT,
            LEFT - 6.0,
            y(value) + 4.0
        );
    }
    for step in 0..=6 {
        let value = longest * f64::from(step) / 6.0;
        let at = x(value);
        let below = top + HEIGHT + 15.0;
        let _ = writeln!(out, "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{value:.0}</text>");
    }
    for (number, (series, colour)) in panel.series.iter().zip(COLOURS).enumerate() {
        let points: Vec<String> =
            series.points.iter().map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect();
        let points = points.join(" ");
        let _ = writeln!(out, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\"/>");
        let at = WIDTH - RIGHT - 150.0 * (panel.series.len() - number) as f64;
        let _ = writeln!(out, "<text x=\"{at:.0}\" y=\"{}\" fill=\"{colour}\">{}</text>", top - 6.0, series.name);
    }
}

/// The next of 1, 2, 5, 10, 20, 50, …
fn round_up(value: f64) -> f64 {
    let mut step = 1.0;
    loop {
        for times in [1.0, 2.0, 5.0] {
            if step * times >= value {
                return step * times;
            }
        }
        step *= 10.0;
    }
}
