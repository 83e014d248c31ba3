//! `claudebox doctor --attack`: it says what holds, sees what does not, and leaves nothing behind.
//! The controls are profiles that give away what is attacked.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends by panicking")]

mod common;

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use common::place::Place;
use common::user::users;

/// What an attack could leave in a directory.
fn left(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains("attack-")).collect()
}

fn line<'a>(report: &'a str, what: &str) -> &'a str {
    report.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {report}"))
}

#[test]
fn every_promise_of_the_default_profile_holds() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.home_file(".ssh/id_ed25519", "key\n");
        let report = place.claudebox(["doctor", "--attack"]).run().code(0).says(" 0 lost,").stdout;
        for promise in ["W", "H", "E", "D", "G", "P", "N", "I", "S", "X", "L"] {
            let held = format!("held  {promise} ");
            assert!(report.contains(&held), "{promise}: {report}");
        }
        for what in [
            "connect to a service of the host ",
            "connect to a service of the host by the gateway",
            "connect to a host that no rule names",
            "connect to an address that no rule names",
            "connect to the cloud's metadata service",
            "connect to the metadata service by name",
            "send a secret out as a name",
            "send a secret to a name server elsewhere",
        ] {
            assert!(line(&report, what).starts_with("held"), "{what}: {report}");
        }
        assert_eq!(left(&place.home()), [""; 0]);
    }
}

#[test]
fn what_a_profile_gives_away_is_lost() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.home_file(".ssh/id_ed25519", "key\n");
        let notes = place.home_file("notes/mine", "");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        place.home_file(
            ".config/claudebox/profiles/open.toml",
            format!(
                "extends = [\"default\"]\nnetwork.mode = \"host\"\nhost-files = \"report\"\n\
                 [files]\nread-only = [\"~/.ssh\"]\nread-write = [\"~/notes\"]\n\
                 [environment]\npass = [\"CLAUDEBOX_ATTACK_SECRET\"]\n\
                 [assert]\nmust-not-read = [\"~/.ssh\", \"~/.aws\"]\n\
                 must-write = [\"~/notes\", \"~/notes/mine\", \"~/.cache\"]\n\
                 must-not-reach = [\"127.0.0.1:{port}\", \"127.0.0.1:1\"]\n"
            ),
        );
        let attack = ["doctor", "--attack", "--profile", "open"];
        let report = place.claudebox(attack).run().code(1).stdout;
        let home = place.home();
        let home = home.display();
        for (what, word) in [
            ("read ~/.ssh", "LOST"),
            ("read ~/.aws", "held"),
            ("see a secret in the environment", "LOST"),
            ("leave .envrc", "open"),
            ("connect to a service of the host", "open"),
            (&format!("read {home}/.ssh"), "LOST"),
            (&format!("read {home}/.aws"), "held"),
            (&format!("write {home}/notes (it must)"), "held"),
            (&format!("write {home}/notes/mine"), "held"),
            (&format!("write {home}/.cache"), "LOST"),
            (&format!("reach 127.0.0.1:{port}"), "LOST"),
            ("reach 127.0.0.1:1 ", "held"),
            ("leave litter", "held"),
        ] {
            assert!(line(&report, what).starts_with(word), "{what}: {report}");
        }
        assert_eq!(fs::read(&notes).unwrap(), b"");
        assert_eq!(fs::read_dir(place.home().join("notes")).unwrap().count(), 1);
    }
}

/// With none nothing is reached, and nothing is told of it; with a rule it is not promised.
#[test]
fn the_network_is_judged_by_the_profiles_own_rules() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let network =
            "[network]\nallow = [\"192.0.2.0/24:443\", \"metadata.google.internal:80\"]\n";
        for (name, network) in [("none", "network.mode = \"none\"\n"), ("some", network)] {
            let path = format!(".config/claudebox/profiles/{name}.toml");
            place.home_file(path, format!("extends = [\"default\"]\n{network}"));
        }
        let attack = |name| place.claudebox(["doctor", "--attack", "--profile", name]);
        let none = attack("none").run().code(0).says(" 0 lost,").stdout;
        assert!(line(&none, "connect to an address of the internet").starts_with("held"));
        assert!(line(&none, "send a secret to a name server").starts_with("held"));
        let some = attack("some").run().code(0).says(" 0 lost,").stdout;
        assert!(line(&some, "connect to an address that no rule").starts_with("open"), "{some}");
        assert!(line(&some, "connect to the metadata service by name").starts_with("open"));
        assert!(line(&some, "connect to the cloud's metadata").starts_with("held"));
    }
}

/// Only root can write there at all.
#[test]
fn what_got_out_is_seen_and_taken_away_again() {
    common::must_have_sandbox();
    for user in users().into_iter().filter(|user| user.is_root()) {
        let place = Place::new(user);
        place.home_file(
            ".config/claudebox/profiles/open.toml",
            "extends = [\"default\"]\nfiles.read-write = [\"/opt\"]\n",
        );
        let attack = ["doctor", "--attack", "--profile", "open"];
        let report = place.claudebox(attack).run().code(1).says(" 1 lost,").stdout;
        assert!(line(&report, "make a file in /opt").starts_with("LOST"), "{report}");
        assert_eq!(left(Path::new("/opt")), [""; 0]);
    }
}

#[test]
fn an_assertion_that_cannot_be_meant_is_an_error() {
    for user in users() {
        let place = Place::new(user);
        place.home_file(
            ".config/claudebox/profiles/wrong.toml",
            "[assert]\nmust-not-reach = [\"https://example.com\"]\n",
        );
        let wrong = place.claudebox(["profile", "check", "wrong"]).run().code(2);
        wrong.complains("wrong.toml:2").complains("example.com:443");
        place.claudebox(["doctor", "--profile", "x"]).run().code(2).complains("--attack");
        let missing = place.claudebox(["doctor", "--attack", "--profile", "missing"]).run().code(2);
        missing.complains("there is no profile");
        // The attacker alone, where there is nothing to attack.
        place.claudebox(["__attack"]).run().code(2).complains("claudebox doctor --attack");
    }
}

/// Many an init ends the machine when it gets such a signal, and root can mount over its /tmp.
#[test]
fn nothing_is_tried_where_pid_1_is_not_the_sandboxs() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let created = place.project().join("created");
        let orders = format!("[\"end-init\",{{\"create\":\"{}\"}}]", created.display());
        place.project_file("orders.json", orders);
        // Another's pid 1, which says what it gets.
        let init = "trap 'echo hit' TERM SEGV; \"$0\" __attack; echo code $?";
        let bare = "--unshare-pid --as-pid-1 --dev-bind / / --proc /proc sh -c".split(' ');
        let words = bare.chain([init, place.executable().to_str().unwrap()]);
        let output = place.command("bwrap").args(words).run().code(0);
        assert_eq!(output.stdout, "code 125\n", "{output:?}");
        output.complains("nothing is tried");
        assert!(!created.exists());
    }
}
