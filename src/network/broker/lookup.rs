//! Where names lead to, as the host has it. It must never hold the broker up: a resolver may take long.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::state::State;

/// How long a lookup may take. The host's resolver usually gives up earlier.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most addresses of a name that are tried.
const ADDRESSES: usize = 8;

/// Looks a name up as the host does, unless that was done just now.
pub(super) async fn lookup(
    state: &State,
    name: String,
    port: u16,
) -> Result<Vec<SocketAddr>, String> {
    let target = (name, port);
    if let Some(found) = state.lookups.find(&target, Instant::now()) {
        return Ok(found);
    }
    let look = state.outside.lookup.clone();
    let asked = target.0.clone();
    let looked = spawn_blocking(move || look(&asked, port));
    match timeout(PATIENCE, looked).await {
        Ok(Ok(Ok(mut found))) => {
            found.truncate(ADDRESSES);
            state.lookups.keep(target, found.clone(), Instant::now());
            Ok(found)
        }
        Ok(Ok(Err(err))) => Err(format!("cannot look it up: {err}")),
        Ok(Err(_)) => Err("cannot look it up".to_owned()),
        Err(_) => Err("looking it up takes too long".to_owned()),
    }
}
