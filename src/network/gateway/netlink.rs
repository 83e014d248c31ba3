//! The few messages of rtnetlink(7) that the namespaces are set up with: links, addresses, routes.
//! A crate for it would bring thirty others along. Encoding is pure; a socket belongs to the
//! network namespace in which it was made. It must never be asked about a name that something
//! foreign chose.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};

use crate::network::netlink::{
    Framed, NLM_F_REQUEST, NLMSG_ERROR, errno, messages, u16_at, u32_at,
};
use crate::ready::ready_by;

/// `lo` in every network namespace (`LOOPBACK_IFINDEX`).
pub(super) const LOOPBACK: u32 = 1;

// linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/veth.h
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const GROUP_LINK: u32 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_HOST: u8 = 254;
const IFF_UP: u32 = 1;
/// `IF_OPER_UP` of linux/if.h.
const OPERATIONAL: u8 = 6;

// linux/netlink.h
const NLM_F_ACK: u16 = 4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLA_F_NESTED: u16 = 0x8000;
/// Bytes that a packet between the two namespaces may have. Nothing goes any further as a packet,
/// so the limits of real networks do not matter; the loopback's is about the same.
const MTU: u32 = 65520;
/// Bytes of `struct ifinfomsg`.
const LINK_HEADER: usize = 16;

/// A request, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message(Vec<u8>);

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// One address is behind this link.
    Host(IpAddr),
    /// Everything else is behind this neighbour.
    Default(IpAddr),
    /// Every address is this machine's own. In the table `main`, where it stands behind the host
    /// routes: in the table `local` it would come first, and swallow the answers (IPv6).
    Own {
        /// The address that connections come from; also says which family is meant.
        source: IpAddr,
    },
}

impl Message {
    /// A veth pair: one end here, under this number, the other in another namespace.
    pub(super) fn veth(link: u32, name: &str, peer: &str, namespace: BorrowedFd<'_>) -> Self {
        let mut message = Self::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
        message.link(link, 0);
        message.text(IFLA_IFNAME, name);
        message.attribute(IFLA_MTU, &MTU.to_ne_bytes());
        message.nested(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_KIND, "veth");
            info.nested(IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |end| {
                    end.link(0, 0);
                    end.text(IFLA_IFNAME, peer);
                    end.attribute(IFLA_MTU, &MTU.to_ne_bytes());
                    end.attribute(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
                });
            });
        });
        message
    }

    /// Takes a link away, and its other end with it.
    pub(super) fn delete(link: u32) -> Self {
        let mut message = Self::new(RTM_DELLINK, 0);
        message.link(link, 0);
        message
    }

    /// Brings a link up.
    pub(super) fn up(link: u32) -> Self {
        let mut message = Self::new(RTM_NEWLINK, 0);
        message.link(link, IFF_UP);
        message
    }

    /// Keeps a link from giving itself an IPv6 address, and from looking for routers with it.
    pub(super) fn without_link_local(link: u32) -> Self {
        let mut message = Self::new(RTM_NEWLINK, 0);
        message.link(link, 0);
        message.nested(IFLA_AF_SPEC, |families| {
            families.nested(u16::from(family(Ipv6Addr::UNSPECIFIED.into())), |inet6| {
                inet6.attribute(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE]);
            });
        });
        message
    }

    /// Gives a link one address and nothing around it, at once: nobody else could have it.
    pub(super) fn address(link: u32, address: IpAddr) -> Self {
        let mut message = Self::new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
        message.0.extend([family(address), length(address), 0, SCOPE_UNIVERSE]);
        message.0.extend(link.to_ne_bytes());
        message.bytes_of(IFA_LOCAL, address);
        message.bytes_of(IFA_ADDRESS, address);
        message.attribute(IFA_FLAGS, &IFA_F_NODAD.to_ne_bytes());
        message
    }

    /// Adds a route over a link.
    pub(super) fn route(link: u32, route: Route) -> Self {
        let (of, bits, scope, kind) = match route {
            Route::Host(to) => (to, length(to), SCOPE_LINK, RTN_UNICAST),
            Route::Default(via) => (via, 0, SCOPE_UNIVERSE, RTN_UNICAST),
            Route::Own { source } => (source, 0, SCOPE_HOST, RTN_LOCAL),
        };
        let mut message = Self::new(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
        message.0.extend([family(of), bits, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, kind]);
        message.0.extend([0; 4]);
        match route {
            Route::Host(to) => message.bytes_of(RTA_DST, to),
            Route::Default(via) => message.bytes_of(RTA_GATEWAY, via),
            Route::Own { source } => message.bytes_of(RTA_PREFSRC, source),
        }
        message.attribute(RTA_OIF, &link.to_ne_bytes());
        message
    }

    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        bytes.extend([0; 8]);
        Self(bytes)
    }

    /// `struct ifinfomsg`
    fn link(&mut self, link: u32, up: u32) {
        self.0.extend([0; 4]);
        self.0.extend(link.to_ne_bytes());
        self.0.extend(up.to_ne_bytes());
        self.0.extend(up.to_ne_bytes());
    }

    fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, &[text.as_bytes(), &[0]].concat());
    }

    fn bytes_of(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.0.extend(short(4 + value.len()).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let mut inside = Self(Vec::new());
        fill(&mut inside);
        self.attribute(kind | NLA_F_NESTED, &inside.0);
    }

    /// As it is sent: with its length, and a number under which it is answered.
    fn numbered(mut self, number: u32, flags: u16) -> Vec<u8> {
        let flags = flags | u16::from_ne_bytes([self.0[6], self.0[7]]);
        let length = u32::from(short(self.0.len()));
        self.0[0..4].copy_from_slice(&length.to_ne_bytes());
        self.0[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.0[8..12].copy_from_slice(&number.to_ne_bytes());
        self.0
    }
}

/// Ours are a few hundred bytes long.
fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    u8::try_from(family).unwrap_or_default()
}

fn length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// What the kernel says of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    index: u32,
    flags: u32,
    operation: u8,
}

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// The request with this number was done, or failed with this errno(3).
    Answer(u32, i32),
    Link(Link),
}

/// Reads what is of interest in a datagram.
fn told(bytes: &[u8]) -> Vec<Told> {
    let told = |message: Framed<'_>| match message.kind {
        NLMSG_ERROR => errno(message.body).map(|errno| Told::Answer(message.number, errno)),
        RTM_NEWLINK => link(message.body).map(Told::Link),
        _ => None,
    };
    messages(bytes).filter_map(told).collect()
}

fn link(body: &[u8]) -> Option<Link> {
    let (index, flags) = (u32_at(body, 4)?, u32_at(body, 8)?);
    let mut attributes = body.get(LINK_HEADER..)?;
    let mut operation = 0;
    while let Some((length, kind)) = u16_at(attributes, 0).zip(u16_at(attributes, 2)) {
        let length = usize::from(length).max(4);
        if kind == IFLA_OPERSTATE {
            operation = attributes.get(4).copied().unwrap_or_default();
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Link { index, flags, operation })
}

/// A socket to the kernel about the network namespace in which it was made.
#[derive(Debug)]
pub(super) struct Rtnetlink {
    socket: OwnedFd,
    number: Cell<u32>,
}

impl Rtnetlink {
    /// About the namespace this process is in.
    pub(super) fn here() -> io::Result<Self> {
        // No protocol is `NETLINK_ROUTE`, whose number is 0.
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket, number: Cell::new(0) })
    }

    /// The number of a link; `ENODEV` where there is none of that name.
    pub(super) fn index(&self, name: &str) -> io::Result<u32> {
        Ok(rustix::net::netdevice::name_to_index(&self.socket, name)?)
    }

    /// Has something done.
    pub(super) fn ask(&self, message: Message) -> io::Result<()> {
        let number = self.send(message, NLM_F_ACK)?;
        loop {
            for told in self.receive()? {
                match told {
                    Told::Answer(to, 0) if to == number => return Ok(()),
                    Told::Answer(to, errno) if to == number => {
                        return Err(io::Error::from_raw_os_error(errno));
                    }
                    _ => {}
                }
            }
        }
    }

    fn send(&self, message: Message, flags: u16) -> io::Result<u32> {
        let number = self.number.get() + 1;
        self.number.set(number);
        send(&self.socket, &message.numbered(number, flags), SendFlags::empty())?;
        Ok(number)
    }

    fn receive(&self) -> io::Result<Vec<Told>> {
        // Longer than any description of a link.
        let mut bytes = vec![0; 32 * 1024];
        loop {
            match recv(&self.socket, &mut bytes[..], RecvFlags::empty()) {
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok((taken, _)) => return Ok(told(&bytes[..taken])),
            }
        }
    }
}

/// Hears what becomes of links.
#[derive(Debug)]
pub(super) struct Links(Rtnetlink);

impl Links {
    /// From now on, in the namespace this process is in.
    pub(super) fn here() -> io::Result<Self> {
        let netlink = Rtnetlink::here()?;
        bind(&netlink.socket, &SocketAddrNetlink::new(0, GROUP_LINK))?;
        Ok(Self(netlink))
    }

    /// Waits until a link is up.
    ///
    /// # Errors
    /// `TimedOut`.
    pub(super) fn wait_up(&self, link: u32, until: Instant) -> io::Result<()> {
        self.wait(link, until, |link| link.flags & IFF_UP != 0)
    }

    /// Waits until a link passes packets on. The kernel sees to that a moment after both ends of a
    /// veth pair are up, and drops what is sent meanwhile; who sent it tries again after a second.
    ///
    /// # Errors
    /// `TimedOut`.
    pub(super) fn wait_operational(&self, link: u32, until: Instant) -> io::Result<()> {
        self.wait(link, until, |link| link.operation == OPERATIONAL)
    }

    fn wait(&self, index: u32, until: Instant, is_so: fn(&Link) -> bool) -> io::Result<()> {
        let mut asked = Message::new(RTM_GETLINK, 0);
        asked.link(index, 0);
        self.0.send(asked, 0)?;
        loop {
            if !ready_by(&mut [PollFd::new(&self.0.socket, PollFlags::IN)], until)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let is_it = |told: Told| matches!(told, Told::Link(link) if link.index == index && is_so(&link));
            if self.0.receive()?.into_iter().any(is_it) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_address_is_encoded_as_the_kernel_reads_it() {
        let message = Message::address(7, Ipv4Addr::new(198, 18, 0, 2).into()).numbered(3, 0);
        let header = [48, 0, 0, 0, 20, 0, 1, 6, 3, 0, 0, 0, 0, 0, 0, 0];
        let body = [2, 32, 0, 0, 7, 0, 0, 0];
        let attributes = [8, 0, 2, 0, 198, 18, 0, 2, 8, 0, 1, 0, 198, 18, 0, 2, 8, 0, 8, 0, 2, 0];
        assert_eq!(message, [&header[..], &body, &attributes, &[0, 0]].concat());
    }

    #[test]
    fn attributes_are_padded_and_nested() {
        let mut message = Message(Vec::new());
        message.nested(5, |inside| inside.text(3, "gw0"));
        message.nested(6, |inside| inside.attribute(8, &[1]));
        let expected = [12, 0, 5, 0x80, 8, 0, 3, 0, b'g', b'w', b'0', 0];
        assert_eq!(message.0, [&expected[..], &[12, 0, 6, 0x80, 5, 0, 8, 0, 1, 0, 0, 0]].concat());
    }

    #[test]
    fn answers_and_links_are_read_and_nonsense_is_not() {
        let mut error = vec![36, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        error.extend((-17_i32).to_ne_bytes());
        error.extend([0; 16]);
        let mut body = Message(Vec::new());
        body.link(4, IFF_UP);
        body.text(IFLA_IFNAME, "veth0");
        body.attribute(IFLA_OPERSTATE, &[OPERATIONAL]);
        let mut link = Message::new(RTM_NEWLINK, 0);
        link.0.extend(&body.0);
        let both = [error, link.numbered(0, 0)].concat();
        let link = Link { index: 4, flags: IFF_UP, operation: OPERATIONAL };
        assert_eq!(told(&both), [Told::Answer(9, 17), Told::Link(link)]);
        for cut in 0..both.len() {
            let _ = told(&both[..cut]);
        }
        assert_eq!(told(&[0; 64]), []);
    }
}
