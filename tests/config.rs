//! Who wins: the command line over `config.toml` over the profile. Seen through `claudebox explain`,
//! which says where each value comes from.

mod common;

use std::os::unix::net::UnixListener;

use common::place::Place;
use common::user::users;

#[test]
fn the_command_line_wins_over_the_configuration_over_the_profile() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let socket = place.root().join("tmp/agent.sock");
        let _agent = UnixListener::bind(&socket).unwrap();
        user.own(&socket);
        place.home_file(
            ".config/claudebox/profiles/default.toml",
            "exec-log = \"best-effort\"\nnetwork.mode = \"host\"\n",
        );
        let explained = |options: &[&str]| {
            let words = [&["explain"], options, &["--", "true"]].concat();
            place.claudebox(words).env("SSH_AUTH_SOCK", &socket).run().code(0).stdout
        };
        let holds = |options: &[&str], name: &str, value: &str, from: &str| {
            let text = explained(options);
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            assert!(line.contains(value) && line.contains(from), "{options:?}: {line}");
        };
        holds(&[], "exec-log", "best-effort", "profiles/default.toml:1");
        holds(&[], "network", "host", "profiles/default.toml:2");
        assert!(!explained(&[]).contains("agent.sock"));

        place.home_file(
            ".config/claudebox/config.toml",
            "exec-log = \"off\"\nnetwork = \"none\"\nallow-ssh-agent = true\nmonitor = false\n",
        );
        holds(&[], "exec-log", "off", "config.toml:1");
        holds(&[], "network", "none", "config.toml:2");
        assert!(explained(&[]).contains("agent.sock"));

        holds(&["--exec-log"], "exec-log", "required", "--exec-log");
        holds(&["--network", "host"], "network", "host", "--network");
        assert!(!explained(&["--no-allow-ssh-agent"]).contains("agent.sock"));
        // Without `monitor = false` a run without a terminal says that it has no pane.
        let run = |options: &[&str]| place.claudebox([&["run"], options, &["--", "true"]].concat());
        assert!(!run(&[]).run().code(0).stderr.contains("no terminal here"));
        run(&["--monitor"]).run().code(0).complains("no terminal here");
    }
}
