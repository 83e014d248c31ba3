//! H: the home directory is hidden, and environment values are passed only where they are named.

use crate::common::place::Place;
use crate::common::{must_have_sandbox, user::users};
use crate::script;

const SECRET: &str = "wahlomat-7781-secret";

/// Looks through everything that can be read, the environments of all processes included.
const SEARCH: &str =
    "env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'
    grep -rs wahlomat $HOME $PWD/.. /etc /run /tmp /var 2>/dev/null; true";

fn with_secrets(place: &Place) {
    for file in [
        ".ssh/id_ed25519",
        ".aws/credentials",
        ".netrc",
        ".bash_history",
        ".config/gh/hosts.yml",
        ".mozilla/firefox/x/logins.json",
        ".cargo/credentials.toml",
        ".docker/config.json",
        ".gnupg/private-keys-v1.d/a.key",
        "elsewhere/.env",
    ] {
        place.home_file(file, SECRET);
    }
}

#[test]
fn promise_h_no_file_of_the_home_is_there() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        with_secrets(&place);
        let output = script(&place, &[], SEARCH).run().code(0);
        assert!(!output.stdout.contains(SECRET), "{}", output.stdout);

        // Control: what is bound is found, so the search can find.
        let ssh = place.home().join(".ssh");
        script(&place, &["--ro-bind", ssh.to_str().unwrap()], SEARCH).run().code(0).says(SECRET);
    }
}

#[test]
fn promise_h_no_environment_value_passes_unnamed() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let run = script(&place, &[], SEARCH).env("SOME_TOKEN", SECRET);
        let output = run.run().code(0);
        assert!(!output.stdout.contains(SECRET), "{}", output.stdout);

        // Control.
        let named = script(&place, &["--env", "SOME_TOKEN"], "env").env("SOME_TOKEN", SECRET);
        named.run().code(0).says(SECRET);
    }
}

#[test]
fn promise_h_a_passed_value_stands_in_no_argv_and_in_no_file() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let marker = crate::outside::Marker::new();
        let run = script(&place, &["--env", "SOME_TOKEN"], &marker.command());
        let started = run.env("SOME_TOKEN", SECRET).start();
        marker.wait_until_it_runs();
        let shown =
            |cmdline: &[u8]| cmdline.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert_eq!(crate::outside::processes(shown), Vec::<i32>::new());
        started.signal(nix::sys::signal::Signal::SIGKILL);
        drop(started);
        marker.wait_until_it_is_gone();
        let written = || {
            let files = crate::outside::tree(place.root()).into_iter();
            files.filter(|(_, content)| content.contains(SECRET))
        };
        assert_eq!(written().count(), 0);

        // Control: the same looks find what is handed over by words, and what was written down.
        let marker = crate::outside::Marker::new();
        let words = ["--unshare-all", "--unshare-user", "--dev-bind", "/", "/", "--setenv"];
        let run = place.command("bwrap").args(words).args(["SOME_TOKEN", SECRET, "sh", "-c"]);
        let _started = run.args([marker.command()]).start();
        marker.wait_until_it_runs();
        assert_ne!(crate::outside::processes(shown), Vec::<i32>::new());
        place.home_file("written/down", SECRET);
        assert_eq!(written().count(), 1);
    }
}
