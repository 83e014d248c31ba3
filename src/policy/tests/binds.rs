//! Binds of the command line, and parts of the system that would share too much.

use super::*;

fn bind(argument: &str, writable: bool) -> BindArgument {
    let (source, destination) = match argument.split_once(':') {
        Some((source, destination)) => (source, Some(destination.into())),
        None => (argument, None),
    };
    BindArgument { source: source.into(), destination, writable }
}

pub(super) fn with_bind(argument: &str, writable: bool) -> Case {
    Case::debian()
        .disk(|disk| {
            disk.dir("/data")
                .dir("/tmp")
                .file("/srv/file", "")
                .dir("/home/u/notes")
                .link("/home/u/p/out", "/etc")
                .dir("/home/u/p/vendor")
                .dir("/home/u/.config/claudebox")
        })
        .with(|case| case.invocation.binds.push(bind(argument, writable)))
}

#[test]
fn binds_of_the_command_line() {
    for (argument, line) in [
        ("/data", "rw    /data "),
        ("/data:/mnt/d", "rw    /mnt/d = /data "),
        ("/data:/home/u/p/vendor", "rw    /home/u/p/vendor = /data "),
        ("~/notes", "rw    /home/u/notes "),
        ("../vendor", "rw    /home/u/p/vendor "),
        ("/srv/file:/home/u/a/b", "rw    /home/u/a/b = /srv/file "),
        ("/tmp", "rw    /tmp "),
    ] {
        let mounts = with_bind(argument, true).mounts();
        assert!(mounts.contains(line), "{argument}: {mounts}");
    }
    let mounts = with_bind("/usr", true).mounts();
    assert!(mounts.contains("rw    /usr ") && !mounts.contains("ro    /usr "), "{mounts}");
}

#[test]
fn a_bind_in_the_private_home_has_its_mount_point_prepared_and_pinned() {
    let case = with_bind("/srv/file:/home/u/a/b/c", false);
    let policy = case.policy().unwrap();
    assert!(policy.prepare.iter().any(|step| matches!(step,
        Prepare::MountPoint { path, .. } if *path == Bytes::from("a/b/c"))));
    let mounts = case.mounts();
    for pinned in ["rw    /home/u/a = PRIVATE/a ", "rw    /home/u/a/b = PRIVATE/a/b "] {
        assert!(mounts.contains(pinned), "{mounts}");
    }
}

#[test]
fn what_is_mounted_in_a_writable_place_cannot_be_moved_away() {
    let deep = |case: Case| case.disk(|disk| disk.dir("/home/u/p/a/b/c").dir("/data/x/y"));
    let bound = deep(with_bind("../a/b/c", false)).mounts();
    let profile = deep(Case::debian())
        .with(|case| case.settings.read_only = list(4, &["${PROJECT}/a/b/c"]))
        .mounts();
    for pinned in ["rw    /home/u/p/a ", "rw    /home/u/p/a/b ", "ro    /home/u/p/a/b/c "] {
        assert!(bound.contains(pinned) && profile.contains(pinned), "{bound}\n{profile}");
    }
    let nested = deep(with_bind("/data:/mnt/d", true))
        .with(|case| case.invocation.binds.push(bind("/usr:/mnt/d/x/y", false)));
    assert!(nested.mounts().contains("rw    /mnt/d/x = /data/x "), "{}", nested.mounts());
}

#[test]
fn binds_that_are_refused() {
    let refused = [
        "/nowhere",
        "/",
        "/proc",
        "~",
        "~/.config/claudebox",
        "~/.config",
        "/data:relative",
        "/data:/a/../b",
        "/data:/proc/x",
        "/data:/run/claudebox",
        "/data:/home/u/p",
        "/data:/home/u",
        "/data:/home/u/p/absent",
        "/data:/home/u/p/out",
        "/data:/home/u/p/out/x",
        "/data:/home/u/p/.git/hooks",
        "/data:/usr/absent",
        "/data:/",
    ];
    let errors = refused.map(|argument| {
        let case = with_bind(argument, true);
        let project = project::find(None, &case.host, &case.disk).unwrap();
        let error = resolve(&case.settings, &case.invocation, &case.host, &project, &case.disk)
            .map(|_| argument)
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{argument}");
        assert!(error.to_string().starts_with("--bind: "), "{error}");
        error.to_string()
    });
    insta::assert_snapshot!(errors.join("\n"), @"
    --bind: /nowhere does not exist
    --bind: / is the whole machine, it is not shared
    --bind: /proc is not shared: the sandbox has a /proc and a /dev of its own
    --bind: /home/u is your home, which the sandbox is there to hide
    --bind: /home/u/.config/claudebox cannot be shared: claudebox keeps its own files in /home/u/.config/claudebox
    --bind: /home/u/.config cannot be shared: claudebox keeps its own files in /home/u/.config/claudebox
    --bind: the destination `relative` is not an absolute path without `..`
    --bind: the destination `/a/../b` is not an absolute path without `..`
    --bind: /proc/x is the sandbox's own, nothing can be mounted there
    --bind: /run/claudebox is the sandbox's own, nothing can be mounted there
    --bind: /home/u/p is the sandbox's own, nothing can be mounted there
    --bind: /home/u is the sandbox's own, nothing can be mounted there
    --bind: nothing can be mounted at /home/u/p/absent: /home/u/p/absent does not exist
    --bind: nothing can be mounted at /home/u/p/out: /home/u/p/out is a symbolic link
    --bind: nothing can be mounted at /home/u/p/out/x: /home/u/p/out is a symbolic link
    --bind: /home/u/p/.git/hooks is the sandbox's own, nothing can be mounted there
    --bind: nothing can be mounted at /usr/absent: /usr/absent does not exist
    --bind: / is the sandbox's own, nothing can be mounted there
    ");
}

#[test]
fn one_destination_twice_with_different_modes_is_refused() {
    let case =
        with_bind("/data", true).with(|case| case.invocation.binds.push(bind("/data", false)));
    insta::assert_snapshot!(case.error(), @"
    /data is asked for twice: --bind, and --ro-bind
    hint: name it once
    ");
    let same =
        with_bind("/data", true).with(|case| case.invocation.binds.push(bind("/data", true)));
    same.policy().unwrap();
}

#[test]
fn system_parts_that_would_share_too_much_are_refused() {
    for path in ["/", "/run", "/proc", "/dev/shm", "/tmp", "/home", "/home/u/.config"] {
        let case = Case::debian().with(|case| case.settings.system = list(7, &[path]));
        assert!(case.error().starts_with("test.toml:7: "), "{path}: {}", case.error());
    }
}

#[test]
fn a_link_of_a_whole_etc_is_followed_to_what_root_made() {
    let case = Case::debian()
        .disk(|disk| {
            disk.link("/etc/mine", "/srv/mine")
                .file("/srv/mine", "")
                .owned("/run/systemd/resolve/stub-resolv.conf", 0)
        })
        .with(|case| {
            case.settings.system = list(10, &["/usr", "/bin", "/etc", "/etc/resolv.conf"]);
            case.invocation.network = Some(NetworkMode::Host);
        });
    let mounts = case.mounts();
    assert!(mounts.contains("copy  /run/systemd/resolve/stub-resolv.conf "), "{mounts}");
    assert!(
        !mounts.contains("/srv/mine") && !mounts.contains("ro    /etc/resolv.conf "),
        "{mounts}"
    );
}

/// bwrap makes links where they are to appear: in a directory of the host that is bound there, they
/// would stay.
#[test]
fn no_link_is_made_through_a_bind() {
    let with_link = |argument: &str| {
        with_bind(argument, true)
            .disk(|disk| {
                disk.file("/usr/lib/os-release", "")
                    .link("/etc/os-release", "../usr/lib/os-release")
            })
            .with(|case| case.settings.system.extend(list(9, &["/etc/os-release"])))
    };
    assert!(with_link("/data").mounts().contains("link  /etc/os-release "));
    let own = with_link("/etc");
    assert!(!own.mounts().contains("os-release"), "{}", own.mounts());
    let left_out = own.policy().unwrap().left_out;
    assert!(left_out.contains(&"/etc/os-release: /etc is the host's own (--bind)".to_owned()));
    insta::assert_snapshot!(with_link("/data:/etc").error(), @"
    --bind: /etc cannot be covered: the sandbox has /etc/os-release in it
    hint: give another destination: SRC:DEST
    ");
}

#[test]
fn what_the_configuration_says_is_named_by_its_line() {
    let at = |line| Origin { layer: LayerKind::Config, source: "config.toml".into(), line };
    let mut case = Case::debian();
    let value = bind("/home/u/shared", true);
    case.invocation.config_binds = vec![Settled { value, origin: at(3) }];
    let error = case.policy().unwrap_err();
    assert_eq!(error.to_string(), "config.toml:3: /home/u/shared does not exist");
    assert!(error.hints().iter().all(|hint| !hint.contains("SRC")), "{:?}", error.hints());

    let mut case = Case::debian();
    case.invocation.config_env = vec![Settled { value: "NOPE".into(), origin: at(4) }];
    let error = case.policy().unwrap_err();
    assert_eq!(error.to_string(), "config.toml:4: NOPE is not set in your environment");
    assert!(error.hints()[0].contains("\"NOPE=VALUE\""), "{:?}", error.hints());
    // The command line comes later, and wins.
    case.invocation.config_env[0].value = "A=1".into();
    case.invocation.env = vec!["A=2".into()];
    let policy = case.policy().unwrap();
    let a = policy.environment.iter().find(|variable| variable.name == "A").unwrap();
    assert_eq!((a.value.to_str(), a.origin.as_ref().unwrap().line), (Some("2"), 0));
}
