//! Datagrams with the address that they were sent to: whoever asks 8.8.8.8 takes no answer from
//! anybody else. It must never answer from another address than was asked.
#![forbid(unsafe_code)]

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Who sent a datagram, and to whom.
#[derive(Clone, Copy)]
pub(super) struct Envelope {
    from: SockaddrStorage,
    to: To,
}

#[derive(Clone, Copy)]
enum To {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

/// A socket for the runtime.
pub(super) fn socket(fd: OwnedFd) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::from(fd);
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Waits for a datagram. `None` for one that is longer than `bytes`, or whose envelope is missing.
///
/// # Errors
/// What the kernel has to say of an earlier answer, at times.
pub(super) async fn receive(
    socket: &UdpSocket,
    bytes: &mut [u8],
) -> io::Result<Option<(usize, Envelope)>> {
    socket.async_io(Interest::READABLE, || now(socket, bytes)).await
}

fn now(socket: &UdpSocket, bytes: &mut [u8]) -> io::Result<Option<(usize, Envelope)>> {
    let mut space = nix::cmsg_space!(libc::in6_pktinfo);
    let mut slices = [IoSliceMut::new(bytes)];
    let fd = socket.as_raw_fd();
    let received =
        recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut space), MsgFlags::empty())?;
    if received.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
        return Ok(None);
    }
    let to = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(To::V4(info)),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(To::V6(info)),
        _ => None,
    });
    let envelope = received.address.zip(to).map(|(from, to)| Envelope { from, to });
    Ok(envelope.map(|envelope| (received.bytes, envelope)))
}

/// Answers a datagram from the address that it was sent to.
///
/// # Errors
/// When there is no room for it; UDP loses datagrams.
pub(super) fn answer(socket: &UdpSocket, to: &Envelope, bytes: &[u8]) -> io::Result<()> {
    let slices = [IoSlice::new(bytes)];
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
    match to.to {
        To::V4(info) => {
            // Whichever interface leads back.
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: info.ipi_addr, ..info };
            let from = [ControlMessage::Ipv4PacketInfo(&info)];
            sendmsg(fd, &slices, &from, flags, Some(&to.from))?;
        }
        To::V6(info) => {
            let info = libc::in6_pktinfo { ipi6_ifindex: 0, ..info };
            let from = [ControlMessage::Ipv6PacketInfo(&info)];
            sendmsg(fd, &slices, &from, flags, Some(&to.from))?;
        }
    }
    Ok(())
}
