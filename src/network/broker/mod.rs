//! The broker: it answers what comes from the sandbox at the gateway, and alone decides what goes
//! on. One thread of the supervisor, with a runtime of its own; sockets on the sandbox's side come
//! from [`Sockets`], those on the other side are the host's. When it ends, nothing answers any more.
//! It must never dial what no rule allows, nor an address that the guard refuses.
#![forbid(unsafe_code)]

mod accept;
mod attempts;
mod busy_poll;
mod connect;
mod connection;
mod datagram;
mod dial;
mod inside;
mod lead;
mod limits;
mod listener;
mod lookup;
mod open;
mod outside;
mod proxy;
mod recent;
mod refuse;
mod relay;
mod state;
mod stub;
mod traffic;
mod upstream;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{self, LocalOptions};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_local;

use self::state::State;
use super::live::Live;
use super::plan::Allow;
use super::rule::Rule;
use super::sockets::Sockets;
use crate::error::{Error, Result, Tried as _};
use crate::log::clock::now;
use crate::log::event::{Event, Notice};

pub use self::outside::Outside;
pub use super::live::{Connected, Status};

/// How many names are looked up at a time, each in a thread that stands still.
const LOOKUPS: usize = 8;
/// How long such a thread waits for the next.
const KEPT: Duration = Duration::from_secs(2);
/// How long the broker may take to answer the supervisor, whose loop does nothing else meanwhile. Only
/// one that hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// The notice of a broker that broke.
const STOPPED: &str = "network-stopped";

/// A running broker. When it is dropped, every connection ends.
#[derive(Debug)]
pub struct Broker {
    /// Taken when it ends.
    commands: Option<UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

/// What the supervisor asks of it.
#[derive(Debug)]
enum Command {
    Allow(Vec<Rule>, Answer<Result<()>>),
    Status(Answer<Status>),
}

/// Where the answer to a command goes.
#[derive(Debug)]
struct Answer<T> {
    to: SyncSender<T>,
    /// Held by who waits for it.
    asker: Weak<()>,
}

impl<T> Answer<T> {
    fn is_awaited(&self) -> bool {
        self.asker.strong_count() > 0
    }

    /// Does what was asked, and says so; unless nobody waits for it any more, who was told that it was
    /// not done.
    fn give(self, answer: impl FnOnce() -> T) {
        if self.is_awaited() {
            let _ = self.to.send(answer());
        }
    }
}

impl Broker {
    /// Starts it. When this returns, everything the plan names is listened at. `note` is called
    /// in the broker's thread.
    ///
    /// # Errors
    /// When a socket cannot be had, on either side; nothing of it runs then.
    pub fn start(
        plan: &Allow,
        sockets: Box<dyn Sockets>,
        note: impl Fn(Event) + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::start_in(Outside::host(), plan, sockets, note)
    }

    /// The same in another world than this machine's: for tests.
    ///
    /// # Errors
    /// See [`Broker::start`].
    pub fn start_in(
        outside: Outside,
        plan: &Allow,
        sockets: Box<dyn Sockets>,
        note: impl Fn(Event) + Send + Sync + 'static,
    ) -> Result<Self> {
        let (sender, commands) = unbounded_channel();
        let (ready, started) = sync_channel(1);
        let plan = plan.clone();
        let note = Arc::new(note);
        let last_word = Arc::clone(&note);
        let run = move || {
            let note = Box::new(move |event| note(event));
            let state = move || State::new(outside, &plan, sockets, note, serve_direct);
            // Its sockets go with it: nothing answers any more. A person shall know why.
            if catch_unwind(AssertUnwindSafe(|| run(state, commands, &ready))).is_err() {
                let text =
                    "the network stopped, and reaches nothing: a defect in claudebox".to_owned();
                last_word(Event::Notice(Notice { t: now(), kind: STOPPED.to_owned(), text }));
            }
        };
        let thread = std::thread::Builder::new().name("network".to_owned()).spawn(run);
        let thread = thread.tried(|| "start the network's thread")?;
        let broker = Self { commands: Some(sender), thread: Some(thread) };
        match started.recv() {
            Ok(Ok(())) => Ok(broker),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::launcher("the network's thread ended before it was ready")),
        }
    }

    /// Allows more from now on, by all of these rules or by none.
    ///
    /// # Errors
    /// When a rule of the session forbids one whatever allows it, or one cannot be listened at.
    pub fn allow(&self, rules: Vec<Rule>) -> Result<()> {
        self.ask(|answer| Command::Allow(rules, answer))?
    }

    /// What there is.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn status(&self) -> Result<Status> {
        self.ask(Command::Status)
    }

    fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T> {
        let gone = || Error::launcher("the network of this session has ended");
        let (to, answered) = sync_channel(1);
        let waiting = Arc::new(());
        let answer = Answer { to, asker: Arc::downgrade(&waiting) };
        let commands = self.commands.as_ref().ok_or_else(gone)?;
        commands.send(command(answer)).map_err(|_| gone())?;
        answered.recv_timeout(PATIENCE).map_err(|err| match err {
            RecvTimeoutError::Disconnected => gone(),
            RecvTimeoutError::Timeout => {
                let seconds = PATIENCE.as_secs();
                let what = format!("the network of this session is silent for {seconds} s");
                Error::launcher(what)
                    .hint("it is busy, or it hangs; `claudebox net` says what is in force")
            }
        })
    }
}

impl Live for Broker {
    fn allow(&self, rules: Vec<Rule>) -> Result<()> {
        Self::allow(self, rules)
    }

    fn status(&self) -> Result<Status> {
        Self::status(self)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // It said already what it died of.
            let _ = thread.join();
        }
    }
}

/// The broker's thread.
fn run(
    state: impl FnOnce() -> State,
    commands: UnboundedReceiver<Command>,
    ready: &SyncSender<Result<()>>,
) {
    // Its tasks are this thread's: a set of such tasks within another runtime has a queue and a lock more.
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(LOOKUPS)
        .thread_keep_alive(KEPT)
        .thread_name("lookup")
        .build_local(LocalOptions::default())
        .tried(|| "start the network's runtime");
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async {
        match begin(state) {
            Ok(state) => {
                let _ = ready.send(Ok(()));
                serve(&state, commands).await;
                attempts::look(&state);
                state.tell_counted();
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    });
    // A lookup may hang for as long as it likes.
    runtime.shutdown_background();
}

fn begin(state: impl FnOnce() -> State) -> Result<Rc<State>> {
    limits::raise_open_files();
    let state = Rc::new(state());
    let listeners = state.open_rules(&state.rules.borrow().allow)?;
    state.serve_all(listeners);
    stub::begin(&state)?;
    proxy::begin(&state)?;
    lead::begin(&state)?;
    attempts::begin(&state);
    inside::begin(&state);
    let awake = Rc::clone(&state);
    spawn_local(async move { awake.busy_poll.stay_awake().await });
    Ok(state)
}

/// See [`accept::direct`].
fn serve_direct(state: Rc<State>, listener: TcpListener, at: SocketAddr) {
    spawn_local(accept::direct(state, listener, at));
}

async fn serve(state: &Rc<State>, mut commands: UnboundedReceiver<Command>) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Allow(rules, answer) if answer.is_awaited() => {
                let listeners = state.prepare(&rules);
                answer.give(|| listeners.map(|listeners| state.allow(rules, listeners)));
            }
            Command::Allow(..) => {}
            Command::Status(answer) => answer.give(|| state.status()),
        }
    }
}
