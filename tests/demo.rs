//! The demo, as `make demo` runs it: the sandbox refuses all that it tries, its commands are in
//! the log, and nothing is left behind. The control runs the same agent without a sandbox, where
//! it must say that nothing held it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;

use common::place::Place;
use common::user::users;
use serde_json::json;

fn entries(directory: impl AsRef<Path>) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn every_attempt_is_refused() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let output = place.claudebox(["run", "--no-monitor", "demo"]).run().code(0);
        let output = output.says("All 6 attempts were refused.");
        assert!(!output.stdout.contains("FAKE KEY"), "{output:?}");
        let named =
            output.stderr.split('`').find_map(|text| text.strip_prefix("claudebox verify "));
        place.claudebox(["log", named.unwrap()]).run().code(0).says("ls no-such-file");
        let refused = place.claudebox(["log", "--failed", named.unwrap()]).run().code(0);
        refused.says("example.com is not allowed");
        place.claudebox(["verify", named.unwrap()]).run().code(0);
        assert_eq!(entries(place.project()), 1, "it plays in a project of its own");
        let planted = |name: &str| name.starts_with(".claudebox-demo");
        let left = fs::read_dir(place.home()).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(left.filter(|name| planted(name)).count(), 0, "the fake key is gone");
    }
}

/// Without the sandbox the same agent reads the key, writes beside the project, plants the hook
/// and sees the host: the verdicts depend on what happens.
#[test]
fn without_a_sandbox_it_says_that_nothing_held() {
    let user = users()[0];
    let place = Place::new(user);
    let secret = place.home_file("key", "FAKE KEY of this test");
    let task = json!({
        "secret_path": secret,
        "secret_text": "FAKE KEY of this test",
        // Not a place that a test may write to, even as a control.
        "etc_path": "/proc/no-such-file",
        "start_ticks": u64::MAX,
        // Without a sandbox, and without a network, too.
        "host": "localhost",
    });
    place.project_file("task.json", task.to_string());
    place.project_file("hello.txt", "some words\n");
    fs::create_dir_all(place.project().join(".git/hooks")).unwrap();
    let output = place.claudebox(["__demo"]).run().code(1);
    output.says("Only 1 of 6 attempts were refused.");
}
