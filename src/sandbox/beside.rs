//! Which layers hold of the processes beside the daemon, too. They are told with their arguments.

use std::ffi::OsString;

use crate::config::SandboxSettings;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beside {
    pub no_new_privileges: bool,
    pub capabilities: bool,
    pub landlock: bool,
}

impl Beside {
    pub fn of(settings: &SandboxSettings) -> Self {
        let SandboxSettings { no_new_privileges, capabilities, landlock, .. } = *settings;
        Self { no_new_privileges, capabilities, landlock }
    }

    pub fn arguments(self) -> [String; 3] {
        [self.no_new_privileges, self.capabilities, self.landlock].map(|flag| flag.to_string())
    }

    /// The first of these arguments; None where they are others.
    pub fn from_arguments(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut flag = || arguments.next()?.to_str()?.parse::<bool>().ok();
        Some(Self { no_new_privileges: flag()?, capabilities: flag()?, landlock: flag()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_for_the_daemon_is_off_in_the_processes_beside_it() {
        for (no_new_privileges, capabilities, landlock) in
            [(false, true, true), (true, false, true), (true, true, false), (false, false, false)]
        {
            let settings = SandboxSettings { no_new_privileges, capabilities, landlock, ..SandboxSettings::default() };
            let told = Beside::of(&settings);
            assert_eq!(told, Beside { no_new_privileges, capabilities, landlock });
            assert_eq!(Beside::from_arguments(told.arguments().into_iter().map(OsString::from)), Some(told));
        }
        assert_eq!(Beside::from_arguments(["true", "true"].into_iter().map(OsString::from)), None);
    }
}
