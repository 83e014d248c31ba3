//! How the sandbox's traffic is brought to the gateway: the best way that works here, of those that
//! will do. It must never leave a link or an address behind of a way that did not work.
#![forbid(unsafe_code)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;

use super::failure::{Doing as _, Failure};
use super::namespaces::{Namespaces, Place};
use super::netlink::{LOOPBACK, Links, Message, Route, Rtnetlink};
use super::sysctl;
use crate::network::pool;
use crate::network::sockets::{Gateway, Way};

/// The gateway's link to the sandbox, and its other end.
const OUTSIDE: &str = "gw0";
const INSIDE: &str = "eth0";
/// The number of the gateway's link: one that the other end does not get in its namespace. Where both
/// have the same, the kernel takes them for links of the wire and says only after a second that they
/// are up (`linkwatch_urgent_event` of Linux), and programs that look there see no network.
const OUTSIDE_NUMBER: u32 = 100;
/// How long bwrap may take to bring the loopback up, and the kernel a pair of links.
const PATIENCE: Duration = Duration::from_secs(10);
/// Unique local addresses (RFC 4193) of nobody else's: inside is no other network.
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd63, 0x6c61, 0x7564, 0, 0, 0, 0, 1);
const SANDBOX_V6: Ipv6Addr = Ipv6Addr::new(0xfd63, 0x6c61, 0x7564, 0, 0, 0, 0, 2);

/// The addresses of the two ends in one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends<A> {
    gateway: A,
    sandbox: A,
}

const V6: Ends<Ipv6Addr> = Ends { gateway: GATEWAY_V6, sandbox: SANDBOX_V6 };

fn ends(pool: Ipv4Net) -> Ends<Ipv4Addr> {
    Ends { gateway: pool::gateway(pool), sandbox: pool::sandbox(pool) }
}

impl<A: Into<IpAddr>> Ends<A> {
    fn both(self) -> (IpAddr, IpAddr) {
        (self.gateway.into(), self.sandbox.into())
    }
}

/// What was set up.
#[derive(Debug)]
pub(super) struct SetUp {
    /// The gateway.
    pub(super) gateway: Gateway,
    /// The link at which the sandbox's packets come in.
    pub(super) link: u32,
    /// Why each better way did not work.
    pub(super) passed_over: Vec<String>,
}

/// Sets up the first way that works. `namespaces` are inside.
pub(super) fn set_up(
    namespaces: &mut Namespaces,
    ways: &[Way],
    pool: Ipv4Net,
) -> Result<SetUp, Failure> {
    let Some((last, better)) = ways.split_last() else {
        return Err(io::Error::from(io::ErrorKind::Unsupported)).doing("set up a network");
    };
    let mut passed_over = Vec::new();
    for way in better {
        match attempt(namespaces, *way, pool) {
            Ok((gateway, link)) => return Ok(SetUp { gateway, link, passed_over }),
            Err(failure) => passed_over.push(failure.to_string()),
        }
    }
    let (gateway, link) = attempt(namespaces, *last, pool)?;
    Ok(SetUp { gateway, link, passed_over })
}

fn attempt(
    namespaces: &mut Namespaces,
    way: Way,
    pool: Ipv4Net,
) -> Result<(Gateway, u32), Failure> {
    let ends = ends(pool);
    let (link, v6) = match way {
        Way::Veth => veth(namespaces, ends),
        Way::AnyIp => own_loopback(ends, true),
        Way::ProxyOnly => own_loopback(ends, false),
    }?;
    Ok((Gateway { way, v4: ends.gateway, v6: v6.then_some(GATEWAY_V6) }, link))
}

/// A gateway of its own. The link at which it hears the sandbox, and whether it has IPv6.
fn veth(namespaces: &mut Namespaces, v4: Ends<Ipv4Addr>) -> Result<(u32, bool), Failure> {
    let done = veth_in_new(namespaces, v4);
    if done.is_err() {
        // Its end of a pair goes with the namespace, and the other with it, but only in a while.
        let _ = namespaces.go(Place::Inside).and_then(|()| {
            let inside = Rtnetlink::here()?;
            inside.ask(Message::delete(inside.index(INSIDE)?))
        });
        namespaces.drop_gateway().doing("leave the gateway's network namespace")?;
    }
    done
}

fn veth_in_new(namespaces: &mut Namespaces, v4: Ends<Ipv4Addr>) -> Result<(u32, bool), Failure> {
    let (links_inside, inside) = Links::here()
        .and_then(|links| Ok((links, Rtnetlink::here()?)))
        .doing("ask about the sandbox's links")?;
    sysctl::of_the_sandbox();
    namespaces.make_gateway().doing("make the gateway's network namespace")?;
    let (links, outside) = Links::here()
        .and_then(|links| Ok((links, Rtnetlink::here()?)))
        .doing("ask about the gateway's links")?;
    outside.ask(Message::up(LOOPBACK)).doing("bring the gateway's loopback up")?;
    outside
        .ask(Message::veth(OUTSIDE_NUMBER, OUTSIDE, INSIDE, namespaces.inside()))
        .doing("make a veth pair")?;
    sysctl::of_the_gateway(OUTSIDE);
    let gw = OUTSIDE_NUMBER;
    let eth = inside.index(INSIDE).doing("find the sandbox's end of the pair")?;
    // Before they are up; where this fails there is no IPv6.
    let v6 = outside.ask(Message::without_link_local(gw)).is_ok()
        && inside.ask(Message::without_link_local(eth)).is_ok();
    for (netlink, link) in [(&outside, gw), (&inside, eth)] {
        netlink.ask(Message::up(link)).doing("bring the veth pair up")?;
    }
    join(&outside, gw, &inside, eth, v4.both()).doing("give the veth pair its addresses")?;
    let v6 = v6 && join(&outside, gw, &inside, eth, V6.both()).is_ok();
    let until = Instant::now() + PATIENCE;
    // If it takes long, packets are only late.
    let _ =
        links.wait_operational(gw, until).and_then(|()| links_inside.wait_operational(eth, until));
    // bwrap brings it up, long ago by now: a port of the host's is to be had there.
    links_inside.wait_up(LOOPBACK, until).doing("wait for bwrap to bring the loopback up")?;
    Ok((gw, v6))
}

/// Addresses and routes of one family. No network is on the link, only two hosts: one that held the
/// pool would come before the route that makes every address the gateway's own.
fn join(
    outside: &Rtnetlink,
    gw: u32,
    inside: &Rtnetlink,
    eth: u32,
    (gateway, sandbox): (IpAddr, IpAddr),
) -> io::Result<()> {
    outside.ask(Message::address(gw, gateway))?;
    outside.ask(Message::route(gw, Route::Host(sandbox)))?;
    outside.ask(Message::route(LOOPBACK, Route::Own { source: gateway }))?;
    inside.ask(Message::address(eth, sandbox))?;
    inside.ask(Message::route(eth, Route::Host(gateway)))?;
    inside.ask(Message::route(eth, Route::Default(gateway)))
}

/// The sandbox's loopback is the gateway, for every address or only for its own.
fn own_loopback(v4: Ends<Ipv4Addr>, every: bool) -> Result<(u32, bool), Failure> {
    let (links, netlink) = Links::here()
        .and_then(|links| Ok((links, Rtnetlink::here()?)))
        .doing("ask about the sandbox's links")?;
    sysctl::of_the_sandbox();
    // bwrap brings it up, and would take it for an error if it were up already.
    links
        .wait_up(LOOPBACK, Instant::now() + PATIENCE)
        .doing("wait for bwrap to bring the loopback up")?;
    let add = |(gateway, sandbox): (IpAddr, IpAddr)| {
        for address in [gateway, sandbox] {
            match netlink.ask(Message::address(LOOPBACK, address)) {
                // From another way that got no further.
                Err(err) if err.raw_os_error() == Some(libc::EEXIST) => {}
                other => other?,
            }
        }
        if every {
            netlink.ask(Message::route(LOOPBACK, Route::Own { source: sandbox }))?;
        }
        Ok::<(), io::Error>(())
    };
    add(v4.both()).doing("give the sandbox's loopback its addresses")?;
    Ok((LOOPBACK, add(V6.both()).is_ok()))
}
