//! A scope whose provider is `local`.

use super::files;
use super::section::Section;
use crate::config::diagnostic::Diagnostic;
use crate::config::settings::LocalSettings;
use crate::config::written::Item;

/// None without a usable `path`.
pub fn read(section: &Section<'_>, scope: &Item) -> Option<LocalSettings> {
    let allow_plaintext = section.boolean("allow_plaintext");
    if let (Some(true), Some(item)) = (allow_plaintext, section.get("allow_plaintext")) {
        section.add(
            Diagnostic::warning(format!(
                "{}: values may lie on the disk in plaintext",
                section.name("allow_plaintext")
            ))
            .at(item.key.clone())
            .help("encrypt the files with age and remove this setting"),
        );
    }
    let identity = section.path("identity").map(|(path, item)| {
        files::judge_identity(section, &path, item);
        path
    });
    if section.get("identity").is_none() && !allow_plaintext.unwrap_or(false) {
        section.add(
            Diagnostic::error(format!("{} has no `identity`", section.title()))
                .at(scope.place.clone())
                .label("expected the setting `identity`: the age identity file that decrypts this scope's files")
                .note("only with `allow_plaintext = true` may it be left out"),
        );
    }
    if section.get("path").is_none() {
        section.add(
            Diagnostic::error(format!("{} has no `path`", section.title()))
                .at(scope.place.clone())
                .label("expected the setting `path`: the folder of encrypted files"),
        );
    }
    let (path, item) = section.path("path")?;
    files::judge_store(section, &path, item);
    Some(LocalSettings { path, identity, allow_plaintext: allow_plaintext.unwrap_or(false) })
}
