//! One test, or more, for each promise of `docs/threat-model.md`, named after it. Each runs the
//! built program as an unprivileged user and as root, is judged from outside, and has a control:
//! the same attack with that one defence taken away succeeds, so that the test can fail.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod a_agent_state;
mod a_login;
mod a_planted;
mod built;
mod bwrap;
#[path = "../common/mod.rs"]
mod common;
mod d_death;
mod e_execs;
mod e_full_disk;
mod f_fail_closed;
mod g_git;
mod g_odd;
mod g_partial;
mod g_pins;
mod g_private;
mod g_private_keys;
mod g_stranger;
mod h_home;
mod h_layers;
mod h_leads_out;
mod hostile;
mod i_identity;
mod i_signals;
mod l_litter;
mod n_allowed;
mod n_direct;
mod n_network;
mod n_nix;
mod n_services;
mod outside;
mod p_dotfiles;
mod p_git_environment;
mod p_git_links;
mod p_hard_links;
mod p_host_files;
mod p_host_files_asked;
mod p_links;
mod p_programs;
mod p_repositories;
mod p_unwatched;
mod r_resources;
mod s_syscalls;
#[path = "../supervised/mod.rs"]
mod supervised;
mod t_terminal;
mod w_layers;
mod w_programs;
mod w_root;
mod w_swapped;
mod w_writes;
mod x_exit_codes;

use common::place::Place;
use common::run::Run;

/// `claudebox run --no-monitor OPTIONS -- sh -c SCRIPT` in a place.
fn script(place: &Place, options: &[&str], script: &str) -> Run {
    let mut arguments = vec!["run", "--no-monitor"];
    arguments.extend(options);
    arguments.extend(["--", "sh", "-c", script]);
    place.claudebox(arguments)
}
