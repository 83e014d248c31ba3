//! The files by which programs find hosts: `resolv.conf`, `nsswitch.conf` and `hosts` are the
//! sandbox's own where names are. The host's would name servers that are not reached inside,
//! and ways around DNS (nss-resolve, mDNS) that are sockets of the host. It must never have bwrap
//! make a file in a directory of the host.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::mount::{Class, Mount, Step, View};
use super::paths::place;
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::lexical::clean;
use crate::network::name::Name;
use crate::profile::origin::Origin;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const NSSWITCH_CONF: &str = "/etc/nsswitch.conf";
const HOSTS: &str = "/etc/hosts";

/// More than any `nsswitch.conf` has, in bytes.
const LARGEST: usize = 64 << 10;

/// Adds the three files. `gateway` answers for names; `origin` asked for this network.
pub(super) fn files(draft: &mut Draft<'_>, gateway: Ipv4Addr, origin: &Origin) -> Result<()> {
    let host = draft.facts.read_head(Path::new(NSSWITCH_CONF), LARGEST).unwrap_or_default();
    let own_name = draft.host.name.to_str().and_then(|name| name.parse().ok());
    let files = [
        (RESOLV_CONF, resolv_conf(gateway)),
        (NSSWITCH_CONF, nsswitch_conf(&host)),
        (HOSTS, hosts(own_name.as_ref()).as_str().into()),
    ];
    for (path, content) in files {
        add(draft, Path::new(path), content, origin)?;
    }
    Ok(())
}

fn add(draft: &mut Draft<'_>, path: &Path, content: Bytes, origin: &Origin) -> Result<()> {
    // Somebody brings a file of his own.
    if draft.steps.iter().any(|step| step.is_at(path) && step.class != Class::System) {
        return Ok(());
    }
    let view = View::of(&draft.steps, draft.facts);
    let destination = match view.host_path(path).filter(|_| is_held(draft, path)) {
        None => path.to_owned(),
        // All of /etc is a directory of the host: the file is mounted over what is there.
        Some(host) => match (leads_to(draft, path, &host), path == Path::new(RESOLV_CONF)) {
            (Some(real), _) => real,
            (None, false) => return Ok(()),
            (None, true) => return Err(uncovered(draft, path)),
        },
    };
    draft.add(Step {
        mount: Mount::File { destination, content, mounted: true },
        class: Class::System,
        why: "how hosts are found inside".to_owned(),
        origin: Some(origin.clone()),
    })
}

/// Whether a path lies in a directory of the host.
fn is_held(draft: &Draft<'_>, path: &Path) -> bool {
    let bound = |step: &Step| matches!(step.mount, Mount::Bind { .. });
    View::of(&draft.steps, draft.facts)
        .covering(path)
        .is_some_and(|step| bound(step) && step.is_above(path))
}

/// Where a file that is `host` on the host really is, inside. A link that leads nowhere is filled
/// where it leads to, if that is in memory: systemd's `stub-resolv.conf`, of which `/run` inside has
/// nothing.
fn leads_to(draft: &Draft<'_>, path: &Path, host: &Path) -> Option<PathBuf> {
    if let Some(found) = View::of(&draft.steps, draft.facts).resolve(path) {
        return Some(found.inside);
    }
    let target = clean(&path.parent()?.join(draft.facts.read_link(host)?));
    (!is_held(draft, &target)).then_some(target)
}

fn uncovered(draft: &Draft<'_>, path: &Path) -> Error {
    let above = View::of(&draft.steps, draft.facts).covering(path);
    let by = above.map_or_else(String::new, |above| {
        above.origin.as_ref().map_or_else(|| above.why.clone(), place)
    });
    Error::usage(format!(
        "{by}: all of /etc is a directory of the host, and has no resolv.conf that could be covered"
    ))
    .hint("name the parts of /etc that are needed, as the profile `base` does")
    .hint("or choose another network: --network none, --network host")
}

fn resolv_conf(gateway: Ipv4Addr) -> Bytes {
    let text = format!(
        "# claudebox: it answers for the names that are allowed, and resolves them outside.\n\
         nameserver {gateway}\n"
    );
    text.as_str().into()
}

/// The host's, but for how hosts are found.
fn nsswitch_conf(host: &[u8]) -> Bytes {
    let is_about_hosts = |line: &&[u8]| {
        line.trim_ascii_start()
            .strip_prefix(b"hosts")
            .is_some_and(|rest| rest.trim_ascii_start().starts_with(b":"))
    };
    let others = host.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_about_hosts(line));
    let mut content = others.collect::<Vec<_>>().concat();
    if !content.is_empty() && !content.ends_with(b"\n") {
        content.push(b'\n');
    }
    content.extend_from_slice(b"hosts: files dns\n");
    Bytes(content)
}

/// This machine's own name is the sandbox itself, as it is on the host.
fn hosts(own: Option<&Name>) -> String {
    let mut text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    if let Some(own) = own.filter(|own| own.as_str() != "localhost") {
        let _ = writeln!(text, "127.0.0.1 {own}\n::1 {own}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixture::{Case, list};
    use crate::policy::invocation::BindArgument;

    /// The files, and how each is put where it is.
    fn placed(case: &Case) -> Vec<String> {
        let steps = case.policy().unwrap().mounts;
        let files = steps.iter().filter_map(|step| match &step.mount {
            Mount::File { destination, mounted, .. } => {
                Some(format!("{} {mounted}", destination.display()))
            }
            _ => None,
        });
        files.collect()
    }

    #[test]
    fn in_the_root_they_are_made() {
        let made = ["/etc/resolv.conf false", "/etc/nsswitch.conf false", "/etc/hosts false"];
        assert_eq!(placed(&Case::debian()), made);
        assert_eq!(placed(&Case::nixos()), made);
        let host = Case::debian().with(|case| {
            case.invocation.network = Some(crate::profile::schema::NetworkMode::Host);
        });
        assert!(placed(&host).is_empty());
    }

    /// Whatever all of /etc is, and whoever binds it: nothing is made in it.
    #[test]
    fn in_a_directory_of_the_host_they_cover_what_is_there() {
        let whole = || {
            Case::debian().disk(|disk| disk.file("/etc/hosts", "")).with(|case| {
                case.settings.system = list(10, &["/usr", "/bin", "/etc"]);
            })
        };
        // Where the link of the other leads to is in the root.
        let covered = ["/etc/hosts true", "/run/systemd/resolve/stub-resolv.conf false"];
        assert_eq!(placed(&whole()), covered);
        let gone = whole().disk(|disk| disk.without("/run/systemd"));
        assert_eq!(placed(&gone), covered, "a link that leads nowhere");
        let bound = Case::debian().disk(|disk| disk.file("/etc/hosts", "")).with(|case| {
            let source = "/etc".into();
            case.invocation.binds =
                vec![BindArgument { source, destination: None, writable: true }];
            case.settings.system = list(10, &["/usr", "/bin"]);
        });
        assert_eq!(placed(&bound), covered);
        let none = whole().disk(|disk| disk.without("/etc/resolv.conf"));
        insta::assert_snapshot!(none.error(), @"
        test.toml:10: all of /etc is a directory of the host, and has no resolv.conf that could be covered
        hint: name the parts of /etc that are needed, as the profile `base` does
        hint: or choose another network: --network none, --network host
        ");
    }

    #[test]
    fn a_file_of_the_users_own_stays() {
        let case = Case::debian().disk(|disk| disk.file("/srv/hosts", "")).with(|case| {
            let (source, destination) = ("/srv/hosts".into(), Some("/etc/hosts".into()));
            case.invocation.binds = vec![BindArgument { source, destination, writable: false }];
        });
        assert!(!placed(&case).iter().any(|file| file.starts_with("/etc/hosts")));
        assert!(case.mounts().contains("ro    /etc/hosts = /srv/hosts "));
    }

    #[test]
    fn of_nsswitch_conf_only_the_hosts_are_ours() {
        let own = |host: &str| String::from_utf8(nsswitch_conf(host.as_bytes()).0).unwrap();
        assert_eq!(own(""), "hosts: files dns\n");
        assert_eq!(
            own(
                "passwd: files systemd\n hosts : mymachines resolve [!UNAVAIL=return]\nnetgroup: nis"
            ),
            "passwd: files systemd\nnetgroup: nis\nhosts: files dns\n"
        );
    }

    #[test]
    fn the_machine_is_known_by_its_name() {
        assert!(
            hosts(Some(&"pc.corp".parse().unwrap())).contains("127.0.0.1 pc.corp\n::1 pc.corp\n")
        );
        assert_eq!(hosts(None).lines().count(), 2);
    }
}
