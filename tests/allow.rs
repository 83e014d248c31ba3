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

/// Runs a session that waits as long as [`HOLD`] is there, and what is to be done meanwhile.
fn during(place: &Place, options: &[&str], meanwhile: impl FnOnce()) {
    let hold = place.project_file(HOLD, "");
    let script = format!("echo up > up; while test -e {HOLD}; do sleep 0.05; done");
    let session = place
        .claudebox(["run", "--no-monitor"])
        .args(options)
        .args(["--", "sh", "-c", &script])
        .start();
    let up = place.project().join("up");
    let late = Instant::now() + common::DEADLINE;
    while !up.exists() {
        assert!(Instant::now() < late, "the session does not come up");
        sleep(Duration::from_millis(20));
    }
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
        (&["@npn"], "there is no group `@npn`"),
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
            during(&place, &["--network", mode], || {
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
        place.project_file("own.toml", "extends = [\"base\"]\n");
        fs::remove_file(&file).unwrap();
        run("./own.toml");
        always("x.test").code(2).complains("there is no profile of the name `own`");
        assert!(!file.with_file_name("own.toml").exists());
    }
}
