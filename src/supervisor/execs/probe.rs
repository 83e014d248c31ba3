//! Proves on the running kernel what the exec log relies on, once, before the sandbox starts. What
//! cannot be proven is not used: the log then says `unverified`, and never more than it knows.
#![forbid(unsafe_code)]

use std::os::fd::AsFd as _;

use super::procfs::{self, Image};
use crate::error::{Result as Tried, Tried as _};
use crate::filters::notify::{self, Stops};
use crate::sys::pidfd::{self, ExitSource};
use crate::sys::trial::Trial;

/// What this kernel can tell about processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Where exit statuses come from.
    pub exits: ExitSource,
    /// Whether a successful exec can be told from a failed one, and so argv be confirmed.
    pub verifies: bool,
    /// Whether an exec can be stopped and let go on; else the errno of what failed.
    pub observes: Result<(), i32>,
}

/// Asks the kernel, with one child that is forked and killed, what it can tell. Call it while no
/// other thread of this process waits for any child. It is done beside bwrap's mounts.
///
/// # Errors
/// When no child can be forked, or the kernel has no pidfds (before Linux 5.3).
pub fn probe() -> Tried<Kernel> {
    let every = Stops { starts: true, exits: true, sockets: true };
    let filter = notify::program(every);
    let mut child = Trial::begin(Some(&filter)).tried(|| "fork a child to ask the kernel about")?;
    let pid = child.pid();
    let pidfd = pidfd::open(pid).tried(|| "open a pidfd of a child (pidfd_open(2), Linux 5.3)")?;
    let forked = procfs::stat(pid).is_ok_and(|stat| stat.forked);
    // claudebox itself came here by an exec.
    let execed = procfs::stat(std::process::id().cast_signed()).is_ok_and(|stat| !stat.forked);
    let image = Image::of(pid).ok();
    let lives = image.as_ref().and_then(Image::is_gone) == Some(false);
    let observes = child.outcome().tried(|| "try whether execs can be observed")?;
    child.end();
    let dies = image.as_ref().and_then(Image::is_gone) == Some(true);
    let told = pidfd::info(pidfd.as_fd()).is_ok_and(|info| info.exit == Some(libc::SIGKILL));
    let exits = if told { ExitSource::Pidfd } else { ExitSource::ExitGroup };
    Ok(Kernel { exits, verifies: forked && execed && lives && dies, observes })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field 9 and `/proc/PID/mem` have answered like this since before Linux 5.0.
    #[test]
    fn every_kernel_can_verify() {
        assert!(probe().unwrap().verifies);
    }
}
