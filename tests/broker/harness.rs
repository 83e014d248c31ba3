//! A sandbox's side on loopback addresses, a world outside that a test makes up, and what a program
//! inside would do.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use claudebox::log::event::{Connect, Disconnect, Event, Refused};
use claudebox::network::broker::{Broker, Outside};
use claudebox::network::guard;
use claudebox::network::plan::Allow;
use claudebox::network::rule::{Rule, Rules, To};
use claudebox::network::sockets::{Gateway, Sockets, Way};
use claudebox::plan::Demand;
use nix::sys::socket::{setsockopt, sockopt as options};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use simple_dns::{CLASS, Name, Packet, Question, RCODE, TYPE, rdata::RData};

/// How long anything may take; only a machine that hangs takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The gateway, and the first of the pool.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 1);
/// Where the sandbox's own loopback is.
pub(crate) const INSIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The compatibility proxy's port.
pub(crate) const PROXY: u16 = 3128;

/// A port at which nothing can be listened at.
pub(crate) const BROKEN: u16 = 4444;
/// A port at which that takes [`SLOWNESS`].
pub(crate) const SLOW: u16 = 5555;
pub(crate) const SLOWNESS: Duration = Duration::from_secs(4);

const ISOLATED: &str = "CLAUDEBOX_TEST_ISOLATED";

/// Runs the test of this name in a network of its own.
pub(crate) fn isolated(name: &str, body: impl FnOnce()) {
    if std::env::var_os(ISOLATED).is_some() {
        return body();
    }
    let own = std::env::current_exe().unwrap();
    let bwrap = ["--unshare-user", "--unshare-net", "--cap-add", "CAP_NET_BIND_SERVICE"];
    let output = Command::new("bwrap")
        .args(bwrap)
        .args(["--dev-bind", "/", "/", "--"])
        .arg(own)
        .args([name, "--exact", "--nocapture"])
        .env(ISOLATED, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

/// The sandbox's side, without namespaces.
struct Loopback;

impl Sockets for Loopback {
    fn gateway(&self) -> Gateway {
        Gateway { way: Way::Veth, v4: GATEWAY, v6: None }
    }

    fn listen(&self, at: SocketAddr) -> io::Result<OwnedFd> {
        match at.port() {
            BROKEN => return Err(io::Error::other("broken")),
            SLOW => std::thread::sleep(SLOWNESS),
            _ => {}
        }
        let socket = socket(at, SocketType::STREAM)?;
        sockopt::set_socket_reuseport(&socket, true)?;
        bind(&socket, &at)?;
        listen(&socket, 128)?;
        Ok(socket)
    }

    fn datagrams(&self, at: SocketAddr) -> io::Result<OwnedFd> {
        let socket = socket(at, SocketType::DGRAM)?;
        setsockopt(&socket, options::Ipv4PacketInfo, &true)?;
        bind(&socket, &at)?;
        Ok(socket)
    }

    fn attempts(&self) -> io::Result<OwnedFd> {
        // Nothing is ever seen.
        Ok(UdpSocket::bind((GATEWAY, 0))?.into())
    }

    fn listen_inside(&self, address: IpAddr, port: u16) -> io::Result<OwnedFd> {
        match address {
            IpAddr::V4(_) => self.listen((INSIDE, port).into()),
            IpAddr::V6(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn sock_diag(&self) -> io::Result<OwnedFd> {
        // It hears itself, and no answer ever.
        let socket = UdpSocket::bind((GATEWAY, 0))?;
        socket.connect(socket.local_addr()?)?;
        Ok(socket.into())
    }

    fn connect_inside(&self, v6: bool) -> io::Result<OwnedFd> {
        let any: IpAddr = if v6 { "::".parse().unwrap() } else { Ipv4Addr::UNSPECIFIED.into() };
        socket((any, 0).into(), SocketType::STREAM)
    }
}

fn socket(at: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if at.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    Ok(socket)
}

/// What there is before a broker runs.
pub(crate) struct Setup {
    pub(crate) plan: Allow,
    /// Where names lead to; what is not here is not there.
    pub(crate) hosts: HashMap<String, Vec<SocketAddr>>,
    /// Whether the guard of the real world judges.
    pub(crate) guarded: bool,
}

impl Setup {
    pub(crate) fn new(allow: &[&str]) -> Self {
        let rules = Rules { allow: allow.iter().map(|text| rule(text)).collect(), deny: vec![] };
        let plan = Allow {
            rules,
            pool: "127.64.0.0/16".parse().unwrap(),
            host_ports: vec![],
            publish: vec![],
            proxy: Some(PROXY),
            upstream: None,
            transparent: Demand::Required,
        };
        Self { plan, hosts: HashMap::new(), guarded: false }
    }

    pub(crate) fn host(mut self, name: &str, at: SocketAddr) -> Self {
        self.hosts.entry(name.to_owned()).or_default().push(at);
        self
    }

    pub(crate) fn deny(mut self, text: &str) -> Self {
        self.plan.rules.deny.push(rule(text));
        self
    }

    pub(crate) fn start(self) -> Running {
        self.try_start().unwrap()
    }

    pub(crate) fn try_start(self) -> claudebox::error::Result<Running> {
        let hosts = self.hosts;
        let lookups = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&lookups);
        let lookup = move |name: &str, port: u16| {
            asked.lock().unwrap().push(format!("{name}:{port}"));
            hosts.get(name).cloned().ok_or_else(|| io::Error::other("no such host"))
        };
        let guard = if self.guarded { guard::judge } else { |_, _| Ok(()) };
        let outside = Outside { lookup: Arc::new(lookup), guard, own: |_| false };
        let (sender, events) = channel();
        let note = move |event| drop(sender.send(event));
        let broker = Broker::start_in(outside, &self.plan, Box::new(Loopback), note)?;
        Ok(Running { broker, events, lookups })
    }
}

/// A rule in the words of a profile.
pub(crate) fn rule(text: &str) -> Rule {
    let mut words = text.split(' ');
    let target = words.next().unwrap();
    let words: Vec<&str> = words.collect();
    let (host, port) = match target.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().unwrap())),
        None => (target, None),
    };
    let to = match (host, host.strip_prefix("*.")) {
        ("*", _) => To::All,
        (_, Some(above)) => To::Below(above.parse().unwrap()),
        _ => match (host.parse::<IpAddr>(), host.parse()) {
            (Ok(address), _) => To::Net(address.into()),
            (_, Ok(net)) => To::Net(net),
            _ => To::Name(host.parse().unwrap()),
        },
    };
    Rule {
        to,
        port,
        raw: words.contains(&"raw"),
        private: words.contains(&"private"),
        text: text.to_owned(),
        origin: "test".to_owned(),
    }
}

/// A broker at work.
pub(crate) struct Running {
    pub(crate) broker: Broker,
    pub(crate) events: Receiver<Event>,
    pub(crate) lookups: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// Waits for an event.
    pub(crate) fn event<T>(&self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        while let Ok(event) = self.events.recv_timeout(end - Instant::now().min(end)) {
            match wanted(&event) {
                Some(found) => return found,
                None => others.push(event),
            }
        }
        panic!("no such event among {others:#?}")
    }

    pub(crate) fn refused(&self) -> Refused {
        self.event(|event| match event {
            Event::Refused(refused) => Some(refused.clone()),
            _ => None,
        })
    }

    pub(crate) fn connect(&self) -> Connect {
        self.event(|event| match event {
            Event::Connect(connect) => Some(connect.clone()),
            _ => None,
        })
    }

    pub(crate) fn disconnect(&self) -> Disconnect {
        self.event(|event| match event {
            Event::Disconnect(disconnect) => Some(disconnect.clone()),
            _ => None,
        })
    }

    /// What has been told so far and not been waited for.
    pub(crate) fn rest(self) -> Vec<Event> {
        let Self { broker, events, .. } = self;
        drop(broker);
        events.iter().collect()
    }
}

/// A connection to a name, as a program inside makes it.
pub(crate) fn open(name: &str, port: u16) -> TcpStream {
    connect((address(name), port)).unwrap()
}

pub(crate) fn connect(at: impl Into<SocketAddr>) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&at.into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Connects to where somebody listens, whatever becomes of it: it may have ended before the system call returns
/// that makes it.
pub(crate) fn taken(at: impl Into<SocketAddr>) {
    if let Err(err) = connect(at) {
        assert_eq!(err.kind(), io::ErrorKind::ConnectionReset);
    }
}

/// Connects to where nothing is to be had, and returns when the connection has ended. It may have
/// done so before the system call returns that makes it.
pub(crate) fn ends(at: impl Into<SocketAddr>, words: &[u8]) {
    match connect(at) {
        Ok(stream) => assert_eq!(talk(stream, words), b""),
        Err(err) => assert_eq!(err.kind(), io::ErrorKind::ConnectionReset),
    }
}

/// The address of a name that has one.
pub(crate) fn address(name: &str) -> Ipv4Addr {
    match ask(name, TYPE::A) {
        (RCODE::NoError, Some(IpAddr::V4(address))) => address,
        other => panic!("{name}: {other:?}"),
    }
}

/// Asks the gateway's name server.
pub(crate) fn ask(name: &str, kind: TYPE) -> (RCODE, Option<IpAddr>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect((GATEWAY, 53)).unwrap();
    socket.send(&question(name, kind)).unwrap();
    let mut bytes = [0; 1500];
    let length = socket.recv(&mut bytes).unwrap();
    reply(&bytes[..length])
}

pub(crate) fn question(name: &str, kind: TYPE) -> Vec<u8> {
    let mut packet = Packet::new_query(7);
    let name = Name::new_unchecked(name);
    packet.questions.push(Question::new(name, kind.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().unwrap()
}

pub(crate) fn reply(bytes: &[u8]) -> (RCODE, Option<IpAddr>) {
    let packet = Packet::parse(bytes).unwrap();
    assert_eq!(packet.id(), 7);
    let address = packet.answers.first().and_then(|record| match &record.rdata {
        RData::A(a) => Some(IpAddr::V4(Ipv4Addr::from(a.address))),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.address.into())),
        _ => None,
    });
    (packet.rcode(), address)
}

/// A server outside that takes one connection, and what it does with it.
pub(crate) fn server<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    (at, std::thread::spawn(move || serve(listener.accept().unwrap().0)))
}

/// A server that answers everything it was told, in one piece, at the end.
pub(crate) fn echo() -> (SocketAddr, JoinHandle<Vec<u8>>) {
    server(|mut stream| {
        let bytes = all(&mut stream);
        let _ = stream.write_all(&bytes);
        bytes
    })
}

/// A server nobody must reach. Ask it whether somebody did.
pub(crate) struct Forbidden(TcpListener);

impl Forbidden {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Looked at when what would have reached it is over.
    pub(crate) fn was_reached(&self) -> bool {
        self.0.accept().is_ok()
    }
}

/// A server that takes no connection any more, as one behind a way that leads nowhere.
pub(crate) struct Silent {
    listener: OwnedFd,
    /// They fill its queue.
    _waiting: Vec<TcpStream>,
}

impl Silent {
    pub(crate) fn new() -> Self {
        let listener = socket((Ipv4Addr::LOCALHOST, 0).into(), SocketType::STREAM).unwrap();
        bind(&listener, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        listen(&listener, 0).unwrap();
        let silent = Self { listener, _waiting: Vec::new() };
        let soon = Duration::from_millis(100);
        let at = silent.at();
        let waiting = std::iter::from_fn(|| TcpStream::connect_timeout(&at, soon).ok()).collect();
        Self { _waiting: waiting, ..silent }
    }

    pub(crate) fn at(&self) -> SocketAddr {
        let at = rustix::net::getsockname(&self.listener).unwrap();
        SocketAddr::try_from(at).unwrap()
    }
}

/// Reads to the end; a connection that is reset has ended, too.
pub(crate) fn all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Err(err) = stream.read_to_end(&mut bytes) {
        assert_eq!(err.kind(), io::ErrorKind::ConnectionReset);
    }
    bytes
}

/// Says something, ends, and reads the answer.
pub(crate) fn talk(mut stream: TcpStream, words: &[u8]) -> Vec<u8> {
    let _ = stream.write_all(words);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    all(&mut stream)
}

/// A TLS hello to this name.
pub(crate) fn hello(name: &str) -> Vec<u8> {
    let sized =
        |body: &[u8]| [&u16::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat();
    let host = sized(&[&[0][..], &sized(name.as_bytes())].concat());
    let extensions = [
        &[0, 0][..],
        &sized(&host),
        // Signature algorithms.
        &[0, 13],
        &sized(&sized(&[8, 4])),
    ];
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(sized(&extensions.concat()));
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1][..], &length[1..], &body].concat();
    [&[22, 3, 1][..], &sized(&message)].concat()
}
