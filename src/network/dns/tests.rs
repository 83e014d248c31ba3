use proptest::prelude::*;

use super::*;

/// A question as bytes: header fields, labels, type.
fn question(flags: u16, counts: [u16; 4], labels: &[&[u8]], kind: u16) -> Vec<u8> {
    let mut bytes = vec![0xab, 0xcd];
    bytes.extend(flags.to_be_bytes());
    bytes.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    for label in labels {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(*label);
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

fn plain(labels: &[&[u8]], kind: u16) -> Vec<u8> {
    question(0x0100, [1, 0, 0, 0], labels, kind)
}

fn heard(bytes: &[u8]) -> Question<'_> {
    match read(bytes) {
        Heard::Question(question) => question,
        other => panic!("{other:?}"),
    }
}

fn code(reply: &[u8]) -> u8 {
    reply[3] & 15
}

#[test]
fn an_address_is_answered_with_the_question_as_it_was_asked() {
    let bytes = plain(&[b"GiT", b"example", b"COM"], 1);
    let asked = heard(&bytes);
    assert_eq!(asked.name, Some("git.example.com".parse().unwrap()));
    assert_eq!(asked.kind, Kind::V4);
    let reply = asked.reply(&Answer::V4(Ipv4Addr::new(25, 64, 1, 2)));
    // The same id, response, recursion desired and available, no error.
    assert_eq!(reply[..4], [0xab, 0xcd, 0x81, 0x80]);
    assert_eq!(reply[4..12], [0, 1, 0, 1, 0, 0, 0, 0]);
    // The case of each letter, which some resolvers choose at random and look for (0x20).
    assert_eq!(reply[12..bytes.len()], bytes[12..]);
    // A pointer to the name, A, IN, the time, four bytes.
    let rest = &reply[bytes.len()..];
    assert_eq!(rest[..6], [0xc0, 12, 0, 1, 0, 1]);
    assert_eq!(rest[10..], [0, 4, 25, 64, 1, 2]);
}

#[test]
fn other_kinds_are_told_apart() {
    for (number, kind) in [(1, Kind::V4), (28, Kind::V6), (12, Kind::Pointer)] {
        assert_eq!(heard(&plain(&[b"a", b"test"], number)).kind, kind);
    }
    // NS, CNAME, MX, TXT, SRV, HTTPS, ANY.
    for number in [2, 5, 15, 16, 33, 65, 255] {
        assert_eq!(heard(&plain(&[b"a", b"test"], number)).kind, Kind::Other, "{number}");
    }
    let bytes = plain(&[b"a", b"test"], 65);
    let reply = heard(&bytes).reply(&Answer::Empty);
    assert_eq!((code(&reply), &reply[6..8]), (0, &[0, 0][..]));
    let reply = heard(&bytes).reply(&Answer::NoSuchName);
    assert_eq!((code(&reply), &reply[6..8]), (3, &[0, 0][..]));
    assert_eq!(code(&heard(&bytes).reply(&Answer::Failed)), 2);
}

#[test]
fn an_ipv6_address_and_a_name_are_answered() {
    let bytes = plain(&[b"localhost"], 28);
    let reply = heard(&bytes).reply(&Answer::V6(Ipv6Addr::LOCALHOST));
    assert_eq!(reply[reply.len() - 16..], Ipv6Addr::LOCALHOST.octets());
    let bytes = plain(&[b"4", b"3", b"2", b"1", b"in-addr", b"arpa"], 12);
    let asked = heard(&bytes);
    assert_eq!(asked.pointed(), Some(Ipv4Addr::new(1, 2, 3, 4)));
    let reply = asked.reply(&Answer::Pointer("a.test".parse().unwrap()));
    assert!(reply.ends_with(b"\x01a\x04test\x00"));
    assert_eq!(heard(&plain(&[b"4", b"in-addr", b"arpa"], 12)).pointed(), None);
}

#[test]
fn what_is_no_host_name_is_none_but_shown() {
    let table: [(&[&[u8]], &str); 7] = [
        (&[b"github.com", b"evil", b"net"], "github.com.evil.net"),
        (&[b"a\0b", b"test"], "a\\x00b.test"),
        (&[b"git hub", b"com"], "git hub.com"),
        (&[b"g\xc4\xb1thub", b"com"], "g\u{131}thub.com"),
        (&[b"\xff", b"com"], "\\xff.com"),
        (&[b"1", b"2", b"3", b"4"], "1.2.3.4"),
        (&[], "."),
    ];
    for (labels, shown) in table {
        let bytes = plain(labels, 1);
        let asked = heard(&bytes);
        assert_eq!(asked.name, None, "{shown}");
        assert_eq!(asked.shown(), shown);
    }
}

#[test]
fn what_is_no_question_is_refused_or_not_answered() {
    let name: [&[u8]; 2] = [b"a", b"test"];
    let refused = |bytes: &[u8]| match read(bytes) {
        Heard::Nonsense(reply) => code(&reply),
        other => panic!("{other:?}"),
    };
    // A response, or no header.
    assert!(matches!(read(&question(0x8100, [1, 0, 0, 0], &name, 1)), Heard::Nothing));
    for length in 0..12 {
        assert!(matches!(read(&plain(&name, 1)[..length]), Heard::Nothing));
    }
    // Status, notify, update.
    for opcode in [2, 4, 5] {
        assert_eq!(refused(&question(opcode << 11, [1, 0, 0, 0], &name, 1)), 4);
    }
    for counts in [[0, 0, 0, 0], [2, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 3]] {
        assert_eq!(refused(&question(0x0100, counts, &name, 1)), 1, "{counts:?}");
    }
    // As many as fit into the field, and nothing behind.
    assert_eq!(refused(&question(0x0100, [65535; 4], &[], 1)), 1);
    // A kind of record that no parser of ours knows.
    assert_eq!(refused(&plain(&name, 44)), 4);
    // Zone transfers, another class.
    assert_eq!(refused(&plain(&name, 252)), 5);
    let mut chaos = plain(&name, 16);
    *chaos.last_mut().unwrap() = 3;
    assert_eq!(refused(&chaos), 5);
    // A name that points to itself, and one cut short.
    let mut looped = question(0x0100, [1, 0, 0, 0], &[], 1);
    looped.splice(12..13, [0xc0, 12]);
    assert_eq!(refused(&looped), 1);
    let short = plain(&name, 1);
    for length in 12..short.len() {
        assert_eq!(refused(&short[..length]), 1, "{length}");
    }
}

#[test]
fn extensions_are_answered_with_ours() {
    let mut bytes = question(0x0100, [1, 0, 0, 1], &[b"a", b"test"], 1);
    let opt = bytes.len();
    bytes.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
    let reply = heard(&bytes).reply(&Answer::V4(Ipv4Addr::LOCALHOST));
    assert_eq!(reply[10..12], [0, 1]);
    assert_eq!(reply[reply.len() - 11..reply.len() - 6], [0, 0, 41, 0x04, 0xd0]);
    // With the flag of DNSSEC (dig, systemd-resolved).
    bytes[opt + 7] = 0x80;
    let again = heard(&bytes).reply(&Answer::V4(Ipv4Addr::LOCALHOST));
    assert_eq!(reply, again);
}

#[test]
fn the_longest_name_is_answered_within_512_bytes() {
    let label = [b'x'; 63];
    let labels: [&[u8]; 4] = [&label, &label, &label, &label[..61]];
    let bytes = plain(&labels, 1);
    let asked = heard(&bytes);
    assert_eq!(asked.name.as_ref().unwrap().as_str().len(), 253);
    assert!(asked.reply(&Answer::V4(Ipv4Addr::LOCALHOST)).len() <= 512);
    // One byte more is none.
    let labels: [&[u8]; 4] = [&label, &label, &label, &label[..62]];
    let bytes = plain(&labels, 1);
    match read(&bytes) {
        Heard::Question(question) => assert_eq!(question.name, None),
        Heard::Nonsense(reply) => assert_eq!(code(&reply), 1),
        Heard::Nothing => panic!(),
    }
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Heard::Question(question) = read(&bytes) {
            let _ = (question.shown(), question.pointed());
            prop_assert!(question.reply(&Answer::V4(Ipv4Addr::LOCALHOST)).len() <= 512);
        }
    }

    /// A sound header, so that what follows is looked at.
    #[test]
    fn no_question_is_a_panic(
        extra in 0_u16..3,
        body in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let mut bytes = question(0x0100, [1, 0, 0, extra], &[], 1);
        bytes.truncate(12);
        bytes.extend(body);
        match read(&bytes) {
            Heard::Question(question) => {
                let reply = question.reply(&Answer::NoSuchName);
                prop_assert_eq!(&reply[..2], &bytes[..2]);
                prop_assert!(reply[2] & 0x80 != 0);
            }
            Heard::Nonsense(reply) => prop_assert_eq!(reply.len(), 12),
            Heard::Nothing => prop_assert!(false),
        }
    }

    /// What is read as a host name is what was asked for, label by label.
    #[test]
    fn a_name_is_read_as_it_was_asked(
        labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 1..5),
    ) {
        let slices: Vec<&[u8]> = labels.iter().map(Vec::as_slice).collect();
        let bytes = plain(&slices, 1);
        if let Some(name) = heard(&bytes).name {
            let read: Vec<&[u8]> = name.as_str().split('.').map(str::as_bytes).collect();
            let lower: Vec<Vec<u8>> = labels.iter().map(|l| l.to_ascii_lowercase()).collect();
            prop_assert_eq!(read, lower.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
    }
}
