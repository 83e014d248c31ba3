//! The files by which programs find hosts: `resolv.conf`, `nsswitch.conf` and `hosts` are the
//! sandbox's own where names are its own. The host's would name servers that are not reached inside,
//! and ways around DNS (nss-resolve, mDNS) that are sockets of the host. It must never have bwrap
//! make a file in a directory of the host.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::mount::{Class, Mount, Step};
use super::paths::{clean, place};
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::network::name::Name;
use crate::profile::settings::Origin;

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
    let above = draft
        .steps
        .iter()
        .find(|step| step.is_above(path) && matches!(step.mount, Mount::Bind { .. }));
    // Where all of /etc is the host's, the file is mounted over the host's, or what that leads to.
    let (destination, mounted) = match above {
        None => (path.to_owned(), false),
        Some(above) => match leads_to(draft, path) {
            Some(real) => (real, true),
            None if path != Path::new(RESOLV_CONF) => return Ok(()),
            None => {
                let by = above.origin.as_ref().map_or_else(|| above.why.clone(), place);
                return Err(Error::usage(format!(
                    "{by}: all of /etc is the host's, and has no resolv.conf that could be covered"
                ))
                .hint("name the parts of /etc that are needed, as the profile `base` does"));
            }
        },
    };
    draft.add(Step {
        mount: Mount::File { destination, content, mounted },
        class: Class::System,
        why: "how hosts are found inside".to_owned(),
        origin: Some(origin.clone()),
    })
}

/// Where a file of the host's `/etc` really is. A link that leads nowhere is filled where it leads to,
/// if that is in memory inside: systemd's `stub-resolv.conf` of a stopped resolver.
fn leads_to(draft: &Draft<'_>, path: &Path) -> Option<PathBuf> {
    draft.facts.canonicalize(path).or_else(|| {
        let target = draft.facts.read_link(path)?;
        let target = clean(&path.parent()?.join(target));
        let held = draft
            .steps
            .iter()
            .any(|step| step.is_above(&target) && matches!(step.mount, Mount::Bind { .. }));
        (!held).then_some(target)
    })
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
