//! The two network namespaces, and in which of them this process is: the sandbox's, which bwrap
//! made, and the gateway's, which is made here and belongs to the same user namespace. It must
//! never go back to the host's.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::failure::{Doing as _, Failure};
use super::info;
use crate::sys::netns;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Where the agent is.
    Inside,
    /// Where its traffic goes.
    Gateway,
}

/// Both, or the sandbox's alone where that is the gateway too.
#[derive(Debug)]
pub(super) struct Namespaces {
    inside: OwnedFd,
    gateway: Option<OwnedFd>,
    here: Cell<Place>,
}

impl Namespaces {
    /// Enters the sandbox's namespaces, user and network, with every capability there. That is
    /// granted to whoever made the user namespace (`user_namespaces(7)`), and to nobody inside.
    pub(super) fn enter(from: OwnedFd) -> Result<Self, Failure> {
        let said = info::read(&from).doing("hear from bwrap which sandbox it made")?;
        drop(from);
        let inside = info::network(&said).doing("find the sandbox's network namespace")?;
        let owner = netns::owner(inside.as_fd()).doing("find whose network namespace it is")?;
        setns(owner, CloneFlags::CLONE_NEWUSER).doing("enter the sandbox's user namespace")?;
        setns(&inside, CloneFlags::CLONE_NEWNET).doing("enter the sandbox's network namespace")?;
        Ok(Self { inside, gateway: None, here: Cell::new(Place::Inside) })
    }

    /// Makes the gateway's namespace, and goes there.
    pub(super) fn make_gateway(&mut self) -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        self.here.set(Place::Gateway);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        self.gateway = Some(openat(CWD, "/proc/self/ns/net", flags, Mode::empty())?);
        Ok(())
    }

    /// Goes back inside, and leaves the gateway's to vanish.
    pub(super) fn drop_gateway(&mut self) -> io::Result<()> {
        // Also where it could not be opened after it was made.
        setns(&self.inside, CloneFlags::CLONE_NEWNET)?;
        self.here.set(Place::Inside);
        self.gateway = None;
        Ok(())
    }

    /// The sandbox's.
    pub(super) fn inside(&self) -> BorrowedFd<'_> {
        self.inside.as_fd()
    }

    /// Goes to one of the two.
    pub(super) fn go(&self, to: Place) -> io::Result<()> {
        if self.here.get() == to {
            return Ok(());
        }
        match (to, &self.gateway) {
            (Place::Gateway, Some(gateway)) => setns(gateway, CloneFlags::CLONE_NEWNET)?,
            (Place::Inside, _) => setns(&self.inside, CloneFlags::CLONE_NEWNET)?,
            // The sandbox's own is the gateway too.
            (Place::Gateway, None) => return self.go(Place::Inside),
        }
        self.here.set(to);
        Ok(())
    }
}
