//! A panic's message is made of whatever was at hand, which may be a value. Only its place is told.

use std::io::Write;

/// Replaces the hook that prints a panic's message.
pub fn silence() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed").to_owned();
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        // Not `eprintln!`: where nobody reads it would panic, and a panic in here ends the process.
        let _ = writeln!(std::io::stderr(), "hushfs: defect{place} in thread {name}; please report it");
    }));
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    /// Set in the process that panics.
    const CHILD: &str = "HUSHFS_TEST_PANIC";

    /// Not a literal in the panic, so that it cannot be found in the source line that a backtrace may show.
    fn marked() -> String {
        ["MARK", "7f3a"].join("-")
    }

    #[test]
    fn a_panic_tells_its_place_and_nothing_of_its_message() {
        if std::env::var_os(CHILD).is_some() {
            super::silence();
            let ended =
                std::thread::Builder::new().name("victim".into()).spawn(|| panic!("{}", marked())).unwrap().join();
            assert!(ended.is_err());
            return;
        }
        let name = "telemetry::panics::tests::a_panic_tells_its_place_and_nothing_of_its_message";
        let again = |stderr: Stdio| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", name, "--nocapture"]).env(CHILD, "1").env("RUST_BACKTRACE", "full");
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(stderr)
                .spawn()
                .unwrap()
                .wait_with_output()
                .unwrap()
        };
        let output = again(Stdio::piped());
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains("hushfs: defect at src/telemetry/panics.rs:") && said.contains("thread victim"),
            "{said}"
        );
        assert!(!said.contains(&marked()), "{said}");

        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert!(again(full.into()).status.success(), "a full disk under standard error does not abort");
    }
}
