//! The environment and the host's sockets.

use super::*;

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
    hint: take it out of `environment.deny`, or give a value: --env TERM=VALUE
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
        "tmpfs /run/user/1000 ",
    ] {
        assert!(mounts.contains(line), "{mounts}");
    }
    let policy = case.policy().unwrap();
    assert_eq!(
        policy.left_out,
        [
            "files.system, not on this machine: /lib64 /etc/static /run/current-system",
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
