//! From a path to a configuration, or to a report of everything that is wrong with it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::diagnostic::Diagnostic;
use super::read::{os_message, read};
use super::report::Report;
use super::settings::Config;
use super::written::Table;
use super::{merged, validate, writers, written};

/// Where the configuration is unless a command says otherwise.
pub const DEFAULT_DIRECTORY: &str = "/etc/hushfs";

/// Where a configuration is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `/etc/hushfs/hushfs.toml` and `/etc/hushfs/conf.d/*.toml`; one of them must be there.
    Default,
    /// The same below another directory.
    Directory(PathBuf),
    /// This file and nothing else.
    File(PathBuf),
}

impl Source {
    /// The file that the command line names, or the default.
    pub fn new(file: Option<&Path>) -> Self {
        file.map_or(Self::Default, |file| Self::File(file.to_owned()))
    }

    /// None where one file is all.
    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Default => Some(Path::new(DEFAULT_DIRECTORY)),
            Self::Directory(directory) => Some(directory),
            Self::File(_) => None,
        }
    }
}

/// A configuration that holds together, and what about it should give pause.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// Warnings alone; often empty.
    pub warnings: Report,
}

/// Reads, merges and validates.
///
/// # Errors
///
/// A report with at least one error; it holds the warnings as well.
pub fn load(source: &Source) -> Result<Loaded, Report> {
    judged(source, |_| true)
}

/// The same whatever is the matter with the files that it names: for who makes them, and for who needs none but one
/// scope's, which whoever opens them judges.
///
/// # Errors
///
/// As for [`load`].
pub fn load_without_files(source: &Source) -> Result<Loaded, Report> {
    judged(source, |problem| !problem.is_of_a_file)
}

/// `counts`: does a problem that was found in what is written count?
fn judged(source: &Source, counts: impl Fn(&Diagnostic) -> bool) -> Result<Loaded, Report> {
    let paths = match source {
        Source::Default => files_below(Path::new(DEFAULT_DIRECTORY)),
        Source::Directory(directory) => files_below(directory),
        Source::File(file) => Ok(vec![file.clone()]),
    }
    .map_err(|problem| Report::new(vec![*problem]))?;

    let mut problems = Vec::new();
    let mut tables: Vec<Table> = Vec::new();
    for (order, path) in paths.iter().enumerate() {
        match read(path, order).and_then(|file| written::parse(&file)) {
            Ok(table) => tables.push(table),
            Err(problem) => problems.push(*problem),
        }
    }
    if !problems.is_empty() {
        return Err(Report::new(problems));
    }
    problems.extend(tables.iter().zip(&paths).filter_map(|(table, path)| weakens(table, path, source)));
    let mut whole = Table::new();
    for table in tables {
        merged::merge(&mut whole, table, &mut problems);
    }
    let (config, found) = validate::validate(&whole);
    problems.extend(found.into_iter().filter(counts));
    // Beside anything else this would be noise: the scope may be what is misspelt.
    if let (true, true, Some(file)) = (problems.is_empty(), config.scopes.is_empty(), paths.first()) {
        problems.push(
            Diagnostic::warning("there is no scope: the mount will be empty")
                .in_file(file)
                .help("define one: a table [scopes.NAME] with the setting `provider`"),
        );
    }
    let folders = source.directory().map_or_else(Vec::new, |directory| vec![directory.to_owned(), conf_d(directory)]);
    problems.extend(writers::warnings(&paths, &folders));

    let report = Report::new(problems);
    if report.has_errors() { Err(report) } else { Ok(Loaded { config, warnings: report }) }
}

/// Where what more than one file says adds up, the one that says what the daemon gives up is the first: whoever may add a
/// file that defines a scope is not to let it do more than this host's administrator has said.
fn weakens(table: &Table, path: &Path, source: &Source) -> Option<Diagnostic> {
    const SECTION: &str = "sandbox";
    let main = main_file(source.directory()?);
    let item = table.get(SECTION).filter(|_| path != main)?;
    Some(
        Diagnostic::error("[sandbox] may stand in the main file alone")
            .at(item.key.clone())
            .label("a file of conf.d takes nothing from what the daemon gives up")
            .help(format!("move it to {}", main.display())),
    )
}

fn main_file(directory: &Path) -> PathBuf {
    directory.join("hushfs.toml")
}

fn conf_d(directory: &Path) -> PathBuf {
    directory.join("conf.d")
}

/// `hushfs.toml`, then `conf.d/*.toml` in the order of their names.
fn files_below(directory: &Path) -> Result<Vec<PathBuf>, Box<Diagnostic>> {
    let main = main_file(directory);
    let conf_d = conf_d(directory);
    let mut files = match conf_d.read_dir() {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .filter(|path| path.as_ref().map_or(true, |path| is_part(path)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unlistable(&conf_d, &error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(unlistable(&conf_d, &error)),
    };
    files.sort();
    // A main file that is there and cannot be looked at is for `read` to complain of.
    if !matches!(main.try_exists(), Ok(false)) || main.is_symlink() {
        files.insert(0, main);
    } else if files.is_empty() {
        return Err(Diagnostic::error("there is no configuration")
            .in_file(&main)
            .note(format!("`{}` holds no *.toml either", conf_d.display()))
            .help("make one: the shipped hushfs.toml has every setting with its default, all commented out")
            .help("or name another file: --config FILE")
            .into());
    }
    Ok(files)
}

/// `.toml` files but hidden ones, which editors and package managers leave behind.
fn is_part(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("toml"))
        && path.file_name().is_some_and(|name| name.as_bytes().first() != Some(&b'.'))
}

fn unlistable(conf_d: &Path, error: &std::io::Error) -> Box<Diagnostic> {
    Diagnostic::error("the directory of further configuration files cannot be listed")
        .in_file(conf_d)
        .note(os_message(error))
        .into()
}
