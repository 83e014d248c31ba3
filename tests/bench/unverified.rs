//! `ratios unverified CLAUDEBOX COMMAND...`: what `claudebox run --no-monitor --network host --git shared -- COMMAND...` does, but
//! that argv is not confirmed. claudebox itself has no such switch, so this program is its front end
//! and supervisor for the one row of the table that shows what confirming costs.

use std::ffi::OsString;
use std::process::ExitCode;

use claudebox::cli::RunArgs;
use claudebox::error::{Result, report};
use claudebox::front;
use claudebox::host::Host;
use claudebox::policy::invocation::Invocation;
use claudebox::profile::config::Config;
use claudebox::profile::schema::{Git, NetworkMode};

pub(crate) fn run(words: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::from(supervise(words).unwrap_or_else(|error| {
        report(&error);
        error.kind().exit_code()
    }))
}

fn supervise(mut words: impl Iterator<Item = OsString>) -> Result<u8> {
    let mut host = Host::probe()?;
    // The inner stage is claudebox's own, as ever.
    host.executable = words.next().unwrap_or_default().into();
    let args = RunArgs { argv: words.collect(), ..RunArgs::default() };
    let config = Config::load(&host)?;
    let mut invocation = Invocation::of_run(&args, &config)?;
    invocation.monitor = false;
    invocation.network = Some(NetworkMode::Host);
    invocation.git = Some(Git::Shared);
    let (policy, mut plan) = claudebox::plan(&invocation, &config, &host)?;
    plan.verify = false;
    front::run(&policy, &plan, &invocation, &host)
}
