//! What an image of the daemon holds, and whether there is one.
//!
//! An image that root takes has the registers of each thread, whatever is left out of it: they are not looked at where a value
//! has just come from a provider.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use crate::support::daemon::{Daemon, Place, limit};
use crate::support::marked::Mark;
use crate::support::memory::family;
use crate::support::missing;
use crate::support::store::Store;

/// Has a debug build leave the limit on images as it is.
const KEEPS_LIMIT: &str = "HUSHFS_TEST_KEEPS_CORE_LIMIT";

fn mounted<'a>(place: &'a Place, mark: &Mark, settings: &str) -> Daemon<'a> {
    let store = Store::new(place.path());
    store.put("db.json.age", serde_json::json!({ "PASSWORD": mark.value }).to_string().as_bytes());
    place.configure(&(settings.to_owned() + &store.scope("app")));
    let mut command = place.hushfs(&["mount"]);
    // Where a kernel that is told nothing else puts an image.
    command.current_dir(place.path()).env(KEEPS_LIMIT, "1");
    limit(&mut command, libc::RLIMIT_CORE, libc::RLIM_INFINITY);
    let daemon = place.start(command);
    for file in ["PASSWORD", ".json", ".env"] {
        assert!(mark.is_in(&fs::read(place.mnt().join("app/db").join(file)).unwrap()));
    }
    daemon
}

/// Files of the folder that are called as images are.
fn images(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("core")).collect()
}

#[test]
fn a_daemon_that_aborts_leaves_no_image_even_where_root_allows_it_one() {
    let (place, mark) = (Place::new(), Mark::new());
    // The host may have them sent elsewhere; then there is no file of anybody's.
    let other = place.path().join("other");
    fs::create_dir(&other).unwrap();
    let script = "ulimit -c unlimited; kill -ABRT $$";
    let ended = Command::new("sh").args(["-c", script]).current_dir(&other).status().unwrap();
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.trim() == "core" {
        assert!(ended.core_dumped() && images(&other).len() == 1, "another program's image is seen");
    }

    // Without the layers that would keep any file from being written, too.
    for settings in ["", "[sandbox]\nuser = false\nlandlock = false\n"] {
        let place = Place::new();
        let mut daemon = mounted(&place, &mark, settings);
        let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.child.id())).unwrap();
        let is_allowed = |line: &str| line.starts_with("Max core file size") && line.contains("unlimited");
        assert!(limits.lines().any(is_allowed), "{limits}");
        daemon.signal(libc::SIGABRT);
        let status = daemon.wait();
        assert_eq!(status.signal(), Some(libc::SIGABRT));
        assert!(!status.core_dumped(), "{settings:?}: {status}");
        assert!(images(place.path()).is_empty(), "{settings:?}: {:?}", images(place.path()));
    }
}

/// An image of a process, taken by root.
fn taken(place: &Place, of: u32, options: &[&str]) -> Vec<u8> {
    missing::program("gcore", "gdb");
    let prefix = place.path().join("image");
    let output = Command::new("gcore").args(options).arg("-o").arg(&prefix).arg(of.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = prefix.with_file_name(format!("image.{of}"));
    let image = fs::read(&file).unwrap();
    fs::remove_file(file).unwrap();
    image
}

/// The memory that an image has, as elf(5) of 64 bits says.
fn memory_in(image: &[u8]) -> Vec<&[u8]> {
    const LOAD: usize = 1;
    assert!(image.starts_with(b"\x7fELF"));
    let number = |at: usize, length: usize| {
        image[at..at + length].iter().rev().fold(0, |number: usize, byte| number << 8 | usize::from(*byte))
    };
    let (table, each, count) = (number(32, 8), number(54, 2), number(56, 2));
    let headers = (0..count).map(|n| table + n * each).filter(|header| number(*header, 4) == LOAD);
    let parts = headers.map(|header| {
        let from = number(header + 8, 8);
        &image[from..from + number(header + 32, 8)]
    });
    parts.collect()
}

fn size(memory: &[&[u8]]) -> usize {
    memory.iter().map(|part| part.len()).sum()
}

/// What the kernel itself has in every process, such as the vdso, is in every image.
const OF_THE_KERNEL: usize = 64 << 10;

#[test]
fn an_image_that_root_takes_of_the_daemon_has_no_value() {
    let (place, mark) = (Place::new(), Mark::new());
    let daemon = mounted(&place, &mark, "");
    for process in family(daemon.child.id()) {
        let image = taken(&place, process, &[]);
        assert!(size(&memory_in(&image)) < OF_THE_KERNEL, "of {} bytes", image.len());
        assert_eq!(mark.sightings(&image), []);
    }
    let everything = taken(&place, daemon.child.id(), &["-a"]);
    assert!(mark.is_in(&everything), "what is kept out of images is there if nothing is kept out");
    assert_eq!(daemon.stop().code(), Some(0));
}

/// Of what has just come from a provider over a network.
#[cfg(any(
    feature = "aws",
    feature = "gcp",
    feature = "vault",
    feature = "azure",
    feature = "kubernetes",
    feature = "databricks"
))]
mod network {
    use super::*;
    use crate::support::backend::{Backend, KEEPS_WORN, read_all};

    /// Right after reads, while connections hold what has come through them.
    fn an_image_has_no_memory(provider: &str) {
        let (place, mark) = (Place::new(), Mark::new());
        let backend = Backend::start(provider, &place, &mark);
        place.configure(&(backend.scope() + "ttl = \"1h\"\n"));
        let mut command = place.hushfs(&["mount"]);
        backend.environment(&mut command);
        command.env(KEEPS_WORN, "1");
        let daemon = place.start(command);
        read_all(&place, &mark, &mark.value);
        let process = daemon.child.id();
        let image = taken(&place, process, &[]);
        let memory = memory_in(&image);
        assert!(size(&memory) < OF_THE_KERNEL, "of {} bytes", image.len());
        assert!(!memory.iter().any(|part| mark.is_in(part)));
        // It is not that there is nothing; what is released does not keep it for as long.
        if cfg!(debug_assertions) {
            // As every process has it that says nothing else: memory that has no file.
            fs::write(format!("/proc/{process}/coredump_filter"), "0x33").unwrap();
            let image = taken(&place, process, &[]);
            let memory = memory_in(&image);
            assert!(size(&memory) > OF_THE_KERNEL, "of {} bytes", image.len());
            assert!(memory.iter().any(|part| mark.is_in(part)), "connections hold what is kept out");
        }
        assert_eq!(daemon.stop().code(), Some(0));
    }

    #[cfg(feature = "aws")]
    #[test]
    fn an_image_has_no_memory_with_what_came_from_aws_secrets_manager() {
        an_image_has_no_memory("aws-secrets-manager");
    }

    #[cfg(feature = "aws")]
    #[test]
    fn an_image_has_no_memory_with_what_came_from_aws_parameter_store() {
        an_image_has_no_memory("aws-parameter-store");
    }

    #[cfg(feature = "gcp")]
    #[test]
    fn an_image_has_no_memory_with_what_came_from_google_cloud() {
        an_image_has_no_memory("gcp-secret-manager");
    }

    #[cfg(feature = "vault")]
    #[test]
    fn an_image_has_no_memory_with_what_came_from_vault() {
        an_image_has_no_memory("vault");
    }

    #[cfg(feature = "azure")]
    #[test]
    fn an_image_has_no_memory_with_what_came_from_azure_key_vault() {
        an_image_has_no_memory("azure-key-vault");
    }

    #[cfg(feature = "kubernetes")]
    #[test]
    fn an_image_has_no_memory_with_what_came_from_kubernetes() {
        an_image_has_no_memory("kubernetes");
    }

    #[cfg(feature = "databricks")]
    #[test]
    fn an_image_has_no_memory_with_what_came_from_databricks() {
        an_image_has_no_memory("databricks");
    }
}
