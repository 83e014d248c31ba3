//! Where the machine allows little: the way falls back as far as it may, and says so; and what was
//! used is given back. The kernel counts network namespaces for each user namespace, so a user
//! namespace around all of it is one such machine.

use serde_json::json;

use crate::asks;
use crate::harness::{Job, Seen};
use crate::supervised::{User, users};

/// Runs it where there may be so many network namespaces.
fn within(most: usize, job: &Job, user: User) -> Seen {
    let limit = format!("echo {most} >/proc/sys/user/max_net_namespaces && exec \"$@\"");
    Seen::of(job.wrapped(user, &["unshare", "--map-root-user", "--user", "sh", "-c", &limit, "-"]))
}

#[test]
fn a_machine_without_room_for_a_gateway_uses_the_loopback_and_says_so() {
    let asked = ["tcp/198.18.0.9/443", "tcp/5.5.5.5/443"];
    for user in users() {
        let job = asks(&["veth", "any-ip"], &asked).with("listen", json!(["198.18.0.9:443"]));
        let seen = within(1, &job, *user).fine();
        assert_eq!(seen.told("gateway")[0]["way"], "any-ip");
        let notice = seen.told("notice")[0].to_string();
        assert!(notice.contains("the gateway's network namespace: No space"), "{notice}");
        assert_eq!(seen.answer(asked[0]), "198.18.0.9:443");
        assert_eq!(seen.answer(asked[1]), "ECONNREFUSED");

        // Control: with room for one more there is a gateway, and nothing to say.
        let seen = within(2, &job, *user).fine();
        assert_eq!(seen.told("gateway")[0]["way"], "veth");
        assert_eq!(seen.told("notice"), [json!(null)]);
    }
}

#[test]
fn a_gateway_that_is_required_is_there_or_nothing_is() {
    for user in users() {
        let job = Job::new(&["veth"], &["echo", "ran"]);
        let seen = within(1, &job, *user);
        assert_eq!(seen.code, Some(125), "{seen:#?}");
        assert_eq!(seen.inside, "");
        let error = seen.told("error")[0].to_string();
        assert!(error.contains("cannot make the gateway's network namespace"), "{error}");
        let hints = seen.told("hints")[0].to_string();
        assert!(hints.contains("user.max_net_namespaces"), "{hints}");
        assert!(hints.contains("best-effort"), "{hints}");
    }
}

#[test]
fn fifty_sandboxes_leave_nothing_behind() {
    // Each takes two; the kernel takes them down in the background, a few late ones are no leak.
    let job = Job::new(&["veth"], &["true"]).with("attempts", json!(true));
    for user in users() {
        let runs = "echo 30 >/proc/sys/user/max_net_namespaces || exit 9
            for run in $(seq 50); do \"$@\" || exit 7; done";
        let wrapper = ["unshare", "--map-root-user", "--user", "sh", "-c", runs, "-"];
        let seen = Seen::of(job.wrapped(*user, &wrapper));
        assert_eq!(seen.code, Some(0), "{user:?}: {}", seen.errors);
        assert_eq!(seen.told("gateway").len(), 50);
    }
}
