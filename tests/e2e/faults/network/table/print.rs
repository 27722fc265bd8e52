//! The table as the one that stands in `docs/operations.md`.

use std::fmt::Write as _;

use super::{Calm, Row, Seen, Warm};

fn errno(number: i32) -> &'static str {
    match number {
        libc::EBUSY => "EBUSY",
        libc::EIO => "EIO",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        libc::ETIMEDOUT => "ETIMEDOUT",
        _ => "another errno",
    }
}

/// One line a fault.
pub fn print(provider: &str, rows: &[Row], seen: &[Seen], calm: &Calm) -> String {
    let mut text = format!(
        "{provider}\n| fault | who had no value | who had one | longest wait | reads | calls | recovered in |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n"
    );
    for (row, seen) in rows.iter().zip(seen) {
        let cold: Vec<_> = seen.cold.iter().map(|it| it.map_or("the value", errno)).collect();
        // While the fault lasts, and its ttl is over.
        let warm = seen.warm.iter().filter(|&&it| seen.warm.len() == 1 || it != Warm::Fresh || row.shows(it));
        let warm: Vec<_> = warm
            .map(|it| match it {
                Warm::Fresh => "the value",
                Warm::Stale => "the last good value",
                Warm::Refused(number) => errno(*number),
            })
            .collect();
        let calls = seen.calls.map_or("-".to_owned(), |calls| calls.to_string());
        let recovered = seen.recovered.map_or("-".to_owned(), |it| format!("{:.1} s", it.as_secs_f64()));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.2} s | {} | {calls} | {recovered} |",
            row.fault,
            cold.join(", "),
            warm.join(", "),
            seen.longest.as_secs_f64(),
            seen.reads,
        );
    }
    let _ = writeln!(
        text,
        "beside them: {} reads of scopes without a fault, {} errors, longest {:.2} s",
        calm.reads,
        calm.errors.len(),
        calm.longest.as_secs_f64()
    );
    text
}
