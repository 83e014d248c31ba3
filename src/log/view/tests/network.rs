//! What the view shows of the network among the commands.

use super::*;

/// A command that installs something, and what it reaches.
fn installing() -> Session {
    let mut session = Session::new();
    let npm = session.exec(Some(1), "/usr/local/bin/npm", &["npm", "ci"]);
    session.ran(npm, Outcome::Verified);
    for id in 1..5 {
        session.wait(100);
        let rule = RuleSaid { text: "@npm".into(), origin: "claude.toml:9 (built in)".into() };
        session.events.push(Event::Connect(Connect {
            t: session.t,
            id,
            host: "registry.npmjs.org".into(),
            port: 443,
            rule,
            via: "direct".into(),
            tls: true,
        }));
    }
    for id in 1..5 {
        let end =
            Disconnect { t: session.t, id, sent: 2000, received: 3 << 20, ..Disconnect::default() };
        session.events.push(Event::Disconnect(end));
    }
    for times in [1, 3] {
        session.events.push(Event::Refused(Refused {
            t: session.t,
            host: "telemetry.example.com".into(),
            protocol: "dns".into(),
            why: "not-listed".into(),
            times,
            allow: Some("telemetry.example.com".into()),
            ..Refused::default()
        }));
    }
    session.exit(npm, 0);
    session.events.push(Event::Allow(Allow {
        t: session.t,
        rule: RuleSaid { text: "pypi.org".into(), origin: "claudebox allow".into() },
    }));
    session.events.push(Event::Listen(Listen {
        t: session.t,
        address: "::1".into(),
        port: 5173,
        published: None,
    }));
    session.end();
    session
}

#[test]
fn the_network_stands_between_the_commands() {
    insta::assert_snapshot!(installing().rows(), @r"
   0 400ms   npm ci
 net         registry.npmjs.org:443
deny         telemetry.example.com is not allowed · claudebox allow telemetry.example.com
rule         pypi.org is allowed from now on (claudebox allow)
open         [::1]:5173 listens inside
   0  3.4s   /opt/claude --dangerously-skip-permissions
 net    x3   registry.npmjs.org:443 ↑7.8K ↓12M
deny    x3   telemetry.example.com is not allowed
");
}

/// A shell that has run for less than it takes to be shown, a command below it, and what that was
/// refused; beside it one that came later and was done sooner.
fn refused_below(shell: &str) -> Session {
    let mut session = Session::new();
    let bash = session.exec(Some(1), "/bin/bash", &[shell]);
    session.ran(bash, Outcome::Verified);
    session.command(bash, "/usr/bin/ls", &["ls"], 0);
    session.wait(100);
    let curl = session.exec(Some(bash), "/usr/bin/curl", &["curl", "https://example.com"]);
    session.ran(curl, Outcome::Verified);
    session.events.push(Event::Refused(Refused {
        t: session.t,
        host: "example.com".into(),
        protocol: "dns".into(),
        why: "not-listed".into(),
        times: 1,
        ..Refused::default()
    }));
    session.wait(100);
    session.exit(curl, 6);
    session.command(bash, "/usr/bin/id", &["id"], 0);
    session.wait(3000);
    session.exit(bash, 0);
    session.end();
    session
}

#[test]
fn what_is_older_is_shown_first() {
    insta::assert_snapshot!(refused_below("bash").rows(), @r"
   …         bash
   0  <1ms     ls
   6 100ms     curl https://example.com
deny         example.com is not allowed
   0  <1ms     id
   0  3.2s   bash
   0  6.2s   /opt/claude --dangerously-skip-permissions
");
}

/// As the pane shows it, which asks for the time when something is due.
#[test]
fn the_pane_has_the_order_of_the_log() {
    let session = refused_below("bash");
    let mut view = View::new(options());
    for event in session.events.clone() {
        while let Some(due) = view.deadline().filter(|due| Some(*due) < time(&event)) {
            view.pass(due);
        }
        view.event(event);
    }
    let shown = anstream::adapter::strip_str(&view.take()).to_string();
    assert_eq!(shown, session.shown(None, |_| {}));
}

#[test]
fn a_line_waits_for_no_command_longer_than_that_is_kept_back() {
    let session = refused_below("bash");
    let mut view = View::new(options());
    for event in session.events.iter().take_while(|event| !matches!(event, Event::Refused(_))) {
        view.event(event.clone());
    }
    view.take();
    let refused = session.events.iter().find(|event| matches!(event, Event::Refused(_))).unwrap();
    view.event(refused.clone());
    assert_eq!(view.take(), "");
    view.pass(time(refused).unwrap() + 2_000_000);
    let shown = anstream::adapter::strip_str(&view.take()).to_string();
    assert!(shown.contains("example.com is not allowed"), "{shown}");
}

#[test]
fn the_end_counts_what_was_reached_and_refused() {
    let shown = installing().shown(None, |_| {});
    assert!(shown.contains(", 0 failed, 4 connections, 4 refused\n"), "{shown}");
    assert!(shown.contains(" · claudebox allow telemetry.example.com\n"), "{shown}");
}

#[test]
fn refusals_are_failures_and_can_be_searched_for() {
    let failed = installing().shown(None, |options| options.failed = true);
    assert!(failed.contains("telemetry") && !failed.contains("registry"), "{failed}");
    let grep = Regex::new("registry.*org").ok();
    let found = installing().shown(None, |options| options.grep = grep);
    assert!(!found.contains("telemetry") && found.contains("registry"), "{found}");
}

#[test]
fn what_was_counted_is_shown_by_time_alone_and_then_nothing_wakes() {
    let mut view = View::new(options());
    let session = installing();
    let running = session.events.len() - 2;
    for event in session.events.into_iter().take(running) {
        view.event(event);
    }
    assert!(!view.take().contains("x3"));
    let mut wakeups = 0;
    while let Some(deadline) = view.deadline() {
        view.pass(deadline);
        wakeups += 1;
        assert!(wakeups < 6, "an idle session costs nothing");
    }
    let shown = anstream::adapter::strip_str(&view.take()).to_string();
    assert!(shown.contains("net    x3   registry.npmjs.org:443"), "{shown}");
    assert!(shown.contains("deny    x3   telemetry.example.com"), "{shown}");
}

#[test]
fn with_nothing_folded_every_connection_is_there() {
    let shown = installing().shown(None, |options| options.all = true);
    assert_eq!(shown.matches(" net ").count(), 8, "{shown}");
    assert_eq!(shown.matches("deny").count(), 2, "{shown}");
}
