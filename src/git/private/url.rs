//! The address of a remote without what opens it: the userinfo of a URL, which may be a password or
//! a token, and a query. A user name for ssh stays, since it is part of the address.
#![forbid(unsafe_code)]

/// Schemes of which the user name is kept, gitprotocol-common(5).
const SSH: [&[u8]; 3] = [b"ssh", b"git+ssh", b"ssh+git"];
/// The others that git knows.
const OTHERS: [&[u8]; 6] = [b"http", b"https", b"ftp", b"ftps", b"git", b"file"];

/// The address as it may be known inside; `None` for what is none: a remote helper
/// (`ext::COMMAND`, gitremote-helpers(7)), an unknown scheme, control characters.
pub fn without_secrets(url: &[u8]) -> Option<Vec<u8>> {
    if url.iter().any(u8::is_ascii_control) || is_of_helper(url) {
        return None;
    }
    let Some(at) = find(url, b"://") else {
        // A path, or [USER@]HOST:PATH of ssh, which knows no password.
        return Some(url.to_vec());
    };
    let (scheme, rest) = (url[..at].to_ascii_lowercase(), &url[at + 3..]);
    let ssh = SSH.contains(&scheme.as_slice());
    if !ssh && !OTHERS.contains(&scheme.as_slice()) {
        return None;
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
    let (user, host) = match authority.iter().rposition(|byte| *byte == b'@') {
        Some(at) => (&authority[..at], &authority[at + 1..]),
        None => (&b""[..], authority),
    };
    let mut clean = [&scheme, &b"://"[..]].concat();
    if ssh && !user.is_empty() {
        let name = user.split(|byte| *byte == b':').next().unwrap_or_default();
        clean.extend_from_slice(name);
        clean.push(b'@');
    }
    clean.extend_from_slice(host);
    let query = path.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let web = !ssh && scheme != b"file";
    clean.extend_from_slice(&path[..query.filter(|_| web).unwrap_or(path.len())]);
    Some(clean)
}

/// `NAME::ADDRESS`: git executes `git-remote-NAME`, and for `ext` what the address says.
fn is_of_helper(url: &[u8]) -> bool {
    let name = url.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(byte));
    let name = name.count();
    name > 0 && url[name..].starts_with(b"::")
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|part| part == word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clean(url: &str) -> Option<String> {
        without_secrets(url.as_bytes()).map(|url| String::from_utf8(url).unwrap())
    }

    #[test]
    fn what_opens_a_remote_is_cut() {
        for (url, expected) in [
            ("https://github.com/a/b.git", "https://github.com/a/b.git"),
            ("https://token@github.com/a", "https://github.com/a"),
            ("https://u:p@ss@host:8443/a@b", "https://host:8443/a@b"),
            ("HTTPS://u:p@host", "https://host"),
            ("https://host/a?private_token=x#y", "https://host/a"),
            ("ssh://git@host:22/a", "ssh://git@host:22/a"),
            ("ssh://git:password@host/a", "ssh://git@host/a"),
            ("git@host:a/b.git", "git@host:a/b.git"),
            ("../up", "../up"),
            ("/srv/git/x y.git", "/srv/git/x y.git"),
            ("file:///srv/a?b", "file:///srv/a?b"),
        ] {
            assert_eq!(clean(url).as_deref(), Some(expected), "{url}");
        }
        for none in
            ["ext::sh -c x", "a\nb", "x y https://u:p@h", "gopher://u:p@h", "hg::https://u:p@h"]
        {
            assert_eq!(clean(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_userinfo_survives(
            scheme in "[hH][tT]{2}ps?|FTPS?|git|file|ssh", user in "[a-z]{0,5}",
            secret in "SECRET[!-.0-9:-~&&[^/?#]]{0,8}", rest in "[a-z0-9.:/@-]{0,20}",
        ) {
            let url = format!("{scheme}://{user}:{secret}@host/{rest}");
            let clean = clean(&url).unwrap();
            prop_assert!(!clean.contains("SECRET"), "{url} -> {clean}");
        }

        #[test]
        fn it_is_settled_at_once(url: Vec<u8>) {
            if let Some(clean) = without_secrets(&url) {
                prop_assert_eq!(without_secrets(&clean), Some(clean));
            }
        }
    }
}
