//! Signal dispositions and masks. It must never run code of ours in signal context: signals are
//! read from a signalfd(2), ignored, or have their default effect.
#![expect(unsafe_code, reason = "sigaction")]

use std::io;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};

fn dispose(signal: Signal, handler: SigHandler) -> io::Result<()> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the disposition is SIG_DFL or SIG_IGN, never a function.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

/// Ignores these signals. An exec keeps that.
///
/// # Errors
/// For SIGKILL and SIGSTOP. Async-signal-safe.
pub fn ignore(signals: &[Signal]) -> io::Result<()> {
    signals.iter().try_for_each(|signal| dispose(*signal, SigHandler::SigIgn))
}

/// Ignores every signal that can be, except SIGCHLD and what the processor raises.
///
/// # Errors
/// Never in practice.
pub fn ignore_all_but_child() -> io::Result<()> {
    let kept = [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGCHLD];
    let faults = [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE];
    Signal::iterator()
        .filter(|signal| !kept.contains(signal) && !faults.contains(signal))
        .try_for_each(|signal| dispose(signal, SigHandler::SigIgn))
}

/// Gives every signal its default effect and blocks none: what a program expects at its start.
///
/// # Errors
/// Never in practice.
pub fn reset() -> io::Result<()> {
    for signal in Signal::iterator() {
        if !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            dispose(signal, SigHandler::SigDfl)?;
        }
    }
    Ok(nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}
