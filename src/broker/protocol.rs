//! What is said between the daemon and its broker: a message, which a descriptor may come with. What is asked to be done is
//! JSON. What a caller runs is asked for at every open that is recorded, so it has a form of its own ([`Found`]).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
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
    /// Ask the mount whether it is served. The answer comes with a pipe, out of which what it came to is read: an errno, or
    /// 0. The daemon itself may not be let to its own mount, and one that waits for itself could not die.
    AskMount,
    /// The answer comes with a descriptor of `/dev/fuse` that serves nothing yet.
    OpenDevice,
    /// Remove one of the sockets that it was started for, by its place among them.
    RemoveSocket { place: usize },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Done,
    /// The device of the mount, where the table of mounts can be read.
    Mounted(Option<String>),
    /// The process that touches.
    Touching(u32),
    Restart(bool),
    /// The audit log, which comes with it. Does it end in a part of a line?
    Log {
        torn: bool,
    },
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

/// Of the number that comes before what is said.
const NUMBER: usize = size_of::<u64>();

/// Sends one message: a number, which an answer has of its question, and what is said.
///
/// # Errors
/// Where the other end is gone, or is full and not to be waited for.
pub fn send(
    to: impl AsFd,
    number: u64,
    said: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
    flags: SendFlags,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.as_slice();
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let number = number.to_ne_bytes();
    let parts = [IoSlice::new(&number), IoSlice::new(said)];
    rustix::io::retry_on_intr(|| sendmsg(to.as_fd(), &parts, &mut ancillary, flags | SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Takes one message: its number, what is said, and a descriptor that came with it.
///
/// # Errors
/// `UnexpectedEof` where the other end is gone; `WouldBlock` where there is none and none is to be waited for;
/// `InvalidData` where it is no message.
pub fn receive(
    from: impl AsFd,
    bytes: &mut [u8; LONGEST],
    flags: RecvFlags,
) -> io::Result<(u64, &[u8], Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let length = loop {
        let mut parts = [IoSliceMut::new(&mut *bytes)];
        match recvmsg(from.as_fd(), &mut parts, &mut ancillary, flags | RecvFlags::CMSG_CLOEXEC) {
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
    let descriptor = descriptors.flatten().next();
    let message = bytes.get(..length).and_then(<[u8]>::split_first_chunk::<NUMBER>);
    let (number, said) = message.ok_or(io::ErrorKind::InvalidData)?;
    Ok((u64::from_ne_bytes(*number), said, descriptor))
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
        send(&ours, 7, &Found::to_bytes(Some(&said)), Some(ours.as_fd()), SendFlags::empty()).unwrap();
        let mut bytes = [0; LONGEST];
        let (number, received, descriptor) = receive(&theirs, &mut bytes, RecvFlags::empty()).unwrap();
        assert_eq!((number, Found::from_bytes(received)), (7, Some(said)));
        assert!(descriptor.is_some());
        rustix::net::send(&ours, b"1234567", SendFlags::empty()).unwrap();
        let error = receive(&theirs, &mut bytes, RecvFlags::empty()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        drop((ours, descriptor));
        let error = receive(&theirs, &mut bytes, RecvFlags::empty()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
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
