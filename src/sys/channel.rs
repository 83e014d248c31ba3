//! Messages with descriptors over a SEQPACKET socket: one JSON value a packet, whole or not at
//! all. It must never hand out a descriptor that an exec would leak.
#![forbid(unsafe_code)]

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg,
    sendmsg, socketpair, sockopt,
};
use serde::{Serialize, de::DeserializeOwned};

/// The longest message.
const LIMIT: usize = 64 * 1024;
/// The most descriptors a message carries.
pub const MAX_FDS: usize = 4;

/// One end.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// What came out of a channel.
#[derive(Debug)]
pub struct Received<M> {
    /// The message.
    pub message: M,
    /// Its descriptors, close-on-exec.
    pub fds: Vec<OwnedFd>,
    /// Who sent it, as the kernel says, where [`Channel::with_credentials`] asked for it.
    pub pid: Option<i32>,
}

/// Both ends of a new channel, close-on-exec.
///
/// # Errors
/// When there are no descriptors left.
pub fn pair() -> io::Result<(Channel, Channel)> {
    let (one, other) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((Channel(one), Channel(other)))
}

impl From<OwnedFd> for Channel {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Channel {
    /// Lets the kernel add the sender's pid to each message that comes in at this end.
    ///
    /// # Errors
    /// Never in practice.
    pub fn with_credentials(self) -> io::Result<Self> {
        sockopt::set_socket_passcred(&self.0, true)?;
        Ok(self)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// `EPIPE` when the other end is gone.
    pub fn send(&self, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        if bytes.len() > LIMIT || fds.len() > MAX_FDS {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(fds));
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                other => return Ok(other.map(drop)?),
            }
        }
    }

    /// Waits for one message; `None` once the other end is closed.
    ///
    /// # Errors
    /// When what comes is not a message of this kind.
    pub fn receive<M: DeserializeOwned>(&self) -> io::Result<Option<Received<M>>> {
        // Nearly all are short, and to clear room for the longest takes a hundred times as long as to ask.
        let Some(length) = self.next_length()? else { return Ok(None) };
        let mut bytes = vec![0; length.min(LIMIT)];
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS), ScmCredentials(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let taken = loop {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.0, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                // The other end closed with messages of ours unread.
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                other => break other?,
            }
        };
        if taken.bytes == 0 {
            return Ok(None);
        }
        let (mut fds, mut pid) = (Vec::new(), None);
        for part in ancillary.drain() {
            match part {
                RecvAncillaryMessage::ScmRights(rights) => fds.extend(rights),
                RecvAncillaryMessage::ScmCredentials(who) => {
                    pid = Some(who.pid.as_raw_nonzero().get());
                }
                _ => {}
            }
        }
        if taken.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::other("a message was cut"));
        }
        let message = serde_json::from_slice(&bytes[..taken.bytes])?;
        Ok(Some(Received { message, fds, pid }))
    }

    /// Waits for a message, and answers with its length in bytes; `None` once the other end is closed.
    fn next_length(&self) -> io::Result<Option<usize>> {
        loop {
            match recv(&self.0, &mut [0; 0], RecvFlags::PEEK | RecvFlags::TRUNC) {
                Err(rustix::io::Errno::INTR) => {}
                // The other end closed with messages of ours unread.
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                other => return Ok(Some(other?.1).filter(|length| *length > 0)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_with_its_descriptor_and_its_sender() {
        let (one, other) = pair().unwrap();
        let other = other.with_credentials().unwrap();
        let file = tempfile::tempfile().unwrap();
        one.send(&"hello", &[file.as_fd()]).unwrap();
        let received: Received<String> = other.receive().unwrap().unwrap();
        assert_eq!(received.message, "hello");
        assert_eq!(received.fds.len(), 1);
        assert_eq!(received.pid, i32::try_from(std::process::id()).ok());
        let flags = rustix::io::fcntl_getfd(&received.fds[0]).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn a_closed_end_is_seen_at_the_other() {
        let (one, other) = pair().unwrap();
        drop(other);
        assert!(one.receive::<String>().unwrap().is_none());
        assert!(one.send(&"x", &[]).is_err());
    }

    #[test]
    fn another_kind_of_message_is_an_error() {
        let (one, other) = pair().unwrap();
        one.send(&7, &[]).unwrap();
        assert!(other.receive::<String>().is_err());
    }
}
