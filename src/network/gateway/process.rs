//! The gateway process: a copy of the supervisor that enters the sandbox's namespaces, sets them
//! up, and makes sockets in them until the supervisor closes its end or is dead. It has no thread
//! (setns(2) demands that), no file but the two it was given, and of the capabilities that it has in
//! the sandbox's user namespace it keeps those that sockets need. It must never run a program, read
//! what the sandbox sends, or go back to the host's network.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use caps::{CapSet, Capability};
use nix::sys::signal::Signal;

use super::Asked;
use super::factory::Factory;
use super::failure::{Doing as _, Failure};
use super::namespaces::Namespaces;
use super::talk::{Made, Report, Wanted};
use super::ways;
use crate::sys::channel::Channel;
use crate::sys::process::tie_to;

/// Setting the other namespace up, ports below 1024, and a packet socket.
const KEPT: [Capability; 3] =
    [Capability::CAP_SYS_ADMIN, Capability::CAP_NET_BIND_SERVICE, Capability::CAP_NET_RAW];

/// Everything it does; the answer is its exit status, which nobody looks at.
pub(super) fn main(asked: &Asked, supervisor: &Channel, info: OwnedFd) -> u8 {
    let report = match begin(asked, info) {
        Ok((factory, report)) => {
            let told = supervisor.send(&report, &[]);
            return u8::from(told.and_then(|()| serve(&factory, supervisor)).is_err());
        }
        Err(failure) => Report::Failed {
            message: failure.to_string(),
            hints: failure.hints().into_iter().map(str::to_owned).collect(),
        },
    };
    let _ = supervisor.send(&report, &[]);
    1
}

fn begin(asked: &Asked, info: OwnedFd) -> Result<(Factory, Report), Failure> {
    die_with(asked.supervisor).doing("bind the gateway to the supervisor's life")?;
    // The project would be a directory in use for as long as we live.
    std::env::set_current_dir("/").doing("leave the project")?;
    let mut namespaces = Namespaces::enter(info)?;
    // Entering a user namespace took the death signal away.
    die_with(asked.supervisor).doing("bind the gateway to the supervisor's life")?;
    let set_up = ways::set_up(&mut namespaces, &asked.ways, asked.pool)?;
    keep_few_capabilities().doing("drop capabilities")?;
    let report = Report::Ready { gateway: set_up.gateway, passed_over: set_up.passed_over };
    Ok((Factory::new(namespaces, set_up.link), report))
}

/// The socket closes with the supervisor, and ends us. This ends us too where it does not: while we
/// wait for bwrap.
fn die_with(supervisor: u32) -> io::Result<()> {
    tie_to(supervisor, Signal::SIGKILL)
}

fn keep_few_capabilities() -> io::Result<()> {
    let kept = KEPT.into_iter().collect();
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).map_err(io::Error::other)?;
    }
    Ok(())
}

/// Answers until there is nobody left to ask.
fn serve(factory: &Factory, supervisor: &Channel) -> io::Result<()> {
    // To close one takes the kernel milliseconds, which nobody shall wait for but us.
    let mut slow_to_close = Vec::new();
    while let Some(wanted) = supervisor.receive::<Wanted>()? {
        match factory.make(wanted.message) {
            Ok(socket) => {
                supervisor.send(&Made(Ok(())), &[socket.as_fd()])?;
                if wanted.message == Wanted::Attempts {
                    slow_to_close.push(socket);
                }
            }
            Err(err) => {
                let errno = err.raw_os_error().unwrap_or(libc::EIO);
                supervisor.send(&Made(Err(errno)), &[])?;
            }
        }
    }
    Ok(())
}
