//! Values that are longer than what slots of locked memory are shared for (16 KiB), and than the stack that is wiped
//! (128 KiB).

use super::{LONG, PATIENCE, flush};
use crate::support::backend::{Backend, KEEPS_WORN, SECRETS, read_all};
use crate::support::daemon::Place;
use crate::support::marked::Mark;
use crate::support::memory::{Kind, scan, scan_until};

const KIB: usize = 1024;

fn nothing_is_left_of(provider: &str, bytes: usize) {
    let (place, mark) = (Place::new(), Mark::new());
    // A part of any of these is found.
    let value = mark.value.repeat(bytes / mark.value.len());
    let backend = Backend::holding(provider, &place, &value);
    let daemon = backend.mount(&place, LONG, Some(KEEPS_WORN));
    read_all(&place, &mark, &value);
    assert!(scan(&daemon, &mark).of(Kind::Locked) >= SECRETS, "the scan finds what is there");
    flush(&place);
    let left = scan_until(&daemon, &mark, PATIENCE, |copies| copies.0.is_empty());
    assert!(left.0.is_empty(), "of {bytes} bytes: {left}: {:#?}", left.0.first());
    assert_eq!(daemon.stop().code(), Some(0));
}

#[cfg(feature = "vault")]
#[test]
fn nothing_is_left_of_a_long_value_from_vault() {
    nothing_is_left_of("vault", 20 * KIB);
}

#[cfg(feature = "vault")]
#[test]
fn nothing_is_left_of_a_very_long_value_from_vault() {
    nothing_is_left_of("vault", 300 * KIB);
}

#[cfg(feature = "aws")]
#[test]
fn nothing_is_left_of_a_long_value_from_aws_secrets_manager() {
    nothing_is_left_of("aws-secrets-manager", 20 * KIB);
}

/// The service itself takes 64 KiB; that it is not asked for more is not for us to rely on.
#[cfg(feature = "aws")]
#[test]
fn nothing_is_left_of_a_very_long_value_from_aws_secrets_manager() {
    nothing_is_left_of("aws-secrets-manager", 300 * KIB);
}
