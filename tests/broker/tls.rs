//! At port 443 a connection begins with a TLS hello for the very name it was opened to.

use std::io::{Read as _, Write as _};

use super::harness::*;

#[test]
fn a_hello_for_the_name_goes_on_as_it_came() {
    isolated("tls::a_hello_for_the_name_goes_on_as_it_came", || {
        let (at, served) = echo();
        let running = Setup::new(&["a.test:443"]).host("a.test", at).start();
        let words = [hello("A.test"), b"and more".to_vec()].concat();
        let mut stream = open("a.test", 443);
        // In pieces.
        let (first, rest) = words.split_at(9);
        stream.write_all(first).unwrap();
        assert_eq!(talk(stream, rest), words);
        assert_eq!(served.join().unwrap(), words);
        let connect = running.connect();
        assert!(connect.tls && connect.host == "a.test");
        assert_eq!(running.disconnect().sent, words.len() as u64);
    });
}

/// What is said to an allowed name at port 443, and how it is refused.
fn refused(words: &[u8]) -> (String, Option<String>, Vec<u8>) {
    let server = Forbidden::new();
    let running = Setup::new(&["a.test:443"]).host("a.test", server.at()).start();
    let answer = talk(open("a.test", 443), words);
    let refused = running.refused();
    assert_eq!((&*refused.host, refused.port), ("a.test", Some(443)));
    assert_eq!(refused.allow.as_deref(), Some("a.test:443 raw"));
    assert!(running.lookups.lock().unwrap().is_empty());
    assert!(running.rest().is_empty() && !server.was_reached());
    (refused.why, refused.detail, answer)
}

#[test]
fn a_hello_for_another_is_refused_in_the_language_of_tls() {
    isolated("tls::a_hello_for_another_is_refused_in_the_language_of_tls", || {
        let (why, detail, answer) = refused(&hello("evil.test"));
        assert_eq!((&*why, detail.as_deref()), ("other-name", Some("evil.test")));
        assert_eq!(answer, [0x15, 3, 3, 0, 2, 2, 49]);
    });
}

#[test]
fn a_hello_for_nobody_is_refused() {
    isolated("tls::a_hello_for_nobody_is_refused", || {
        let (why, detail, answer) = refused(&hello("127.0.0.1"));
        assert_eq!((&*why, detail.unwrap().contains("names no host")), ("no-tls", true));
        assert_eq!(answer.first(), Some(&0x15));
    });
}

#[test]
fn what_is_not_tls_is_refused() {
    isolated("tls::what_is_not_tls_is_refused", || {
        let not_tls: [&[u8]; 4] = [
            b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
            b"SSH-2.0-x\r\n",
            // A hello that is cut short.
            &[22, 3, 1],
            // A handshake that does not begin with a hello.
            &[22, 3, 1, 0, 4, 2, 0, 0, 0],
        ];
        for words in not_tls {
            let (why, _, answer) = refused(words);
            assert_eq!((&*why, answer.len()), ("no-tls", if words.len() == 9 { 7 } else { 0 }));
        }
    });
}

#[test]
fn who_only_looks_whether_somebody_listens_is_not_told_of() {
    isolated("tls::who_only_looks_whether_somebody_listens_is_not_told_of", || {
        let running = Setup::new(&["a.test:443"]).start();
        assert!(talk(open("a.test", 443), b"").is_empty());
        assert_eq!(running.rest(), []);
    });
}

/// The control: without the check an allowed name is a way to another that shares its address.
#[test]
fn without_the_check_another_name_would_be_reached() {
    isolated("tls::without_the_check_another_name_would_be_reached", || {
        let (at, served) = echo();
        let running = Setup::new(&["a.test:443 raw"]).host("a.test", at).start();
        let words = hello("evil.test");
        assert_eq!(talk(open("a.test", 443), &words), words);
        assert_eq!(served.join().unwrap(), words);
        assert!(!running.connect().tls);
    });
}

#[test]
fn a_server_that_speaks_first_is_heard_where_no_tls_is_demanded() {
    isolated("tls::a_server_that_speaks_first_is_heard_where_no_tls_is_demanded", || {
        let (at, _served) = server(|mut stream| stream.write_all(b"SSH-2.0-server\r\n"));
        let _running = Setup::new(&["a.test:443 raw"]).host("a.test", at).start();
        let mut banner = [0; 16];
        open("a.test", 443).read_exact(&mut banner).unwrap();
        assert_eq!(&banner, b"SSH-2.0-server\r\n");
    });
}

/// Who only holds a connection open would hold its place for ever.
#[test]
fn who_never_says_hello_is_not_waited_for() {
    isolated("tls::who_never_says_hello_is_not_waited_for", || {
        let server = Forbidden::new();
        let running = Setup::new(&["a.test:443"]).host("a.test", server.at()).start();
        let mut silent = open("a.test", 443);
        let mut slow = open("a.test", 443);
        slow.write_all(&hello("a.test")[..5]).unwrap();
        // The broker's patience ends before the streams' own.
        assert_eq!((all(&mut silent), all(&mut slow)), (vec![], vec![]));
        let refused = running.refused();
        assert_eq!((&*refused.host, &*refused.why), ("a.test", "no-tls"));
        assert!(refused.detail.unwrap().contains("10 seconds"));
        assert!(!server.was_reached());
    });
}

/// What is kept of hellos that never end is bounded for all together: each may be as long as 80 KiB.
#[test]
fn long_hellos_do_not_pile_up() {
    isolated("tls::long_hellos_do_not_pile_up", || {
        let (at, served) = echo();
        let running = Setup::new(&["a.test:443"]).host("a.test", at).start();
        // A handshake of 64,000 bytes, in records of 16,000, of which one has come.
        let begun = [&[22, 3, 1, 62, 128, 1, 0, 250, 0][..], &[0; 15_996]].concat();
        let waiting: Vec<_> = (0..40)
            .map(|_| {
                let mut stream = open("a.test", 443);
                stream.write_all(&begun).unwrap();
                stream
            })
            .collect();
        let refused = running.refused();
        assert_eq!((&*refused.host, &*refused.why), ("a.test", "no-tls"));
        assert!(refused.detail.unwrap().contains("too many long TLS hellos"));
        // An ordinary one goes on meanwhile.
        let words = hello("a.test");
        assert_eq!(talk(open("a.test", 443), &words), words);
        assert_eq!(served.join().unwrap(), words);
        drop(waiting);
    });
}
