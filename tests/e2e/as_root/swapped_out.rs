//! Swap is on, and the kernel wants all memory that there is.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::daemon::{Daemon, Place, eventually};
use crate::support::marked::Mark;
use crate::support::memory::{Kind, page_out, scan};
use crate::support::store::Store;

const SIZE: usize = 96 << 20;

/// A file on a disk that the kernel may write memory to. `tests/setup/sandbox` turns it off where this cannot.
struct Swap(PathBuf);

impl Swap {
    fn on() -> Self {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("swap-{}", std::process::id()));
        let swap = Self(file);
        let mut contents = File::create(&swap.0).unwrap();
        fs::set_permissions(&swap.0, PermissionsExt::from_mode(0o600)).unwrap();
        // It must have no holes.
        for _ in 0..SIZE >> 20 {
            contents.write_all(&[0; 1 << 20]).unwrap();
        }
        contents.sync_all().unwrap();
        for program in ["mkswap", "swapon"] {
            let output = Command::new(program).arg(&swap.0).output().unwrap();
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        }
        swap
    }

    /// What has been written to it.
    fn contents(&self) -> Vec<u8> {
        let file = File::open(&self.0).unwrap();
        file.sync_all().unwrap();
        // What is in the page cache is not what is on the disk.
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        fs::read(&self.0).unwrap()
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(&self.0).status();
        let _ = fs::remove_file(&self.0);
    }
}

/// Kilobytes of a process that are in swap.
fn swapped(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSwap:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

fn mounted<'a>(place: &'a Place, mark: &Mark) -> Daemon<'a> {
    let store = Store::new(place.path());
    store.put("db.json.age", serde_json::json!({ "PASSWORD": mark.value }).to_string().as_bytes());
    let daemon = place.mount(&store.scope("app"));
    for file in ["PASSWORD", ".json", ".env"] {
        assert!(mark.is_in(&fs::read(place.mnt().join("app/db").join(file)).unwrap()));
    }
    daemon
}

#[test]
fn memory_that_the_kernel_writes_to_swap_holds_no_value() {
    let (place, mark) = (Place::new(), Mark::new());
    let daemon = mounted(&place, &mark);
    // A program that keeps the value as programs do.
    let other = Mark::new();
    let mut program = Command::new("python3");
    let keeps = "import sys; kept = [sys.argv[1] + str(n) for n in range(9)]; sys.stdin.read()";
    let mut program =
        program.args(["-I", "-c", keeps, &other.value]).stdin(std::process::Stdio::piped()).spawn().unwrap();

    let swap = Swap::on();
    eventually("the daemon's memory is in swap", || {
        page_out(daemon.child.id());
        (swapped(daemon.child.id()) > 1000).then_some(())
    });
    eventually("the other program's value is on the disk", || {
        page_out(program.id());
        other.is_in(&swap.contents()).then_some(())
    });
    let contents = swap.contents();
    assert_eq!(mark.sightings(&contents), []);
    drop(swap);
    let copies = scan(&daemon, &mark);
    assert!(copies.of(Kind::Locked) > 0, "it was in memory all the time: {copies}");
    program.kill().unwrap();
    program.wait().unwrap();
    assert_eq!(daemon.stop().code(), Some(0));
}
