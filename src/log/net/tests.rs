//! Rows, folding and totals of what the log says of the network.

use proptest::prelude::*;

use super::fold::Fold;
use super::row::{Row, What};
use super::totals::Totals;
use super::words;
use crate::log::event::{
    Allow, Connect, Disconnect, End, Event, Listen, Micros, Refused, RuleSaid, Start,
};
use crate::log::layout::Layout;
use crate::log::text;

const SECOND: Micros = 1_000_000;

pub(crate) fn rule(text: &str) -> RuleSaid {
    RuleSaid { text: text.into(), origin: "claude.toml:12 (built in)".into() }
}

fn connect(t: Micros, id: u64, host: &str) -> Event {
    let (via, rule) = ("direct".into(), rule(host));
    Event::Connect(Connect { t, id, host: host.into(), port: 443, rule, via, tls: true })
}

fn disconnect(t: Micros, id: u64, received: u64) -> Event {
    Event::Disconnect(Disconnect {
        t,
        id,
        sent: 1500,
        received,
        dur_us: 250_000,
        ..Disconnect::default()
    })
}

fn failed(t: Micros, id: u64) -> Event {
    let error = Some("connection refused".into());
    Event::Disconnect(Disconnect { t, id, error, ..Disconnect::default() })
}

fn refused(t: Micros, host: &str) -> Refused {
    Refused {
        t,
        host: host.into(),
        protocol: "dns".into(),
        why: "not-listed".into(),
        times: 1,
        allow: Some(host.into()),
        ..Refused::default()
    }
}

/// The rows in short, after these events.
fn folded(fold: &mut Fold, events: impl IntoIterator<Item = Event>) -> Vec<String> {
    events.into_iter().for_each(|event| fold.event(&event));
    let short = |row: Row| format!("{:?} {} {} x{}", row.what, row.target, row.note, row.times);
    fold.take().into_iter().map(|row| short(row).replace("  ", " ")).collect()
}

#[test]
fn the_first_connection_to_a_host_is_shown_and_the_rest_are_counted() {
    let mut fold = Fold::default();
    let mut events = vec![connect(0, 1, "a.example"), connect(1, 2, "b.example")];
    events.extend((3..13).map(|id| connect(SECOND, id, "a.example")));
    events.extend((1..13).map(|id| disconnect(2 * SECOND, id, 1 << 20)));
    assert_eq!(folded(&mut fold, events), ["Reached a.example:443 x1", "Reached b.example:443 x1"]);
    let due = fold.deadline().unwrap();
    fold.pass(due - 1);
    assert!(fold.take().is_empty());
    fold.pass(due);
    assert_eq!(folded(&mut fold, []), ["Reached a.example:443 ↑16K ↓11M x10"]);
    // What was large is told although nothing was opened since.
    fold.finish();
    assert_eq!(folded(&mut fold, []), ["Reached b.example:443 ↑1.4K ↓1.0M x0"]);
    assert_eq!((fold.connections, fold.deadline()), (12, None));
}

#[test]
fn a_host_that_is_always_busy_costs_a_few_rows_a_day() {
    let mut fold = Fold::default();
    let mut rows = 0;
    for id in 0..24 * 3600 {
        let t = id * SECOND;
        fold.pass(t);
        fold.event(&connect(t, id, "api.example"));
        fold.event(&disconnect(t, id, 100));
        rows += fold.take().len();
    }
    assert!((20..40).contains(&rows), "{rows}");
}

#[test]
fn a_refusal_after_a_quiet_time_is_shown_at_once() {
    let mut fold = Fold::default();
    for at in [0, 31, 700, 1800, 3600] {
        let shown = folded(&mut fold, [Event::Refused(refused(at * SECOND, "evil.example"))]);
        assert_eq!(shown, ["Refused evil.example is not allowed x1"], "{at}");
    }
    let again = Refused { times: 40, ..refused(3601 * SECOND, "evil.example") };
    assert_eq!(folded(&mut fold, [Event::Refused(again)]), [""; 0]);
    fold.finish();
    assert_eq!(folded(&mut fold, []), ["Refused evil.example is not allowed x40"]);
    assert_eq!(fold.refused, 45);
}

#[test]
fn each_reason_for_a_failure_is_shown() {
    let mut fold = Fold::default();
    let events =
        [connect(0, 1, "a.example"), connect(0, 2, "a.example"), failed(1, 1), failed(1, 2)];
    assert_eq!(
        folded(&mut fold, events),
        ["Reached a.example:443 x1", "Failed a.example:443 connection refused x1"]
    );
    fold.finish();
    assert_eq!(
        folded(&mut fold, []),
        ["Reached a.example:443 x1", "Failed a.example:443 connection refused x1"]
    );
}

#[test]
fn any_number_of_names_costs_bounded_memory_and_loses_no_row() {
    let mut fold = Fold::default();
    let mut rows = 0;
    for at in 0..5000 {
        fold.event(&Event::Refused(refused(at, &format!("n{at}.example"))));
        fold.event(&connect(at, at, &format!("c{at}.example")));
        rows += fold.take().len();
    }
    assert_eq!(rows, 10_000);
    assert!(fold.len() <= 256, "{}", fold.len());
}

#[test]
fn the_rules_of_one_group_are_one_row() {
    let mut fold = Fold::default();
    let allow = |t, text: &str| Event::Allow(Allow { t, rule: rule(text) });
    let events = [allow(0, "@npm"), allow(1, "@npm"), allow(2, "a.example"), allow(3, "@npm")];
    assert_eq!(folded(&mut fold, events).len(), 3);
}

#[test]
fn with_nothing_folded_each_event_is_a_row() {
    let mut fold = Fold::new(true);
    let events = [
        connect(0, 1, "a.example"),
        connect(0, 2, "a.example"),
        disconnect(1, 1, 5),
        failed(1, 2),
        Event::Refused(refused(2, "x.example")),
        Event::Refused(refused(3, "x.example")),
    ];
    assert_eq!(folded(&mut fold, events).len(), 6);
}

#[test]
fn each_refusal_says_why() {
    let base = || Refused {
        host: "a.example".into(),
        port: Some(443),
        protocol: "tcp".into(),
        detail: Some("10.0.0.7\u{1b}".into()),
        rule: Some(rule("*.example")),
        ..Refused::default()
    };
    let said = |why: &str| {
        let refused = Refused { why: why.into(), ..base() };
        format!("{} {}\n", words::refused_target(&refused), words::why(&refused))
    };
    let kinds = [
        "not-listed",
        "denied",
        "no-tls",
        "other-name",
        "private",
        "proxy",
        "too-many",
        "new\u{7}",
    ];
    insta::assert_snapshot!(kinds.map(said).concat(), @r"
    a.example:443 is not allowed: 10.0.0.7\x1b
    a.example:443 is denied by *.example (claude.toml:12 (built in)): 10.0.0.7\x1b
    a.example:443 is for TLS: 10.0.0.7\x1b
    a.example:443 was asked for 10.0.0.7\x1b in TLS
    a.example:443 leads to 10.0.0.7\x1b
    a.example:443 was not spoken to as one: 10.0.0.7\x1b
    a.example:443 is too much at once: 10.0.0.7\x1b
    a.example:443 new\x07: 10.0.0.7\x1b
    ");
}

#[test]
fn a_name_tells_no_story_of_its_own() {
    let shown = |host: &str| words::target(host, Some(443));
    assert_eq!(shown("a_b-c.example"), "a_b-c.example:443");
    assert_eq!(shown("2001:db8::1"), "[2001:db8::1]:443");
    assert_eq!(shown("pypi.org is allowed"), "'pypi.org is allowed':443");
    assert_eq!(shown("a\u{1b}]0;x\u{7}"), r"$'a\e]0;x\x07':443");
}

#[test]
fn what_is_to_be_typed_can_be_typed() {
    let typed = |allow: &str| {
        words::remedy(&Refused { allow: Some(allow.into()), ..Refused::default() }).unwrap()
    };
    assert_eq!(typed("a.example:22"), "claudebox allow a.example:22");
    assert_eq!(typed("ssh.github.com:443 raw"), "claudebox allow ssh.github.com:443 raw");
    assert_eq!(typed("[2001:db8::1]:443"), "claudebox allow '[2001:db8::1]:443'");
    assert_eq!(typed("*.a.example"), "claudebox allow '*.a.example'");
}

#[test]
fn amounts_are_short() {
    let shown: Vec<_> =
        [0, 999, 1000, 1023, 1024, 10_239, 10_240, 1_022_976, 1_048_576, 35 << 20, u64::MAX]
            .into_iter()
            .map(words::amount)
            .collect();
    let want = ["0", "999", "0.9K", "0.9K", "1.0K", "9.9K", "10K", "999K", "1.0M", "35M", "15E"];
    assert_eq!(shown, want);
}

fn rows() -> Vec<Row> {
    let row = |what, target: &str, note: &str| Row {
        t: 0,
        what,
        times: 1,
        duration: None,
        target: target.into(),
        note: note.into(),
        remedy: None,
    };
    vec![
        row(What::Reached, "registry.npmjs.org:443", ""),
        Row { times: 39, ..row(What::Reached, "registry.npmjs.org:443", "↑12K ↓34M") },
        Row {
            remedy: Some("claudebox allow pypi.org".into()),
            ..row(What::Refused, "pypi.org", "is not allowed")
        },
        Row { times: 12, ..row(What::Refused, "8.8.8.8:53/udp", "is not allowed") },
        row(What::Failed, "db.corp:5432", "connection refused"),
        row(What::Allowed, "pypi.org", "is allowed from now on (claudebox allow)"),
        row(What::Listening, "127.0.0.1:3000", "is localhost:3001 on this machine"),
        Row {
            remedy: Some("claudebox allow a-long-name.of-a-service.in-a.cloud.example.com".into()),
            ..row(
                What::Refused,
                "a-long-name.of-a-service.in-a.cloud.example.com",
                "is not allowed",
            )
        },
    ]
}

fn shown(width: Option<usize>, rows: &[Row]) -> String {
    let layout = Layout { width };
    let time = if width.is_some_and(|width| width < 60) { "12:00" } else { "12:00:01" };
    let mut out = String::new();
    for row in rows {
        layout.net(row, time, &mut out);
    }
    anstream::adapter::strip_str(&out).to_string()
}

#[test]
fn rows_read_well_at_any_width() {
    insta::assert_snapshot!(shown(Some(40), &rows()), @r"
12:00 net  registry.npmjs.org:443
12:00 net  registry.npmjs.org:443
           ↑12K ↓34M x39
12:00 deny  pypi.org is not allowed
            claudebox allow pypi.org
12:00 deny  8.8.8.8:53/udp
            is not allowed x12
12:00 fail  db.corp:5432
            connection refused
12:00 rule  pypi.org
            is allowed from now on
            (claudebox allow)
12:00 open  127.0.0.1:3000
            is localhost:3001 on this
            machine
12:00 deny  (+25)…in-a.cloud.example.com
            is not allowed
            claudebox allow
            a-long-name.of-a-service.in-
            a.cloud.example.com
");
    insta::assert_snapshot!(shown(Some(80), &rows()), @r"
12:00:01  net         registry.npmjs.org:443
12:00:01  net   x39   registry.npmjs.org:443 ↑12K ↓34M
12:00:01 deny         pypi.org is not allowed · claudebox allow pypi.org
12:00:01 deny   x12   8.8.8.8:53/udp is not allowed
12:00:01 fail         db.corp:5432 connection refused
12:00:01 rule         pypi.org is allowed from now on (claudebox allow)
12:00:01 open         127.0.0.1:3000 is localhost:3001 on this machine
12:00:01 deny         a-long-name.of-a-service.in-a.cloud.example.com
                      is not allowed
                      claudebox allow
                      a-long-name.of-a-service.in-a.cloud.example.com
");
    insta::assert_snapshot!(shown(Some(200), &rows()), @r"
12:00:01  net         registry.npmjs.org:443
12:00:01  net   x39   registry.npmjs.org:443 ↑12K ↓34M
12:00:01 deny         pypi.org is not allowed · claudebox allow pypi.org
12:00:01 deny   x12   8.8.8.8:53/udp is not allowed
12:00:01 fail         db.corp:5432 connection refused
12:00:01 rule         pypi.org is allowed from now on (claudebox allow)
12:00:01 open         127.0.0.1:3000 is localhost:3001 on this machine
12:00:01 deny         a-long-name.of-a-service.in-a.cloud.example.com is not allowed · claudebox allow a-long-name.of-a-service.in-a.cloud.example.com
");
}

proptest! {
    #[test]
    fn no_row_is_wider_than_the_terminal(
        target in "\\PC{0,90}", note in "\\PC{0,60}", remedy in proptest::option::of("\\PC{0,60}"),
        times in 0_u64..5000, width in 30_usize..200,
    ) {
        let row = Row { t: 0, what: What::Refused, times, duration: None, target, note, remedy };
        for line in shown(Some(width), &[row]).lines() {
            prop_assert!(text::width(line) <= width, "{}", line);
        }
    }
}

#[test]
fn totals_add_up() {
    let mut totals = Totals::default();
    let start = Start { network: "allow".into(), ..Start::default() };
    let listen =
        Listen { address: "127.0.0.1".into(), port: 3000, published: None, ..Listen::default() };
    let events = [
        Event::Start(start),
        connect(0, 1, "a.example"),
        connect(0, 2, "a.example"),
        connect(0, 3, "b.example"),
        disconnect(1, 1, 100),
        failed(1, 2),
        Event::Refused(refused(1, "x.example")),
        Event::Refused(Refused { times: 41, ..refused(2, "x.example") }),
        Event::Allow(Allow { t: 3, rule: rule("x.example") }),
        Event::Allow(Allow { t: 3, rule: rule("x.example") }),
        Event::Listen(listen.clone()),
        Event::Listen(Listen { published: Some(3001), ..listen }),
    ];
    for event in events {
        totals.event(event);
    }
    let reached: Vec<_> = totals
        .reached
        .iter()
        .map(|it| (it.host.as_str(), it.connections, it.open, it.failed, it.sent, it.received))
        .collect();
    assert_eq!(reached, [("a.example", 2, 0, 1, 1500, 100), ("b.example", 1, 1, 0, 0, 0)]);
    assert_eq!((totals.refused.len(), totals.refused[0].times), (1, 42));
    assert_eq!((totals.mode.as_str(), totals.allowed.len()), ("allow", 1));
    assert_eq!((totals.listening.len(), totals.listening[0].published), (1, Some(3001)));
    totals.passing("b.example", 443, 5, 6);
    assert_eq!((totals.reached[1].sent, totals.reached[1].received), (5, 6));
    totals.event(Event::End(End {
        t: 9,
        execs: 0,
        code: 0,
        reason: "agent-exited".into(),
        dur_us: None,
    }));
    assert_eq!(totals.reached[1].open, 0);
}

/// A log is whatever somebody wrote into it.
#[test]
fn no_amount_is_too_large_to_be_added_up() {
    let mut fold = Fold::new(false);
    for id in 0..3 {
        let host = "a.test".to_owned();
        fold.event(&Event::Connect(Connect { id, host, port: 443, ..Connect::default() }));
        let (sent, received) = (u64::MAX, u64::MAX);
        fold.event(&Event::Disconnect(Disconnect { id, sent, received, ..Disconnect::default() }));
    }
    fold.finish();
    let rows = fold.take();
    assert_eq!(rows.last().map(|row| row.times), Some(2));
    assert!(rows.last().unwrap().note.contains("↑15E"), "{:?}", rows.last());
}
