//! To whom `/proc` shows the processes of others (`hidepid=`, proc(5)).

use std::fs;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    All,
    /// To who is in this group.
    ToGroup(u32),
    /// To who may trace them.
    ToTracers,
}

pub fn shows() -> Shows {
    of(&fs::read_to_string("/proc/self/mounts").unwrap_or_default())
}

/// By a table of mounts. Where `gid=` is not shown it is root's group.
fn of(table: &str) -> Shows {
    let of_proc = |line: &&str| line.split(' ').nth(1) == Some("/proc");
    // The last is on top.
    let Some(line) = table.lines().rfind(of_proc) else { return Shows::All };
    let options = line.split(' ').nth(3).unwrap_or_default();
    let option = |name: &str| options.split(',').find_map(|option| option.strip_prefix(name));
    match option("hidepid=") {
        None | Some("0" | "off") => Shows::All,
        Some("4" | "ptraceable") => Shows::ToTracers,
        Some(_) => option("gid=").map_or(Some(0), |group| group.parse().ok()).map_or(Shows::ToTracers, Shows::ToGroup),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_hidden_from_who_is_not_in_the_group_that_sees_them() {
        let of_proc = |options: &str| of(&format!("proc /proc proc {options} 0 0\n"));
        assert_eq!((of_proc("rw,nosuid"), of_proc("rw,hidepid=off"), of("")), (Shows::All, Shows::All, Shows::All));
        assert_eq!(of_proc("rw,hidepid=invisible"), Shows::ToGroup(0));
        assert_eq!(of_proc("rw,gid=4,hidepid=noaccess"), Shows::ToGroup(4));
        assert_eq!(of_proc("rw,gid=4,hidepid=ptraceable"), Shows::ToTracers, "no group sees these");
        let two = "proc /proc proc rw,hidepid=2 0 0\nproc /proc proc rw 0 0\n";
        assert_eq!(of(two), Shows::All, "the one on top counts");
    }
}
