//! Help, completions, manual pages, and command lines that are wrong.

use std::process::Stdio;

use crate::support::{Fixture, hushfs, output};

fn stdout(arguments: &[&str]) -> String {
    let output = output(hushfs().args(arguments));
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn help_names_every_command() {
    let help = stdout(&["--help"]);
    for command in ["check", "doctor", "refresh", "flush", "readers", "reload", "completions", "man", "--config <FILE>"]
    {
        assert!(help.contains(command), "{command} in {help}");
    }
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(stdout(&["--version"]), concat!("hushfs ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_command_line_that_is_wrong_ends_with_ex_usage() {
    for (arguments, said) in [
        (&["chekc"][..], "a similar subcommand exists: 'check'"),
        (&[], "Usage: hushfs"),
        (&["check", "--jsn"], "a similar argument exists: '--json'"),
        (&["check", "--config"], "a value is required for '--config <FILE>'"),
        (&["completions", "tcsh"], "[possible values: bash, "),
    ] {
        let output = output(hushfs().args(arguments));
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(said), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn completions_for_each_shell_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&["completions", shell]);
        assert!(script.contains("hushfs") && script.contains("check"), "{shell}");
    }
}

#[test]
fn bash_takes_its_completions() {
    let fixture = Fixture::new();
    let script = fixture.path().join("hushfs.bash");
    std::fs::write(&script, stdout(&["completions", "bash"])).expect("a file is written");
    let checked = std::process::Command::new("bash").arg("-n").arg(script).status().expect("bash runs");
    assert!(checked.success());
}

#[test]
fn the_manual_has_its_sections_and_every_exit_status() {
    let page = stdout(&["man"]);
    for section in ["NAME", "SYNOPSIS", "OPTIONS", "SUBCOMMANDS", "\"EXIT STATUS\"", "FILES"] {
        assert!(page.contains(&format!(".SH {section}")), "{section} in {page}");
    }
    for (status, meaning) in hushfs::cli::Status::ALL {
        assert!(page.contains(&format!("\\fB{}\\fR", *status as u8)), "{status:?} in {page}");
        assert!(page.contains(meaning), "{meaning} in {page}");
    }
}

#[test]
fn a_manual_page_per_command_is_written() {
    let fixture = Fixture::new();
    let directory = fixture.path().join("man");
    std::fs::create_dir(&directory).expect("a directory");
    stdout(&["man", "--dir", directory.to_str().expect("text")]);
    for page in ["hushfs.1", "hushfs-check.1", "hushfs-completions.1", "hushfs-man.1"] {
        let text = std::fs::read_to_string(directory.join(page)).expect(page);
        assert!(text.contains(".SH \"EXIT STATUS\""), "{page}");
    }
    assert_eq!(std::fs::read_to_string(directory.join("hushfs.1")).expect("a page"), stdout(&["man"]));
}

#[test]
fn manual_pages_cannot_be_written_where_there_is_no_directory() {
    let output = output(hushfs().args(["man", "--dir", "/nonexistent/man"]));
    assert_eq!(output.status.code(), Some(73));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/man/hushfs-"));
}

/// As in `hushfs man | head -1`.
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    for arguments in [&["man"][..], &["completions", "bash"]] {
        let mut child =
            hushfs().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("hushfs runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("hushfs ends");
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
}

#[test]
fn a_failure_that_nobody_reads_keeps_its_status() {
    let fixture = Fixture::new();
    for (text, status) in [("root = 1", 78), ("", 0)] {
        fixture.write("hushfs.toml", text);
        let mut command = hushfs();
        command.args(["check", "--config"]).arg(fixture.file()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("hushfs runs");
        drop(child.stderr.take());
        assert_eq!(child.wait_with_output().expect("hushfs ends").status.code(), Some(status), "{text}");
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let output = output(hushfs().arg("man").stdout(full));
    assert_eq!(output.status.code(), Some(74), "{output:?}");
}
