//! Any events at all: nothing raw reaches the terminal, and nothing is lost.

use proptest::prelude::*;

use super::*;
use crate::visible::is_invisible;

/// Any event at all, with few ids and pids so that they meet.
fn any_event() -> impl Strategy<Value = Event> {
    let id = 1_u64..12;
    let pid = 1_i32..8;
    let bytes = prop_oneof![
        3 => Just(Bytes::from("ls")),
        1 => Just(Bytes::from("-c")),
        1 => Just(Bytes::from("/bin/bash")),
        1 => "[ -~\n]{0,30}".prop_map(|text: String| Bytes::from(text.as_str())),
        2 => proptest::collection::vec(any::<u8>(), 0..30).prop_map(Bytes),
    ];
    let argv = proptest::collection::vec(bytes.clone(), 0..4);
    let outcome = proptest::sample::select(vec![
        Outcome::Verified,
        Outcome::Changed,
        Outcome::OwnLoader,
        Outcome::Unverified,
        Outcome::Failed,
        Outcome::ProbablyFailed,
        Outcome::Superseded,
        Outcome::Checked,
        Outcome::Unknown,
    ]);
    let t = (0_u64..10_000_000).prop_map(|t| NOON + t);
    prop_oneof![
        4 => (t.clone(), id.clone(), pid.clone(), bytes.clone(), argv.clone(),
              proptest::option::of(id.clone()), proptest::option::of(id.clone()), any::<bool>(), any::<String>())
            .prop_map(|(t, id, pid, path, argv, parent, retry_of, tool, odd)| {
                let cwd = Some(path.clone());
                Event::Exec(Box::new(Exec {
                    t, id, pid, path, argv, parent, retry_of, tool, cwd, depth: 3,
                    unread: tool.then_some(odd), ..Exec::default()
                }))
            }),
        3 => (t.clone(), id.clone(), outcome, proptest::option::of(argv), any::<String>())
            .prop_map(|(t, id, outcome, argv, errno)| {
                Event::Ran(Ran { t, id, outcome, argv, exe: None, errno: Some(errno) })
            }),
        3 => (t.clone(), id.clone(), pid, proptest::option::of(any::<u8>()), proptest::option::of(any::<u8>()), any::<u64>())
            .prop_map(|(t, id, pid, status, signal, dur_us)| {
                Event::Exit(Exit { t, id, pid, status, signal, core: true, dur_us, src: String::new() })
            }),
        1 => (any::<u64>(), any::<String>())
            .prop_map(|(t, text)| Event::Notice(Notice { t, kind: text.clone(), text })),
        1 => (any::<u64>(), any::<String>(), bytes.clone(), any::<bool>()).prop_map(
            |(t, odd, path, tracked)| Event::HostFile(HostFile {
                t, path, change: odd.clone(), name: odd.clone(), who: odd.clone(), tracked, seen: odd,
            })),
        1 => (any::<u64>(), any::<String>(), bytes.clone()).prop_map(|(t, odd, name)| Event::Git(Git {
            t, what: odd.clone(), name: name.clone(), submodule: Some(name), to: None, kept: None, text: odd, asked: true,
        })),
        1 => (any::<u64>(), any::<String>(), bytes).prop_map(|(t, odd, agent)| Event::Start(Start {
            t, session: odd.clone(), profile: odd.clone(), network: odd.clone(),
            agent: vec![agent.clone()], project: agent, weakened: vec![odd.clone()],
            helpers: vec!["ls".into(), odd], tool_marker: Some("X".into()), ..Start::default()
        })),
        1 => (t.clone(), any::<String>()).prop_map(|(t, odd)| Event::Confined(Confined {
            t, landlock: odd.clone(), landlock_abi: 1,
            exec_log: ExecLogStatus::Unavailable { reason: odd }, limits: Vec::new(),
        })),
        2 => (t.clone(), id.clone(), any::<String>(), any::<u16>(), any::<u8>()).prop_map(
            |(t, id, odd, port, kind)| network(t, id % 4, odd, port, kind)),
        1 => (any::<u64>(), any::<String>())
            .prop_map(|(t, reason)| Event::End(End { t, execs: 0, code: 1, reason, dur_us: None })),
    ]
}

/// Any event of the network.
fn network(t: Micros, id: u64, odd: String, port: u16, kind: u8) -> Event {
    let rule = RuleSaid { text: odd.clone(), origin: odd.clone() };
    let text = Some(odd.clone());
    match kind % 5 {
        0 => Event::Connect(Connect { t, id, host: odd.clone(), port, rule, via: odd, tls: true }),
        1 => Event::Disconnect(Disconnect {
            t,
            id,
            address: text.clone(),
            sent: t,
            received: t << u32::from(kind % 16),
            dur_us: t,
            error: text.filter(|_| kind < 128),
        }),
        2 => Event::Refused(Refused {
            t,
            host: odd.clone(),
            port: Some(port),
            protocol: odd.clone(),
            why: if kind < 128 { "denied".into() } else { odd },
            rule: Some(rule),
            times: u64::from(kind),
            detail: text.clone(),
            allow: text,
        }),
        3 => Event::Allow(Allow { t, rule }),
        _ => Event::Listen(Listen { t, address: odd, port, published: Some(port) }),
    }
}

proptest! {
    #![proptest_config(crate::cases::cases(200))]

    #[test]
    fn nothing_raw_reaches_the_terminal(
        events in proptest::collection::vec(any_event(), 0..60),
        width in proptest::option::of(20_u16..120),
        all: bool, failed: bool, tree: bool,
    ) {
        let mut view = View::new(Options { all, failed, tree, ..options() });
        view.set_width(width);
        for event in events {
            view.event(event);
        }
        view.finish(true);
        let coloured = view.take();
        // Whatever is left without our own colours must print.
        let mut rest = coloured.as_str();
        let mut plain = String::new();
        while let Some((text, after)) = rest.split_once("\x1b[") {
            plain.push_str(text);
            let (colour, after) = after.split_once('m').unwrap();
            prop_assert!(colour.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'));
            rest = after;
        }
        plain.push_str(rest);
        for line in plain.split('\n') {
            prop_assert!(!line.chars().any(is_invisible), "{:?}", line);
            if let Some(width) = width.filter(|_| !all) {
                let width = usize::from(width.max(30));
                prop_assert!(text::width(line) <= width, "{}: {:?}", width, line);
            }
        }
    }

    #[test]
    fn with_nothing_folded_every_exec_is_a_row(argvs in proptest::collection::vec("[a-z]{3,6}", 1..20)) {
        let mut session = Session::new();
        for (at, argument) in argvs.iter().enumerate() {
            let parent = 1 + at as u64 / 3;
            session.command(parent, "/usr/bin/true", &["true", argument], 0);
        }
        session.end();
        let shown = session.shown(None, |options| options.all = true);
        prop_assert_eq!(shown.matches(" true ").count(), argvs.len(), "{}", shown);
    }
}
