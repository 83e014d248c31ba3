//! What the tests that drive the built program share: a [`Place`] to run it in, a [`Run`] of it
//! with a deadline, a [`Terminal`] to run it in a real tmux, the fake model, the real agents
//! and the [`World`](world::World) around them (around an agent that needs TLS to its model, the
//! [`ModelWorld`](model_world::ModelWorld)).
//! It must never touch the caller's own home, sessions or tmux, and never skip: a machine that
//! lacks something fails the test with what to install.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "no test uses all of it")]

pub(crate) mod agent;
pub(crate) mod disk;
pub(crate) mod log;
pub(crate) mod model_server;
pub(crate) mod model_world;
pub(crate) mod place;
pub(crate) mod pty;
pub(crate) mod run;
pub(crate) mod terminal;
pub(crate) mod tree;
pub(crate) mod user;
pub(crate) mod world;

use std::path::PathBuf;
use std::process::Command;

/// A deadline in tests is there to end a hang, not to measure: figures belong to the benchmark.
pub(crate) const DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);

/// How often a test repeats something random: a few times in the gate, very often in `make soak`.
pub(crate) fn times(gate: usize, soak: usize) -> usize {
    if std::env::var_os("CLAUDEBOX_TEST_SOAK").is_some() { soak } else { gate }
}

/// The program's path, searched along `PATH`, and where Debian has what is root's and a user's `PATH` does not
/// name (`ldconfig`).
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// Fails the test with what to do unless every program is installed.
pub(crate) fn must_have(programs: &[&str]) {
    let missing: Vec<&&str> = programs.iter().filter(|name| program(name).is_none()).collect();
    assert!(missing.is_empty(), "missing on this machine: {missing:?}; run `tests/setup.sh test`");
}

/// Fails the test unless bwrap can make a sandbox here.
pub(crate) fn must_have_sandbox() {
    must_have(&["bwrap"]);
    for user in user::users() {
        let mut probe = Command::new("bwrap");
        probe.args(["--unshare-all", "--unshare-user", "--ro-bind", "/", "/", "true"]);
        user.apply(&mut probe);
        let output = probe.output().unwrap();
        assert!(
            output.status.success(),
            "bwrap cannot make a sandbox as {user:?}: {}; see `claudebox doctor`",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
