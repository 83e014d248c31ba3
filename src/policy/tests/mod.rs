//! The policy as a whole, on machines that are fixtures.

mod argv;
mod binds;
mod environment;
mod hide;
mod layouts;
mod network;
mod nix;
mod private_git;
mod state;

use std::path::Path;

use super::environment::From as Comes;
use super::fixture::*;
use super::invocation::BindArgument;
use super::*;
use crate::error::Kind;
use crate::plan::limits::{Group, Maker};
use crate::profile::origin::LayerKind;
use crate::sandbox::compile;

#[test]
fn a_plain_session() {
    insta::assert_snapshot!(Case::debian().mounts(), @"
    dev   /dev                                               null, zero, random, tty and a devpts of its own
    proc  /proc                                              the processes inside, no others
    tmpfs /tmp (2 GiB)                                       scratch space, gone at the end [default]
    ro    /usr                                               the system [test.toml:10]
    link  /bin -> usr/bin                                    the system [test.toml:10]
    link  /lib -> usr/lib                                    the system [test.toml:10]
    tmpfs /dev/shm (512 MiB)                                 shared memory [default]
    tmpfs /var/tmp (2 GiB)                                   scratch space, gone at the end [default]
    ro    /run/claudebox = /opt/claudebox                    the inner stage
    copy  /etc/passwd                                        the system [test.toml:10]
    file  /etc/resolv.conf                                   how hosts are found inside [default]
    rw    /home/u = PRIVATE a home of its own for this profile in this project
    file  /etc/nsswitch.conf                                 how hosts are found inside [default]
    file  /etc/hosts                                         how hosts are found inside [default]
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
    let project = project::find(None, &hidden.host, &hidden.disk).unwrap();
    let error = resolve(&hidden.settings, &hidden.invocation, &hidden.host, &project, &hidden.disk)
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    insta::assert_snapshot!(error, @"/home/u/.local/bin/agent is on this machine, but is not visible inside the sandbox");
}

#[test]
fn the_users_shell_can_be_the_agent() {
    let argv = |shell: &str, command: &[&str], typed: &[&str]| {
        let case =
            Case::debian().disk(|disk| disk.program("/usr/bin/zsh", "\x7fELF")).with(|case| {
                case.host.environment.insert("SHELL".into(), shell.into());
                let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
                case.settings.command = (!command.is_empty()).then(|| at(1, words(command)));
                case.invocation.argv = typed.iter().map(Into::into).collect();
            });
        let policy = case.policy().unwrap();
        (policy.argv, policy.shell)
    };
    let (agent, new_pane) = argv("/usr/bin/zsh", &["$SHELL", "-l"], &["x"]);
    assert_eq!(
        (agent, new_pane),
        (argv_of(&["/usr/bin/zsh", "-l", "x"]), argv_of(&["/usr/bin/zsh"]))
    );
    let hidden = argv("/home/u/.nix-profile/bin/zsh", &["$SHELL"], &[]);
    assert_eq!(hidden.0, argv_of(&["/bin/sh"]));
}

fn argv_of(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
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
            case.host.landlock_abi = 5;
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

    test.toml:1: landlock is required, and this kernel (6.18) has only a part of it (ABI 5 of 6)
    hint: boot Linux 6.12 or newer
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
        plan(|case| case.host.executable = "/home/u/p/target/debug/claudebox".into()),
    ];
    insta::assert_snapshot!(errors.join("\n"), @"
    cannot find bwrap, which builds the sandbox
    /usr/bin/bwrap is setuid root, and is not started: it can be traced by what it starts (CVE-2026-41163)
    /home/u/p/bin/bwrap could be written inside, and is not started outside of the sandbox
    /usr/bin/bwrap is too old: it has no --as-pid-1
    this claudebox could be written inside: /home/u/p/target/debug/claudebox
    ");
}

#[test]
fn landlock_names_what_is_there_and_says_what_it_cannot_rule() {
    let policy = Case::debian().policy().unwrap();
    let shown = |paths: &[Bytes]| {
        paths.iter().map(|path| path.as_path().display().to_string()).collect::<Vec<_>>().join(" ")
    };
    insta::assert_snapshot!(
        shown(&policy.landlock.read),
        @"/etc/hosts /etc/nsswitch.conf /etc/passwd /etc/resolv.conf /run/claudebox /usr"
    );
    // What may be written may be read; what is below is covered.
    insta::assert_snapshot!(shown(&policy.landlock.write), @"/dev /home/u /proc /tmp /var/tmp");
    let old = Case::debian().with(|case| case.host.landlock_abi = 4).policy().unwrap();
    let phrase = old.weakened.iter().find(|phrase| phrase.starts_with("landlock")).unwrap();
    insta::assert_snapshot!(
        phrase,
        @"landlock: ABI 4 of this kernel does not rule ioctls of devices, signals and abstract sockets"
    );
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
    nix            store                                    [default]
    exec-log       required                                 [default]
    host-files     ask                                      [default]
    landlock       best-effort                              [default]
    nested-userns  false                                    [default]
    limits         best-effort                              [default]
    ");
}

/// bwrap only has to say who its child is where systemd is to be told.
#[test]
fn what_a_scope_needs_of_bwrap_is_asked_for_with_a_scope_only() {
    let plan = |maker: Maker| {
        let case = Case::debian();
        let mut policy = case.policy().unwrap();
        policy.limits.held.group = Some(Group { maker, memory: None, processes: None, cpu: None });
        compile::plan(&policy, &case.host).map(|_| ()).map_err(|error| error.to_string())
    };
    let scope = Maker::Systemd { program: "/usr/bin/busctl".into(), runtime: None };
    let error = plan(scope).unwrap_err();
    assert_eq!(error, "/usr/bin/bwrap is too old: it has no --json-status-fd");
    plan(Maker::V2("/sys/fs/cgroup/x".into())).unwrap();
}
