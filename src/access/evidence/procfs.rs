//! `/proc`: whether it is about the same processes as we are, and how it shows groups.

use std::fs;
use std::sync::OnceLock;

/// Does this `/proc` number processes as requests do? In a pid namespace with the `/proc` of another, the
/// same number means somebody else.
pub fn is_ours() -> bool {
    static OURS: OnceLock<bool> = OnceLock::new();
    *OURS.get_or_init(|| {
        let own = std::process::id().to_string();
        fs::read_link("/proc/self").is_ok_and(|pid| pid.as_os_str() == own.as_str())
    })
}

/// How a group that has no number in our user namespace is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmapped {
    /// There is none: every group has its number.
    None,
    /// As this number, which nothing else has.
    As(u32),
    /// As this number, which is also a real group's; or as who knows what.
    Like(Option<u32>),
}

pub fn unmapped() -> Unmapped {
    static UNMAPPED: OnceLock<Unmapped> = OnceLock::new();
    *UNMAPPED.get_or_init(|| {
        let overflow = fs::read_to_string("/proc/sys/kernel/overflowgid").unwrap_or_default();
        judge(&fs::read_to_string("/proc/self/gid_map").unwrap_or_default(), overflow.trim().parse().ok())
    })
}

fn judge(map: &str, overflow: Option<u32>) -> Unmapped {
    // Lines of: the first number inside, the first outside, how many.
    let ranges: Option<Vec<(u64, u64)>> = map
        .lines()
        .map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(|number| number.parse::<u64>().ok());
            let (first, _, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
            Some((first, first.saturating_add(count)))
        })
        .collect();
    let (Some(ranges), Some(overflow)) = (ranges, overflow) else { return Unmapped::Like(None) };
    if ranges.contains(&(0, u64::from(u32::MAX))) {
        Unmapped::None
    } else if ranges.iter().any(|(first, end)| (*first..*end).contains(&u64::from(overflow))) {
        Unmapped::Like(Some(overflow))
    } else {
        Unmapped::As(overflow)
    }
}

/// The groups that really are the thread's, of those shown. None if that cannot be told.
pub fn real_groups(mut shown: Vec<u32>, unmapped: Unmapped) -> Option<Vec<u32>> {
    match unmapped {
        Unmapped::None => Some(shown),
        Unmapped::As(number) => {
            shown.retain(|group| *group != number);
            Some(shown)
        }
        Unmapped::Like(Some(number)) => (!shown.contains(&number)).then_some(shown),
        Unmapped::Like(None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_a_number_here_is_never_taken_for_one_that_has_it() {
        let all = "         0          0 4294967295\n";
        let one = "         0       1000          1\n";
        let many = "0 1000 1\n1 100000 65536\n";
        let groups = || vec![0, 5, 65534];
        let real = |map| real_groups(groups(), judge(map, Some(65534)));
        assert_eq!(real(all), Some(vec![0, 5, 65534]));
        assert_eq!(real(one), Some(vec![0, 5]));
        assert_eq!(real(many), None);
        assert_eq!(real_groups(vec![0, 5], judge(many, Some(65534))), Some(vec![0, 5]));
        assert_eq!(real_groups(groups(), judge(all, None)), None);
        assert_eq!(real_groups(groups(), judge("nonsense", Some(65534))), None);
        assert_eq!(real(""), Some(vec![0, 5]));
    }
}
