//! What the daemon has to reach outside of itself: files, programs and ports, from the configuration, the environment, the
//! files of credentials that both name, and what the C library and TLS need on any host.
//!
//! Files are replaced by renaming another over them, and a rule of the kernel belongs to the one that was there. So it is
//! folders that are reached, with all that is below; and where a folder may be mounted or made later, the one above it.

mod environment;
mod links;
mod mentioned;
mod program;
mod providers;
mod system;
mod url;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::config::{Config, Source};

/// Canonical paths and port numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Read, with all that is below.
    pub read: BTreeSet<PathBuf>,
    /// All is done there that can be done to files and folders.
    pub write: BTreeSet<PathBuf>,
    /// Programs, and folders of programs, that are started. None: none is started at all.
    pub programs: BTreeSet<PathBuf>,
    /// Ports of TCP that are connected to.
    pub connect: BTreeSet<u16>,
    /// What `programs` is made of: files that are started, by the paths that name them.
    started: BTreeSet<PathBuf>,
    /// What is not there, and nothing above it either but the root directory: it cannot be reached once it is made.
    pub unreachable: BTreeSet<PathBuf>,
}

impl Reach {
    /// What a daemon with this configuration reaches. Not its audit log and its sockets: its broker opens and removes them.
    pub fn of(config: &Config, source: &Source) -> Self {
        let mut reach = Self::default();
        system::add(&mut reach);
        match source {
            Source::File(file) => reach.file(file),
            Source::Default => {}
            Source::Directory(folder) => reach.folder(folder),
        }
        for scope in config.scopes.values() {
            providers::add(&mut reach, &scope.provider);
        }
        for identity in &config.identities {
            providers::add_identity(&mut reach, &identity.acts_as);
        }
        let settings = &config.sandbox;
        settings.read.iter().for_each(|path| reach.folder(path));
        settings.write.iter().for_each(|path| reach.writable(path));
        settings.programs.iter().for_each(|path| reach.program(path));
        reach.connect.extend(&settings.connect);
        program::settle(&mut reach);
        if !reach.programs.is_empty() {
            system::add_programs(&mut reach);
        }
        reach
    }

    /// What another reach has that this one lacks, in words. Empty where nothing is lacking.
    pub fn lacks(&self, other: &Self) -> Vec<String> {
        let below = |folders: &BTreeSet<PathBuf>, path: &Path| folders.iter().any(|folder| path.starts_with(folder));
        let mut lacking = Vec::new();
        let mut paths = |wanted: &BTreeSet<PathBuf>, had: &[&BTreeSet<PathBuf>], what: &str| {
            let missing = wanted.iter().filter(|path| !had.iter().any(|folders| below(folders, path)));
            lacking.extend(missing.map(|path| format!("{what} {}", path.display())));
        };
        paths(&other.read, &[&self.read, &self.write], "read");
        paths(&other.write, &[&self.write], "write to");
        paths(&other.programs, &[&self.programs], "start");
        let unreachable = other.unreachable.difference(&self.unreachable);
        lacking.extend(unreachable.map(|path| format!("reach {}, which is not there yet", path.display())));
        let ports = other.connect.difference(&self.connect).map(|port| format!("connect to port {port}"));
        lacking.extend(ports);
        lacking
    }

    /// A file that may be replaced, and where it is a link what it leads to.
    fn file(&mut self, file: &Path) {
        if file.metadata().is_ok_and(|found| !found.is_file()) {
            // A device, such as /dev/null for none.
            self.read.extend(existing(file));
            return;
        }
        self.read.extend(links::neighbours(file));
        for file in with_target(file) {
            match file.parent().and_then(existing) {
                Some(folder) => {
                    self.read.extend(above_what_is_made_anew(&folder));
                    self.read.insert(folder);
                }
                // A folder right below the root directory would be all of it; what is there is reached as it is.
                None => match file.canonicalize() {
                    Ok(file) if file != Path::new("/") => drop(self.read.insert(file)),
                    _ => drop(self.unreachable.insert(file)),
                },
            }
        }
    }

    /// A folder, or a file that is not replaced.
    fn folder(&mut self, folder: &Path) {
        self.read.extend(links::neighbours(folder));
        let is_settled = match std::fs::read_dir(folder) {
            Ok(mut entries) => entries.next().is_some(),
            // In the sandbox already: what is there is not to be seen.
            Err(error) => error.kind() == ErrorKind::PermissionDenied || folder.is_file(),
        };
        let is_link = folder.symlink_metadata().is_ok_and(|found| found.is_symlink());
        if !is_settled || is_link {
            // It is yet to be made, mounted, or led elsewhere.
            if let Some(above) = folder.parent().and_then(existing) {
                self.read.insert(above);
            }
        }
        match existing(folder) {
            Some(found) => drop(self.read.insert(found)),
            None => drop(self.unreachable.insert(folder.to_owned())),
        }
    }

    fn writable(&mut self, folder: &Path) {
        match existing(folder) {
            Some(found) => drop(self.write.insert(found)),
            None => drop(self.unreachable.insert(folder.to_owned())),
        }
    }

    /// A folder of programs, or one that is started; where that one lies is judged when all is known.
    fn program(&mut self, program: &Path) {
        if !program.is_dir() {
            self.started.insert(program.to_owned());
            return;
        }
        match existing(program) {
            Some(folder) => drop(self.programs.insert(folder)),
            None => drop(self.unreachable.insert(program.to_owned())),
        }
    }

    /// Where an address leads.
    fn address(&mut self, address: &str) {
        self.connect.extend(url::port(address));
    }
}

/// The path, and where it is a link the one that it leads to.
fn with_target(path: &Path) -> Vec<PathBuf> {
    let target = path.canonicalize().ok().filter(|target| target != path);
    [path.to_owned()].into_iter().chain(target).collect()
}

/// The folder above, where folders are made anew while the host runs: the one of a service is made when it starts
/// (`RuntimeDirectory=`). Not above credentials, which systemd makes for us before we start, beside those of others.
fn above_what_is_made_anew(folder: &Path) -> Option<PathBuf> {
    const RUN: &str = "/run";
    const CREDENTIALS: &str = "/run/credentials";
    let of_the_user = environment::path("XDG_RUNTIME_DIR").and_then(|path| path.canonicalize().ok());
    let is_below = |at: &Path| folder != at && folder.starts_with(at);
    if is_below(Path::new(CREDENTIALS)) || !(is_below(Path::new(RUN)) || of_the_user.as_deref().is_some_and(is_below)) {
        return None;
    }
    folder.parent().map(Path::to_owned)
}

/// The path, or the nearest above it that is there; canonical. None for the root directory, which would be everything.
fn existing(path: &Path) -> Option<PathBuf> {
    let found = path.ancestors().find_map(|path| path.canonicalize().ok())?;
    (found != Path::new("/")).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_reached_by_its_folder_and_a_link_by_both() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for name in ["a", "b"] {
            std::fs::create_dir(base.join(name)).unwrap();
        }
        std::fs::write(base.join("a/token"), "x").unwrap();
        std::os::unix::fs::symlink(base.join("a/token"), base.join("b/token")).unwrap();
        let mut reach = Reach::default();
        reach.file(&base.join("b/token"));
        assert_eq!(reach.read, [base.join("a"), base.join("b")].into());
        let mut device = Reach::default();
        device.file(Path::new("/dev/null"));
        assert_eq!(device.read, ["/dev/null".into()].into(), "not all devices");
        let mut later = Reach::default();
        later.file(&base.join("c/d/token"));
        assert_eq!(later.read, [base.clone()].into(), "what is yet to be made");
    }

    #[test]
    fn a_folder_that_holds_something_is_reached_alone_and_an_empty_one_by_the_one_above() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("store/more")).unwrap();
        std::fs::create_dir(base.join("empty")).unwrap();
        let of = |name: &str| {
            let mut reach = Reach::default();
            reach.folder(&base.join(name));
            reach.read
        };
        assert_eq!(of("store"), [base.join("store")].into());
        assert_eq!(of("empty"), [base.join("empty"), base.clone()].into());
        assert_eq!(of("none"), [base.clone()].into());
    }

    #[test]
    fn the_root_directory_is_never_reached_as_a_whole() {
        let mut reach = Reach::default();
        reach.file(Path::new("/no-such-file"));
        reach.folder(Path::new("/no-such-folder"));
        reach.writable(Path::new("/"));
        assert!(reach.read.is_empty() && reach.write.is_empty());
        assert_eq!(reach.unreachable.len(), 3);
    }

    #[test]
    fn a_folder_of_a_service_is_reached_by_the_one_above_and_that_of_credentials_is_not() {
        let above = |path: &str| above_what_is_made_anew(Path::new(path));
        assert_eq!(above("/run/agent"), Some("/run".into()));
        assert_eq!(above("/run/user/7/agent"), Some("/run/user/7".into()));
        for not in ["/run", "/runs/agent", "/etc/agent", "/run/credentials/hushfs.service"] {
            assert_eq!(above(not), None, "{not}");
        }
    }

    #[test]
    fn a_program_is_reached_by_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::write(base.join("az"), "").unwrap();
        for program in [base.join("az"), base.clone(), base.join("later")] {
            let mut reach = Reach::default();
            reach.program(&program);
            program::settle(&mut reach);
            assert_eq!(reach.programs, [base.clone()].into(), "{}", program.display());
        }
    }

    #[test]
    fn what_another_reaches_beyond_is_told() {
        let had = Reach { read: ["/a".into()].into(), connect: [443].into(), ..Reach::default() };
        let same = Reach { read: ["/a/b".into()].into(), connect: [443].into(), ..Reach::default() };
        assert!(had.lacks(&same).is_empty());
        let more = Reach { read: ["/ab".into()].into(), connect: [443, 8200].into(), ..Reach::default() };
        assert_eq!(had.lacks(&more), ["read /ab", "connect to port 8200"]);
        let later = Reach { unreachable: ["/later".into()].into(), ..Reach::default() };
        assert_eq!(had.lacks(&later), ["reach /later, which is not there yet"]);
        assert!(later.lacks(&later).is_empty());
    }
}
