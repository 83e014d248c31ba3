//! `SRC[:DEST]`, as `--bind`, `--ro-bind` and their keys in `config.toml` take it. What a relative path
//! or `~` in it means is for others to say.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// One `--bind` or `--ro-bind`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindArgument {
    /// As typed.
    pub source: PathBuf,
    /// Where it appears inside; the source if absent.
    pub destination: Option<PathBuf>,
    /// `--bind`, not `--ro-bind`.
    pub writable: bool,
}

/// Splits `SRC[:DEST]` at its only colon. `\:` is a colon of the path itself; any other backslash
/// is a backslash. The first line of an error says what is wrong, each further one is a hint.
pub fn parse_bind(text: &[u8], writable: bool) -> Result<BindArgument, String> {
    let mut parts = vec![Vec::new()];
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'\\', [b':', after @ ..]) => {
                rest = after;
                push(&mut parts, b':');
            }
            (b':', _) => parts.push(Vec::new()),
            (byte, _) => push(&mut parts, *byte),
        }
    }
    if parts.len() > 2 {
        return Err("more than one colon\nwrite a colon that is part of a path as `\\:`".into());
    }
    if parts.iter().any(Vec::is_empty) {
        return Err("a path is missing\nwrite it as SRC or SRC:DEST".into());
    }
    let mut paths = parts.into_iter().map(|part| PathBuf::from(OsString::from_vec(part)));
    let source = paths.next().unwrap_or_default();
    Ok(BindArgument { source, destination: paths.next(), writable })
}

fn push(parts: &mut [Vec<u8>], byte: u8) {
    if let Some(part) = parts.last_mut() {
        part.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bind(text: &[u8]) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
        let bytes = |path: PathBuf| path.into_os_string().into_vec();
        parse_bind(text, true).map(|bind| (bytes(bind.source), bind.destination.map(bytes)))
    }

    #[test]
    fn binds_are_split_at_a_bare_colon() {
        assert_eq!(bind(b"/a"), Ok((b"/a".to_vec(), None)));
        assert_eq!(bind(b"/a:/b"), Ok((b"/a".to_vec(), Some(b"/b".to_vec()))));
        assert_eq!(
            bind(b"/a\\:b\\c:/\xff\n"),
            Ok((b"/a:b\\c".to_vec(), Some(b"/\xff\n".to_vec())))
        );
        for wrong in [&b""[..], b":", b":/b", b"/a:", b"/a:/b:/c"] {
            assert!(bind(wrong).is_err(), "{}", wrong.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_two_paths_can_be_written(
            source in "[^\0\\\\]+", destination in "[^\0\\\\]+",
        ) {
            let escaped = [&source, &destination].map(|path| path.replace(':', "\\:"));
            let (s, d) = bind(escaped.join(":").as_bytes()).unwrap();
            prop_assert_eq!((s, d), (source.into_bytes(), Some(destination.into_bytes())));
        }
    }
}
