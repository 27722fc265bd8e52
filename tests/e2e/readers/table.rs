//! The programs, how each is made to read a file, and what it must make of it.

/// What a reader must have written when it has read a value.
#[derive(Clone, Copy)]
pub enum Expected {
    /// The value.
    Same,
    /// What a shell variable can hold of it: no NULs, and no newlines at the end.
    Variable,
    /// The number of its bytes, and a newline.
    Length,
    /// `yes` or `no`, and a newline.
    NotEmpty,
    /// The last bytes.
    Last(usize),
    /// Without the first bytes.
    Without(usize),
}

/// How a program is run: with `$1` to `$3`, or triples of them, for the secret, the output and a copy of the
/// value on an ordinary file system.
pub enum How {
    /// A script for this shell, run once for all values in a loop.
    Script(&'static str, &'static str),
    /// One of the programs beside this file, and the way to read that it is told.
    Program(&'static str, &'static str),
}

pub struct Reader {
    pub name: &'static str,
    pub how: How,
    pub expected: Expected,
    /// The programs it needs and the Debian package that has them.
    pub needs: &'static [(&'static str, &'static str)],
}

const fn sh(
    name: &'static str,
    script: &'static str,
    expected: Expected,
    needs: &'static [(&'static str, &'static str)],
) -> Reader {
    Reader { name, how: How::Script("sh", script), expected, needs }
}

const fn program(
    name: &'static str,
    file: &'static str,
    way: &'static str,
    needs: &'static [(&'static str, &'static str)],
) -> Reader {
    Reader { name, how: How::Program(file, way), expected: Expected::Same, needs }
}

use Expected::{Last, Length, NotEmpty, Same, Variable, Without};

const COREUTILS: &[(&str, &str)] = &[("cat", "coreutils")];
const BASH: &[(&str, &str)] = &[("bash", "bash")];
const PERL: &[(&str, &str)] = &[("perl", "perl")];
const OPENSSL: &[(&str, &str)] = &[("openssl", "openssl")];
const GIT: &[(&str, &str)] = &[("git", "git")];
const PYTHON: &[(&str, &str)] = &[("python3", "python3")];
const NODE: &[(&str, &str)] = &[("node", "nodejs")];
const JAVA: &[(&str, &str)] = &[("java", "default-jdk-headless")];

const fn bash(name: &'static str, script: &'static str, expected: Expected) -> Reader {
    Reader { name, how: How::Script("bash", script), expected, needs: BASH }
}

pub const READERS: &[Reader] = &[
    sh("cat", r#"cat "$1" > "$2""#, Same, COREUTILS),
    sh("cat of standard input", r#"cat < "$1" > "$2""#, Same, COREUTILS),
    sh("cp", r#"cp "$1" "$2""#, Same, COREUTILS),
    sh("cp -r of the directory", r#"cp -r "${1%/*}" "$2.d"; chmod u+w "$2.d"; mv "$2.d/value" "$2""#, Same, COREUTILS),
    sh("cp --preserve=all", r#"cp --preserve=all "$1" "$2""#, Same, COREUTILS),
    sh("cp --sparse=always", r#"cp --sparse=always "$1" "$2""#, Same, COREUTILS),
    sh("install", r#"install -m 600 "$1" "$2""#, Same, COREUTILS),
    sh("tar", r#"tar -C "${1%/*}" -cf "$2.tar" .; tar -xOf "$2.tar" ./value > "$2""#, Same, &[("tar", "tar")]),
    sh("tar of the file", r#"tar -C "${1%/*}" -cf "$2.tar" value; tar -xOf "$2.tar" > "$2""#, Same, &[("tar", "tar")]),
    sh("wc -c", r#"wc -c < "$1" > "$2""#, Length, COREUTILS),
    sh("wc -c of a name", r#"wc -c "$1" | cut -d' ' -f1 > "$2""#, Length, COREUTILS),
    sh("stat", r#"stat -c %s "$1" > "$2""#, Length, COREUTILS),
    sh("head -c", r#"head -c 10000000 "$1" > "$2""#, Same, COREUTILS),
    sh("head -n", r#"head -n 10000000 "$1" > "$2""#, Same, COREUTILS),
    sh("head -c minus", r#"{ head -c -1 "$1"; tail -c 1 "$1"; } > "$2""#, Same, COREUTILS),
    sh("tail -c", r#"tail -c 100 "$1" > "$2""#, Last(100), COREUTILS),
    sh("tail -c 5000", r#"tail -c 5000 "$1" > "$2""#, Last(5000), COREUTILS),
    sh("tail -c plus", r#"tail -c +4 "$1" > "$2""#, Without(3), COREUTILS),
    sh("tail -n", r#"tail -n 10000000 "$1" > "$2""#, Same, COREUTILS),
    sh("dd", r#"dd if="$1" of="$2" status=none"#, Same, COREUTILS),
    sh("dd bs=4097", r#"dd if="$1" of="$2" bs=4097 status=none"#, Same, COREUTILS),
    sh("dd bs=4M", r#"dd if="$1" of="$2" bs=4M status=none"#, Same, COREUTILS),
    sh("dd skip", r#"dd if="$1" of="$2" bs=1000 skip=3 iflag=skip_bytes status=none"#, Without(3), COREUTILS),
    sh("dd iflag=direct", r#"dd if="$1" of="$2" bs=4096 iflag=direct status=none"#, Same, COREUTILS),
    sh("test -s", r#"if test -s "$1"; then echo yes; else echo no; fi > "$2""#, NotEmpty, COREUTILS),
    sh("sh read by cat", r#"v=$(cat "$1" | tr -d '\000'); printf %s "$v" > "$2""#, Variable, COREUTILS),
    sh("base64", r#"base64 "$1" | base64 -d > "$2""#, Same, COREUTILS),
    sh(
        "sha256sum",
        r#"printf '%s  %s\n' "$(sha256sum < "$3" | cut -d' ' -f1)" "$1" | sha256sum -c - && cp "$3" "$2""#,
        Same,
        COREUTILS,
    ),
    sh(
        "split",
        r#"split -b 100000 "$1" "$2.part."; cat /dev/null "$2".part.* > "$2" 2> /dev/null || test ! -s "$3""#,
        Same,
        COREUTILS,
    ),
    sh("cmp", r#"cmp "$1" "$3"; cp "$3" "$2""#, Same, &[("cmp", "diffutils")]),
    sh("diff", r#"diff -q "$1" "$3"; cp "$3" "$2""#, Same, &[("diff", "diffutils")]),
    sh("gzip", r#"gzip -c "$1" | gzip -dc > "$2""#, Same, &[("gzip", "gzip")]),
    sh(
        "grep -c",
        r#"grep -ac '' "$1" > "$2.count" || true; grep -ac '' "$3" > "$2.right" || true; cmp "$2.count" "$2.right"; cp "$3" "$2""#,
        Same,
        &[("grep", "grep")],
    ),
    sh("sed", r#"sed -n p "$1" > "$2""#, Same, &[("sed", "sed")]),
    bash("bash $(<f)", r#"v=$(<"$1"); printf %s "$v" > "$2""#, Variable),
    bash("bash mapfile", r#"mapfile -d '' v < "$1"; printf %s "${v[*]:0}" > /dev/null; cp "$1" "$2""#, Same),
    sh(
        "perl slurp",
        r#"perl -e 'local $/; open F, "<:raw", $ARGV[0] or die; $v = <F>; print $v' "$1" > "$2""#,
        Same,
        PERL,
    ),
    sh(
        "perl -s",
        r#"perl -e 'open F, "<:raw", $ARGV[0] or die; read F, $v, -s $ARGV[0]; print $v' "$1" > "$2""#,
        Same,
        PERL,
    ),
    sh(
        "perl sysread",
        r#"perl -e 'open F, "<:raw", $ARGV[0] or die; while (sysread F, $v, 3000) { print $v }' "$1" > "$2""#,
        Same,
        PERL,
    ),
    sh("perl File::Copy", r#"perl -MFile::Copy -e 'copy(@ARGV) or die' "$1" "$2""#, Same, PERL),
    sh("openssl base64", r#"openssl base64 -in "$1" | openssl base64 -d > "$2""#, Same, OPENSSL),
    sh(
        "openssl dgst",
        r#"[ "$(openssl dgst -r "$1" | cut -d' ' -f1)" = "$(openssl dgst -r "$3" | cut -d' ' -f1)" ]; cp "$3" "$2""#,
        Same,
        OPENSSL,
    ),
    sh("curl file://", r#": > "$2"; curl -sS -o "$2" "file://$1""#, Same, &[("curl", "curl")]),
    sh(
        "git hash-object",
        r#"[ "$(git hash-object --no-filters "$1")" = "$(git hash-object --no-filters "$3")" ]; cp "$3" "$2""#,
        Same,
        GIT,
    ),
    sh("git diff --no-index", r#"git diff --no-index --quiet "$1" "$3"; cp "$3" "$2""#, Same, GIT),
    program("python read", "read.py", "whole", PYTHON),
    program("python read_bytes", "read.py", "read_bytes", PYTHON),
    program("python lines", "read.py", "lines", PYTHON),
    program("python unbuffered pieces", "read.py", "unbuffered_pieces", PYTHON),
    program("python stat, then read", "read.py", "stat_then_read", PYTHON),
    program("python fstat, then read", "read.py", "fstat_then_read", PYTHON),
    program("python seek to the end", "read.py", "seek_end", PYTHON),
    program("python pread backwards", "read.py", "backwards", PYTHON),
    program("python two descriptors", "read.py", "two_descriptors", PYTHON),
    program("python readv", "read.py", "vectors", PYTHON),
    program("python mmap shared", "read.py", "mmap_shared", PYTHON),
    program("python mmap private", "read.py", "mmap_private", PYTHON),
    program("python sendfile", "read.py", "sendfile", PYTHON),
    program("python splice", "read.py", "splice", PYTHON),
    program("python copy_file_range", "read.py", "copy_file_range", PYTHON),
    program("python copyfile", "read.py", "copyfile", PYTHON),
    program("python zipfile", "read.py", "zipped", PYTHON),
    program("node readFileSync", "read.mjs", "readFileSync", NODE),
    program("node readFile", "read.mjs", "readFile", NODE),
    program("node stream", "read.mjs", "stream", NODE),
    program("node copyFileSync", "read.mjs", "copyFileSync", NODE),
    program("node stat, then read", "read.mjs", "statThenRead", NODE),
    program("java readAllBytes", "Read.java", "readAllBytes", JAVA),
    program("java stream", "Read.java", "stream", JAVA),
    program("java available", "Read.java", "available", JAVA),
    program("java length", "Read.java", "length", JAVA),
    program("java map", "Read.java", "map", JAVA),
    program("java Files.copy", "Read.java", "copy", JAVA),
];
