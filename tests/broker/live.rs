//! What changes while a session runs, and its end.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Instant;

use claudebox::log::event::Event;
use simple_dns::{RCODE, TYPE};

use super::harness::*;

#[test]
fn what_is_allowed_later_is_reached_from_then_on() {
    isolated("live::what_is_allowed_later_is_reached_from_then_on", || {
        let (at, _served) = echo();
        let running = Setup::new(&["b.test:443"]).host("a.test", at).start();
        assert_eq!(ask("a.test", TYPE::A).0, RCODE::NameError);
        running.refused();
        running.broker.allow(vec![rule("a.test:8080")]).unwrap();
        let allowed = running.event(|event| match event {
            Event::Allow(allow) => Some(allow.rule.text.clone()),
            _ => None,
        });
        assert_eq!(allowed, "a.test:8080");
        assert_eq!(talk(open("a.test", 8080), b"x"), b"x");
        // One more port of a name that has its address already, and of an address.
        let before = address("b.test");
        connect((before, 22)).unwrap_err();
        running.broker.allow(vec![rule("*.test:22")]).unwrap();
        taken((before, 22));
        running.broker.allow(vec![rule("127.7.7.7:22")]).unwrap();
        taken(("127.7.7.7".parse::<std::net::IpAddr>().unwrap(), 22));
        assert_eq!(running.broker.status().unwrap().rules.allow.len(), 4);
    });
}

#[test]
fn rules_are_taken_together_or_not_at_all() {
    isolated("live::rules_are_taken_together_or_not_at_all", || {
        let running = Setup::new(&["a.test:443"]).deny("evil.test:22").start();
        let first = SocketAddr::from(([127, 7, 7, 7], 22));
        for second in [&format!("127.7.7.7:{BROKEN}"), "evil.test:22"] {
            let rules = vec![rule("127.7.7.7:22"), rule(second), rule("127.7.7.7:23")];
            running.broker.allow(rules).unwrap_err();
            assert_eq!(running.broker.status().unwrap().rules.allow.len(), 1, "{second}");
            connect(first).unwrap_err();
        }
        // Nor does what was begun stand in the way.
        running.broker.allow(vec![rule("127.7.7.7:22"), rule("127.7.7.7:22")]).unwrap();
        taken(first);
        let told = running.rest().iter().filter(|event| matches!(event, Event::Allow(_))).count();
        assert_eq!(told, 2);
    });
}

#[test]
fn a_broker_that_is_silent_holds_nobody_up_and_is_not_called_dead() {
    isolated("live::a_broker_that_is_silent_holds_nobody_up_and_is_not_called_dead", || {
        let running = Setup::new(&[]).start();
        let began = Instant::now();
        let slow = vec![rule(&format!("127.7.7.7:{SLOW}"))];
        let error = running.broker.allow(slow).unwrap_err().to_string();
        assert!(error.contains("silent") && began.elapsed() < SLOWNESS, "{error}");
        // Who was told so gets nothing of it later.
        running.broker.allow(vec![rule("a.test:443")]).unwrap_err();
        std::thread::sleep(SLOWNESS);
        let rules = running.broker.status().unwrap().rules.allow;
        assert!(rules.is_empty(), "{rules:?}");
    });
}

#[test]
fn a_denial_is_not_lifted() {
    isolated("live::a_denial_is_not_lifted", || {
        let running = Setup::new(&[]).deny("*.evil.test").deny("b.test:22").start();
        let refused = running.broker.allow(vec![rule("x.evil.test:443")]).unwrap_err().to_string();
        assert!(refused.contains("`*.evil.test` (test)"), "{refused}");
        running.broker.allow(vec![rule("*.x.evil.test:443")]).unwrap_err();
        running.broker.allow(vec![rule("b.test:22")]).unwrap_err();
        running.broker.allow(vec![rule("b.test:443")]).unwrap();
        // A wider rule is taken, and the denial stays.
        running.broker.allow(vec![rule("*.test:443")]).unwrap();
        assert_eq!(ask("x.evil.test", TYPE::A).0, RCODE::NameError);
        assert_eq!(ask("x.test", TYPE::A).0, RCODE::NoError);
    });
}

#[test]
fn refusals_without_end_are_few_lines_and_all_are_counted() {
    isolated("live::refusals_without_end_are_few_lines_and_all_are_counted", || {
        let running = Setup::new(&[]).start();
        for number in 0..2000 {
            ask(&format!("n{number}.test"), TYPE::A);
        }
        for _ in 0..500 {
            ask("same.test", TYPE::TXT);
        }
        let mut times = 0;
        let events = running.rest();
        for event in &events {
            if let Event::Refused(refused) = event {
                times += refused.times;
            }
        }
        // Of questions that come in pairs one is counted.
        assert!((2250..=2500).contains(&times), "{times}");
        assert!(events.len() < 500, "{}", events.len());
    });
}

#[test]
fn an_end_closes_every_connection_and_every_line_has_its_end() {
    isolated("live::an_end_closes_every_connection_and_every_line_has_its_end", || {
        let (at, served) = server(|mut stream| {
            let _ = stream.write_all(b"hi");
            all(&mut stream)
        });
        let running = Setup::new(&["a.test:8080"]).host("a.test", at).start();
        let mut stream = open("a.test", 8080);
        stream.read_exact(&mut [0; 2]).unwrap();
        let status = running.broker.status().unwrap();
        assert_eq!((status.open.len(), status.open[0].received), (1, 2));
        let events = running.rest();
        let [Event::Connect(connect), Event::Disconnect(disconnect)] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!((connect.id, disconnect.received), (disconnect.id, 2));
        assert!(all(&mut stream).is_empty() && served.join().unwrap().is_empty());
        // Fail closed: nobody answers any more.
        connect_refused();
    });
}

fn connect_refused() {
    connect((GATEWAY, 53)).unwrap_err();
    connect((GATEWAY, PROXY)).unwrap_err();
}

#[test]
fn many_idle_connections_are_carried() {
    isolated("live::many_idle_connections_are_carried", || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let running = Setup::new(&["a.test:8080"]).host("a.test", at).start();
        // Two ends of each are ours, too.
        let address = address("a.test");
        let idle: Vec<_> = (0..150)
            .map(|_| {
                let stream = connect((address, 8080)).unwrap();
                (stream, listener.accept().unwrap().0)
            })
            .collect();
        assert_eq!(running.broker.status().unwrap().open.len(), 150);
        for (mut inside, mut outside) in idle {
            inside.write_all(b"x").unwrap();
            outside.read_exact(&mut [0]).unwrap();
            outside.write_all(b"y").unwrap();
            inside.read_exact(&mut [0]).unwrap();
        }
    });
}
