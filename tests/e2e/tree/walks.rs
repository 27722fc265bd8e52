//! Programs that walk the tree see every value once.

use std::collections::BTreeMap;
use std::path::Path;

use super::sh;
use crate::support::daemon::Place;
use crate::support::plain::PlainStore;

fn filled(place: &Place) -> (PlainStore, BTreeMap<String, String>) {
    let store = PlainStore::new(place.path(), "store");
    let mut files = BTreeMap::new();
    for (secret, file) in
        [("a", "a.json"), ("team/b", "team/b.json"), ("team/deep/er/c", "team/deep/er/c.json"), ("team", "team.json")]
    {
        let value = |key: &str| format!("needle {secret} {key}\n");
        let object = serde_json::json!({"one": value("one"), "two": value("two")});
        store.put(file, object.to_string().as_bytes());
        for key in ["one", "two"] {
            files.insert(format!("prod/{secret}/{key}"), value(key));
        }
    }
    (store, files)
}

#[test]
fn find_du_grep_tar_cp_and_python_agree() {
    let place = Place::new();
    let (store, files) = filled(&place);
    let _daemon = place.mount(&store.scope("prod"));
    let mnt = place.mnt();
    let paths: String = files.keys().map(|path| format!("{path}\n")).collect();
    let lines: String = files.iter().map(|(path, value)| format!("{path}:{value}")).collect();
    let sizes: usize = files.values().map(String::len).sum();
    assert_eq!(sh("cd \"$1\"; find * -type f | LC_ALL=C sort", &mnt), paths);
    assert_eq!(sh("cd \"$1\"; find * -noleaf -type f -readable | LC_ALL=C sort", &mnt), paths);
    assert_eq!(sh("cd \"$1\"; grep -r needle * | LC_ALL=C sort", &mnt), lines);
    assert_eq!(
        sh("cd \"$1\"; shopt -s globstar; for f in **; do test -d \"$f\" || echo \"$f\"; done | LC_ALL=C sort", &mnt),
        paths
    );
    assert_eq!(sh("find \"$1\" -type f -printf '%s\\n' | paste -sd+ | bc", &mnt), format!("{sizes}\n"));
    assert_eq!(sh("find \"$1\" -printf '%i\\n' | sort | uniq -d", &mnt), "");
    assert_eq!(sh("du -sb --apparent-size \"$1\" | cut -f1", &mnt), format!("{sizes}\n"));
    assert_eq!(sh("cd \"$1\"; tar -cf - * | tar -tf - | grep -v '/$' | LC_ALL=C sort", &mnt), paths);
    assert_eq!(sh("ls -laR \"$1\" | grep -c '^-r--------'", &mnt), format!("{}\n", files.len()));
    let walk = "import os,sys\nfor d, _, fs in os.walk(sys.argv[1]):\n for f in fs: print(os.path.relpath(os.path.join(d, f), sys.argv[1]))";
    assert_eq!(sh(&format!("python3 -c '{walk}' \"$1\" | LC_ALL=C sort"), &mnt), paths);
    same_copy(&place, "cp -a \"$1\" \"$1/../copy\"", &files);
    same_copy(&place, "mkdir \"$1/../copy\"; cd \"$1\"; tar -cf - . | tar -C ../copy -xf -", &files);
    same_copy(&place, "cp -rL \"$1\" \"$1/../copy\"", &files);
}

/// Makes a copy of the mount at `copy`, compares, and removes it.
fn same_copy(place: &Place, script: &str, files: &BTreeMap<String, String>) {
    sh(script, &place.mnt());
    let copy = place.path().join("copy");
    for (path, value) in files {
        assert_eq!(std::fs::read_to_string(copy.join(path)).unwrap(), *value, "{script}: {path}");
    }
    assert_eq!(sh("diff -r \"$1\" \"$1/../mnt\"", &copy), "");
    sh("chmod -R u+w \"$1\"; rm -r \"$1\"", &copy);
}

#[test]
fn a_working_directory_in_the_tree_has_a_path_and_a_parent() {
    let place = Place::new();
    let (store, _) = filled(&place);
    let _daemon = place.mount(&store.scope("prod"));
    let at: &Path = &place.mnt().join("prod/team/deep/er");
    assert_eq!(
        sh("cd \"$1\"; pwd -P; cat ../../b/one; cat c/../c/two; readlink -f c/one", at),
        format!("{0}\nneedle team/b one\nneedle team/deep/er/c two\n{0}/c/one\n", at.display())
    );
    assert_eq!(
        sh("cd \"$1\"; stat -c %i . ; stat -c %i ../er", at).lines().collect::<std::collections::HashSet<_>>().len(),
        1
    );
}
