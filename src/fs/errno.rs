//! Every refusal has one errno, the closest there is; the reason in words is in the log and in status.

use crate::cache::Failure;
use crate::provider::ErrorKind;
use crate::tree::Refusal;

/// The errno that a caller gets, positive.
pub fn of(refusal: &Refusal) -> i32 {
    match refusal {
        Refusal::NoSuchEntry => libc::ENOENT,
        Refusal::NameTooLong => libc::ENAMETOOLONG,
        Refusal::NotADirectory => libc::ENOTDIR,
        Refusal::NotALink => libc::EINVAL,
        Refusal::NotPermitted { .. } => libc::EACCES,
        Refusal::Failed(failure) => of_failure(failure),
        Refusal::ReadOnly => libc::EROFS,
        Refusal::NoAttribute => libc::ENODATA,
        Refusal::BufferTooSmall => libc::ERANGE,
        Refusal::Unknown => libc::ESTALE,
        Refusal::NoMemory => libc::ENOMEM,
        Refusal::Interrupted => libc::EINTR,
        Refusal::NotRecorded | Refusal::Defect => libc::EIO,
    }
}

/// Every errno that an answer of ours may have; the first stands for what is none of the others.
pub const ALL: [i32; 20] = [
    libc::EIO,
    libc::ENOENT,
    libc::ENAMETOOLONG,
    libc::ENOTDIR,
    libc::EINVAL,
    libc::EACCES,
    libc::EINTR,
    libc::ENODATA,
    libc::ERANGE,
    libc::EROFS,
    libc::ESTALE,
    libc::ENOMEM,
    libc::EKEYEXPIRED,
    libc::ETIMEDOUT,
    libc::EKEYREJECTED,
    libc::EBUSY,
    libc::EHOSTUNREACH,
    libc::EFBIG,
    libc::ENOSYS,
    libc::EAGAIN,
];

/// What an errno of ours is called.
pub fn name(errno: i32) -> &'static str {
    match errno {
        libc::ENOENT => "ENOENT",
        libc::ENAMETOOLONG => "ENAMETOOLONG",
        libc::ENOTDIR => "ENOTDIR",
        libc::EINVAL => "EINVAL",
        libc::EACCES => "EACCES",
        libc::EINTR => "EINTR",
        libc::ENODATA => "ENODATA",
        libc::ERANGE => "ERANGE",
        libc::EROFS => "EROFS",
        libc::ESTALE => "ESTALE",
        libc::ENOMEM => "ENOMEM",
        libc::EKEYEXPIRED => "EKEYEXPIRED",
        libc::ETIMEDOUT => "ETIMEDOUT",
        libc::EKEYREJECTED => "EKEYREJECTED",
        libc::EBUSY => "EBUSY",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        libc::EFBIG => "EFBIG",
        libc::ENOSYS => "ENOSYS",
        libc::EAGAIN => "EAGAIN",
        _ => "EIO",
    }
}

fn of_failure(failure: &Failure) -> i32 {
    match failure {
        Failure::Provider(error) => of_kind(error.kind),
        Failure::Expired(_) => libc::EKEYEXPIRED,
        Failure::Deadline => libc::ETIMEDOUT,
    }
}

fn of_kind(kind: ErrorKind) -> i32 {
    match kind {
        ErrorKind::NotFound => libc::ENOENT,
        ErrorKind::Denied => libc::EACCES,
        ErrorKind::CredentialsRejected => libc::EKEYREJECTED,
        ErrorKind::Throttled => libc::EBUSY,
        ErrorKind::Unreachable => libc::EHOSTUNREACH,
        ErrorKind::TimedOut => libc::ETIMEDOUT,
        ErrorKind::TooLarge => libc::EFBIG,
        ErrorKind::Malformed => libc::EIO,
        ErrorKind::NoMemory => libc::ENOMEM,
    }
}
