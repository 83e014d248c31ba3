//! The inner stage: `claudebox __inner SOCKET PLAN`, which bwrap executes as pid 1 of the new
//! namespaces. It hands the exec listener to the supervisor, confines itself, starts the agent
//! and stays as its init. bwrap's own init would not do: it is dumpable, so a process inside
//! could ptrace it, clear its death signal and outlive the supervisor.
//! It must never run anything foreign before all of the confinement is in force.
#![forbid(unsafe_code)]

mod child;
mod confine;
pub mod handshake;
mod init;
mod mounts;
mod observe;
mod sockets;
mod streams;

use std::os::fd::{AsFd as _, OwnedFd, RawFd};
use std::process::ExitCode;

use rustix::fs::{CWD, Mode, OFlags, openat};

use self::child::Program;
use self::handshake::{Order, Orders, Ready, Report};
use self::sockets::Sockets;
use crate::error::{Error, Result, Tried as _, exit};
use crate::filters::errno;
use crate::filters::notify::Stops;
use crate::plan::{InnerPlan, PLAN_VERSION};
use crate::sys::channel::{self, Channel};
use crate::sys::fds;
use crate::sys::process::SingleThreaded;
use crate::sys::seccomp;
use crate::visible::visible;

/// Where the plan binds this program inside, read-only.
pub const PROGRAM: &str = "/run/claudebox";
/// The word on its command line that makes it the inner stage.
pub const WORD: &str = "__inner";

/// Runs the inner stage with the numbers of the descriptors that the supervisor handed down.
pub fn main(socket: RawFd, plan: RawFd) -> ExitCode {
    let supervisor = match fds::adopt(socket) {
        Ok(socket) => Channel::from(socket),
        Err(err) => {
            crate::error::report(&Error::launcher(format!("cannot reach the supervisor: {err}")));
            return ExitCode::from(exit::LAUNCHER);
        }
    };
    match become_init(supervisor, plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(()) => ExitCode::from(exit::LAUNCHER),
    }
}

/// Everything between bwrap's exec and the death of the namespace. The supervisor is told of a
/// failure; if it cannot be told, it is dead, and so are we.
fn become_init(supervisor: Channel, plan: RawFd) -> Result<(), ()> {
    match confined(&supervisor, plan) {
        Ok(Confined { single, agent, shell, foreground, sockets, _life }) => {
            init::Init::start(single, supervisor, sockets, &agent, shell, foreground)
                .and_then(init::Init::serve)
                .map_err(drop)
        }
        Err(err) => {
            let failed = Report::Failed { message: err.to_string(), hints: err.hints().to_vec() };
            let _ = supervisor.send(&failed, &[]);
            Err(())
        }
    }
}

/// What the init needs, once everything is in force.
struct Confined {
    single: SingleThreaded,
    agent: Program,
    shell: Program,
    foreground: bool,
    sockets: Option<Sockets>,
    /// See [`Orders::life`].
    _life: OwnedFd,
}

/// Hands over the listener, applies the plan and waits for the supervisor, which writes the first
/// lines of the log before anything foreign runs.
fn confined(supervisor: &Channel, plan: RawFd) -> Result<Confined> {
    let single = SingleThreaded::check().tried(|| "start the inner stage with one thread")?;
    // First of all: a socket that is closed while there is something to read in it loses what was
    // sent through it, and so the word of what failed (ECONNRESET).
    let Some(Order::Observe(stops)) = next(supervisor)? else { return Err(supervisor_gone()) };
    let orders = read_orders(plan)?;
    let InnerPlan { program, argv, env, cwd, shell, landlock, rlimits, errno_filter, .. } =
        &orders.plan;
    confine::guard()?;
    // Before all that can be done while the supervisor begins to watch.
    let sockets = observe(supervisor, stops)?;
    mounts::check(&orders.mounts)?;
    confine::limit(rlimits)?;
    std::env::set_current_dir(cwd.as_path()).tried(|| format!("enter {} inside", visible(cwd)))?;
    let agent = Program::new(program, argv, env)?;
    let shell = Program::new(shell.first().unwrap_or(program), shell, env)?;
    let restricted = confine::confine(landlock, *errno_filter)?;
    if sockets.is_none()
        // Nobody stops socketcall(2) to make the socket itself.
        && let Some(program) = errno::without_sockets(*errno_filter)
    {
        seccomp::apply(&program).tried(|| "install the errno filter")?;
    }
    // From here on standard error is the agent's.
    let life = fds::adopt(orders.life).tried(|| "keep the supervisor's pipe")?;
    let stderr = fds::adopt(orders.stderr).tried(|| "take over standard error")?;
    nix::unistd::dup2_stderr(&stderr).tried(|| "take over standard error")?;
    streams::renew().tried(|| "open the devices of the standard streams inside")?;
    let ready = Ready { landlock: restricted.status.to_owned(), landlock_abi: restricted.abi };
    supervisor.send(&Report::Ready(ready), &[]).tried(|| "report to the supervisor")?;
    match next(supervisor)? {
        Some(Order::Proceed) => {
            let foreground = orders.foreground;
            Ok(Confined { single, agent, shell, foreground, sockets, _life: life })
        }
        _ => Err(supervisor_gone()),
    }
}

/// Gets the listener into force and hands it over. Answers with where the supervisor asks for sockets, which
/// it does if there is one.
fn observe(supervisor: &Channel, stops: Option<Stops>) -> Result<Option<Sockets>> {
    let (listener, observed) = observe::install(stops);
    let report = Report::Observed(observed);
    let Some(listener) = listener else {
        supervisor.send(&report, &[]).tried(|| "report to the supervisor")?;
        return Ok(None);
    };
    let root = openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .tried(|| "open the root directory")?;
    let (ours, theirs) = channel::pair().tried(|| "make a socket")?;
    supervisor
        .send(&report, &[listener.fd.as_fd(), root.as_fd(), theirs.as_fd()])
        .tried(|| "report to the supervisor")?;
    // A copy of the listener that stayed open here would turn the supervisor's death into a hang of every
    // exec. It ends here.
    Ok(Some(Sockets::from(ours)))
}

fn next(supervisor: &Channel) -> Result<Option<Order>> {
    let order = supervisor.receive().tried(|| "wait for the supervisor")?;
    Ok(order.map(|order| order.message))
}

fn supervisor_gone() -> Error {
    Error::launcher("the supervisor ended before the agent could start")
}

fn read_orders(plan: RawFd) -> Result<Orders> {
    let bytes = fds::adopt(plan).and_then(fds::read_sealed).tried(|| "read the inner plan")?;
    // What bwrap inherited for itself must not pass to the agent.
    fds::cloexec_above_stderr().tried(|| "close inherited descriptors")?;
    let orders: Orders = serde_json::from_slice(&bytes).tried(|| "understand the inner plan")?;
    if orders.plan.version != PLAN_VERSION {
        return Err(Error::launcher("the inner plan is from another version of claudebox"));
    }
    Ok(orders)
}
