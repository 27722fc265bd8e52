//! A real systemd with its units, journal and users: a machine of its own in a container, booted from the
//! root that tests/setup/machine built.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::child::Guarded;
use super::control_group::ControlGroup;
use super::daemon::{HUSHFS, Place};
use super::missing;
use super::users::{mount_overlay, private_mounts};

/// It boots, runs its script and is off again within seconds.
const PATIENCE: Duration = Duration::from_secs(200);

/// The scope `prod` of a machine's configuration.
pub const STORE: &str = "[scopes.prod]\nprovider = \"local\"\npath = \"/var/lib/store\"\nallow_plaintext = true\n";

/// A machine that is off. What is changed in it is gone at the end.
pub struct Machine<'a> {
    place: &'a Place,
    root: PathBuf,
    group: ControlGroup,
    binds: Vec<String>,
    /// hushfs.service runs before the script does.
    begins_with_hushfs: Cell<bool>,
    /// It starts what is enabled, as any machine does, and is switched off in order.
    boots_whole: bool,
    /// Its /usr/bin/hushfs is the binary of this test.
    has_hushfs: bool,
}

impl<'a> Machine<'a> {
    /// With the user `worker`.
    pub fn new(place: &'a Place) -> Self {
        missing::program("systemd-nspawn", "systemd-container");
        let built = missing::tool("HUSHFS_TEST_MACHINE", "machine/system");
        // The overlay ends with the test's thread.
        private_mounts(place, 0);
        // systemd warns of units that anybody could write.
        // SAFETY: no memory is passed; it is this thread's alone, as its mounts are.
        unsafe { libc::umask(0o022) };
        let root = place.path().join("machine");
        mount_overlay(&built, &root);
        let machine = Self {
            place,
            root,
            group: ControlGroup::new(),
            binds: Vec::new(),
            begins_with_hushfs: Cell::new(false),
            boots_whole: false,
            has_hushfs: true,
        };
        std::fs::create_dir_all(machine.results()).expect("a folder");
        machine.add("etc/passwd", "worker:x:2001:2001::/:/bin/sh\n");
        machine.add("etc/group", "worker:x:2001:\n");
        machine
    }

    /// Has `hushfs.service` mount /secrets with these settings before the script runs. Its scope `prod` is a
    /// folder; see [`Machine::secret`].
    pub fn hushfs(&self, settings: &str) {
        self.begins_with_hushfs.set(true);
        self.write("etc/hushfs/hushfs.toml", &format!("allow_other = true\n{settings}\n{STORE}"));
        std::fs::create_dir(self.root.join("secrets")).expect("a mountpoint");
        self.own_user();
        self.unit(
            "hushfs.service",
            "[Service]\nType=notify\nExecStart=/usr/bin/hushfs mount --config /etc/hushfs/hushfs.toml\n",
        );
    }

    /// As [`Machine::hushfs`], with the unit that is installed.
    pub fn installed_hushfs(&self, settings: &str) {
        self.begins_with_hushfs.set(true);
        self.install(&format!("allow_other = true\n{settings}\n{STORE}"));
    }

    /// Installs hushfs.service, and what else comes with it, as `make install` does, with this configuration. Nothing
    /// is started.
    pub fn install(&self, configuration: &str) {
        let installed = Command::new("make")
            .args(["--silent", "install-units"])
            .arg(format!("DESTDIR={}", self.root.display()))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("MAKEFLAGS")
            .status();
        assert!(installed.expect("make runs").success(), "make install-units");
        self.own_user();
        self.write("etc/hushfs/hushfs.toml", configuration);
    }

    /// Makes the user that root's daemon becomes, as an installation does.
    fn own_user(&self) {
        let made = Command::new("systemd-sysusers")
            .arg(format!("--root={}", self.root.display()))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/sysusers.conf"))
            .output()
            .expect("systemd-sysusers runs");
        assert!(made.status.success(), "systemd-sysusers: {}", String::from_utf8_lossy(&made.stderr));
    }

    /// Makes one of the installed examples a unit.
    pub fn example(&self, name: &str) {
        let text = std::fs::read_to_string(self.root.join("usr/share/doc/hushfs/examples").join(name));
        self.unit(name, &text.expect("an example that is installed"));
    }

    /// Has units start at boot, as `systemctl enable` does.
    pub fn enable(&mut self, units: &[&str]) {
        let root = format!("--root={}", self.root.display());
        let enabled = Command::new("systemctl").args([&root, "--quiet", "enable"]).args(units).status();
        assert!(enabled.expect("systemctl runs").success(), "systemctl enable {units:?}");
        self.boots_whole = true;
    }

    /// Leaves the binary to a package, which could not be installed over what is shown of the host.
    pub fn without_hushfs(&mut self) {
        self.has_hushfs = false;
    }

    /// Shows a folder of the host.
    pub fn bind(&mut self, folder: &Path, at: &str) {
        self.binds.push(format!("--bind={}:{at}", folder.display()));
    }

    /// Shows a program of the host.
    pub fn bind_program(&mut self, program: &Path, at: &str) {
        self.binds.push(format!("--bind-ro={}:{at}", program.display()));
    }

    /// What its control groups are below, as `/proc/PID/cgroup` shows it outside.
    pub fn cgroup(&self) -> String {
        format!("{}/payload", self.group.path())
    }

    /// Lets its users write to /results, from its start on.
    pub fn open_results_to_all(&self) {
        std::fs::set_permissions(self.results(), std::fs::Permissions::from_mode(0o777)).expect("permissions");
    }

    /// Puts the secret `prod/NAME` with the one key KEY into its store.
    pub fn secret(&self, name: &str, value: &str) {
        self.write(&format!("var/lib/store/{name}.json"), &serde_json::json!({ "KEY": value }).to_string());
    }

    pub fn unit(&self, name: &str, text: &str) {
        self.write(&format!("etc/systemd/system/{name}"), text);
    }

    /// A service that runs a program once and keeps what it says: see [`Results::said`].
    pub fn service(&self, name: &str, settings: &str, program: &str) {
        let output = "StandardOutput=truncate:/results/%n.out\nStandardError=truncate:/results/%n.err\n";
        self.unit(name, &format!("[Service]\nType=oneshot\n{settings}\n{output}ExecStart={program}\n"));
    }

    /// A file of the machine.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// A program of the machine, which anybody may run.
    pub fn program(&self, path: &str, text: &str) {
        self.write(path, text);
        let path = self.root.join(path);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    }

    fn add(&self, path: &str, line: &str) {
        let text = std::fs::read_to_string(self.root.join(path)).expect("a file of the machine");
        self.write(path, &(text + line));
    }

    fn results(&self) -> PathBuf {
        self.place.path().join("results")
    }

    /// Boots it, runs the lines of `script` as root, and switches it off. The test fails with what its
    /// console and its journal show if a line fails or it does not come to an end. What must fail is `COMMAND && exit 1`: for a
    /// line that begins with `!` no shell would stop.
    pub fn run(self, script: &str) -> Results {
        let first = if self.begins_with_hushfs.get() { "systemctl start hushfs.service" } else { "" };
        self.write("script", &format!("{first}\n{script}\ntouch /results/finished\n"));
        let whole = if self.boots_whole {
            "Wants=multi-user.target\nSuccessAction=poweroff\n"
        } else {
            "SuccessAction=poweroff-force\n"
        };
        // What the daemon logged is in the journal, which is gone with the machine.
        self.unit(
            "script.service",
            &format!(
                "[Unit]\n{whole}FailureAction=poweroff-force\n\
             [Service]\nType=oneshot\nStandardOutput=journal+console\nExecStart=/bin/sh -eux /script\n\
             ExecStopPost=/bin/sh -c 'journalctl --sync; journalctl --no-pager -b >/results/journal'\n"
            ),
        );
        let console = self.place.path().join("console");
        let log = File::create(&console).expect("a file");
        let name = self.place.path().file_name().and_then(|name| name.to_str()).expect("a name");
        let mut command = Command::new("systemd-nspawn");
        command.args(["--quiet", "--boot", "--register=no", "--keep-unit", "--private-network", "--console=read-only"]);
        // Without it nobody in there may lock memory.
        command.arg("--capability=CAP_IPC_LOCK");
        // Of a container's calls, and not of a machine's, this release leaves these out.
        command.arg("--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self");
        command.args(["--link-journal=no", "--resolv-conf=off", "--timezone=off", "--bind=/dev/fuse"]);
        command.arg(format!("--machine={name}")).arg("--directory").arg(&self.root);
        if self.has_hushfs {
            command.arg(format!("--bind-ro={HUSHFS}:/usr/bin/hushfs"));
        }
        command.arg(format!("--bind={}:/results", self.results().display()));
        command.args(&self.binds);
        // No more of what the release starts than the script needs.
        command.args(["systemd.unit=script.service", "systemd.show_status=yes"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        // It takes the group that it is started in for itself.
        self.group.hold("", &mut command);
        let mut running = Guarded::spawn(&mut command).expect("systemd-nspawn starts");
        let began = Instant::now();
        let ended = loop {
            match running.0.try_wait().expect("the machine's status") {
                Some(_) => break true,
                None if began.elapsed() > PATIENCE => break false,
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let shown = |file: PathBuf| String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned();
        assert!(
            ended && self.results().join("finished").exists(),
            "the machine's script {}\n--- console\n{}\n--- journal\n{}",
            if ended { "failed" } else { "does not end" },
            shown(console.clone()),
            shown(self.results().join("journal")),
        );
        Results { folder: self.results(), console: shown(console) }
    }
}

/// What was left in the machine's /results.
pub struct Results {
    folder: PathBuf,
    /// All that the machine said, to its last word.
    pub console: String,
}

impl Results {
    /// A file; the test fails if it is not there.
    pub fn file(&self, name: &str) -> String {
        let path = self.folder.join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// What a service of [`Machine::service`] wrote; None where it was refused and wrote nothing.
    pub fn said(&self, service: &str) -> Option<String> {
        let (output, errors) = (self.file(&format!("{service}.out")), self.file(&format!("{service}.err")));
        if output.is_empty() && errors.contains("Permission denied") {
            return None;
        }
        assert_eq!(errors, "", "{service}");
        Some(output)
    }
}
