//! `[audit]`

use std::path::Path;

use super::section::Section;
use crate::config::diagnostic::Diagnostic;
use crate::config::settings::AuditSettings;
use crate::config::written::Item;

pub fn read(section: &Section<'_>, mountpoint: &Path) -> AuditSettings {
    let audit = AuditSettings {
        file: section.path("file").map(|(path, item)| {
            judge_file(section, &path, mountpoint, item);
            path
        }),
        journald: section.boolean("journald").unwrap_or(false),
        stderr: section.boolean("stderr").unwrap_or(false),
        required: section.boolean("required").unwrap_or(false),
    };
    let no_sink = section.get("file").is_none() && !audit.journald && !audit.stderr;
    if let (true, true, Some(item)) = (audit.required, no_sink, section.get("required")) {
        section.add(
            Diagnostic::error(format!("{} and nowhere to write records", section.name("required")))
                .at(item.place.clone())
                .label("every read would be refused")
                .help("set `file`, or `journald = true`, or `stderr = true`"),
        );
    }
    audit
}

/// The file itself may be made later, and anything that lines can be written to may stand in for it.
fn judge_file(section: &Section<'_>, path: &Path, mountpoint: &Path, item: &Item) {
    if path.starts_with(mountpoint) {
        section.refuse("file", item, "a file outside the mountpoint: the tree is read-only");
        return;
    }
    let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    let problem = if path.is_dir() {
        Diagnostic::error(format!("{} is a directory", section.name("file"))).label("expected a file in a directory")
    } else if is_link {
        Diagnostic::error(format!("{} is a symbolic link", section.name("file")))
            .label("links are not followed: whoever may change one could send the records elsewhere")
    } else if path.parent().is_some_and(|directory| !directory.is_dir()) {
        Diagnostic::warning(format!("the directory of {} is not there", section.name("file")))
            .label("no record can be written until it is")
    } else {
        return;
    };
    section.add(problem.at(item.place.clone()));
}
