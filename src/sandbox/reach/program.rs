//! Programs that are started: by their folder, since an upgrade replaces them, unless something is written there. What the
//! daemon writes is not to be started.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Reach, existing, with_target};

/// The kernel reads no more of the first line.
const FIRST_LINE: u64 = 256;

/// To be called when all that is written is known.
pub fn settle(reach: &mut Reach) {
    for program in std::mem::take(&mut reach.started).iter().flat_map(|program| with_target(program)) {
        match program.parent().and_then(existing) {
            Some(folder) if is_written(reach, &folder) => match program.canonicalize() {
                Ok(found) => {
                    reach.programs.extend(interpreter(&found));
                    reach.programs.insert(found);
                }
                Err(_) => drop(reach.unreachable.insert(program)),
            },
            Some(folder) => drop(reach.programs.insert(folder)),
            None => drop(reach.unreachable.insert(program)),
        }
    }
}

/// Is something there, or above, or below it, that the daemon may write?
fn is_written(reach: &Reach, folder: &Path) -> bool {
    reach.write.iter().any(|written| written.starts_with(folder) || folder.starts_with(written))
}

/// What a script is run by.
fn interpreter(program: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    std::fs::File::open(program).ok()?.take(FIRST_LINE).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let word = line.trim_ascii_start().split(u8::is_ascii_whitespace).next()?;
    Path::new(OsStr::from_bytes(word)).canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_something_is_written_the_program_is_started_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("bin/log")).unwrap();
        let program = base.join("bin/get");
        std::fs::write(&program, "#! /bin/sh -e\n").unwrap();
        let shell = Path::new("/bin/sh").canonicalize().unwrap();
        for written in [base.join("bin/log"), base.join("bin"), base.clone()] {
            let mut reach = Reach { write: [written].into(), ..Reach::default() };
            reach.program(&program);
            settle(&mut reach);
            assert_eq!(reach.programs, [program.clone(), shell.clone()].into());
        }
        let mut reach = Reach { write: [base.join("elsewhere")].into(), ..Reach::default() };
        reach.program(&program);
        settle(&mut reach);
        assert_eq!(reach.programs, [base.join("bin")].into());
    }
}
