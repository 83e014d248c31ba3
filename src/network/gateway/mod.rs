//! The gateway: where the sandbox's traffic comes to. bwrap gives the sandbox a network namespace
//! with nothing in it, and a process of ours, outside of the sandbox, joins that to another one, in
//! which sockets of the broker listen. Nothing inside ever has a capability for it.
//!
//! That process is started with bwrap, works while bwrap mounts, and has to be ready before the
//! agent starts. It must never be left out in silence: without it there is no session, or one that
//! reaches nothing.
#![forbid(unsafe_code)]

mod attempts;
mod factory;
mod failure;
mod info;
mod namespaces;
mod netlink;
mod process;
mod sysctl;
mod talk;
mod ways;

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use rustix::event::{PollFd, PollFlags};

use self::talk::{Made, Report, Wanted};
use super::plan::Allow;
use super::sockets::{Gateway, Sockets, Way};
use crate::error::{Error, Result, Tried as _};
use crate::plan::Demand;
use crate::ready::ready_by;
use crate::sys::channel::{self, Channel};
use crate::sys::process::SingleThreaded;

/// How an error of [`Starting::ready`] begins.
pub(crate) const CANNOT_SET_UP: &str = "cannot set up the network";
/// The kind of the notice that [`Started::notice`] becomes (`docs/events.md`).
pub(crate) const LESSER: &str = "network-lesser";

/// What is asked of the gateway process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The pool whose first address is the gateway's, and whose second is the sandbox's.
    pub pool: Ipv4Net,
    /// The ways that will do, best first.
    pub ways: Vec<Way>,
    /// Whose end is its own.
    supervisor: u32,
}

impl Asked {
    /// For this process, with the ways that will do.
    pub fn new(pool: Ipv4Net, ways: Vec<Way>) -> Self {
        Self { pool, ways, supervisor: std::process::id() }
    }

    /// What a plan asks for.
    pub fn of(plan: &Allow) -> Self {
        // Where nothing is sent to a proxy, that it could be is of no use.
        let proxy = plan.proxy.map(|_| Way::ProxyOnly);
        let ways = match plan.transparent {
            Demand::Required => vec![Way::Veth],
            Demand::BestEffort => [Way::Veth, Way::AnyIp].into_iter().chain(proxy).collect(),
            Demand::Off => vec![Way::ProxyOnly],
        };
        Self::new(plan.pool, ways)
    }
}

/// A gateway process that sets up the network.
#[derive(Debug)]
pub struct Starting {
    channel: Channel,
    ways: Vec<Way>,
}

/// A network that is set up. What is inside reaches the sockets that are made, and nothing else.
pub struct Started {
    /// Makes them. When it is dropped, the gateway process ends, by itself.
    pub sockets: Box<dyn Sockets>,
    /// What a person must know: which way it is where a better one was asked for, and why.
    pub notice: Option<String>,
}

/// Starts the gateway process. `info` is the end to read from of a pipe that bwrap was given as its
/// `--info-fd`, with this end too: a bwrap that cannot say it ends, and leaves its child waiting.
///
/// # Errors
/// When the kernel refuses another process.
pub fn start(single: &SingleThreaded, asked: Asked, info: OwnedFd) -> Result<Starting> {
    let (ours, theirs) = channel::pair().tried(|| "make a socket")?;
    let ways = asked.ways.clone();
    let kept = [theirs.into(), info];
    let main = move |[supervisor, info]: [OwnedFd; 2]| {
        process::main(&asked, &Channel::from(supervisor), info)
    };
    single.part(c"gateway", kept, main).tried(|| "start the gateway process")?;
    Ok(Starting { channel: ours, ways })
}

impl Starting {
    /// Waits until the network is set up.
    ///
    /// # Errors
    /// When it cannot be set up in any way that will do.
    pub fn ready(self, patience: Duration) -> Result<Started> {
        let until = Instant::now() + patience;
        if !ready_by(&mut [PollFd::new(&self.channel, PollFlags::IN)], until)
            .tried(|| "wait for the gateway process")?
        {
            return Err(Error::launcher(format!("{CANNOT_SET_UP} in time")));
        }
        let report = self.channel.receive().tried(|| "hear from the gateway process")?;
        match report.map(|report| report.message) {
            Some(Report::Ready { gateway, passed_over }) => {
                let notice = notice(gateway.way, &passed_over);
                let lost = Cell::new(false);
                let sockets = Box::new(Client { channel: self.channel, gateway, lost });
                Ok(Started { sockets, notice })
            }
            Some(Report::Failed { message, hints }) => Err(self.refused(&message, hints)),
            None => {
                Err(Error::launcher(format!("{CANNOT_SET_UP}: the gateway process was killed")))
            }
        }
    }

    fn refused(&self, message: &str, hints: Vec<String>) -> Error {
        let error = Error::launcher(format!("{CANNOT_SET_UP}: {message}"));
        let error = hints.into_iter().fold(error, Error::hint);
        let error = if self.ways == [Way::Veth] {
            error.hint("`transparent = \"best-effort\"` in the profile takes less")
        } else {
            error
        };
        error.hint("`--network none` starts without a network, `--network host` with the host's")
    }
}

fn notice(way: Way, passed_over: &[String]) -> Option<String> {
    let why = passed_over.join("; ");
    let lacks = failure::lacks(way);
    (!passed_over.is_empty()).then(|| format!("there is no gateway of its own: {lacks} ({why})"))
}

/// How long the gateway process may take to make a socket. Only one that somebody stopped takes so
/// long.
const SOCKET: Duration = Duration::from_secs(5);

/// The supervisor's side.
#[derive(Debug)]
struct Client {
    channel: Channel,
    gateway: Gateway,
    /// No answer came, or one that was none: what comes next would be taken for another's.
    lost: Cell<bool>,
}

impl Client {
    fn want(&self, wanted: Wanted) -> io::Result<OwnedFd> {
        if self.lost.get() {
            return Err(lost("the gateway process is gone"));
        }
        let made = self.ask(wanted);
        self.lost.set(made.is_err());
        made?
    }

    /// The outer error is of the way to the gateway process, the inner one its answer.
    fn ask(&self, wanted: Wanted) -> io::Result<io::Result<OwnedFd>> {
        self.channel.send(&wanted, &[])?;
        if !ready_by(&mut [PollFd::new(&self.channel, PollFlags::IN)], Instant::now() + SOCKET)? {
            return Err(lost("the gateway process does not answer"));
        }
        let made = self.channel.receive::<Made>()?;
        let made = made.ok_or_else(|| lost("the gateway process is gone"))?;
        match (made.message.0, made.fds.into_iter().next()) {
            (Ok(()), Some(socket)) => Ok(Ok(socket)),
            (Ok(()), None) => Err(lost("the gateway process sent no socket")),
            (Err(errno), _) => Ok(Err(io::Error::from_raw_os_error(errno))),
        }
    }
}

fn lost(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, what)
}

impl Sockets for Client {
    fn gateway(&self) -> Gateway {
        self.gateway
    }

    fn listen(&self, at: SocketAddr) -> io::Result<OwnedFd> {
        self.want(Wanted::Listen(at))
    }

    fn datagrams(&self, at: SocketAddr) -> io::Result<OwnedFd> {
        self.want(Wanted::Datagrams(at))
    }

    fn attempts(&self) -> io::Result<OwnedFd> {
        self.want(Wanted::Attempts)
    }

    fn listen_inside(&self, address: IpAddr, port: u16) -> io::Result<OwnedFd> {
        self.want(Wanted::ListenInside(SocketAddr::new(address, port)))
    }

    fn sock_diag(&self) -> io::Result<OwnedFd> {
        self.want(Wanted::SockDiag)
    }

    fn connect_inside(&self, v6: bool) -> io::Result<OwnedFd> {
        self.want(Wanted::ConnectInside { v6 })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::os::fd::AsFd as _;

    use super::*;

    fn allow(transparent: Demand, proxy: Option<u16>) -> Allow {
        Allow {
            rules: crate::network::rule::Rules::default(),
            pool: "198.18.0.0/15".parse().unwrap(),
            host_ports: vec![],
            publish: vec![],
            proxy,
            upstream: None,
            transparent,
        }
    }

    #[test]
    fn less_than_a_gateway_is_taken_only_where_it_will_do() {
        let ways = |demand, proxy| Asked::of(&allow(demand, proxy)).ways;
        assert_eq!(ways(Demand::Required, Some(3128)), [Way::Veth]);
        assert_eq!(ways(Demand::BestEffort, None), [Way::Veth, Way::AnyIp]);
        let all = [Way::Veth, Way::AnyIp, Way::ProxyOnly];
        assert_eq!(ways(Demand::BestEffort, Some(3128)), all);
        assert_eq!(ways(Demand::Off, Some(3128)), [Way::ProxyOnly]);
    }

    fn client() -> (Client, Channel) {
        let (channel, theirs) = channel::pair().unwrap();
        let gateway = Gateway { way: Way::Veth, v4: Ipv4Addr::LOCALHOST, v6: None };
        (Client { channel, gateway, lost: Cell::new(false) }, theirs)
    }

    #[test]
    fn a_socket_that_cannot_be_made_does_not_stand_in_the_way_of_the_next() {
        let (client, theirs) = client();
        theirs.send(&Made(Err(libc::EADDRINUSE)), &[]).unwrap();
        let at = "198.18.0.9:443".parse().unwrap();
        assert_eq!(client.listen(at).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let file = tempfile::tempfile().unwrap();
        theirs.send(&Made(Ok(())), &[file.as_fd()]).unwrap();
        assert!(client.attempts().is_ok());
    }

    #[test]
    fn a_gateway_process_that_answers_wrongly_or_not_is_asked_no_more() {
        let (client, theirs) = client();
        theirs.send(&Made(Ok(())), &[]).unwrap();
        assert!(client.attempts().unwrap_err().to_string().contains("no socket"));
        let file = tempfile::tempfile().unwrap();
        theirs.send(&Made(Ok(())), &[file.as_fd()]).unwrap();
        assert_eq!(client.attempts().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let (client, theirs) = self::client();
        drop(theirs);
        assert!(client.connect_inside(false).is_err());
    }

    #[test]
    fn a_lesser_way_is_told_with_its_reason() {
        assert_eq!(notice(Way::Veth, &[]), None);
        let told = notice(Way::AnyIp, &["cannot make a veth pair: no".to_owned()]).unwrap();
        assert!(told.contains("loopback") && told.ends_with("(cannot make a veth pair: no)"));
    }
}
