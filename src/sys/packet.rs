//! Packet sockets (packet(7)) behind a filter. It must never make one that sees a packet which
//! its filter does not let through.
#![expect(unsafe_code, reason = "SO_ATTACH_FILTER and sockaddr_ll")]

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::seccomp::Instruction;

/// `linux/if_packet.h`, since Linux 4.20; libc does not have it.
const PACKET_IGNORE_OUTGOING: i32 = 23;

/// A socket that gets each packet that comes in at an interface, from its network header on,
/// close-on-exec and not blocking. A kernel that is too old shows what goes out, too: that is for the
/// filter to drop.
///
/// # Errors
/// EPERM: no `CAP_NET_RAW` in the network namespace's user namespace.
pub fn socket(interface: u32, filter: &[Instruction]) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Without a protocol nothing comes in before the filter is there.
    let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
    ignore_outgoing(&socket)?;
    let len = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: `program` points to `len` instructions, which the kernel copies and does not change.
    let attached = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size(&program)?,
        )
    };
    if attached != 0 {
        return Err(io::Error::last_os_error());
    }
    let every = u16::try_from(libc::ETH_P_ALL).map_err(|_| io::ErrorKind::InvalidInput)?;
    let family = u16::try_from(libc::AF_PACKET).map_err(|_| io::ErrorKind::InvalidInput)?;
    let index = i32::try_from(interface).map_err(|_| io::ErrorKind::InvalidInput)?;
    let address = libc::sockaddr_ll {
        sll_family: family,
        sll_protocol: every.to_be(),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: `address` is a whole sockaddr_ll, which the kernel only reads.
    let bound =
        unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size(&address)?) };
    if bound == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

/// Else the kernel makes a copy of each packet that goes out, only for the filter to drop it.
fn ignore_outgoing(socket: &OwnedFd) -> io::Result<()> {
    let yes: libc::c_int = 1;
    // SAFETY: `yes` is a whole int, which the kernel only reads.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            PACKET_IGNORE_OUTGOING,
            (&raw const yes).cast(),
            size(&yes)?,
        )
    };
    match io::Error::last_os_error() {
        err if set != 0 && err.raw_os_error() != Some(libc::ENOPROTOOPT) => Err(err),
        _ => Ok(()),
    }
}

fn size<T>(of: &T) -> io::Result<libc::socklen_t> {
    size_of_val(of).try_into().map_err(|_| io::ErrorKind::InvalidInput.into())
}
