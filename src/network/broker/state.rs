//! What the broker knows: rules, names, listeners, connections. All of it belongs to one thread, so
//! that between a decision and what follows from it nothing changes. It must never give an address
//! to a resolver before somebody listens there.
#![forbid(unsafe_code)]

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net};
use tokio::net::TcpListener;
use tokio::task::spawn_local;

use super::busy_poll::BusyPoll;
use super::limits::{LONG_HELLOS, Limits, Places};
use super::listener::listener;
use super::outside::Outside;
use super::recent::Recent;
use super::relay::Buffers;
use super::traffic::Traffic;
use crate::error::{Error, Result};
use crate::log::clock::now;
use crate::log::event::{self, ConnectionId, Event, Refused, RuleSaid};
use crate::network::live::{Connected, Meets, Status, meets};
use crate::network::name::Name;
use crate::network::plan::{Allow, Publish, Upstream};
use crate::network::pool::Pool;
use crate::network::refusals::{self, Refusals};
use crate::network::rule::{Decision, HTTPS, Host, Rule, Rules, To};
use crate::network::sockets::{Gateway, Sockets, Way};

type Note = Box<dyn Fn(Event) + Send>;
/// Sockets, and where they listen.
type Listeners = Vec<(SocketAddr, TcpListener)>;
/// Takes what comes to a listener at this address, as long as the broker lives.
type Serve = fn(Rc<State>, TcpListener, SocketAddr);

/// See the top of this file.
pub(super) struct State {
    pub(super) sockets: Box<dyn Sockets>,
    pub(super) outside: Outside,
    pub(super) gateway: Gateway,
    pub(super) upstream: Option<Upstream>,
    pub(super) host_ports: Vec<u16>,
    pub(super) publish: Vec<Publish>,
    /// Where the compatibility proxy listens, if there is one.
    pub(super) proxy: Option<u16>,
    pub(super) rules: RefCell<Rules>,
    pub(super) places: Places,
    /// See [`LONG_HELLOS`].
    pub(super) long_hellos: Places,
    pub(super) buffers: Buffers,
    pub(super) busy_poll: BusyPoll,
    /// Where names led to.
    pub(super) lookups: Recent<(String, u16), Vec<SocketAddr>>,
    /// Addresses that were another machine's.
    pub(super) others: Recent<IpAddr, ()>,
    /// What is published, with the ports it got.
    pub(super) published: RefCell<Vec<Publish>>,
    limits: Limits,
    net: Ipv4Net,
    pool: RefCell<Pool>,
    listeners: RefCell<HashSet<SocketAddr>>,
    open: RefCell<BTreeMap<ConnectionId, Weak<Traffic>>>,
    last: Cell<ConnectionId>,
    refusals: RefCell<Refusals>,
    /// Somebody waits to tell of what was counted.
    telling: Cell<bool>,
    complained: Cell<Option<Instant>>,
    note: Note,
    serve: Serve,
    /// Where attempts at what nobody here answers are to be seen.
    pub(super) attempts: OnceCell<OwnedFd>,
}

/// What a rule grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    /// The rule, for the log.
    pub(super) said: RuleSaid,
    /// A TLS hello for the name is demanded.
    pub(super) tls: bool,
    /// Private addresses may be dialled.
    pub(super) private: bool,
}

/// Why a name has no address.
#[derive(Debug)]
pub(super) enum Unnamed {
    /// No rule allows it, or this one forbids it.
    NotAllowed(Option<RuleSaid>),
    /// There are too many already.
    Full,
    /// The gateway gave no listener.
    NoListener(io::Error),
}

/// The proxy's port where there is nothing but a proxy and the plan names no port.
const PROXY: u16 = 3128;
/// How often the same complaint is told.
const COMPLAINTS: Duration = Duration::from_secs(30);

impl State {
    /// Nothing is listened at yet.
    pub(super) fn new(
        outside: Outside,
        plan: &Allow,
        sockets: Box<dyn Sockets>,
        note: Note,
        serve: Serve,
    ) -> Self {
        let limits = Limits::of_process();
        let gateway = sockets.gateway();
        let only = (gateway.way == Way::ProxyOnly).then_some(PROXY);
        Self {
            sockets,
            outside,
            gateway,
            upstream: plan.upstream.clone(),
            host_ports: plan.host_ports.clone(),
            publish: plan.publish.clone(),
            proxy: plan.proxy.or(only),
            rules: RefCell::new(plan.rules.clone()),
            places: Places::new(limits.connections),
            long_hellos: Places::new(LONG_HELLOS),
            buffers: Buffers::default(),
            busy_poll: BusyPoll::default(),
            lookups: Recent::default(),
            others: Recent::default(),
            published: RefCell::default(),
            limits,
            net: plan.pool,
            pool: RefCell::new(Pool::new(plan.pool, limits.names)),
            listeners: RefCell::default(),
            open: RefCell::default(),
            last: Cell::new(0),
            refusals: RefCell::new(Refusals::new(Instant::now())),
            telling: Cell::new(false),
            complained: Cell::new(None),
            note,
            serve,
            attempts: OnceCell::new(),
        }
    }

    /// Writes to the log.
    pub(super) fn note(&self, event: Event) {
        (self.note)(event);
    }

    /// Tells of something a person should know.
    pub(super) fn notice(&self, kind: &str, text: String) {
        self.note(Event::Notice(event::Notice { t: now(), kind: kind.to_owned(), text }));
    }

    /// Whether traffic comes here by itself, without a proxy being asked.
    pub(super) fn is_transparent(&self) -> bool {
        self.gateway.way != Way::ProxyOnly
    }

    /// What the rules say of a target.
    pub(super) fn decide(&self, host: &Host, port: u16) -> Result<Granted, Option<RuleSaid>> {
        match self.rules.borrow().decide(host, port) {
            Decision::Allowed(rule) => Ok(Granted {
                said: said(rule),
                tls: rule.demands_tls(),
                // Who names an address means this address.
                private: rule.private || matches!(host, Host::Address(_)),
            }),
            Decision::Denied(rule) => Err(Some(said(rule))),
            Decision::NotListed => Err(None),
        }
    }

    /// What somebody means who connects to this address: the name that it stands for, or itself.
    pub(super) fn meant(&self, address: IpAddr) -> Host {
        let name = match address {
            IpAddr::V4(v4) => self.pool.borrow().name(v4).cloned(),
            IpAddr::V6(_) => None,
        };
        name.map_or_else(|| Host::Address(address.to_canonical()), Host::Name)
    }

    /// The address of a name, at which each port that is allowed is listened at by now.
    pub(super) fn address(self: &Rc<Self>, name: &Name) -> Result<Ipv4Addr, Unnamed> {
        let host = Host::Name(name.clone());
        let ports = self.rules.borrow().ports(&host);
        if ports.is_empty() {
            return Err(Unnamed::NotAllowed(self.decide(&host, HTTPS).err().flatten()));
        }
        let means_itself = |address| self.means_itself(address);
        let address = self.pool.borrow_mut().address(name, means_itself).ok_or(Unnamed::Full)?;
        if self.is_transparent() {
            for port in ports {
                self.listen(SocketAddr::new(address.into(), port))?;
            }
        }
        Ok(address)
    }

    /// Whether a rule speaks of this address of the pool, and not of all that are there.
    fn means_itself(&self, address: Ipv4Addr) -> bool {
        let rules = self.rules.borrow();
        rules.allow.iter().any(|rule| match &rule.to {
            To::Net(IpNet::V4(net)) => net.contains(&address) && !net.contains(&self.net),
            _ => false,
        })
    }

    /// The name of an address of the pool.
    pub(super) fn name(&self, address: Ipv4Addr) -> Option<Name> {
        self.pool.borrow().name(address).cloned()
    }

    /// Whether an address is one of the pool's.
    pub(super) fn is_of_pool(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(v4) if self.pool.borrow().holds(v4))
    }

    /// Whether somebody here listens at this address.
    pub(super) fn listens(&self, at: SocketAddr) -> bool {
        let any: IpAddr = match at.ip() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let listeners = self.listeners.borrow();
        listeners.contains(&at) || listeners.contains(&SocketAddr::new(any, at.port()))
    }

    /// Listens at an address of the gateway, if nobody does yet. What comes is decided on when it
    /// comes.
    fn listen(self: &Rc<Self>, at: SocketAddr) -> Result<(), Unnamed> {
        if !self.listeners.borrow().contains(&at) {
            let listener = self.socket(at, 0)?;
            self.serve(at, listener);
        }
        Ok(())
    }

    /// A socket that listens there, and that nobody serves yet, like so many others.
    fn socket(&self, at: SocketAddr, others: usize) -> Result<TcpListener, Unnamed> {
        if self.listeners.borrow().len() + others >= self.limits.listeners {
            return Err(Unnamed::Full);
        }
        self.sockets.listen(at).and_then(listener).map_err(Unnamed::NoListener)
    }

    fn serve(self: &Rc<Self>, at: SocketAddr, listener: TcpListener) {
        self.listeners.borrow_mut().insert(at);
        (self.serve)(Rc::clone(self), listener, at);
    }

    /// Listens at a gateway's port for something other than direct connections.
    pub(super) fn listen_for(&self, at: SocketAddr) -> io::Result<TcpListener> {
        let listener = self.sockets.listen(at).and_then(listener)?;
        self.listeners.borrow_mut().insert(at);
        Ok(listener)
    }

    /// Sockets where these rules speak of addresses, and at the new ports of names that have one: all
    /// of them or, if one cannot be had, none. Nobody serves them yet.
    pub(super) fn open_rules(&self, rules: &[Rule]) -> Result<Listeners> {
        let mut open = Vec::new();
        for (at, rule) in self.places_of(rules) {
            let listener = self.socket(at, open.len()).map_err(|unnamed| {
                let rule = crate::visible::visible(&rule.text);
                let why = match unnamed {
                    Unnamed::NoListener(err) => err.to_string(),
                    _ => "there are too many already".to_owned(),
                };
                Error::launcher(format!("cannot listen at {at} for `{rule}`: {why}"))
            })?;
            open.push((at, listener));
        }
        Ok(open)
    }

    pub(super) fn serve_all(self: &Rc<Self>, listeners: Listeners) {
        for (at, listener) in listeners {
            self.serve(at, listener);
        }
    }

    /// Where these rules are to be listened at and nobody does yet.
    fn places_of<'a>(&self, rules: &'a [Rule]) -> BTreeMap<SocketAddr, &'a Rule> {
        let mut places = BTreeMap::new();
        if !self.is_transparent() {
            return places;
        }
        let pool = self.pool.borrow();
        for rule in rules {
            let Some(port) = rule.port else { continue };
            if let To::Net(net) = rule.to {
                places.entry(at_net(net, port)).or_insert(rule);
                continue;
            }
            let about = |name: &Name| rule.matches(&Host::Name(name.clone()), port);
            for (_, address) in pool.names().filter(|(name, _)| about(name)) {
                places.entry(SocketAddr::new(address.into(), port)).or_insert(rule);
            }
        }
        let listeners = self.listeners.borrow();
        // Without IPv6 nobody inside reaches an address of it.
        let reached = |at: &SocketAddr| at.is_ipv4() || self.gateway.v6.is_some();
        places.retain(|at, _| reached(at) && !listeners.contains(at));
        places
    }

    /// What has to be there before more rules are taken over. Nothing has changed yet.
    pub(super) fn prepare(&self, rules: &[Rule]) -> Result<Listeners> {
        for rule in rules {
            if let Meets::Denial(denial) = meets(&self.rules.borrow(), rule) {
                let error = Error::launcher(format!(
                    "{} is forbidden by `{}` ({}), which no rule lifts",
                    crate::visible::visible(&rule.text),
                    crate::visible::visible(&denial.text),
                    crate::visible::visible(&denial.origin),
                ));
                return Err(error.hint("take the denial out of the profile, and start again"));
            }
        }
        self.open_rules(rules)
    }

    /// Takes over more rules.
    pub(super) fn allow(self: &Rc<Self>, rules: Vec<Rule>, listeners: Listeners) {
        self.serve_all(listeners);
        for rule in &rules {
            self.note(Event::Allow(event::Allow { t: now(), rule: said(rule) }));
        }
        self.rules.borrow_mut().allow.extend(rules);
    }

    /// A number for a connection, under which its bytes are counted.
    pub(super) fn number(&self, traffic: &Rc<Traffic>) -> ConnectionId {
        let id = self.last.get() + 1;
        self.last.set(id);
        self.open.borrow_mut().insert(id, Rc::downgrade(traffic));
        id
    }

    /// Forgets a connection that has ended.
    pub(super) fn forget(&self, id: ConnectionId) {
        self.open.borrow_mut().remove(&id);
    }

    pub(super) fn status(&self) -> Status {
        let open = self.open.borrow();
        let open = open.values().filter_map(Weak::upgrade).map(|traffic| Connected {
            host: traffic.host.clone(),
            port: traffic.port,
            sent: traffic.sent.get(),
            received: traffic.received.get(),
        });
        Status {
            gateway: self.gateway,
            rules: self.rules.borrow().clone(),
            names: self.pool.borrow().len(),
            open: open.collect(),
            published: self.published.borrow().clone(),
        }
    }

    /// Tells that the gateway gave no listener, now and then: it may be asked for thousands.
    pub(super) fn no_listener(&self, err: &io::Error) {
        let now = Instant::now();
        let lately = self.complained.get().is_some_and(|last| now - last < COMPLAINTS);
        if !lately {
            self.complained.set(Some(now));
            self.notice("network", format!("names have no address now: the gateway: {err}"));
        }
    }

    /// Tells of a refusal, at once or with others.
    pub(super) fn refuse(self: &Rc<Self>, refused: Refused) {
        let told = self.refusals.borrow_mut().refused(refused, Instant::now());
        if let Some(refused) = told {
            self.note(Event::Refused(refused));
        }
        if self.refusals.borrow().pending() && !self.telling.replace(true) {
            spawn_local(tell(Rc::clone(self)));
        }
    }

    /// Tells of what was counted since it was told last.
    pub(super) fn tell_counted(&self) {
        let due = self.refusals.borrow_mut().due(Instant::now());
        for refused in due {
            self.note(Event::Refused(Refused { t: now(), ..refused }));
        }
    }
}

/// Tells of what was counted until nothing is.
async fn tell(state: Rc<State>) {
    while state.refusals.borrow().pending() {
        tokio::time::sleep(refusals::PERIOD).await;
        state.tell_counted();
    }
    state.telling.set(false);
}

/// Where a net is listened at: its one address, or at all of them.
fn at_net(net: IpNet, port: u16) -> SocketAddr {
    let all: IpAddr = match net {
        IpNet::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpNet::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let one = net.prefix_len() == net.max_prefix_len();
    SocketAddr::new(if one { net.addr() } else { all }, port)
}

fn said(rule: &Rule) -> RuleSaid {
    RuleSaid { text: rule.text.clone(), origin: rule.origin.clone() }
}
