//! From a plan to an inner stage that is ready and waits: prepare the host, start bwrap, follow the
//! handshake, and let the log begin while the inner stage confines itself. Whatever fails here ends with an error that names the cause,
//! with nothing left running.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;

use super::Session;
use super::cgroup::Making;
use super::control::Control;
use super::devices::Protecting;
use super::events::{self, Verdict};
use super::execs::{self, Execs, Kernel, Limits, Options, Root, Threads};
use super::mirror::Pairs;
use super::network;
use super::signals::Signals;
use super::spawn::Sandbox;
use super::terminal::Tty;
use super::waiting::{self, Failed, PATIENCE, Waiting};
use crate::error::{Error, Result, Tried as _};
use crate::filters::notify::Stops;
use crate::git::private::build::{build, make_room};
use crate::log::clock::now;
use crate::log::event::{Confined, Event, ExecLogStatus};
use crate::log::sink::Sink;
use crate::network::broker::Broker;
use crate::network::gateway::{LESSER, Started};
use crate::plan::{self, ExecLog, Plan};
use crate::sandbox::discard::Discarded;
use crate::sandbox::inner::handshake::{Observed, Order};
use crate::sandbox::prepare::prepare;
use crate::session::inside::Note;
use crate::sys::channel::Channel;
use crate::sys::pidfd::{self, ExitSource};
use crate::sys::text;

/// An inner stage that confines itself, and of which it is known what there is to observe it with.
pub(super) struct Begun {
    sandbox: Sandbox,
    pub(super) init: Init,
    observed: Observed,
    /// What is limited, and by what.
    limits: plan::limits::Limits,
    kernel: Option<Kernel>,
    /// What came with [`Observed`] if execs are observed.
    observing: Option<Observing>,
    /// The files that are kept in step with the host's.
    pub(super) pairs: Option<Pairs>,
    /// What the last session left.
    pub(super) discarded: Discarded,
    /// Where the sandbox's traffic comes to, if it may go anywhere.
    network: Option<Started>,
    /// What protects the host's device nodes from root.
    devices: Option<Protecting>,
    /// Where it is noted which process is pid 1 inside.
    note: Note,
    /// For the log.
    threads: Threads,
}

/// What there is to observe execs with.
struct Observing {
    listener: OwnedFd,
    /// The sandbox's root directory.
    root: Root,
    /// To pid 1, which makes sockets.
    sockets: Channel,
}

/// pid 1 of the sandbox.
#[derive(Debug)]
pub(super) struct Init {
    /// As seen from here.
    pub(super) pid: i32,
    /// Readable once it, and with it everything inside, is dead.
    pub(super) pidfd: OwnedFd,
}

/// Starts the sandbox. The verdict is there if it did not come that far. `open_log` writes the first line of
/// the log, if it is not there yet.
pub(super) fn begin(
    plan: &Plan,
    session: &Session<'_>,
    signals: &Signals,
    tty: Option<&mut Tty>,
    open_log: &mut dyn FnMut() -> io::Result<()>,
) -> Result<(Begun, Control), Verdict> {
    let limits = &plan.limits;
    thread::scope(|scope| {
        let making = limits.group.as_ref().map(|group| Making::begin(scope, group));
        let discarded = prepare(&plan.prepare).map_err(Verdict::not_started)?;
        if plan.git.is_some() {
            make_room(session.directory).map_err(Verdict::not_started)?;
        }
        let pairs = Pairs::begin(plan).map_err(Verdict::not_started)?;
        let foreground = tty.is_some_and(Tty::agent_starts_in_front);
        let mut git = plan.git.as_ref();
        // Works while bwrap mounts, and once.
        let mut beside = || -> Result<()> {
            open_log().tried(|| "write the session's log")?;
            // Nothing inside looks at it before the agent starts.
            let Some(git) = git.take() else { return Ok(()) };
            build(git, session.directory, session.id, plan.bwrap.as_path())
        };
        let begun =
            match begin_in(plan, session, (limits, making), signals, foreground, &mut beside) {
                Err(failed) if failed.for_group && limits.group.is_some() && !limits.required => {
                    let limits = limits.without_group(&plan.inner.rlimits);
                    begin_in(plan, session, (&limits, None), signals, foreground, &mut beside)
                }
                begun => begun,
            }
            .map_err(|failed| failed.verdict)?;
        let (begun, control) = begun;
        Ok((Begun { pairs: Some(pairs), discarded, ..begun }, control))
    })
}

/// Starts the sandbox with these limits, in the group that is being made for them. `beside`: what else there
/// is to do before the agent may start.
fn begin_in(
    plan: &Plan,
    session: &Session<'_>,
    (limits, group): (&plan::limits::Limits, Option<Making<'_>>),
    signals: &Signals,
    foreground: bool,
    beside: &mut dyn FnMut() -> Result<()>,
) -> Result<(Begun, Control), Failed> {
    let (mut sandbox, joining) =
        Sandbox::start(plan, session.directory, group, foreground).map_err(Failed::for_group)?;
    // All this works while bwrap mounts.
    let starting = network::begin(plan, sandbox.take_info()).map_err(Verdict::not_started)?;
    let kernel = observe(plan, &sandbox).map_err(Verdict::not_started)?;
    let threads = Threads::start().map_err(Verdict::not_started)?;
    let control = Control::open(session.runtime).map_err(Verdict::not_started)?;
    let note = Note::prepare(session.directory)
        .tried(|| "make a file in the session's directory")
        .map_err(Verdict::not_started)?;
    beside().map_err(Verdict::not_started)?;
    // All that settled the policy is not needed any more, and there is time. If it cannot be done, only
    // memory is lost.
    let _ = text::let_go();
    let (observed, fds, pid) = Waiting::new(&sandbox, signals, joining).observed()?;
    let observed = really_observed(observed, kernel);
    let (observing, init) =
        accept(plan, observed, fds, pid).map_err(|error| waiting::failed(&sandbox, error))?;
    let devices = devices(&init);
    let network =
        network::ready(starting, PATIENCE).map_err(|error| waiting::failed(&sandbox, error))?;
    let limits = limits.clone();
    let (pairs, discarded) = (None, Discarded::default());
    let begun = Begun {
        sandbox,
        init,
        observed,
        limits,
        kernel,
        observing,
        pairs,
        discarded,
        network,
        devices,
        note,
        threads,
    };
    Ok((begun, control))
}

/// Begins to protect the device nodes from a session of root.
fn devices(init: &Init) -> Option<Protecting> {
    let root = nix::unistd::geteuid().is_root();
    root.then(|| Protecting::begin(init.pid, init.pidfd.as_fd()))
}

/// Tells the inner stage what to observe, by what the kernel is able to tell: asked now, since bwrap
/// is busy with the mounts and there is time.
fn observe(plan: &Plan, sandbox: &Sandbox) -> Result<Option<Kernel>> {
    let kernel = match plan.exec_log {
        ExecLog::Off => None,
        ExecLog::BestEffort | ExecLog::Required => {
            let kernel = execs::probe()?;
            Some(Kernel { verifies: kernel.verifies && plan.verify, ..kernel })
        }
    };
    let stops = kernel.filter(|kernel| kernel.observes.is_ok()).map(|kernel| Stops {
        starts: kernel.verifies,
        exits: kernel.exits == ExitSource::ExitGroup,
        sockets: cfg!(target_arch = "x86_64"),
    });
    // An inner stage that is gone already says why when its first message is waited for.
    let _ = sandbox.inner.send(&Order::Observe(stops), &[]);
    Ok(kernel)
}

/// What the inner stage did not try, because it does not work here, is not there either.
fn really_observed(inner: Observed, kernel: Option<Kernel>) -> Observed {
    match kernel.map(|kernel| kernel.observes) {
        Some(Err(errno)) => Observed::Unavailable { errno },
        Some(Ok(())) | None => inner,
    }
}

/// Looks at what the inner stage could get against what the plan demands.
fn accept(
    plan: &Plan,
    observed: Observed,
    fds: Vec<OwnedFd>,
    pid: Option<i32>,
) -> Result<(Option<Observing>, Init)> {
    let init = pid
        .ok_or(rustix::io::Errno::SRCH)
        .and_then(|pid| Ok(Init { pid, pidfd: pidfd::open(pid)? }))
        .tried(|| "watch the inner stage")?;
    let observing = match (observed, <[OwnedFd; 3]>::try_from(fds)) {
        (Observed::On { .. }, Ok([listener, root, sockets])) => {
            let root = Root::new(root, init.pid).tried(|| "keep the sandbox's mounts in view")?;
            Some(Observing { listener, root, sockets: sockets.into() })
        }
        (Observed::On { .. }, Err(_)) => {
            return Err(Error::launcher("the inner stage sent no listener"));
        }
        (Observed::Unavailable { errno }, _) if plan.exec_log == ExecLog::Required => {
            return Err(Error::launcher(format!(
                "cannot observe what is executed inside: {}",
                unavailable(errno)
            ))
            .hint("`--no-exec-log` runs without the log of commands")
            .hint("`exec-log = \"best-effort\"` in the profile logs where it is possible"));
        }
        (Observed::Off | Observed::Unavailable { .. }, _) => None,
    };
    Ok((observing, init))
}

/// Why there is no listener, in words.
fn unavailable(errno: i32) -> String {
    let name = nix::errno::Errno::from_raw(errno);
    match errno {
        libc::EBUSY | libc::ENOSYS | libc::EPERM | libc::EACCES => format!(
            "another seccomp listener is active: WSL2 mirrored networking or a sandbox around \
             this one ({name:?})"
        ),
        _ => format!("seccomp(2) failed: {}", name.desc()),
    }
}

/// A sandbox whose execs are watched, and whose agent may start once it is [`Self::confined`].
pub(super) struct Watched {
    pub(super) sandbox: Sandbox,
    pub(super) init: Init,
    pub(super) execs: Execs,
    pub(super) broker: Option<Broker>,
    /// What is known already of what the log is to say.
    confined: Confined,
    devices: Option<Protecting>,
}

impl Watched {
    /// Waits until everything is in force inside, and has the log say what.
    pub(super) fn confined(&mut self, signals: &Signals) -> Result<(), Verdict> {
        if let Some(Err(err)) = self.devices.take().map(Protecting::end) {
            let why = format!("root could change mode and times of the host's device nodes: {err}");
            self.execs.note(events::notice("devices-unprotected", why));
        }
        let ready = Waiting::new(&self.sandbox, signals, None).ready()?;
        self.execs.note(Event::Confined(Confined {
            t: now(),
            landlock: ready.landlock,
            landlock_abi: ready.landlock_abi,
            ..self.confined.clone()
        }));
        Ok(())
    }

    /// Lets the agent start. Whatever can fail has been done by then.
    pub(super) fn proceed(&self) {
        // If the inner stage is gone, the loop that serves it is about to see it.
        let _ = self.sandbox.inner.send(&Order::Proceed, &[]);
    }

    /// Ends it without.
    pub(super) fn abandon(self, verdict: Verdict) -> Verdict {
        drop(self.broker);
        end_unstarted(verdict, self.sandbox, self.execs)
    }
}

/// Lets the log begin.
pub(super) fn watch(plan: &Plan, begun: Begun, sink: Box<dyn Sink>) -> Result<Watched, Verdict> {
    let Begun {
        sandbox,
        init,
        observed,
        limits,
        kernel,
        observing,
        pairs: _,
        discarded: _,
        network,
        devices,
        note,
        threads,
    } = begun;
    let exec_log = exec_log_status(observed, kernel);
    let execs = match (observing, kernel) {
        (Some(Observing { listener, root, sockets }), Some(kernel)) => {
            let options = Options {
                kernel,
                verify: kernel.verifies,
                limits: Limits::default(),
                tool_marker: plan.summary.tool_marker.clone(),
                init_pid: init.pid,
            };
            execs::start(threads, listener, root, options, Some(sockets), sink)
        }
        _ => execs::start_unobserved(threads, sink),
    };
    let execs = execs.map_err(|error| waiting::failed(&sandbox, error))?;
    if let ExecLogStatus::Unavailable { reason } = &exec_log {
        execs.note(events::notice("exec-log-unavailable", reason));
    }
    if limits.group.is_none() && plan.limits.group.is_some() {
        execs.note(events::notice("limits-unavailable", "no control group could be had"));
    }
    if let Some(lesser) = network.as_ref().and_then(|network| network.notice.as_deref()) {
        execs.note(events::notice(LESSER, lesser));
    }
    let noted = note.write(init.pid).tried(|| "note the sandbox's pid 1");
    let broker = match noted.and_then(|()| network::broker(plan, network, execs.notes())) {
        Ok(broker) => broker,
        Err(error) => {
            let verdict = waiting::failed(&sandbox, error);
            return Err(end_unstarted(verdict, sandbox, execs));
        }
    };
    let confined = Confined { exec_log, limits: limits.all, ..Confined::default() };
    let watched = Watched { sandbox, init, execs, broker, confined, devices };
    match watched.sandbox.bind_to_our_life().tried(|| "bind the sandbox to this process's life") {
        Ok(()) => Ok(watched),
        Err(error) => {
            let verdict = waiting::failed(&watched.sandbox, error);
            Err(watched.abandon(verdict))
        }
    }
}

/// Ends a sandbox in which no agent was started, and its log.
fn end_unstarted(verdict: Verdict, sandbox: Sandbox, execs: Execs) -> Verdict {
    drop(sandbox);
    // The error that ended the start says more than one of the log's could.
    let _ = execs.finish(|count| events::end(&verdict, count, None));
    verdict
}

fn exec_log_status(observed: Observed, kernel: Option<Kernel>) -> ExecLogStatus {
    match (observed, kernel) {
        (Observed::On { killable }, Some(kernel)) => ExecLogStatus::On {
            exit_source: match kernel.exits {
                ExitSource::Pidfd => "pidfd".to_owned(),
                ExitSource::ExitGroup => "exit-group".to_owned(),
            },
            killable,
            verifies: kernel.verifies,
        },
        (Observed::Unavailable { errno }, _) => {
            ExecLogStatus::Unavailable { reason: unavailable(errno) }
        }
        (Observed::On { .. } | Observed::Off, _) => ExecLogStatus::Off,
    }
}
