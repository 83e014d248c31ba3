//! The sandbox on distributions that lay their system out differently: the whole argv, with the real
//! `base` profile, so that a part that it forgets, or one too many, is seen here.

use std::collections::BTreeSet;

use super::*;
use crate::host::fake::FakeDisk;
use crate::profile::library::Library;
use crate::profile::settle_from;

/// What the built-in profile `default` makes of a disk with a project on it.
fn on(change: impl FnOnce(FakeDisk) -> FakeDisk, path: &str) -> Case {
    let nowhere = Path::new("/nowhere-of-this-machine");
    let library = Library {
        system: nowhere.into(),
        user: nowhere.into(),
        groups: [(LayerKind::System, nowhere.into()), (LayerKind::User, nowhere.into())],
        home: "/home/u".into(),
    };
    let config = crate::profile::config::Config::default();
    let mut case = Case::empty().disk(change);
    case.host.environment.insert("PATH".into(), path.into());
    case.host.environment.insert("SHELL".into(), "/bin/sh".into());
    let argv = ["sh".into()];
    let choice = crate::profile::ProfileChoice::Named("default".into());
    case.settings = settle_from(&library, &choice, &argv, &case.host, None, &config).unwrap();
    case.invocation.argv = argv.into();
    // Many rules, and none of the layout's.
    case.invocation.network = Some(NetworkMode::None);
    // A private git directory would ask a git of the disk.
    case.settings.git = Some(at(1, Git::Shared));
    case
}

/// The mounts of the system, as bwrap gets them.
fn system(case: &Case) -> String {
    let bwrap = case.bwrap();
    let of_all =
        ["/dev", "/proc", "/home", "/tmp", "/run ", "/run/claudebox", "/var/tmp", "-- ", "/ "];
    let lines = bwrap.lines().map(str::trim).filter(|line| line.starts_with("--"));
    let lines =
        lines.filter(|line| ["bind", "symlink", "file"].iter().any(|word| line.contains(word)));
    let lines = lines.filter(|line| !of_all.iter().any(|path| line.contains(&format!(" {path}"))));
    lines.map(|line| line.trim_end_matches([' ', '\\'])).collect::<Vec<_>>().join("\n")
}

/// What every program needs, by the paths that scripts and libcs write down.
fn must_resolve(case: &Case, paths: &[&str]) {
    let policy = case.policy().unwrap();
    let view = View::of(&policy.mounts, &case.disk);
    let dangling: BTreeSet<_> =
        paths.iter().filter(|path| view.resolve(Path::new(path)).is_none()).collect();
    assert!(dangling.is_empty(), "{dangling:?}\n{}", case.mounts());
}

#[test]
fn debian() {
    let case = on(
        |disk| {
            disk.program("/usr/bin/dash", "\x7fELF")
                .link("/usr/bin/sh", "dash")
                .program("/usr/bin/env", "\x7fELF")
                .program("/usr/lib64/ld-linux-x86-64.so.2", "\x7fELF")
                .link("/bin", "usr/bin")
                .link("/sbin", "usr/sbin")
                .link("/lib", "usr/lib")
                .link("/lib64", "usr/lib64")
                .link("/etc/alternatives/editor", "/usr/bin/vi")
                .file("/etc/ld.so.cache", "")
                .file("/etc/passwd", "")
                .file("/etc/nsswitch.conf", "")
                .link("/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin")
                .file("/usr/share/zoneinfo/Europe/Berlin", "")
                .link("/etc/os-release", "../usr/lib/os-release")
                .file("/usr/lib/os-release", "")
                .file("/etc/ssl/certs/ca-certificates.crt", "")
                .file("/etc/ssl/private/key", "")
                .file("/etc/shadow", "")
        },
        "/usr/local/bin:/usr/bin:/bin",
    );
    must_resolve(
        &case,
        &["/bin/sh", "/usr/bin/env", "/lib64/ld-linux-x86-64.so.2", "/etc/localtime"],
    );
    insta::assert_snapshot!(system(&case), @"
    --ro-bind /usr /usr
    --symlink usr/bin /bin
    --symlink usr/lib /lib
    --symlink usr/lib64 /lib64
    --ro-bind /opt /opt
    --perms 0444 --file '<fd: /etc/passwd>' /etc/passwd
    --perms 0444 --file '<fd: /etc/nsswitch.conf>' /etc/nsswitch.conf
    --symlink ../usr/lib/os-release /etc/os-release
    --symlink /usr/share/zoneinfo/Europe/Berlin /etc/localtime
    --perms 0444 --file '<fd: /etc/ld.so.cache>' /etc/ld.so.cache
    --ro-bind /etc/alternatives /etc/alternatives
    --ro-bind /etc/ssl/certs /etc/ssl/certs
    ");
}

#[test]
fn fedora() {
    let case = on(
        |disk| {
            disk.program("/usr/bin/bash", "\x7fELF")
                .link("/usr/bin/sh", "bash")
                .program("/usr/bin/env", "\x7fELF")
                .program("/usr/lib64/ld-linux-x86-64.so.2", "\x7fELF")
                .dir("/usr/lib")
                // /usr/sbin is a link since Fedora 42.
                .link("/usr/sbin", "bin")
                .link("/bin", "usr/bin")
                .link("/sbin", "usr/sbin")
                .link("/lib", "usr/lib")
                .link("/lib64", "usr/lib64")
                .file("/etc/ld.so.cache", "")
                .file("/etc/passwd", "")
                .file("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "")
                .link(
                    "/etc/pki/tls/certs/ca-bundle.crt",
                    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
                )
                .link("/etc/pki/tls/cert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem")
                .link("/etc/ssl/certs", "../pki/tls/certs")
                .file("/etc/pki/tls/private/key", "")
                .link(
                    "/etc/crypto-policies/back-ends/openssl.config",
                    "/usr/share/crypto-policies/DEFAULT",
                )
                .file("/usr/share/crypto-policies/DEFAULT", "")
                .link("/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")
                .file("/run/systemd/resolve/stub-resolv.conf", "")
        },
        "/usr/local/bin:/usr/bin",
    );
    let paths = [
        "/bin/sh",
        "/sbin/env",
        "/lib64/ld-linux-x86-64.so.2",
        "/etc/ssl/certs/ca-bundle.crt",
        "/etc/pki/tls/cert.pem",
        "/etc/crypto-policies/back-ends/openssl.config",
    ];
    must_resolve(&case, &paths);
    insta::assert_snapshot!(system(&case), @"
    --ro-bind /usr /usr
    --symlink usr/bin /bin
    --symlink usr/sbin /sbin
    --symlink usr/lib /lib
    --symlink usr/lib64 /lib64
    --ro-bind /opt /opt
    --perms 0444 --file '<fd: /etc/passwd>' /etc/passwd
    --perms 0444 --file '<fd: /run/systemd/resolve/stub-resolv.conf>' /etc/resolv.conf
    --perms 0444 --file '<fd: /etc/ld.so.cache>' /etc/ld.so.cache
    --ro-bind /etc/crypto-policies /etc/crypto-policies
    --symlink ../pki/tls/certs /etc/ssl/certs
    --ro-bind /etc/pki/tls/certs /etc/pki/tls/certs
    --symlink /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/pki/tls/cert.pem
    --ro-bind /etc/pki/ca-trust/extracted /etc/pki/ca-trust/extracted
    ");
}

#[test]
fn alpine() {
    let case = on(
        |disk| {
            // /usr is not merged, and all of it is one program.
            disk.program("/bin/busybox", "\x7fELF")
                .link("/bin/sh", "/bin/busybox")
                .link("/usr/bin/env", "/bin/busybox")
                .program("/lib/ld-musl-x86_64.so.1", "\x7fELF")
                .dir("/sbin")
                .file("/etc/passwd", "")
                .file("/etc/resolv.conf", "")
                .file("/etc/ssl/cert.pem", "")
                .link("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem")
        },
        "/usr/bin:/bin",
    );
    let paths = [
        "/bin/sh",
        "/usr/bin/env",
        "/lib/ld-musl-x86_64.so.1",
        "/etc/ssl/certs/ca-certificates.crt",
    ];
    must_resolve(&case, &paths);
    insta::assert_snapshot!(system(&case), @"
    --ro-bind /usr /usr
    --ro-bind /bin /bin
    --ro-bind /sbin /sbin
    --ro-bind /lib /lib
    --ro-bind /opt /opt
    --perms 0444 --file '<fd: /etc/passwd>' /etc/passwd
    --perms 0444 --file '<fd: /etc/resolv.conf>' /etc/resolv.conf
    --ro-bind /etc/ssl/certs /etc/ssl/certs
    --perms 0444 --file '<fd: /etc/ssl/cert.pem>' /etc/ssl/cert.pem
    ");
}

/// NixOS: no /usr but for env, no /lib64, everything a link into the store.
fn nixos(disk: FakeDisk) -> FakeDisk {
    let (system, etc) = ("/nix/store/s-nixos-system", "/nix/store/e-etc");
    disk.program("/nix/store/b-bash/bin/sh", "\x7fELF")
        .program("/nix/store/c-coreutils/bin/env", "\x7fELF")
        .program("/nix/store/g-glibc/lib/ld-linux-x86-64.so.2", "\x7fELF")
        .link("/bin/sh", "/nix/store/b-bash/bin/sh")
        .link("/usr/bin/env", "/nix/store/c-coreutils/bin/env")
        .link("/run/current-system", system)
        .link(format!("{system}/sw"), "/nix/store/p-system-path")
        .link("/nix/store/p-system-path/bin/sh", "/nix/store/b-bash/bin/sh")
        .link("/nix/store/p-system-path/bin/env", "/nix/store/c-coreutils/bin/env")
        .link("/etc/static", etc)
        .file(format!("{etc}/profile"), "")
        .file(format!("{etc}/ssl/certs/ca-bundle.crt"), "")
        .link("/etc/profile", "/etc/static/profile")
        .link("/etc/ssl/certs/ca-certificates.crt", "/etc/static/ssl/certs/ca-bundle.crt")
        .link("/etc/profiles/per-user/u", "/nix/store/u-user-environment")
        .program("/nix/store/u-user-environment/bin/tool", "\x7fELF")
        .link("/etc/zoneinfo", "/nix/store/z-tzdata/share/zoneinfo")
        .file("/nix/store/z-tzdata/share/zoneinfo/UTC", "")
        // A link without /etc/static before it.
        .link("/etc/localtime", "/etc/zoneinfo/UTC")
        .file("/etc/passwd", "")
        .file("/etc/resolv.conf", "")
        .link("/etc/nix/nix.conf", "/etc/static/nix/nix.conf")
        .file(format!("{etc}/nix/nix.conf"), "")
        // Its own set-user-ID programs, of no use inside.
        .program("/run/wrappers/bin/sudo", "\x7fELF")
        .socket("/nix/var/nix/daemon-socket/socket")
        .link("/nix/var/nix/profiles/system", system)
}

const NIXOS_PATH: &str = "/run/wrappers/bin:/home/u/.nix-profile/bin:/etc/profiles/per-user/u/bin:/run/current-system/sw/bin";

#[test]
fn nixos_with_its_store() {
    let case = on(nixos, NIXOS_PATH);
    let paths = [
        "/bin/sh",
        "/usr/bin/env",
        "/run/current-system/sw/bin/env",
        "/etc/profile",
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/profiles/per-user/u/bin/tool",
        "/etc/localtime",
        "/etc/nix/nix.conf",
    ];
    must_resolve(&case, &paths);
    insta::assert_snapshot!(system(&case), @"
    --ro-bind /usr /usr
    --ro-bind /bin /bin
    --ro-bind /opt /opt
    --symlink /nix/store/s-nixos-system /run/current-system
    --symlink /nix/store/e-etc /etc/static
    --ro-bind /etc/profiles /etc/profiles
    --ro-bind /etc/nix /etc/nix
    --perms 0444 --file '<fd: /etc/passwd>' /etc/passwd
    --perms 0444 --file '<fd: /etc/resolv.conf>' /etc/resolv.conf
    --symlink /etc/zoneinfo/UTC /etc/localtime
    --symlink /nix/store/z-tzdata/share/zoneinfo /etc/zoneinfo
    --symlink /etc/static/profile /etc/profile
    --ro-bind /nix/store /nix/store
    --ro-bind /etc/ssl/certs /etc/ssl/certs
    --ro-bind /nix/var/nix/profiles /nix/var/nix/profiles
    ");
    let policy = case.policy().unwrap();
    assert_eq!(policy.program, Path::new("/run/current-system/sw/bin/sh"));
    let path = policy.environment.iter().find(|variable| variable.name == "PATH").unwrap();
    insta::assert_snapshot!(path.value.display(), @"
    /etc/profiles/per-user/u/bin:/run/current-system/sw/bin:/usr/bin:/bin
    ");
    let view = View::of(&policy.mounts, &case.disk);
    for hidden in ["/run/wrappers/bin/sudo", "/nix/var/nix/daemon-socket/socket"] {
        assert!(view.resolve(Path::new(hidden)).is_none(), "{hidden}");
    }
}

#[test]
fn nixos_with_a_private_store() {
    let needs = |disk: FakeDisk| {
        nixos(disk)
            .needs("/nix/store/s-nixos-system", "/nix/store/p-system-path")
            .needs("/nix/store/p-system-path", "/nix/store/b-bash")
            .needs("/nix/store/p-system-path", "/nix/store/c-coreutils")
            .needs("/nix/store/b-bash", "/nix/store/g-glibc")
    };
    let case = on(needs, NIXOS_PATH).with(|case| case.settings.nix = Some(at(1, Nix::Private)));
    let paths = [
        "/bin/sh",
        "/usr/bin/env",
        "/run/current-system/sw/bin/env",
        "/etc/profile",
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/profiles/per-user/u/bin/tool",
        "/etc/localtime",
    ];
    must_resolve(&case, &paths);
    insta::assert_snapshot!(system(&case), @"
    --ro-bind /usr /usr
    --ro-bind /bin /bin
    --ro-bind /opt /opt
    --bind-fd '<fd: PRIVATE/.claudebox-nix>' /nix
    --symlink /nix/store/s-nixos-system /run/current-system
    --symlink /nix/store/e-etc /etc/static
    --ro-bind /etc/profiles /etc/profiles
    --ro-bind /etc/nix /etc/nix
    --perms 0444 --file '<fd: /etc/passwd>' /etc/passwd
    --perms 0444 --file '<fd: /etc/resolv.conf>' /etc/resolv.conf
    --symlink /etc/zoneinfo/UTC /etc/localtime
    --symlink /nix/store/z-tzdata/share/zoneinfo /etc/zoneinfo
    --symlink /etc/static/profile /etc/profile
    --bind-fd '<fd: PRIVATE/.claudebox-nix/store>' /nix/store
    --ro-bind /etc/ssl/certs /etc/ssl/certs
    --ro-bind /nix/store/b-bash /nix/store/b-bash
    --ro-bind /nix/store/c-coreutils /nix/store/c-coreutils
    --ro-bind /nix/store/e-etc /nix/store/e-etc
    --ro-bind /nix/store/g-glibc /nix/store/g-glibc
    --ro-bind /nix/store/p-system-path /nix/store/p-system-path
    --ro-bind /nix/store/s-nixos-system /nix/store/s-nixos-system
    --ro-bind /nix/store/u-user-environment /nix/store/u-user-environment
    --ro-bind /nix/store/z-tzdata /nix/store/z-tzdata
    ");
}
