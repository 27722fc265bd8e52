//! Who may write the configuration: they decide who reads secrets, and where these come from.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::diagnostic::Diagnostic;
use super::validate::shell_word;
use crate::sandbox::owner;
use crate::words::escaped;

/// Of a mode. Where there are access control lists, the group's bit is set if anybody in them may write.
const GROUP_WRITES: u32 = 0o020;
const ALL_WRITE: u32 = 0o002;
/// In such a folder nobody takes away or replaces what is another's.
const STICKY: u32 = 0o1000;

/// Who may write these files, and add to the folders in which more of them may lie, besides root and the one who runs
/// hushfs: a warning for each. `folders` is empty where one file is all of the configuration.
pub fn warnings(files: &[PathBuf], folders: &[PathBuf]) -> Vec<Diagnostic> {
    let mut found: Vec<_> = files.iter().filter_map(|file| judge(file, "file", 0)).collect();
    found.extend(folders.iter().filter_map(|folder| judge(folder, "folder", 0)));
    if found.is_empty()
        && folders.is_empty()
        && let [file] = files
    {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Who may write there may put another file in its place.
        found.extend(judge(folder, "folder", STICKY));
    }
    found
}

/// `harmless` is what in its mode keeps others from harm though they may write. None where nothing is to be said, or
/// nothing is there.
fn judge(path: &Path, kind: &str, harmless: u32) -> Option<Diagnostic> {
    let found = std::fs::metadata(path).ok()?;
    let (uid, mode, us) = (found.uid(), found.mode() & 0o7777, owner().uid);
    let is_ours = uid == 0 || uid == us;
    let writes = |bit: u32| mode & bit != 0 && mode & harmless == 0;
    let mut who = Vec::new();
    if !is_ours {
        who.push(format!("its owner user {uid}"));
    }
    if writes(GROUP_WRITES) {
        who.push(format!("group {}", found.gid()));
    }
    if writes(ALL_WRITE) {
        who.push("everybody".to_owned());
    }
    if who.is_empty() {
        return None;
    }
    let (who, shown) = (who.join(" and "), escaped(&shell_word(path)));
    let mut warning =
        Diagnostic::warning(format!("this {kind} of the configuration may be written to by {who} (mode {mode:04o})"))
            .in_file(path)
            .note("whoever may write it decides who reads secrets, and where they come from");
    if !is_ours {
        let to = if us == 0 { "root".to_owned() } else { us.to_string() };
        warning = warning.help(format!("chown {to} {shown}"));
    }
    if writes(GROUP_WRITES | ALL_WRITE) {
        warning = warning.help(format!("chmod go-w {shown}"));
    }
    Some(warning)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_who_may_change_it_is_named_and_a_sticky_folder_keeps_a_file_but_lets_more_be_added() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, file) = (folder.path().join("inside"), folder.path().join("inside/file"));
        create_dir(&inside).unwrap();
        write(&file, "").unwrap();
        let told = |of_file: u32, of_folder: u32, is_listed: bool| -> Vec<String> {
            set_permissions(&file, Permissions::from_mode(of_file)).unwrap();
            set_permissions(&inside, Permissions::from_mode(of_folder)).unwrap();
            let folders = if is_listed { vec![inside.clone()] } else { Vec::new() };
            let found = warnings(std::slice::from_ref(&file), &folders);
            let group = format!("group {}", file.metadata().unwrap().gid());
            found.into_iter().map(|warning| warning.message.replace(&group, "group")).collect()
        };
        let may = |kind: &str, who: &str, mode: &str| {
            vec![format!("this {kind} of the configuration may be written to by {who} (mode {mode})")]
        };
        for (of_file, of_folder) in [(0o600, 0o700), (0o644, 0o755), (0o444, 0o555)] {
            assert!(told(of_file, of_folder, false).is_empty() && told(of_file, of_folder, true).is_empty());
        }
        assert_eq!(told(0o664, 0o755, false), may("file", "group", "0664"));
        assert_eq!(told(0o646, 0o755, false), may("file", "everybody", "0646"));
        assert_eq!(told(0o666, 0o777, false), may("file", "group and everybody", "0666"), "of the file alone");
        assert_eq!(told(0o644, 0o777, false), may("folder", "group and everybody", "0777"));
        assert!(told(0o644, 0o1777, false).is_empty());
        assert_eq!(told(0o644, 0o1777, true), may("folder", "group and everybody", "1777"));
    }

    #[test]
    fn what_is_to_be_typed_is_one_word_of_a_shell_whatever_the_file_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("$(id) 'a;b'.toml");
        write(&file, "").unwrap();
        set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        let [warning] = warnings(std::slice::from_ref(&file), &[folder.path().to_owned()]).try_into().unwrap();
        let in_quotes = file.display().to_string().replace('\'', r"'\''");
        assert_eq!(warning.helps, [format!("chmod go-w '{in_quotes}'")]);
    }
}
