//! Whether the daemon of Nix trusts the caller: then it runs for him, as root, what he likes
//! (nix.conf(5), `trusted-users`). Where that cannot be told, the answer is that it does.
#![forbid(unsafe_code)]

use std::path::Path;

use crate::host::{Facts, Host};
use crate::visible::visible;

/// The daemon's configuration; it is root's.
const CONFIG: &str = "/etc/nix/nix.conf";
/// Longer files of this kind are not written by people.
const MOST: usize = 1 << 20;
/// How deep files may include each other.
const DEEPEST: usize = 8;

/// Why the daemon trusts the caller, or may; `None` where it does not.
pub(super) fn trusted(host: &Host, facts: &dyn Facts) -> Option<String> {
    if host.uid == 0 {
        return Some("you are root".to_owned());
    }
    let mut users = vec!["root".to_owned()];
    if let Err(why) = read(Path::new(CONFIG), facts, &mut users, 0) {
        return Some(why);
    }
    users.iter().find_map(|entry| names(entry, host, facts))
}

/// Why one entry of `trusted-users` names the caller.
fn names(entry: &str, host: &Host, facts: &dyn Facts) -> Option<String> {
    let shown = visible(entry);
    match entry.strip_prefix('@') {
        None if entry == "*" => Some("`trusted-users` is everybody".to_owned()),
        None => (host.user == *entry).then(|| format!("`trusted-users` names {shown}")),
        Some(group) => match is_member(group, host, facts) {
            Some(true) => Some(format!("`trusted-users` names your group {shown}")),
            Some(false) => None,
            None => Some(format!(
                "`trusted-users` names {shown}, and whether you are in that group is not known"
            )),
        },
    }
}

/// Whether the caller is in a group, by group(5); `None` where the file does not have it.
fn is_member(group: &str, host: &Host, facts: &dyn Facts) -> Option<bool> {
    let file = facts.read_head(Path::new("/etc/group"), MOST)?;
    let file = String::from_utf8_lossy(&file).into_owned();
    let mut lines = file.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let line = lines.find(|fields| fields.first() == Some(&group))?;
    let number = line.get(2)?.parse::<u32>().ok()?;
    let mut members = line.get(3).copied().unwrap_or_default().split(',');
    Some(number == host.gid || members.any(|member| host.user == *member))
}

/// The users that a file and what it includes name; the last word wins, and `extra-` adds. The error
/// says what cannot be read.
fn read(
    path: &Path,
    facts: &dyn Facts,
    users: &mut Vec<String>,
    depth: usize,
) -> Result<(), String> {
    if facts.canonicalize(path).is_none() {
        return Ok(());
    }
    let unreadable = || format!("{} cannot be read", visible(path.as_os_str().as_encoded_bytes()));
    let text = facts.read_head(path, MOST).filter(|_| depth < DEEPEST).ok_or_else(unreadable)?;
    for line in String::from_utf8_lossy(&text).lines() {
        let words: Vec<&str> =
            line.split('#').next().unwrap_or_default().split_whitespace().collect();
        match words[..] {
            ["include" | "!include", file] => {
                let beside = path.parent().unwrap_or(Path::new("/")).join(file);
                read(&beside, facts, users, depth + 1)?;
            }
            ["trusted-users", "=", ref named @ ..] => {
                *users = named.iter().map(|user| (*user).to_owned()).collect();
            }
            ["extra-trusted-users", "=", ref named @ ..] => {
                users.extend(named.iter().map(|user| (*user).to_owned()));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeDisk;

    fn why(config: &str) -> Option<String> {
        let disk = FakeDisk::of(0)
            .file(CONFIG, config)
            .file("/etc/nix/more.conf", "extra-trusted-users = u\n")
            .file("/etc/nix/loop.conf", "include loop.conf\n")
            .file("/etc/group", "wheel:x:10:root,u\nstaff:x:50:\nusers:x:100:other\n");
        let host = Host { uid: 1000, gid: 50, user: "u".into(), ..Host::default() };
        trusted(&host, &disk)
    }

    #[test]
    fn who_is_trusted_by_name_group_or_doubt() {
        for config in [
            "trusted-users = root u",
            "trusted-users = *",
            "trusted-users = @wheel # me",
            "trusted-users = @staff",
            "trusted-users = root\nextra-trusted-users = u\n",
            "trusted-users = @of-ldap",
            "include more.conf",
            "!include /etc/nix/more.conf",
            "include loop.conf",
        ] {
            assert!(why(config).is_some(), "{config}");
        }
        for config in [
            "",
            "trusted-users = root",
            "# trusted-users = u",
            "allowed-users = u",
            "trusted-users = @users v",
            "trusted-users = u\ntrusted-users = root",
            "!include nowhere.conf",
        ] {
            assert_eq!(why(config), None, "{config}");
        }
        assert!(trusted(&Host::default(), &FakeDisk::of(0)).is_some(), "root");
    }
}
