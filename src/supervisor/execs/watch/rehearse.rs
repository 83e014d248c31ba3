//! The watching thread reads of itself what it is about to read of callers, while the inner stage makes
//! ready for the agent. Otherwise the first caller would wait until the kernel has read in again what
//! this thread executes: the start has let go of all program text ([`crate::sys::text`]). It must have
//! no effect.
#![forbid(unsafe_code)]

use std::os::fd::AsFd as _;

use super::Watch;
use super::start::argv;
use crate::filters::calls::ExecCall;
use crate::supervisor::execs::procfs;
use crate::sys::pidfd;

impl Watch {
    /// What fails here fails again, and is dealt with, where it counts.
    pub(super) fn rehearse(&self) {
        let own = std::process::id().cast_signed();
        let path = c"/proc/self/exe".as_ptr().expose_provenance();
        let strings = [path, 0];
        let strings = strings.as_ptr().expose_provenance();
        let [path, strings] = [path, strings].map(|address| address as u64);
        let pointer = size_of::<usize>();
        let call = ExecCall { path, argv: strings, envp: strings, at: None, pointer, arch: None };
        drop(self.read(own, &call));
        let _ = pidfd::open(own).map(|pidfd| pidfd::info(pidfd.as_fd()));
        if let Ok(stat) = procfs::stat(own) {
            drop(argv(own, stat.argv));
        }
        drop(procfs::file(own, "exe"));
    }
}
