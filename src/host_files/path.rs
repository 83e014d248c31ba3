//! Paths relative to a project, as bytes with a slash between names: neither at the beginning nor at
//! the end stands one. The project itself is the empty path. It must never look at the disk.
#![forbid(unsafe_code)]

/// The directory that holds a path.
pub fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(b"", |end| &path[..end])
}

/// The last name of a path.
pub fn name(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(path, |end| &path[end + 1..])
}

/// The path of a name in a directory.
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// The directories on the way to a path, the outermost first: `a` and `a/b` of `a/b/c`.
pub fn ways(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    ends.map(|(end, _)| &path[..end])
}

/// Whether `path` is `root` or below it.
pub fn is_at_or_below(path: &[u8], root: &[u8]) -> bool {
    path.strip_prefix(root).is_some_and(|rest| root.is_empty() || matches!(rest, [] | [b'/', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart_and_put_together() {
        for (path, directory, name) in [("a/b/c", "a/b", "c"), ("a", "", "a")] {
            assert_eq!(parent(path.as_bytes()), directory.as_bytes());
            assert_eq!(super::name(path.as_bytes()), name.as_bytes());
            assert_eq!(join(directory.as_bytes(), name.as_bytes()), path.as_bytes());
        }
        assert_eq!(ways(b"a/b/c").collect::<Vec<_>>(), [&b"a"[..], b"a/b"]);
        assert_eq!(ways(b"a").count(), 0);
    }

    #[test]
    fn a_name_that_only_begins_alike_is_not_below() {
        assert!(is_at_or_below(b"a/b", b"a") && is_at_or_below(b"a", b"a"));
        assert!(is_at_or_below(b"a", b"") && !is_at_or_below(b"ab", b"a"));
    }
}
