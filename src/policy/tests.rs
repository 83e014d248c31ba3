//! The policy as a whole, on machines that are fixtures.

use std::path::Path;

use super::environment::From as Comes;
use super::fixture::*;
use super::invocation::BindArgument;
use super::*;
use crate::error::Kind;
use crate::profile::settings::LayerKind;
use crate::sandbox::compile;

fn bind(argument: &str, writable: bool) -> BindArgument {
    let (source, destination) = match argument.split_once(':') {
        Some((source, destination)) => (source, Some(destination.into())),
        None => (argument, None),
    };
    BindArgument { source: source.into(), destination, writable }
}

fn with_bind(argument: &str, writable: bool) -> Case {
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

/// A profile with an agent's state, on a home that has some of it.
fn with_state() -> Case {
    Case::debian()
        .disk(|disk| {
            disk.file("/home/u/.agent/settings.json", "{}")
                .dir("/home/u/.agent/hooks")
                .link("/home/u/.agent/commands", "/home/u/dotfiles/commands")
                .dir("/home/u/dotfiles/commands")
        })
        .with(|case| {
            case.settings.state = list(30, &["~/.agent", "~/.config/agent"]);
            case.settings.state_readonly = list(
                31,
                &[
                    "~/.agent/settings.json",
                    "~/.agent/hooks",
                    "~/.agent/commands",
                    "~/.agent/local.json",
                    "~/.agent/plugins/cache/",
                    "~/.agent/.config.json/",
                ],
            );
            case.settings.state_private = list(32, &["~/.agent/sessions"]);
        })
}

#[test]
fn a_plain_session() {
    insta::assert_snapshot!(Case::debian().mounts(), @"
    dev   /dev                                               null, zero, random, tty and a devpts of its own
    proc  /proc                                              the processes inside, no others
    tmpfs /tmp (2 GiB)                                       scratch space, gone at the end [default]
    tmpfs /run (512 MiB)                                     none of the host's sockets [default]
    ro    /usr                                               the system [test.toml:10]
    link  /bin -> usr/bin                                    the system [test.toml:10]
    link  /lib -> usr/lib                                    the system [test.toml:10]
    tmpfs /dev/shm (512 MiB)                                 shared memory [default]
    tmpfs /var/tmp (2 GiB)                                   scratch space, gone at the end [default]
    ro    /run/claudebox = /opt/claudebox                    the inner stage
    copy  /etc/passwd                                        the system [test.toml:10]
    copy  /etc/resolv.conf = /run/systemd/resolve/stub-resolv.conf the system [test.toml:10]
    rw    /home/u = PRIVATE a home of its own for this profile in this project
    rw    /home/u/p                                          the project
    rw    /home/u/p/.git                                     git works on the project's own repository
    ro    /home/u/p/.git/hooks                               what git outside would run or obey
    ro    /home/u/p/.git/config                              what git outside would run or obey
    ro    /home/u/p/.git/info                                what git outside would run or obey
    seal  /dev                                               nothing is to be written there
    seal  /                                                  nothing is to be written there
    ");
}

#[test]
fn argv_on_debian() {
    insta::assert_snapshot!(Case::debian().bwrap(), @r"
    /usr/bin/bwrap \
      --unshare-all \
      --unshare-user \
      --share-net \
      --cap-drop ALL \
      --as-pid-1 \
      --disable-userns \
      --dev /dev \
      --proc /proc \
      --perms 1777 --size 2147483648 --tmpfs /tmp \
      --perms 0755 --size 536870912 --tmpfs /run \
      --ro-bind /usr /usr \
      --symlink usr/bin /bin \
      --symlink usr/lib /lib \
      --perms 1777 --size 536870912 --tmpfs /dev/shm \
      --perms 1777 --size 2147483648 --tmpfs /var/tmp \
      --ro-bind /opt/claudebox /run/claudebox \
      --perms 0444 --file '<fd: /etc/passwd>' /etc/passwd \
      --perms 0444 --file '<fd: /run/systemd/resolve/stub-resolv.conf>' /etc/resolv.conf \
      --bind-fd '<fd: PRIVATE>' /home/u \
      --bind-fd '<fd: /home/u/p>' /home/u/p \
      --bind-fd '<fd: /home/u/p/.git>' /home/u/p/.git \
      --ro-bind-fd '<fd: /home/u/p/.git/hooks>' /home/u/p/.git/hooks \
      --ro-bind-fd '<fd: /home/u/p/.git/config>' /home/u/p/.git/config \
      --ro-bind-fd '<fd: /home/u/p/.git/info>' /home/u/p/.git/info \
      --remount-ro /dev \
      --remount-ro / \
      --chdir /home/u/p/sub \
      -- /run/claudebox __inner '<fd: supervisor>' '<fd: plan>'
    ");
}

#[test]
fn argv_with_an_old_bwrap() {
    let case = Case::debian().with(|case| {
        case.host.bwrap = Some(bwrap(&[]));
        case.invocation.network = Some(NetworkMode::None);
    });
    insta::assert_snapshot!(case.bwrap(), @r"
    /usr/bin/bwrap \
      --unshare-all \
      --unshare-user \
      --cap-drop ALL \
      --as-pid-1 \
      --dev /dev \
      --proc /proc \
      --perms 1777 --tmpfs /tmp \
      --perms 0755 --tmpfs /run \
      --ro-bind /usr /usr \
      --symlink usr/bin /bin \
      --symlink usr/lib /lib \
      --perms 1777 --tmpfs /dev/shm \
      --perms 1777 --tmpfs /var/tmp \
      --ro-bind /opt/claudebox /run/claudebox \
      --perms 0444 --file '<fd: /etc/passwd>' /etc/passwd \
      --perms 0444 --file '<fd: /run/systemd/resolve/stub-resolv.conf>' /etc/resolv.conf \
      --bind PRIVATE /home/u \
      --bind /home/u/p /home/u/p \
      --bind /home/u/p/.git /home/u/p/.git \
      --ro-bind /home/u/p/.git/hooks /home/u/p/.git/hooks \
      --ro-bind /home/u/p/.git/config /home/u/p/.git/config \
      --ro-bind /home/u/p/.git/info /home/u/p/.git/info \
      --remount-ro /dev \
      --remount-ro / \
      --chdir /home/u/p/sub \
      -- /run/claudebox __inner '<fd: supervisor>' '<fd: plan>'
    ");
    insta::assert_snapshot!(case.policy().unwrap().weakened.join("\n"), @"
    git: pinned, not private: a planted .git/commondir, submodule or nested repository can make git outside run code
    bwrap is too old to forbid user namespaces inside
    bwrap is too old to limit /tmp: it can fill half of the memory
    bwrap is too old to bind by descriptor
    ");
}

#[test]
fn argv_on_nixos() {
    insta::assert_snapshot!(Case::nixos().bwrap(), @r"
    /usr/bin/bwrap \
      --unshare-all \
      --unshare-user \
      --share-net \
      --cap-drop ALL \
      --as-pid-1 \
      --disable-userns \
      --dev /dev \
      --proc /proc \
      --perms 1777 --size 2147483648 --tmpfs /tmp \
      --perms 0755 --size 536870912 --tmpfs /run \
      --ro-bind /usr /usr \
      --ro-bind /bin /bin \
      --perms 1777 --size 536870912 --tmpfs /dev/shm \
      --perms 1777 --size 2147483648 --tmpfs /var/tmp \
      --ro-bind /nix/store/claudebox/bin/claudebox /run/claudebox \
      --symlink /etc/static/passwd /etc/passwd \
      --symlink /nix/store/etc /etc/static \
      --ro-bind /nix/store /nix/store \
      --symlink /nix/store/abc-system /run/current-system \
      --bind-fd '<fd: PRIVATE>' /home/u \
      --bind-fd '<fd: /home/u/p>' /home/u/p \
      --bind-fd '<fd: /home/u/p/.git>' /home/u/p/.git \
      --ro-bind-fd '<fd: /home/u/p/.git/hooks>' /home/u/p/.git/hooks \
      --ro-bind-fd '<fd: /home/u/p/.git/config>' /home/u/p/.git/config \
      --ro-bind-fd '<fd: /home/u/p/.git/info>' /home/u/p/.git/info \
      --remount-ro /dev \
      --remount-ro / \
      --chdir /home/u/p/sub \
      -- /run/claudebox __inner '<fd: supervisor>' '<fd: plan>'
    ");
}

#[test]
fn a_system_without_merged_usr() {
    let case = Case::debian().disk(|disk| {
        disk.without("/bin").without("/lib").program("/bin/sh", "\x7fELF").dir("/lib")
    });
    let mounts = case.mounts();
    assert!(mounts.contains("ro    /bin ") && mounts.contains("ro    /lib "));
    assert!(!mounts.contains("link"));
}

#[test]
fn state_is_shared_and_what_the_host_obeys_is_not_to_be_written() {
    let case = with_state();
    let mounts = case.mounts();
    let home = mounts
        .split_inclusive('\n')
        .filter(|line| line.contains("/home/u") && !line.contains("/p/"));
    insta::assert_snapshot!(home.collect::<String>(), @"
    rw    /home/u = PRIVATE a home of its own for this profile in this project
    rw    /home/u/.agent                                     the agent's state, shared with the host [test.toml:30]
    rw    /home/u/p                                          the project
    rw    /home/u/.config = PRIVATE/.config holds a mount point, so it cannot be moved
    rw    /home/u/dotfiles = PRIVATE/dotfiles holds a mount point, so it cannot be moved
    rw    /home/u/.config/agent                              the agent's state, shared with the host [test.toml:30]
    ro    /home/u/.agent/settings.json                       what the agent of the host obeys [test.toml:31]
    ro    /home/u/.agent/hooks                               what the agent of the host obeys [test.toml:31]
    ro    /home/u/dotfiles/commands                          what a link in the agent's state leads to [test.toml:31]
    ro    /home/u/.agent/local.json                          what the agent of the host obeys [test.toml:31]
    rw    /home/u/.agent/plugins                             holds what is protected, so it cannot be moved [test.toml:31]
    ro    /home/u/.agent/.config.json                        what the agent of the host obeys [test.toml:31]
    tmpfs /home/u/.agent/sessions (64 MiB)                   fresh in every session [test.toml:32]
    ro    /home/u/.agent/plugins/cache                       what the agent of the host obeys [test.toml:31]
    ");
    let policy = case.policy().unwrap();
    assert!(
        policy
            .weakened
            .iter()
            .any(|phrase| phrase.contains("/home/u/.agent/commands is a symbolic link"))
    );
    let created: Vec<String> = policy
        .prepare
        .iter()
        .filter_map(|step| match step {
            Prepare::CreateMissing { root, path, content } => {
                Some(format!("{root:?} {path:?} {content:?}"))
            }
            _ => None,
        })
        .collect();
    insta::assert_snapshot!(created.join("\n"), @r#"
    b"/home/u" b".config/agent" None
    b"/home/u/.agent" b"local.json" Some(b"{}\n")
    b"/home/u/.agent" b"plugins/cache" None
    b"/home/u/.agent" b".config.json" None
    b"/home/u/.agent" b"sessions" None
    "#);
}

#[test]
fn a_copy_keeps_what_is_the_agents_and_takes_over_what_is_the_hosts() {
    let case = Case::debian()
        .disk(|disk| disk.file("/home/u/.agent.json", r#"{"login": 1, "hooks": 2}"#))
        .with(|case| {
            case.settings.state_copy =
                [("~/.agent.json".to_owned(), list(5, &["login", "gone"]))].into();
        });
    let content = |case: &Case| {
        case.policy()
            .unwrap()
            .prepare
            .into_iter()
            .find_map(|step| match step {
                Prepare::File { path, content, .. } if path == Bytes::from(".agent.json") => {
                    Some(content)
                }
                _ => None,
            })
            .unwrap()
    };
    assert_eq!(content(&case), Bytes::from("{\n  \"login\": 1\n}"));
    let own = format!("{}/.agent.json", case.private_home());
    let later = case.clone().disk(|disk| disk.file(&own, r#"{"login": 0, "gone": 1, "theme": 3}"#));
    assert_eq!(
        content(&later),
        Bytes::from("{\n  \"gone\": 1,\n  \"login\": 1,\n  \"theme\": 3\n}")
    );
    let planted =
        case.disk(|disk| disk.file("/home/u/.ssh/id", r#"{"k": 1}"#).link(&own, "/home/u/.ssh/id"));
    assert_eq!(content(&planted), Bytes::from("{\n  \"login\": 1\n}"));
}

#[test]
fn git_is_as_the_profile_says() {
    let git = |git| Case::debian().with(|case| case.settings.git = Some(at(3, git)));
    let mounts = git(Git::ReadOnly).mounts();
    assert!(mounts.contains("ro    /home/u/p/.git ") && !mounts.contains(".git/hooks"));
    let mounts = git(Git::None).mounts();
    assert!(mounts.contains("tmpfs /home/u/p/.git ") && mounts.contains("seal  /home/u/p/.git "));
    let case = Case::debian().disk(|disk| disk.without("/home/u/p/.git/hooks"));
    let weakened = case.policy().unwrap().weakened.join("\n");
    assert!(weakened.contains(".git/hooks is missing"), "{weakened}");
}

#[test]
fn a_linked_worktree_is_refused_unless_git_is_none() {
    let case = Case::debian()
        .disk(|disk| disk.file("/home/u/wt/.git", "gitdir: /home/u/p/.git/worktrees/wt\n"))
        .with(|case| case.host.cwd = "/home/u/wt".into());
    insta::assert_snapshot!(case.error(), @r#"
    /home/u/wt is a linked worktree: its git directory is /home/u/p/.git/worktrees/wt
    hint: start in the main worktree: --project /home/u/p
    hint: or go without git inside: a profile with `git = "none"`
    "#);
    case.with(|case| case.settings.git = Some(at(1, Git::None))).policy().unwrap();
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
        Prepare::File { path, .. } if *path == Bytes::from("a/b/c"))));
    let mounts = case.mounts();
    for pinned in ["rw    /home/u/a = PRIVATE/a ", "rw    /home/u/a/b = PRIVATE/a/b "] {
        assert!(mounts.contains(pinned), "{mounts}");
    }
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
        let project = crate::sandbox::project::find(None, &case.host, &case.disk).unwrap();
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
    --bind: /home/u cannot be shared: claudebox keeps its own files in /home/u/.config/claudebox
    --bind: /home/u/.config/claudebox cannot be shared: claudebox keeps its own files in /home/u/.config/claudebox
    --bind: /home/u/.config cannot be shared: claudebox keeps its own files in /home/u/.config/claudebox
    --bind: the destination relative is not an absolute path without `..`
    --bind: the destination /a/../b is not an absolute path without `..`
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
fn what_is_hidden_is_hidden_wherever_it_appears() {
    let case = with_bind("/home/u/p/vendor:/mnt/v", false)
        .disk(|disk| {
            disk.file("/home/u/p/.env", "SECRET")
                .file("/home/u/p/vendor/key/id", "")
                .link("/home/u/p/also", "vendor/key")
                .file("/home/u/p/conf/real", "")
        })
        .with(|case| {
            case.settings.hide = list(
                40,
                &[
                    "${PROJECT}/.env",
                    "${PROJECT}/also",
                    "${PROJECT}/vendor/key/id",
                    "${PROJECT}/nothing",
                    "~/.ssh",
                    "/etc/passwd",
                ],
            );
            case.settings.hide[0].origin.layer = LayerKind::Project;
        });
    let mounts = case.mounts();
    let hides = mounts.split_inclusive('\n').skip_while(|line| !line.contains("hide"));
    insta::assert_snapshot!(hides.collect::<String>(), @"
    hide  /etc/passwd                                        hidden [test.toml:40]
    hide  /mnt/v/key                                         hidden [test.toml:40]
    hide  /home/u/p/.env                                     hidden by the project itself [test.toml:40]
    hide  /home/u/p/vendor/key                               hidden [test.toml:40]
    seal  /mnt/v/key                                         nothing is to be written there
    seal  /home/u/p/vendor/key                               nothing is to be written there
    seal  /dev                                               nothing is to be written there
    seal  /                                                  nothing is to be written there
    ");
}

#[test]
fn a_hidden_project_is_refused() {
    let case = Case::debian().with(|case| case.settings.hide = list(40, &["~"]));
    insta::assert_snapshot!(case.error(), @"
    test.toml:40: /home/u is hidden, and the project is /home/u/p
    hint: take the line out of the profile, or work in another project
    ");
}

#[test]
fn a_directory_that_is_hidden_and_bound_stays_hidden() {
    let case =
        with_bind("/home/u/notes", true).with(|case| case.settings.hide = list(1, &["~/notes"]));
    let mounts = case.mounts();
    assert!(
        mounts.find("hide  /home/u/notes ").unwrap() > mounts.find("rw    /home/u/notes ").unwrap()
    );
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
        });
    let mounts = case.mounts();
    assert!(mounts.contains("ro    /run/systemd/resolve/stub-resolv.conf "), "{mounts}");
    assert!(
        !mounts.contains("/srv/mine") && !mounts.contains("ro    /etc/resolv.conf "),
        "{mounts}"
    );
}

#[test]
fn the_environment_is_what_was_named() {
    let case = Case::debian().with(|case| {
        for (name, value) in
            [("LC_ALL", "C"), ("AWS_KEY", "s3cret"), ("TMUX", "/tmp/x"), ("FOO", "f")]
        {
            case.host.environment.insert(name.into(), value.into());
        }
        case.settings.pass = list(20, &["*"]);
        case.settings.deny_env = list(21, &["AWS_*"]);
        case.settings.set = [("CONF".into(), at(22, "~/.agent".into()))].into();
        case.invocation.env = vec!["FOO".into(), "TOKEN=a=b".into(), "AWS_KEY=given".into()];
    });
    let policy = case.policy().unwrap();
    let shown: Vec<String> = policy
        .environment
        .iter()
        .map(|variable| {
            format!("{}={} {:?}", variable.name.display(), variable.value.display(), variable.from)
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @"
    AWS_KEY=given Caller
    CONF=/home/u/.agent Profile
    FOO=f Caller
    HOME=/home/u Sandbox
    LC_ALL=C Caller
    LOGNAME=u Sandbox
    PATH=/usr/bin Sandbox
    SHELL=/bin/sh Sandbox
    TERM=t Caller
    TOKEN=a=b Caller
    USER=u Sandbox
    ");
    let text = explain::text(&policy) + &explain::json(&policy).to_string();
    let plan = compile::plan(&policy, &case.host).unwrap();
    for secret in ["a=b", "given"] {
        assert!(!text.contains(secret) && !explain::bwrap(&plan).contains(secret));
        assert!(!format!("{:?}", plan.args).contains(secret));
    }
    assert!(
        policy.environment.iter().any(|v| v.from == Comes::Profile && v.value == "/home/u/.agent")
    );
}

#[test]
fn the_environment_cannot_be_wrong() {
    let error = |typed: &str| {
        Case::debian()
            .with(|case| {
                case.settings.deny_env = list(21, &["TERM"]);
                case.invocation.env = vec![typed.into()];
            })
            .error()
    };
    insta::assert_snapshot!(["NOT_SET", "=x", "TERM", "HOME=/x"].map(error).join("\n"), @"
    --env: NOT_SET is not set in your environment
    hint: export it first, or give a value: --env NOT_SET=VALUE
    --env: the name is missing
    hint: write --env NAME to pass a variable, --env NAME=VALUE to set one
    --env: TERM is denied by test.toml:21
    hint: take it out of `environment.deny`, or give a value: --env NAME=VALUE
    --env: HOME cannot be set
    hint: the home inside is claudebox's own, at the path of yours
    ");
}

#[test]
fn sockets_are_there_one_by_one() {
    let machine = || {
        Case::debian()
            .disk(|disk| {
                disk.socket("/run/user/1000/keyring/ssh")
                    .socket("/run/user/1000/wayland-1")
                    .socket("/run/docker.sock")
                    .dir("/run/user/1000/claudebox")
            })
            .with(|case| {
                for (name, value) in [
                    ("XDG_RUNTIME_DIR", "/run/user/1000"),
                    ("WAYLAND_DISPLAY", "wayland-1"),
                    ("SSH_AUTH_SOCK", "/run/user/1000/keyring/ssh"),
                ] {
                    case.host.environment.insert(name.into(), value.into());
                }
            })
    };
    let sockets = |names: &[&'static str]| {
        let names = names.to_vec();
        machine().with(move |case| {
            case.settings.sockets = names.into_iter().map(|name| (name, at(50, true))).collect();
        })
    };
    let case = sockets(&["ssh-agent", "wayland", "docker", "x11"]);
    let mounts = case.mounts();
    for line in [
        "ro    /run/user/1000/keyring/ssh ",
        "ro    /run/user/1000/wayland-1 ",
        "ro    /run/docker.sock ",
        "dir   /run/user/1000 ",
    ] {
        assert!(mounts.contains(line), "{mounts}");
    }
    let policy = case.policy().unwrap();
    assert_eq!(
        policy.left_out,
        [
            "files.system, not on this machine: /lib64 /etc/static /nix/store /run/current-system",
            "sockets.x11: there is none on this machine"
        ]
    );
    for name in ["ssh-agent", "wayland", "docker"] {
        assert!(policy.weakened.iter().any(|phrase| phrase.starts_with(name)), "{name}");
    }
    let variable = |policy: &Policy, name: &str| policy.environment.iter().any(|v| v.name == name);
    assert!(variable(&policy, "SSH_AUTH_SOCK") && variable(&policy, "XDG_RUNTIME_DIR"));
    assert!(!variable(&machine().policy().unwrap(), "SSH_AUTH_SOCK"));

    let mounts = sockets(&["xdg-runtime", "ssh-agent"]).mounts();
    let order = [
        "rw    /run/user/1000 ",
        "ro    /run/user/1000/keyring/ssh ",
        "hide  /run/user/1000/claudebox ",
    ];
    let found = order.map(|line| mounts.find(line).unwrap_or_else(|| panic!("{mounts}")));
    assert!(found.is_sorted());

    let refused = sockets(&["ssh-agent", "docker"]).with(|case| {
        case.invocation.allow_ssh_agent = Some(false);
    });
    let mounts = refused.mounts();
    assert!(!mounts.contains("keyring/ssh") && mounts.contains("docker.sock"), "{mounts}");

    let typed = Case::debian().with(|case| case.invocation.allow_ssh_agent = Some(true));
    insta::assert_snapshot!(typed.error(), @"
    --allow-ssh-agent: there is no ssh-agent here
    hint: start the ssh-agent first, and see that its variable is set
    ");
}

#[test]
fn the_command_line_turns_the_exec_log_on_and_off() {
    let settled = |said: ExecLog, typed: Option<bool>| {
        let case = Case::debian().with(|case| {
            case.settings.exec_log = Some(at(7, said));
            case.invocation.exec_log = typed;
        });
        let Settled { value, origin } = case.policy().unwrap().exec_log;
        (value, origin.source)
    };
    assert_eq!(settled(ExecLog::Off, None).0, ExecLog::Off);
    let (on, off) = ("--exec-log".to_owned(), "--no-exec-log".to_owned());
    assert_eq!(settled(ExecLog::Off, Some(true)), (ExecLog::Required, on));
    assert_eq!(settled(ExecLog::Required, Some(false)), (ExecLog::Off, off));
}

#[test]
fn an_agent_of_the_home_is_made_visible() {
    let case = Case::debian()
        .disk(|disk| {
            disk.program("/home/u/.local/share/agent/1.0/agent", "\x7fELF")
                .link("/home/u/.local/bin/agent", "../share/agent/1.0/agent")
        })
        .with(|case| {
            case.host.environment.insert("PATH".into(), "/home/u/.local/bin:/usr/bin:.".into());
            case.settings.command = Some(at(1, vec!["agent".into(), "--yolo".into()]));
            case.invocation.argv = vec!["-p".into()];
        });
    let policy = case.policy().unwrap();
    assert_eq!(policy.program, Path::new("/home/u/.local/bin/agent"));
    assert_eq!(policy.argv, ["agent", "--yolo", "-p"]);
    let path = policy.environment.iter().find(|v| v.name == "PATH").unwrap();
    assert_eq!(path.value, "/home/u/.local/bin:/usr/bin");
    let hidden = case.with(|case| case.settings.hide = list(9, &["~/.local/share/agent"]));
    let project = crate::sandbox::project::find(None, &hidden.host, &hidden.disk).unwrap();
    let error = resolve(&hidden.settings, &hidden.invocation, &hidden.host, &project, &hidden.disk)
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    insta::assert_snapshot!(error, @"/home/u/.local/bin/agent is on this machine, but is not visible inside the sandbox");
}

#[test]
fn what_the_machine_cannot_enforce_is_an_error() {
    let error = |change: fn(&mut Case)| Case::debian().with(change).error();
    let errors = [
        error(|case| {
            case.settings.landlock = Some(at(1, Demand::Required));
            case.host.landlock_abi = 0;
        }),
        error(|case| {
            case.settings.landlock = Some(at(1, Demand::Required));
            case.settings.nested_userns = Some(at(2, true));
        }),
        error(|case| case.settings.command = None),
    ];
    insta::assert_snapshot!(errors.join("\n\n"), @r#"
    test.toml:1: landlock is required, and this kernel (6.18) has none
    hint: boot a kernel with Landlock (5.13 or newer, `landlock` in its `lsm=` list)
    hint: or use a profile with `landlock = "best-effort"`

    test.toml:2: nested-userns cannot be had with `landlock = "required"` (test.toml:1): Landlock forbids the mounts that a nested sandbox makes
    hint: give up one of them

    the profile `test` names no agent, and no command was given
    hint: give the command after `--`: claudebox run -- COMMAND
    hint: or name an agent: claudebox run claude (`claudebox profile list` lists them)
    "#);
    let plan = |change: fn(&mut Case)| {
        let case = Case::debian().with(change);
        compile::plan(&case.policy().unwrap(), &case.host).map(|_| ()).unwrap_err().to_string()
    };
    let errors = [
        plan(|case| case.host.bwrap = None),
        plan(|case| case.host.bwrap.as_mut().unwrap().setuid = true),
        plan(|case| case.host.bwrap.as_mut().unwrap().path = "/home/u/p/bin/bwrap".into()),
        plan(|case| {
            case.host.bwrap.as_mut().unwrap().options.remove("--as-pid-1");
        }),
    ];
    insta::assert_snapshot!(errors.join("\n"), @"
    cannot find bwrap, which builds the sandbox
    /usr/bin/bwrap is setuid root, and is not started: it can be traced by what it starts (CVE-2026-41163)
    /home/u/p/bin/bwrap is inside the project, and is not started outside of the sandbox
    /usr/bin/bwrap is too old: it has no --as-pid-1
    ");
}

#[test]
fn nesting_takes_landlock_away_and_says_so() {
    let case = Case::debian().with(|case| case.settings.nested_userns = Some(at(2, true)));
    let policy = case.policy().unwrap();
    assert!(!policy.landlock.files);
    assert!(policy.weakened.iter().any(|phrase| phrase.contains("nested-userns")));
    assert!(!case.bwrap().contains("--disable-userns"));
    let root = case
        .disk(|disk| disk.owned("/home/u/p", 0).owned("/home/u/p/.git", 0))
        .with(|case| case.host.uid = 0);
    assert!(root.error().contains("nested-userns is not given to root"));
}

#[test]
fn explain_names_the_place_of_every_decision() {
    let case = Case::debian().with(|case| {
        case.invocation.network = Some(NetworkMode::None);
        case.settings.git = Some(at(4, Git::Shared));
    });
    let text = explain::text(&case.policy().unwrap());
    let header = text.split("\n\n").next().unwrap();
    insta::assert_snapshot!(header, @"
    profile        test
    project        /home/u/p
    starts in      /home/u/p/sub
    command        sh
    program        /usr/bin/sh
    shell          /bin/sh
    network        none                                     [--network]
    git            shared                                   [test.toml:4]
    exec-log       required                                 [default]
    landlock       best-effort                              [default]
    nested-userns  false                                    [default]
    ");
}

#[test]
fn any_bytes_in_the_project_path_survive() {
    use std::os::unix::ffi::OsStringExt as _;
    let name = OsString::from_vec(b"a b\n'\"\xff$(x)".to_vec());
    let root = Path::new("/home/u").join(name);
    let case = Case::debian().disk(|disk| disk.file(root.join(".git/HEAD"), "")).with(|case| {
        case.host.cwd.clone_from(&root);
    });
    let policy = case.policy().unwrap();
    let plan = compile::plan(&policy, &case.host).unwrap();
    assert_eq!(plan.inner.cwd, Bytes::from(&*root));
    assert!(plan.args.contains(&crate::sandbox::plan::Arg::Literal(Bytes::from(&*root))));
    let shown = explain::bwrap(&plan);
    assert!(shown.contains(r#"$'/home/u/a b\x0a\'"\xff$(x)'"#), "{shown}");
    let invisible = |ch: char| ch != '\n' && crate::visible::is_invisible(ch);
    assert!(!shown.contains(invisible) && !explain::text(&policy).contains(invisible));
}
