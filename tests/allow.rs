//! What a person asks and says of the network of a session, through the binary: `claudebox allow`
//! and `claudebox net`.

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

mod common;

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::place::Place;
use common::user::users;

/// A file that is there while a session may go on.
const HOLD: &str = "hold";

/// Waits until something is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let late = Instant::now() + common::DEADLINE;
    while !so() {
        assert!(Instant::now() < late, "waiting for {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Runs a session that waits as long as [`HOLD`] is there, and what is to be done meanwhile.
/// `before` is a line of its script.
fn during(place: &Place, options: &[&str], before: &str, meanwhile: impl FnOnce()) {
    let hold = place.project_file(HOLD, "");
    let script = format!("{before}\necho up > up; while test -e {HOLD}; do sleep 0.05; done");
    let session = place
        .claudebox(["run", "--no-monitor"])
        .args(options)
        .args(["--", "sh", "-c", &script])
        .start();
    let up = place.project().join("up");
    until("the session to be up", || up.exists());
    meanwhile();
    fs::remove_file(hold).unwrap();
    session.wait().code(0);
    fs::remove_file(up).unwrap();
}

#[test]
fn what_is_no_rule_is_said_before_any_session_is_looked_for() {
    let place = Place::new(users()[0]);
    for (rule, says) in [
        (&["https://pypi.org/simple"][..], "write \"pypi.org\""),
        (&["*"], "`*` allows everything"),
        (&["pypi.org:0"], "is not a port"),
        (&["pypi.org", "secret"], "`secret` is no word of a rule"),
        (&["a.corp", "b.corp"], "of several hosts each is a call of its own"),
        (&["@npn"], "did you mean `@npm`?"),
        (&["a\u{1b}[2J"], r"`a\x1b[2J` is not a host"),
    ] {
        place.claudebox(["allow"]).args(rule).run().code(2).complains(says);
    }
    place.claudebox(["allow", "pypi.org"]).run().code(2).complains("no session in");
    place.claudebox(["net"]).run().code(2).complains("no session in");
}

#[test]
fn a_session_whose_network_goes_by_no_rules_says_so() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        for (mode, says, shown) in [
            ("host", "nothing is refused", "network host: all of the host's"),
            ("none", "has no network", "network none: only a loopback of its own"),
        ] {
            during(&place, &["--network", mode], "", || {
                place.claudebox(["allow", "pypi.org"]).run().code(2).complains(says);
                place.claudebox(["net"]).run().code(0).says("running: sh in ").says(shown);
            });
        }
        place.claudebox(["allow", "pypi.org"]).run().code(2).complains("is over: ended 0");
        place.claudebox(["net"]).run().code(0).says("ended 0");
        place.claudebox(["net", "--json"]).run().code(0).says("\"mode\":\"none\"");
    }
}

#[test]
fn a_running_session_reaches_what_is_allowed_from_then_on() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.home_file(
            ".config/claudebox/profiles/default.toml",
            "network.deny = [\"evil.test\"]\n",
        );
        // A name that is allowed has an address, whether or not there is such a host.
        let ask = "(until getent hosts late.test; do sleep 0.05; done; echo > got) &";
        let got = place.project().join("got");
        let allow = |rule: &str| place.claudebox(["allow", rule]).run();
        let net = || place.claudebox(["net"]).run().code(0);
        during(&place, &[], ask, || {
            until("the refusal", || net().stdout.contains("\nlate.test "));
            net().says("· claudebox allow late.test").says("NEVER ").says("MAY REACH");
            assert!(!got.exists(), "it was reached before it was allowed");

            allow("evil.test:22").code(2).complains("stays denied: `evil.test`");
            allow("late.test").code(0).says("may reach late.test:443 from now on");
            until("it to be reached", || got.exists());
            allow("late.test").code(0).says("already: `late.test` (claudebox allow)");
            allow("@npm").code(0).says("registry.npmjs.org:443 already: `@dev`");
            allow("@sourcehut").code(0).says("may reach git.sr.ht:443 from now on");
            net().says("late.test:443").says("claudebox allow");
            let all = || place.claudebox(["net", "--all"]).run().code(0);
            assert!(!net().stdout.contains("index.crates.io") && net().stdout.contains(" +"));
            all().says("index.crates.io:443");
        });
        place.claudebox(["log"]).run().code(0).says("late.test is allowed from now on");
        place.claudebox(["log", "--failed"]).run().code(0).says("late.test is not allowed");
        net().says("ALLOWED MEANWHILE\nlate.test (claudebox allow)\n@sourcehut (claudebox allow)");
        net().says("BEGAN WITH ").says("\n@dev: ").says("NEVER      SAYS\nevil.test ");
        let json = place.claudebox(["log", "--json"]).run().code(0);
        let allows = json.stdout.lines().filter(|line| line.contains("\"ev\":\"allow\""));
        let late = allows.filter(|line| line.contains("late.test")).count();
        assert_eq!(late, 1, "{}", json.stdout);
        place.claudebox(["verify"]).run().code(0);
        fs::remove_file(got).unwrap();
    }
}

/// Who is inside finds no way to say it himself; from outside there is one (the control).
#[test]
fn nothing_inside_can_allow() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let look = "find / -name control.sock 2>/dev/null > sockets";
        during(&place, &[], look, || {
            let outside = place.command("find").args([place.root().as_os_str()]).run();
            assert!(outside.stdout.contains("/control.sock"), "{}", outside.stdout);
        });
        let inside = fs::read_to_string(place.project().join("sockets")).unwrap();
        assert_eq!(inside, "", "visible inside");
    }
}

#[test]
fn always_is_written_into_the_users_own_profile_and_what_stands_there_stays() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let run = |profile: &str| {
            place
                .claudebox(["run", "--no-monitor", "--profile", profile, "--", "true"])
                .run()
                .code(0)
        };
        run("default");
        let file = place.home().join(".config/claudebox/profiles/default.toml");
        let always = |rule: &str| place.claudebox(["allow", "--always", rule]).run();
        always("pypi.org").code(0).says("later sessions of the profile `default`");
        always("pypi.org").code(0).says("says so already");
        assert_eq!(fs::read_to_string(&file).unwrap(), "[network]\nallow = [\"pypi.org\"]\n");
        let mine = "# mine\n[network]\nallow = [\n  \"a.test\", # why\n]\n";
        place.home_file(".config/claudebox/profiles/default.toml", mine);
        always("@npm").code(0);
        let added = mine.replace("# why\n", "# why\n  \"@npm\",\n");
        assert_eq!(fs::read_to_string(&file).unwrap(), added);
        place.claudebox(["explain", "--", "true"]).run().code(0).says("a.test").says("@npm");
        // Not into what is broken, and not beside a file that was named.
        place.home_file(".config/claudebox/profiles/default.toml", "network = 3\n");
        always("x.test").code(2).complains("cannot add to `network`");
        assert_eq!(fs::read_to_string(&file).unwrap(), "network = 3\n");
        fs::remove_file(&file).unwrap();
        // The running session may reach it all the same, and that is said.
        during(&place, &[], "", || {
            place.home_file(".config/claudebox/profiles/default.toml", "network = 3\n");
            let allowed = always("y.test").code(2).complains("cannot add to `network`");
            allowed.says("may reach y.test:443 from now on");
            fs::remove_file(&file).unwrap();
        });
        place.home_file(".config/claudebox/profiles/default.toml", "");
        place.project_file("own.toml", "extends = [\"base\"]\n");
        fs::remove_file(&file).unwrap();
        run("./own.toml");
        always("x.test").code(2).complains("there is no profile of the name `own`");
        assert!(!file.with_file_name("own.toml").exists());
    }
}
