//! Names, their addresses, and what is carried to them.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, UdpSocket};

use rustix::process::{Resource, Rlimit, setrlimit};
use simple_dns::{RCODE, TYPE};

use super::harness::*;

#[test]
fn an_allowed_name_is_reached_and_logged() {
    isolated("names::an_allowed_name_is_reached_and_logged", || {
        let (at, served) = echo();
        let running = Setup::new(&["a.test:8080"]).host("a.test", at).start();
        assert_eq!(talk(open("A.test", 8080), b"hello"), b"hello");
        assert_eq!(served.join().unwrap(), b"hello");
        let connect = running.connect();
        assert_eq!((&*connect.host, connect.port, &*connect.via), ("a.test", 8080, "direct"));
        assert_eq!((&*connect.rule.text, &*connect.rule.origin), ("a.test:8080", "test"));
        let disconnect = running.disconnect();
        assert_eq!((disconnect.id, disconnect.sent, disconnect.received), (connect.id, 5, 5));
        assert_eq!((disconnect.address, disconnect.error), (Some(at.to_string()), None));
        assert_eq!(*running.lookups.lock().unwrap(), ["a.test:8080"]);
    });
}

#[test]
fn any_other_name_does_not_exist_and_is_asked_of_nobody() {
    isolated("names::any_other_name_does_not_exist_and_is_asked_of_nobody", || {
        let setup = Setup::new(&["a.test:443", "*.b.test:443"]).deny("secret.b.test");
        let running = setup.start();
        for name in ["evil.test", "xa.test", "a.test.evil", "b.test", "a.b.test.evil"] {
            assert_eq!(ask(name, TYPE::A), (RCODE::NameError, None), "{name}");
            let refused = running.refused();
            assert_eq!((&*refused.host, &*refused.why), (name, "not-listed"));
            assert_eq!((refused.allow.as_deref(), refused.times), (Some(name), 1));
        }
        assert_eq!(ask("data-to-steal.evil.test", TYPE::TXT), (RCODE::NameError, None));
        assert_eq!(running.refused().protocol, "dns");
        assert_eq!(ask("secret.b.test", TYPE::A).0, RCODE::NameError);
        let refused = running.refused();
        assert_eq!((&*refused.why, &refused.allow), ("denied", &None));
        assert_eq!(refused.rule.unwrap().text, "secret.b.test");
        assert_eq!(ask("x.y.b.test", TYPE::A).0, RCODE::NoError);
        assert!(running.lookups.lock().unwrap().is_empty());
    });
}

#[test]
fn a_name_has_an_ipv4_address_and_nothing_else() {
    isolated("names::a_name_has_an_ipv4_address_and_nothing_else", || {
        let _running = Setup::new(&["a.test:443"]).start();
        let first = address("a.test");
        assert_eq!(address("a.test."), first);
        for kind in [TYPE::AAAA, TYPE::HTTPS, TYPE::TXT, TYPE::MX, TYPE::SRV] {
            assert_eq!(ask("a.test", kind), (RCODE::NoError, None));
        }
        let local = |kind| ask("x.localhost", kind).1;
        assert_eq!(local(TYPE::A), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(local(TYPE::AAAA), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    });
}

#[test]
fn whoever_is_asked_the_gateway_answers() {
    isolated("names::whoever_is_asked_the_gateway_answers", || {
        let _running = Setup::new(&["a.test:443"]).start();
        let server = (Ipv4Addr::new(127, 8, 8, 8), 53);
        // By UDP, a connected socket takes the answer of nobody else.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(server).unwrap();
        socket.send(&question("a.test", TYPE::A)).unwrap();
        let mut bytes = [0; 512];
        let length = socket.recv(&mut bytes).unwrap();
        let by_udp = reply(&bytes[..length]);
        assert_eq!(by_udp, (RCODE::NoError, Some(address("a.test").into())));
        // By TCP, two questions on one connection, the second in pieces.
        let mut stream = connect(server).unwrap();
        let asked = question("a.test", TYPE::A);
        let framed = [&u16::try_from(asked.len()).unwrap().to_be_bytes()[..], &asked].concat();
        stream.write_all(&framed).unwrap();
        for byte in framed {
            stream.write_all(&[byte]).unwrap();
        }
        for _ in 0..2 {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut bytes = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut bytes).unwrap();
            assert_eq!(reply(&bytes), by_udp);
        }
        // Too long: it is not waited for.
        let mut stream = connect(server).unwrap();
        stream.write_all(&[0xff, 0xff]).unwrap();
        assert!(all(&mut stream).is_empty());
    });
}

#[test]
fn nobody_listens_at_a_port_that_is_not_allowed() {
    isolated("names::nobody_listens_at_a_port_that_is_not_allowed", || {
        let _running = Setup::new(&["a.test:443", "a.test:22"]).start();
        let at = address("a.test");
        for port in [80, 8080, 3128] {
            let refused = connect((at, port)).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        }
        taken((at, 443));
        taken((at, 22));
    });
}

#[test]
fn an_end_is_passed_on_and_the_rest_still_comes() {
    isolated("names::an_end_is_passed_on_and_the_rest_still_comes", || {
        let (at, served) = echo();
        let running = Setup::new(&["a.test:8080"]).host("a.test", at).start();
        let words: Vec<u8> =
            (0..5_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
        let mut stream = open("a.test", 8080);
        let mut reader = stream.try_clone().unwrap();
        let reader = std::thread::spawn(move || all(&mut reader));
        stream.write_all(&words).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(reader.join().unwrap() == words && served.join().unwrap() == words);
        assert_eq!(running.disconnect().sent, 5_000_000);
    });
}

#[test]
fn a_server_that_is_not_there_is_told_and_resets() {
    isolated("names::a_server_that_is_not_there_is_told_and_resets", || {
        let gone = Forbidden::new().at();
        let running = Setup::new(&["a.test:8080", "b.test:8080"]).host("a.test", gone).start();
        for (name, why) in [("a.test", "refused"), ("b.test", "no such host")] {
            ends((address(name), 8080), b"");
            assert_eq!(running.connect().host, name);
            let error = running.disconnect().error.unwrap();
            assert!(error.contains(why), "{error}");
        }
    });
}

#[test]
fn another_address_is_tried_where_one_does_not_answer() {
    isolated("names::another_address_is_tried_where_one_does_not_answer", || {
        let gone = Forbidden::new().at();
        // It takes no connection: its queue is full.
        let silent = Silent::new();
        let (at, served) = echo();
        let mut setup = Setup::new(&["a.test:8080"]).host("a.test", gone);
        setup = setup.host("a.test", silent.at()).host("a.test", at);
        let running = setup.start();
        assert_eq!(talk(open("a.test", 8080), b"x"), b"x");
        assert_eq!(served.join().unwrap(), b"x");
        assert_eq!(running.disconnect().address, Some(at.to_string()));
    });
}

#[test]
fn many_names_are_reached_at_once() {
    isolated("names::many_names_are_reached_at_once", || {
        let mut setup = Setup::new(&["*.a.test:8080"]);
        let mut servers = Vec::new();
        for number in 0..60 {
            let (at, served) = echo();
            setup = setup.host(&format!("n{number}.a.test"), at);
            servers.push(served);
        }
        let running = setup.start();
        std::thread::scope(|scope| {
            for number in 0..60 {
                let broker = &running.broker;
                scope.spawn(move || {
                    let words = format!("to {number}");
                    let stream = connect((address(&format!("n{number}.a.test")), 8080)).unwrap();
                    let _ = broker.status().unwrap();
                    assert_eq!(talk(stream, words.as_bytes()), words.as_bytes());
                });
            }
        });
        for (number, served) in servers.into_iter().enumerate() {
            assert_eq!(served.join().unwrap(), format!("to {number}").as_bytes());
        }
        assert_eq!(running.broker.status().unwrap().names, 60);
    });
}

/// Names are kept in the supervisor: whoever asks for one after the other gets no more at some point,
/// and what is there stays.
#[test]
fn a_table_that_is_full_takes_no_more_and_keeps_what_it_has() {
    isolated("names::a_table_that_is_full_takes_no_more_and_keeps_what_it_has", || {
        // Descriptors bound it: of 400 most are for connections and for the rest of the supervisor.
        let few = Rlimit { current: Some(400), maximum: Some(400) };
        setrlimit(Resource::Nofile, few).unwrap();
        let running = Setup::new(&["*.test:8080"]).start();
        let first = address("n0.test");
        let most = (1..400).find(|number| ask(&format!("n{number}.test"), TYPE::A).1.is_none());
        assert!(most.is_some_and(|most| (32..128).contains(&most)), "{most:?}");
        let refused = running.refused();
        assert_eq!(refused.host, format!("n{}.test", most.unwrap()));
        assert_eq!(&*refused.why, "too-many");
        assert_eq!(ask("one-more.test", TYPE::A).0, RCODE::ServerFailure);
        assert_eq!(address("n0.test"), first);
        assert_eq!(ask("evil.other", TYPE::A).0, RCODE::NameError);
        // Somebody listens there; the name leads nowhere.
        ends((first, 8080), b"");
    });
}
