//! The network of a session: the gateway process, started with bwrap and waited for before the
//! agent starts, and the broker that answers there. It must never let the agent start without what the plan
//! asks for.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::error::{Result, Tried as _};
use crate::log::event::Event;
use crate::network::broker::Broker;
use crate::network::gateway::{self, Asked, Started, Starting};
use crate::network::plan::Network;
use crate::plan::Plan;
use crate::sys::process::SingleThreaded;

/// Starts the gateway process of a plan that wants one. `info` is what bwrap says of the sandbox. To
/// be called while this process has one thread.
pub(super) fn begin(plan: &Plan, info: Option<OwnedFd>) -> Result<Option<Starting>> {
    let (Network::Allow(allow), Some(info)) = (&plan.network, info) else { return Ok(None) };
    let single = SingleThreaded::check().tried(|| "start the gateway process")?;
    gateway::start(&single, Asked::of(allow), info).map(Some)
}

/// Waits until it is set up.
pub(super) fn ready(starting: Option<Starting>, patience: Duration) -> Result<Option<Started>> {
    starting.map(|starting| starting.ready(patience)).transpose()
}

/// Starts the broker at a gateway that is set up.
pub(super) fn broker(
    plan: &Plan,
    gateway: Option<Started>,
    note: impl Fn(Event) + Send + Sync + 'static,
) -> Result<Option<Broker>> {
    let (Network::Allow(allow), Some(gateway)) = (&plan.network, gateway) else { return Ok(None) };
    Broker::start(allow, gateway.sockets, note).map(Some)
}
