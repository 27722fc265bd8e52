//! seccomp: which system calls may be made. What is in `system_calls` is let through, some of it only with harmless
//! arguments; everything else is answered with EPERM, and what is newer than the list with ENOSYS, so that libraries take
//! the older way.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use super::layer::{Layer, State};
use super::system_calls::{self, Number};

/// The setting.
pub const NAME: &str = "seccomp";
/// The first number that was free when the list was made (Linux 6.10), and how far what came and comes after it reaches.
const NEW: std::ops::Range<Number> = 463..512;
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<TargetArch> = Some(TargetArch::x86_64);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<TargetArch> = Some(TargetArch::aarch64);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: Option<TargetArch> = None;

type Rules = BTreeMap<Number, Vec<SeccompRule>>;

/// For this thread, and for those that it starts; for good. `starts_programs`: may programs be started?
///
/// # Errors
/// Where a kernel that has it refuses it.
pub fn enter(starts_programs: bool) -> io::Result<Layer> {
    let unavailable =
        |detail: &str| Layer { name: NAME.to_owned(), state: State::Unavailable, detail: detail.to_owned() };
    let Some(architecture) = ARCHITECTURE else { return Ok(unavailable("there is no list for this architecture")) };
    if !is_in_kernel() {
        return Ok(unavailable("it must be built in"));
    }
    let mut allowed = rules(starts_programs).map_err(io::Error::other)?;
    let for_programs = if starts_programs { ", for programs that are started too" } else { "" };
    let detail = format!("{} system calls{for_programs}", allowed.len());
    let errno = |errno: i32| SeccompAction::Errno(errno.unsigned_abs());
    let newer: Rules = NEW.chain(system_calls::OLDER_WAY.iter().copied()).map(|number| (number, Vec::new())).collect();
    // Of two filters the one counts that refuses. To take another is in no list, so the one that has it comes last.
    allowed.extend(newer.clone());
    for (rules, otherwise, matching) in
        [(newer, SeccompAction::Allow, errno(libc::ENOSYS)), (allowed, errno(libc::EPERM), SeccompAction::Allow)]
    {
        let filter = SeccompFilter::new(rules, otherwise, matching, architecture).map_err(io::Error::other)?;
        let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
        apply_filter(&program).map_err(io::Error::other)?;
    }
    Ok(Layer::on(NAME, detail))
}

pub fn is_available() -> bool {
    ARCHITECTURE.is_some() && is_in_kernel()
}

fn is_in_kernel() -> bool {
    // SAFETY: the option takes no pointer.
    let answer = unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) };
    // Any other error is of who forbids the question, and not of a kernel that lacks it.
    answer >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EINVAL)
}

fn rules(starts_programs: bool) -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = system_calls::ALWAYS.iter().map(|number| (*number, Vec::new())).collect();
    let own = u64::from(std::process::id());
    // Of limits its own, for who may signal a process may set its limits too, and end it so.
    let mut whose = vec![rule(0, [SeccompCmpOp::Eq], 0)?];
    if !starts_programs {
        whose.push(rule(0, [SeccompCmpOp::Eq], own)?);
    }
    rules.insert(libc::SYS_prlimit64, whose);
    none_of(&mut rules, libc::SYS_fcntl, 1, system_calls::FCNTL_THAT_SIGNALS)?;
    one_of(&mut rules, libc::SYS_socket, 0, system_calls::FAMILIES)?;
    if starts_programs {
        none_of(&mut rules, libc::SYS_ioctl, 1, system_calls::IOCTL_OF_NO_PROGRAM)?;
        // As the daemon's, with any argument: what they are is for Landlock to say, and none of them has more rights.
        rules.extend(system_calls::OF_PROGRAMS.iter().map(|number| (*number, Vec::new())));
        let no_namespace = [SeccompCmpOp::MaskedEq(system_calls::NEW_NAMESPACES)];
        rules.insert(libc::SYS_clone, vec![rule(0, no_namespace, 0)?]);
        return Ok(rules);
    }
    rules.insert(
        libc::SYS_clone,
        vec![rule(0, [SeccompCmpOp::MaskedEq(system_calls::A_THREAD)], system_calls::A_THREAD)?],
    );
    rules.insert(libc::SYS_tgkill, vec![rule(0, [SeccompCmpOp::Eq], own)?]);
    // No memory is both written and run. A file that was written may be mapped to be run: libraries that the C library
    // loads later are.
    let protections = |argument, allowed: &[i32]| {
        let all = u64::from((libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC).unsigned_abs());
        let of = |protection: &i32| rule(argument, [SeccompCmpOp::MaskedEq(all)], u64::from(protection.unsigned_abs()));
        allowed.iter().map(of).collect::<Result<Vec<_>, _>>()
    };
    let (none, read, write, run) = (libc::PROT_NONE, libc::PROT_READ, libc::PROT_WRITE, libc::PROT_EXEC);
    rules.insert(libc::SYS_mmap, protections(2, &[none, read, write, read | write, run, read | run])?);
    rules.insert(libc::SYS_mprotect, protections(2, &[none, read, write, read | write])?);
    one_of(&mut rules, libc::SYS_prctl, 0, system_calls::PRCTL)?;
    one_of(&mut rules, libc::SYS_ioctl, 1, system_calls::IOCTL)?;
    // Of what a file may be, nothing but who reads and writes it.
    for (number, argument) in system_calls::CHMOD {
        rules.insert(*number, vec![rule(*argument, [SeccompCmpOp::MaskedEq(0o7000)], 0)?]);
    }
    Ok(rules)
}

fn one_of(rules: &mut Rules, number: Number, argument: u8, values: &[u64]) -> Result<(), seccompiler::BackendError> {
    let of = |value: &u64| rule(argument, [SeccompCmpOp::Eq], *value);
    rules.insert(number, values.iter().map(of).collect::<Result<_, _>>()?);
    Ok(())
}

fn none_of(rules: &mut Rules, number: Number, argument: u8, values: &[u64]) -> Result<(), seccompiler::BackendError> {
    let not = |value: &u64| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, *value);
    rules.insert(number, vec![SeccompRule::new(values.iter().map(not).collect::<Result<_, _>>()?)?]);
    Ok(())
}

/// All of these hold for the lower half of an argument, the only one that the kernel looks at for those that are judged.
fn rule<const N: usize>(
    argument: u8,
    operators: [SeccompCmpOp; N],
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    let condition = |operator| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value);
    SeccompRule::new(operators.into_iter().map(condition).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lists_make_a_filter_that_the_kernel_takes() {
        for starts_programs in [false, true] {
            // For this thread alone, which ends with the test.
            let thread = std::thread::spawn(move || {
                rustix::thread::set_no_new_privs(true).unwrap();
                enter(starts_programs).unwrap()
            });
            assert_eq!(thread.join().unwrap().state, State::On);
        }
    }

    #[test]
    fn no_program_types_into_a_terminal_or_speaks_past_the_network() {
        let thread = std::thread::spawn(|| {
            let null = std::fs::File::open("/dev/null").unwrap();
            rustix::thread::set_no_new_privs(true).unwrap();
            enter(true).unwrap();
            let descriptor = std::os::fd::AsRawFd::as_raw_fd(&null);
            let byte = b"x".as_ptr();
            let errno = || std::io::Error::last_os_error().raw_os_error();
            // SAFETY: the byte outlives the call.
            let typed = (unsafe { libc::ioctl(descriptor, libc::TIOCSTI, byte) }, errno());
            // SAFETY: no memory is passed.
            let socket = (unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) }, errno());
            (typed, socket)
        });
        // To a file that is no terminal the kernel would say ENOTTY.
        assert_eq!(thread.join().unwrap(), ((-1, Some(libc::EPERM)), (-1, Some(libc::EPERM))));
    }

    #[test]
    fn who_forbids_the_question_does_not_pass_for_a_kernel_without_it() {
        let thread = std::thread::spawn(|| {
            let question = u64::from(libc::PR_GET_SECCOMP.unsigned_abs());
            let rules: Rules = [(libc::SYS_prctl, vec![rule(0, [SeccompCmpOp::Eq], question).unwrap()])].into();
            let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, ARCHITECTURE.unwrap()).unwrap();
            let program: BpfProgram = filter.try_into().unwrap();
            rustix::thread::set_no_new_privs(true).unwrap();
            apply_filter(&program).unwrap();
            enter(false).unwrap()
        });
        assert_eq!(thread.join().unwrap().state, State::On);
    }

    #[test]
    fn what_is_dangerous_is_in_no_list() {
        let dangerous = [
            libc::SYS_bpf,
            libc::SYS_delete_module,
            libc::SYS_finit_module,
            libc::SYS_fsopen,
            libc::SYS_init_module,
            libc::SYS_io_uring_setup,
            libc::SYS_kexec_load,
            libc::SYS_keyctl,
            libc::SYS_mount,
            libc::SYS_move_mount,
            libc::SYS_open_by_handle_at,
            libc::SYS_open_tree,
            libc::SYS_perf_event_open,
            libc::SYS_pivot_root,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_ptrace,
            libc::SYS_reboot,
            libc::SYS_setns,
            libc::SYS_setuid,
            libc::SYS_umount2,
            libc::SYS_unshare,
            libc::SYS_userfaultfd,
        ];
        for (starts_programs, also) in
            [(false, &[libc::SYS_execve, libc::SYS_execveat, libc::SYS_kill][..]), (true, &[])]
        {
            let rules = rules(starts_programs).unwrap();
            for number in dangerous.iter().chain(also) {
                assert!(!rules.contains_key(number), "{number}");
            }
        }
    }
}
