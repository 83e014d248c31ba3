//! What of Nix is visible, by the key `nix`; and that nothing else shows the daemon's socket.

use super::*;
use crate::host::fake::FakeDisk;
use crate::profile::schema::{Nix, NixHole};

const AGENT: &str = "/nix/store/agent-1.0/bin/agent";

/// Debian with Nix, and an agent from the user's Nix profile.
fn case(nix: Nix) -> Case {
    Case::debian().disk(with_nix).with(|case| {
        case.settings.nix = Some(at(3, nix));
        case.settings.tools = list(4, &["~/.nix-profile"]);
        case.settings.system.extend(list(11, &["/nix/var/nix/profiles", "/etc/nix"]));
        case.settings.command = Some(at(2, vec!["agent".into()]));
        case.host.environment.insert("PATH".into(), "/home/u/.nix-profile/bin:/usr/bin".into());
    })
}

fn with_nix(disk: FakeDisk) -> FakeDisk {
    let profile = "/nix/store/profile-of-u";
    disk.program(AGENT, "#!/nix/store/bash/bin/sh\n")
        .program("/nix/store/bash/bin/sh", "\x7fELF")
        .file("/nix/store/libc/lib/libc.so", "")
        .file("/nix/store/secret/of-others", "")
        .link(format!("{profile}/bin/agent"), AGENT)
        .link("/nix/var/nix/profiles/per-user/u/profile", profile)
        .link("/home/u/.nix-profile", "/nix/var/nix/profiles/per-user/u/profile")
        .socket("/nix/var/nix/daemon-socket/socket")
        .file("/etc/nix/nix.conf", "trusted-users = root\n")
        .needs(profile, "/nix/store/agent-1.0")
        .needs("/nix/store/agent-1.0", "/nix/store/bash")
        .needs("/nix/store/bash", "/nix/store/libc")
}

fn of_nix(case: &Case) -> String {
    let mounts = case.mounts();
    let lines = mounts.lines().filter(|line| line.contains("nix"));
    let lines: Vec<&str> = lines.map(str::trim).collect();
    lines.join("\n")
}

#[test]
fn the_store_is_visible_and_nothing_beside_it() {
    insta::assert_snapshot!(of_nix(&case(Nix::Store)), @"
    ro    /etc/nix                                           the system [test.toml:11]
    ro    /nix/store                                         the system [test.toml:3]
    ro    /home/u/.nix-profile = /nix/store/profile-of-u     tools [test.toml:4]
    ro    /nix/var/nix/profiles                              the system [test.toml:11]
    ");
    let unsaid = case(Nix::Store).with(|case| case.settings.nix = None);
    let origins = |text: String| text.replace("[default]", "[test.toml:3]");
    assert_eq!(origins(of_nix(&unsaid)), of_nix(&case(Nix::Store)), "it is what nobody says");
    assert_eq!(case(Nix::Store).policy().unwrap().weakened.join(" ").find("nix"), None);
    let without = Case::debian().policy().unwrap();
    assert!(!without.left_out.join(" ").contains("nix"), "most machines have none");
}

#[test]
fn none_is_nothing_and_an_agent_of_the_store_says_so() {
    insta::assert_snapshot!(case(Nix::None).error(), @r#"
    the agent's program is in the store of Nix (/nix/store/profile-of-u), and `nix` is "none" (test.toml:3)
    hint: say `nix = "store"`, or name what it needs of the store in `files.system`
    "#);
    let other = case(Nix::None).with(|case| case.settings.command = Some(at(2, vec!["sh".into()])));
    insta::assert_snapshot!(of_nix(&other), @"
    ro    /etc/nix                                           the system [test.toml:11]
    ");
    insta::assert_snapshot!(other.policy().unwrap().left_out.join("\n"), @"
    files.system, by the key `nix`: /nix/var/nix/profiles
    files.system, not on this machine: /lib64 /etc/static /run/current-system
    tools, by the key `nix`: /home/u/.nix-profile
    ");
    // By name: what a profile that Nix made lists.
    let closure = case(Nix::None).with(|case| {
        let paths = ["/nix/store/agent-1.0", "/nix/store/bash", "/nix/store/libc"];
        case.settings.system.extend(list(12, &paths));
        case.settings.command = Some(at(2, vec![AGENT.into()]));
    });
    insta::assert_snapshot!(of_nix(&closure), @"
    ro    /etc/nix                                           the system [test.toml:11]
    ro    /nix/store/agent-1.0                               the system [test.toml:12]
    ro    /nix/store/bash                                    the system [test.toml:12]
    ro    /nix/store/libc                                    the system [test.toml:12]
    ");
}

#[test]
fn a_private_store_holds_of_the_hosts_what_is_needed() {
    let case = case(Nix::Private);
    insta::assert_snapshot!(of_nix(&case), @"
    rw    /nix = PRIVATE/.claudebox-nix a store of its own for this profile in this project [test.toml:3]
    ro    /etc/nix                                           the system [test.toml:11]
    rw    /nix/store = PRIVATE/.claudebox-nix/store holds a mount point, so it cannot be moved
    ro    /home/u/.nix-profile = /nix/store/profile-of-u     tools [test.toml:4]
    ro    /nix/store/agent-1.0                               what a program needs of the host's store [test.toml:3]
    ro    /nix/store/bash                                    what a program needs of the host's store [test.toml:3]
    ro    /nix/store/libc                                    what a program needs of the host's store [test.toml:3]
    ro    /nix/store/profile-of-u                            what a program needs of the host's store [test.toml:3]
    ");
    let policy = case.policy().unwrap();
    assert_eq!(policy.program, Path::new("/home/u/.nix-profile/bin/agent"));
    let config = policy.environment.iter().find(|variable| variable.name == "NIX_CONFIG").unwrap();
    assert_eq!(config.value, "sandbox = false\nbuild-users-group =");
    assert!(!policy.environment.iter().any(|variable| variable.name == "NIX_REMOTE"));
    assert_eq!(policy.weakened.join(" ").find("nix"), None);
    // The mount points are made in the private home, without bwrap.
    let made: Vec<String> = policy
        .prepare
        .iter()
        .filter_map(|step| match step {
            Prepare::Directory { path, .. } => Some(path.as_path().display().to_string()),
            _ => None,
        })
        .filter(|path| path.contains("nix"))
        .collect();
    assert!(made.contains(&".claudebox-nix/store/agent-1.0".to_owned()), "{made:?}");
}

#[test]
fn the_daemon_is_only_had_with_what_it_opens_accepted() {
    let accepted = |holes: &[NixHole], change: fn(&mut Case)| {
        case(Nix::Daemon).with(change).with(|case| {
            case.settings.nix_accept = holes.iter().map(|hole| at(5, *hole)).collect();
        })
    };
    let trusted = |case: &mut Case| {
        case.invocation.network = Some(NetworkMode::Host);
        case.disk = case.disk.clone().file("/etc/nix/nix.conf", "trusted-users = root u\n");
    };
    let errors = [
        accepted(&[], |_| ()).error(),
        accepted(&[], |case| case.invocation.network = Some(NetworkMode::None)).error(),
        accepted(&[NixHole::Network], trusted).error(),
    ];
    insta::assert_snapshot!(errors.join("\n\n"), @r#"
    test.toml:3: `nix` is "daemon", and the daemon fetches from anywhere for whoever asks: the rules of the network do not hold for it
    hint: say that you accept it: `nix-accept = ["network"]`
    hint: or use `nix = "private"`: what it fetches obeys the network's rules

    test.toml:3: `nix` is "daemon", and the daemon fetches from anywhere for whoever asks: the rules of the network do not hold for it
    hint: say that you accept it: `nix-accept = ["network"]`
    hint: or use `nix = "private"`: what it fetches obeys the network's rules

    test.toml:3: `nix` is "daemon", and the daemon trusts you (`trusted-users` names u): who reaches it as you is root on this machine
    hint: say that you accept it: `nix-accept = ["trust"]`
    hint: or use `nix = "private"`: what it fetches obeys the network's rules
    "#);
    let weakened = |case: &Case| {
        let policy = case.policy().unwrap();
        let about_nix = policy.weakened.into_iter().filter(|phrase| phrase.starts_with("nix"));
        about_nix.collect::<Vec<_>>().join("\n")
    };
    let had = accepted(&[NixHole::Network], |_| ());
    insta::assert_snapshot!(of_nix(&had), @"
    ro    /etc/nix                                           the system [test.toml:11]
    ro    /nix/store                                         the system [test.toml:3]
    ro    /home/u/.nix-profile = /nix/store/profile-of-u     tools [test.toml:4]
    ro    /nix/var/nix/profiles                              the system [test.toml:11]
    ro    /nix/var/nix/daemon-socket                         the daemon of Nix [test.toml:3]
    ");
    let policy = had.policy().unwrap();
    assert!(policy.environment.iter().any(|v| v.name == "NIX_REMOTE" && v.value == "daemon"));
    let phrases = [
        weakened(&had),
        weakened(&accepted(&[], |case| case.invocation.network = Some(NetworkMode::Host))),
        weakened(&accepted(&[NixHole::Trust], trusted)),
    ];
    insta::assert_snapshot!(phrases.join("\n\n"), @"
    nix: the daemon fetches from anywhere, whatever the network's rules are

    nix: the daemon builds outside for whoever asks

    nix: the daemon trusts you: who reaches it is root on the host
    nix: the daemon builds outside for whoever asks
    ");
    let nowhere = accepted(&[NixHole::Network], |case| {
        case.disk = case.disk.clone().without("/nix/var/nix/daemon-socket");
    });
    let left_out = nowhere.policy().unwrap().left_out.join("\n");
    assert!(left_out.contains("nix: there is no daemon on this machine"), "{left_out}");
    assert_eq!(weakened(&nowhere), "");
}

#[test]
fn no_part_of_the_system_brings_the_socket_along() {
    for path in ["/nix", "/nix/var", "/nix/var/nix", "/nix/var/nix/daemon-socket"] {
        let case = case(Nix::Store).with(|case| case.settings.system.extend(list(12, &[path])));
        assert!(case.error().contains("the socket of the Nix daemon is in"), "{path}");
    }
    let bound = case(Nix::Store).with(|case| {
        let bind =
            |path: &str| BindArgument { source: path.into(), destination: None, writable: false };
        case.invocation.binds = vec![bind("/nix")];
    });
    let weakened = bound.policy().unwrap().weakened.join("\n");
    assert!(weakened.contains("nix: the daemon can be reached: its socket is in /nix (--ro-bind)"));
}

#[test]
fn a_nix_store_that_the_session_could_write_is_not_asked() {
    let case =
        case(Nix::Private).disk(|disk| disk.program("/home/u/p/bin/nix-store", "")).with(|case| {
            let path = "/home/u/.nix-profile/bin:/home/u/p/bin:/usr/bin";
            case.host.environment.insert("PATH".into(), path.into());
        });
    insta::assert_snapshot!(case.error(), @r#"
    /home/u/p/bin/nix-store could be written inside, and is not started outside of the sandbox
    hint: take it off PATH; or `nix = "store"`, which asks nobody
    "#);
}
