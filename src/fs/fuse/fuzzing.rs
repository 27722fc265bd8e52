//! The kernel's messages, from their bytes to the answers' bytes.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
use tokio::runtime::{Builder, Runtime};

use super::adapter::Adapter;
use super::device::Device;
use super::wire::{HEADER, LARGEST_REQUEST};
use crate::access::Assignment;
use crate::access::audit::AuditLog;
use crate::access::policy::{Effect, Pattern, Policy, Principal, Statement};
use crate::cache::{Clock, Memory, Sources, SystemClock};
use crate::config::{
    AuditSettings, CacheSettings, Format, LocalSettings, ProviderSettings, RootPolicy, Scope, ScopeName,
};
use crate::fs::{Judge, Operations, Serving};
use crate::provider::{
    Answer, Error, ErrorKind, Fetched, Known, Listed, Listing, Payload, Presence, Provider, SecretName, VersionSelector,
};
use crate::secret::Secret;
use crate::tree::Namespace;

/// `struct fuse_in_header`, in bytes.
const REQUEST: usize = 40;
/// FORGET and BATCH_FORGET, which have no answer, and INTERRUPT, which need not have one.
const UNANSWERED: [u32; 3] = [2, 42, 36];

/// Inputs that one mount serves: what they open and do not close is then let go.
const INPUTS: usize = 500;

static KERNEL: Mutex<Option<Kernel>> = Mutex::new(None);

/// Messages, each after its length in two bytes. Each that can be answered is answered once, in the form of an answer.
pub fn fuse_requests(bytes: &[u8]) {
    let mut slot = KERNEL.lock().unwrap_or_else(PoisonError::into_inner);
    let kernel = slot.get_or_insert_with(Kernel::new);
    let mut rest = bytes;
    let mut unique = 1;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
        let (body, next) = after.split_at(length);
        rest = next;
        let message = message(body, unique);
        kernel.give(&message, unique);
        unique += 2;
        if unique > 64 {
            break;
        }
    }
    kernel.inputs += 1;
    if kernel.inputs == INPUTS {
        *slot = None;
    }
}

/// With a header that is right in its length and its number, but for one in eight.
fn message(body: &[u8], unique: u64) -> Vec<u8> {
    let mut message = body.to_vec();
    message.truncate(LARGEST_REQUEST);
    if message.len() >= REQUEST && message[4] & 0x80 == 0 {
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        message[..4].copy_from_slice(&length.to_ne_bytes());
        message[8..16].copy_from_slice(&unique.to_ne_bytes());
        // The numbers of operations end before 64, and those of inodes begin at 1.
        let opcode = u32::from(message[4] & 0x3F);
        message[4..8].copy_from_slice(&opcode.to_ne_bytes());
        message[17..24].fill(0);
    }
    message
}

struct Kernel {
    runtime: Runtime,
    adapter: Adapter,
    device: Arc<Device>,
    end: OwnedFd,
    inputs: usize,
}

impl Kernel {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let Mount { serving, .. } = mount(&runtime);
        // As the device has it, a message is a message.
        let (flags, family) = (SocketFlags::CLOEXEC, AddressFamily::UNIX);
        let (ours, end) = socketpair(family, SocketType::SEQPACKET, flags, None).expect("sockets");
        let device = Arc::new(Device::new(ours));
        let adapter = Adapter::new(serving, runtime.handle().clone(), Arc::default(), vec![Arc::clone(&device)]);
        Self { runtime, adapter, device, end, inputs: 0 }
    }

    fn give(&self, message: &[u8], unique: u64) {
        self.adapter.take(&self.device, message);
        let opcode = message.get(4..8).and_then(|it| it.try_into().ok()).map(u32::from_ne_bytes);
        let is_ours = message.len() >= REQUEST && message.get(8..16) == Some(&unique.to_ne_bytes());
        let mut answers = BTreeMap::<u64, usize>::new();
        let mut left = 10_000;
        loop {
            while let Some((unique, errno)) = self.answer() {
                *answers.entry(unique).or_default() += 1;
                assert!((-4095..=0).contains(&errno) || unique == 0, "{errno}");
            }
            let is_done = answers.contains_key(&unique) || opcode.is_none_or(|it| UNANSWERED.contains(&it));
            if is_done || !is_ours || left == 0 {
                break;
            }
            left -= 1;
            self.runtime.block_on(tokio::time::sleep(std::time::Duration::from_micros(if left < 9_000 {
                500
            } else {
                0
            })));
        }
        assert!(left > 0, "{opcode:?} was not answered");
        assert!(answers.iter().all(|(unique, count)| *unique == 0 || *count == 1), "{answers:?}");
    }

    /// Whose it is, and its errno.
    fn answer(&self) -> Option<(u64, i32)> {
        let mut buffer = vec![0; 1 << 20];
        let (length, _) = recv(&self.end, &mut buffer[..], RecvFlags::DONTWAIT).ok()?;
        let answer = &buffer[..length];
        assert!(length >= HEADER);
        let word = |at: usize| u32::from_ne_bytes([answer[at], answer[at + 1], answer[at + 2], answer[at + 3]]);
        assert_eq!(word(0) as usize, length);
        let unique = u64::from(word(8)) | u64::from(word(12)) << 32;
        Some((unique, word(4).cast_signed()))
    }
}

/// A mount without a kernel: a scope `s` with two secrets, which user 7 may read.
pub(crate) struct Mount {
    pub(crate) operations: Arc<Operations>,
    serving: Arc<Serving>,
}

pub(crate) fn mount(runtime: &Runtime) -> Mount {
    let _context = runtime.enter();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let memory = Memory::new(1 << 20, &clock, runtime.handle(), |_| {});
    let settings = LocalSettings { path: "/nowhere".into(), identity: None, allow_plaintext: false };
    let scope = Scope {
        name: ScopeName::new("s").expect("a name"),
        cache: CacheSettings { calls: None, ..CacheSettings::default() },
        format: Format::Auto,
        provider: ProviderSettings::Local(settings),
    };
    let sources = Sources::new([&scope].into_iter(), Vec::new(), Box::new(|_, _| Ok(Arc::new(Two))));
    let Ok(sources) = sources else { unreachable!("its provider is always made") };
    let namespace = Namespace::new(Arc::new(sources), Arc::new(memory));
    let statement = Statement {
        effect: Effect::Allow,
        principals: vec![Principal::User(7)],
        actions: crate::access::Action::ALL.into_iter().collect(),
        resources: vec![Pattern::parse("s/**").expect("a pattern")],
        place: String::new(),
    };
    let policy = Policy::new(vec![statement], 1, 1, RootPolicy::Allow);
    let judge = Judge::new(policy, Assignment::default(), Arc::default());
    let audit = Arc::new(AuditLog::start(&AuditSettings::default()).expect("no sinks"));
    let serving = Arc::new(Serving::new(Operations::new(Arc::new(namespace), judge, audit, PathBuf::new())));
    Mount { operations: serving.now(), serving }
}

/// `db`, an object, and `a/b`, bytes.
struct Two;

impl Provider for Two {
    fn kind(&self) -> &'static str {
        "two"
    }

    fn list(&self) -> Answer<'_, Listing> {
        let names = ["db", "a/b"].into_iter().filter_map(SecretName::new);
        let secrets = names.map(|name| Listed { name, changed: None }).collect();
        Box::pin(std::future::ready(Ok(Listing { secrets, left_out: Vec::new() })))
    }

    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence> {
        let presence = match name.as_str() {
            "db" | "a/b" => Presence { secret: Known::Yes, children: Known::No, changed: None },
            "a" => Presence { secret: Known::No, children: Known::Yes, changed: None },
            _ => Presence::NOTHING,
        };
        Box::pin(std::future::ready(Ok(presence)))
    }

    fn fetch<'a>(&'a self, name: &'a SecretName, version: &'a VersionSelector) -> Answer<'a, Fetched> {
        let value: Option<&[u8]> = match (name.as_str(), version) {
            (_, VersionSelector::Named(version)) if version != "1" => None,
            ("db", _) => Some(br#"{"user":"me","port":5432,"a/b":"x"}"#),
            ("a/b", _) => Some(b"\0\xff"),
            _ => None,
        };
        let fetched = || {
            let value = value.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is none"))?;
            Ok(Fetched {
                payload: Payload { raw: Secret::copy_from(value)?, keys: None },
                version: "1".to_owned(),
                created: None,
                source: "two".to_owned(),
                tags: vec![("team".to_owned(), "a".to_owned())],
                lease: None,
            })
        };
        Box::pin(std::future::ready(fetched()))
    }

    fn whoami(&self) -> Answer<'_, String> {
        Box::pin(std::future::ready(Ok("nobody".to_owned())))
    }
}
