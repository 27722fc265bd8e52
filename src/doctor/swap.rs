//! Could what the daemon or its readers have in memory be written to a disk?

use std::path::Path;

use super::finding::Finding;

const NAME: &str = "swap";
const OFF: &str =
    "swapoff -a, and take it out of /etc/fstab; or encrypt it with a key made anew at each boot (crypttab: swap)";

/// Of a daemon with all its memory locked, or that for values alone.
pub fn check(is_all_locked: bool) -> Vec<Finding> {
    let on_disk: Vec<String> = areas().into_iter().filter(|area| !stays_in_memory_or_is_encrypted(area)).collect();
    if on_disk.is_empty() {
        return vec![Finding::ok(NAME, "nothing that is swapped out could be read from a disk")];
    }
    let finding = Finding::note(NAME, format!("swap is on: {}", on_disk.join(", ")));
    if is_all_locked {
        let why = "all of the daemon's memory is locked, but the programs that read its values have copies";
        return vec![finding.why(why).mend(OFF)];
    }
    vec![
        finding
            .why(
                "hushfs locks its values, but not what libraries hold for a moment while they receive them; and the programs \
                 that read them have copies",
            )
            .mend(format!(
                "{OFF}; or for the daemon alone LimitMEMLOCK=infinity in its unit, by which all of its memory is locked, or \
                 MemorySwapMax=0"
            )),
    ]
}

/// Is there any that a value could get to in clear?
pub fn is_on() -> bool {
    areas().iter().any(|area| !stays_in_memory_or_is_encrypted(area))
}

/// The devices and files of `/proc/swaps`.
fn areas() -> Vec<String> {
    parse(&std::fs::read_to_string("/proc/swaps").unwrap_or_default())
}

fn parse(table: &str) -> Vec<String> {
    table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// zram keeps what it takes in memory, and of a device of dm-crypt the kernel says so.
fn stays_in_memory_or_is_encrypted(area: &str) -> bool {
    let device = std::fs::canonicalize(area).unwrap_or_else(|_| area.into());
    let Some(name) = device.strip_prefix("/dev").ok().and_then(Path::to_str) else { return false };
    let identifier = std::fs::read_to_string(format!("/sys/class/block/{name}/dm/uuid")).unwrap_or_default();
    name.starts_with("zram") || identifier.starts_with("CRYPT-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_as_proc_5_says() {
        let table = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/sda2                               partition\t9\t0\t-2\n/swap\\040file file\t9\t0\t-3\n";
        assert_eq!(parse(table), ["/dev/sda2", "/swap\\040file"]);
        assert!(parse("Filename Type\n").is_empty() && parse("").is_empty());
        assert!(stays_in_memory_or_is_encrypted("/dev/zram0"));
        assert!(!stays_in_memory_or_is_encrypted("/dev/sda2") && !stays_in_memory_or_is_encrypted("/swapfile"));
    }
}
