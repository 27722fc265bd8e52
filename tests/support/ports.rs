//! Ports of loopback for servers that are told theirs, and for where nobody listens. No other test of a run by nextest is
//! given them, and they are below those that the kernel gives to who asks for any.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 10_000;
const SLOTS: u16 = 200;
const EACH: u16 = 100;

pub fn free() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // One running test's alone.
    let slot = std::env::var("NEXTEST_TEST_GLOBAL_SLOT").ok().and_then(|it| it.parse::<u16>().ok()).unwrap_or(0);
    let first = FIRST + slot % SLOTS * EACH;
    // Not the ports of the test before in this slot, whose connections may linger.
    let start = (std::process::id() % u32::from(EACH)) as u16;
    for _ in 0..EACH {
        // Not the next one: a server may take that, too.
        let port = first + (start + GIVEN.fetch_add(7, Ordering::Relaxed)) % EACH;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {first} to {} is free", first + EACH - 1)
}

pub fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free()))
}
