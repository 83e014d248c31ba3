//! Real programs inside, through the built binary, at hosts that rules allow: none of them is told of a
//! proxy, and none of a certificate that the sandbox made. The hosts are real servers on this machine's
//! loopback, to which the [`common::world::World`] leads; what it was asked is the judge, besides what
//! the programs got. Each also tries what no rule allows, which must fail and reach nobody.

#[cfg(test)]
mod amounts;
#[cfg(test)]
mod apart;
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod fallback;
#[cfg(test)]
mod fetch;
#[cfg(test)]
mod git;
#[cfg(test)]
mod names;
#[cfg(test)]
mod packages;
#[cfg(test)]
mod ports;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod site;
#[cfg(test)]
mod upstream;

use std::thread::sleep;
use std::time::{Duration, Instant};

use common::place::Place;
use common::run::Run;
use common::world::World;

/// `claudebox run --no-monitor`, with rules and nothing but the world outside. What is to run inside
/// is to be added after `--`.
fn run(place: &Place, world: &World, rules: &[&str]) -> Run {
    let rules = rules.iter().flat_map(|rule| ["--allow", rule]);
    place
        .claudebox(["run", "--no-monitor"])
        .args(rules)
        .env("HTTPS_PROXY", world.proxy())
        .without_env("NO_PROXY")
}

/// The same with a shell's script.
fn script(place: &Place, world: &World, rules: &[&str], options: &[String], script: &str) -> Run {
    run(place, world, rules).args(options).args(["--", "sh", "-euc", script])
}

/// Waits until something is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let late = Instant::now() + common::DEADLINE;
    while !so() {
        assert!(Instant::now() < late, "waiting until {what}");
        sleep(Duration::from_millis(20));
    }
}
