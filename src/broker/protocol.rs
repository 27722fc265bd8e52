//! What is said between the daemon and its broker: a message, which a descriptor may come with. What is asked to be done is
//! JSON. What a caller runs is asked for at every open that is recorded, so it has a form of its own ([`Found`]).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest message in bytes: a path of 4,096, or what went wrong in words, and what is around it.
pub const LONGEST: usize = 8 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Mount at the mountpoint. The answer comes with the kernel's end.
    Mount,
    /// Unmount what has this device, `major:minor`, at the mountpoint.
    Unmount { device: String },
    /// Make the file system read-only to the kernel.
    SetReadOnly { device: (u32, u32) },
    /// Start a process that touches files; a connection to the kernel may come with it. The answer comes with the socket
    /// through which that process is told.
    BeginTouching { device: (u32, u32) },
    /// End it, and make the file system what it was.
    EndTouching,
    /// Is this unit being stopped in order to be started again, with what it keeps?
    IsForARestart,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Done,
    /// The device of the mount, where the table of mounts can be read.
    Mounted(Option<String>),
    /// The process that touches.
    Touching(u32),
    Restart(bool),
    /// In words; with what the kernel said where nothing else did.
    Failed {
        why: String,
        errno: Option<i32>,
    },
}

impl Answer {
    pub fn failed(error: &io::Error) -> Self {
        Self::Failed { why: error.to_string(), errno: error.raw_os_error() }
    }
}

/// What a caller runs: asked for with a byte and the descriptor of the thread's folder in `/proc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: Vec<u8>,
    /// Is the file that is there the one that runs?
    pub is_there: bool,
}

impl Found {
    /// One byte for nothing, or that and the path.
    pub fn to_bytes(found: Option<&Self>) -> Vec<u8> {
        match found {
            None => vec![b'?'],
            Some(Self { path, is_there }) => [if *is_there { b"=" } else { b"~" }, &**path].concat(),
        }
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (first, path) = bytes.split_first()?;
        let is_there = match first {
            b'=' => true,
            b'~' => false,
            _ => return None,
        };
        Some(Self { path: path.to_vec(), is_there })
    }
}

/// Sends one message.
///
/// # Errors
/// Where the other end is gone.
pub fn send(to: impl AsFd, message: &impl Serialize, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    send_bytes(to, &serde_json::to_vec(message)?, descriptor)
}

/// As [`send`], of what is not empty.
///
/// # Errors
/// Where the other end is gone.
pub fn send_bytes(to: impl AsFd, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.as_slice();
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    rustix::io::retry_on_intr(|| sendmsg(to.as_fd(), &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Waits for one message.
///
/// # Errors
/// `UnexpectedEof` where the other end is gone; `InvalidData` where it is no message.
pub fn receive<T: DeserializeOwned>(from: impl AsFd) -> io::Result<(T, Option<OwnedFd>)> {
    let mut bytes = vec![0; LONGEST];
    let (length, descriptor) = receive_bytes(from, &mut bytes)?;
    let message = serde_json::from_slice(bytes.get(..length).unwrap_or_default())?;
    Ok((message, descriptor))
}

/// As [`receive`]; how many bytes it has.
///
/// # Errors
/// `UnexpectedEof` where the other end is gone.
pub fn receive_bytes(from: impl AsFd, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let length = loop {
        let mut parts = [IoSliceMut::new(&mut *bytes)];
        match recvmsg(from.as_fd(), &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => break received.bytes,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok((length, descriptors.flatten().next()))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    #[test]
    fn the_longest_path_fits_into_a_message_and_a_descriptor_comes_with_it() {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let said = Found { path: vec![255; 4096], is_there: true };
        send_bytes(&ours, &Found::to_bytes(Some(&said)), Some(ours.as_fd())).unwrap();
        let mut bytes = [0; LONGEST];
        let (length, descriptor) = receive_bytes(&theirs, &mut bytes).unwrap();
        assert_eq!(Found::from_bytes(&bytes[..length]), Some(said));
        assert!(descriptor.is_some());
        let said = Answer::Mounted(Some("0:52".into()));
        send(&ours, &said, None).unwrap();
        assert_eq!(receive::<Answer>(&theirs).unwrap().0, said);
        drop((ours, descriptor));
        assert_eq!(receive::<Answer>(&theirs).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_found_comes_back_and_nonsense_is_nothing() {
        for found in [None, Some(Found { path: b"/bin/cat".to_vec(), is_there: false })] {
            assert_eq!(Found::from_bytes(&Found::to_bytes(found.as_ref())), found);
        }
        for nonsense in [&b""[..], b"/bin/cat"] {
            assert_eq!(Found::from_bytes(nonsense), None);
        }
    }
}
