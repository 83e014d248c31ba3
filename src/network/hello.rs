//! The first words of a TLS connection, and the name in them. They are only read, never answered
//! and never changed: there is no interception. It must never take one name for another.
#![forbid(unsafe_code)]

use rustls::server::Acceptor;

use super::name::Name;

/// The first byte of a TLS handshake record (RFC 8446, 5.1).
const HANDSHAKE: u8 = 0x16;
/// How long a hello may be; rustls takes a handshake message of 64 KiB and its record headers.
pub const LONGEST: usize = 80 * 1024;
/// What a client is told whose hello is refused: a fatal alert, `access_denied`.
pub const ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 49];

/// What is known of a connection after so many bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Not enough yet.
    More,
    /// A hello to this name. Encrypted parts of it (ECH) are not seen: it is the outer name.
    Name(Name),
    /// A hello to something that is no host name, or to nobody.
    NoName,
    /// No TLS, or none that a server of today would take.
    NotTls,
}

/// Reads a hello piece by piece.
#[derive(Default)]
pub struct Hello {
    acceptor: Acceptor,
    read: usize,
}

impl Hello {
    /// Takes what came next. Not to be called again after another answer than [`Seen::More`].
    pub fn take(&mut self, mut bytes: &[u8]) -> Seen {
        // Said at once: who speaks something else may be waiting for an answer.
        if self.read == 0 && bytes.first().is_some_and(|first| *first != HANDSHAKE) {
            return Seen::NotTls;
        }
        self.read += bytes.len();
        if self.read > LONGEST {
            return Seen::NotTls;
        }
        while !bytes.is_empty() {
            let Ok(1..) = self.acceptor.read_tls(&mut bytes) else { return Seen::NotTls };
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(str::parse);
                    return name.and_then(Result::ok).map_or(Seen::NoName, Seen::Name);
                }
                Err(_) => return Seen::NotTls,
            }
        }
        Seen::More
    }

    /// Whether what came begins as TLS does: its client understands [`ALERT`].
    pub fn is_tls(bytes: &[u8]) -> bool {
        bytes.first() == Some(&HANDSHAKE)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An extension of a hello.
    fn extension(number: u16, body: &[u8]) -> Vec<u8> {
        [&number.to_be_bytes()[..], &sized(body)].concat()
    }

    /// Bytes behind their 16-bit length.
    fn sized(body: &[u8]) -> Vec<u8> {
        [&u16::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
    }

    fn names(names: &[&[u8]]) -> Vec<u8> {
        let list: Vec<u8> = names.iter().flat_map(|n| [&[0][..], &sized(n)].concat()).collect();
        extension(0, &sized(&list))
    }

    /// A hello with these extensions, in records of so many bytes.
    fn with(extensions: &[u8], record: usize) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        // No session, one cipher suite, no compression.
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        let algorithms = extension(13, &sized(&[8, 4]));
        body.extend(sized(&[extensions, &algorithms].concat()));
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [&[1][..], &length[1..], &body].concat();
        message.chunks(record).flat_map(|part| [&[22, 3, 1][..], &sized(part)].concat()).collect()
    }

    /// A hello to this name.
    pub(crate) fn hello(name: &str) -> Vec<u8> {
        with(&names(&[name.as_bytes()]), 16_000)
    }

    fn seen(bytes: &[u8]) -> Seen {
        Hello::default().take(bytes)
    }

    fn name(text: &str) -> Seen {
        Seen::Name(text.parse().unwrap())
    }

    #[test]
    fn the_name_is_read_however_it_is_cut() {
        let whole = hello("API.example.com");
        assert_eq!(seen(&whole), name("api.example.com"));
        // Byte by byte.
        let mut hello = Hello::default();
        let (last, first) = whole.split_last().unwrap();
        assert!(first.iter().all(|byte| hello.take(&[*byte]) == Seen::More));
        assert_eq!(hello.take(&[*last]), name("api.example.com"));
        // In records of a few bytes.
        assert_eq!(seen(&with(&names(&[b"a.test"]), 5)), name("a.test"));
        // With what comes behind a hello: a client may send data early.
        let early = [&whole[..], &[23, 3, 3, 0, 2, 1, 2]].concat();
        assert_eq!(seen(&early), name("api.example.com"));
    }

    #[test]
    fn a_long_hello_is_read() {
        let long = [names(&[b"a.test"]), extension(0xfafa, &vec![0; 30_000])].concat();
        assert_eq!(seen(&with(&long, 16_000)), name("a.test"));
    }

    #[test]
    fn the_outer_name_of_an_encrypted_hello_counts() {
        // An outer hello, a key derivation and a cipher, a number, a key, and what is encrypted.
        let body = [&[0, 0, 1, 0, 1, 7][..], &sized(&[1; 32]), &sized(&[2; 144])].concat();
        let ech = [names(&[b"outer.test"]), extension(0xfe0d, &body)].concat();
        assert_eq!(seen(&with(&ech, 16_000)), name("outer.test"));
    }

    #[test]
    fn what_names_nobody_has_no_name() {
        assert_eq!(seen(&with(&[], 16_000)), Seen::NoName);
        assert_eq!(seen(&hello("192.0.2.1")), Seen::NoName);
    }

    #[test]
    fn a_hello_with_an_odd_name_is_none() {
        let two = with(&names(&[b"a.test", b"b.test"]), 16_000);
        let again = with(&[names(&[b"a.test"]), names(&[b"b.test"])].concat(), 16_000);
        for bytes in [two, again, hello("a.test\0.evil.net"), hello("a test"), hello("")] {
            assert!(!matches!(seen(&bytes), Seen::Name(_)), "{bytes:?}");
        }
        // A dot at the end is the same name, or none.
        assert!([name("a.test"), Seen::NotTls].contains(&seen(&hello("a.test."))));
    }

    #[test]
    fn what_is_not_tls_is_said_at_once() {
        // SSLv2's hello, too.
        for text in [&b"S"[..], b"GET / HTTP/1.1\r\n", b"\x80\x2e\x01", b"\0", b"\x15\x03"] {
            assert_eq!(seen(text), Seen::NotTls, "{text:?}");
        }
        assert_eq!(seen(&[22, 3, 1, 0, 4, 2, 0, 0, 0]), Seen::NotTls);
        assert_eq!(seen(&[22, 3, 1, 0xff, 0xff]), Seen::NotTls);
    }

    #[test]
    fn a_hello_without_an_end_is_cut_off() {
        let mut hello = Hello::default();
        // A message of 16 MiB is announced.
        let mut seen = hello.take(&[22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff]);
        let mut taken = 9;
        while seen == Seen::More && taken < 2 * LONGEST {
            seen = hello.take(&[0; 1000]);
            taken += 1000;
        }
        assert_eq!(seen, Seen::NotTls);
        assert!(taken <= LONGEST + 1000);
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
            at in 1_usize..50,
        ) {
            if let Some(first) = bytes.first_mut() {
                *first = HANDSHAKE;
            }
            let mut hello = Hello::default();
            for part in bytes.chunks(at) {
                if hello.take(part) != Seen::More {
                    break;
                }
            }
        }

        /// A real hello with one byte changed names the same, another, or nothing: never a panic.
        #[test]
        fn a_damaged_hello_is_no_panic(at in 0_usize..100, byte: u8) {
            let mut bytes = hello("a.test");
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = seen(&bytes);
        }
    }
}
