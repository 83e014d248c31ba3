//! Laws of what a stranger's profile can do, tried with many of them.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::amounts::Limit;
use super::fixture::Fixture;
use super::origin::Settled;
use super::settings::Settings;
use crate::cases::cases;
use crate::profile::ProfileChoice;
use crate::visible::visible;

const OWN: &str = "project/.claudebox.toml";

/// What a project's profile may try, by table.
const TOP: [&str; 16] = [
    "extends = [\"claude\"]",
    "extends = [\"./more.toml\"]",
    "description = \"x\"",
    "exec-log = \"off\"",
    "landlock = \"off\"",
    "nested-userns = true",
    "git = \"shared\"",
    "git = \"none\"",
    "host-files = \"report\"",
    "tools = [\"/\"]",
    "tools = []",
    "state = [\"~/.ssh\"]",
    "state-readonly = [\"~/.x\"]",
    "state-private = [\"~/.x\"]",
    "state-copy = { \"~/.x.json\" = [\"a\"] }",
    "assert = { must-not-read = [\"~/.ssh\"] }",
];
const FILES: [&str; 9] = [
    "system = [\"/root\"]",
    "read-only = [\"/etc\"]",
    "read-write = [\"/\"]",
    "hide = [\".env\"]",
    "hide = [\"./a/b\", \"c\"]",
    "hide = [\"/usr\"]",
    "hide = [\"~/x\"]",
    "hide = [\"\\u002fusr\"]",
    "hide = [\"\\\"/usr\", \"a$HOME\"]",
];
const ENVIRONMENT: [&str; 6] = [
    "pass = [\"*\"]",
    "pass = [\"AWS_SECRET\"]",
    "set = { PATH = \"/tmp\" }",
    "deny = [\"TERM\"]",
    "deny = [\"A*\", \"L*\"]",
    "deny = [\"*\"]",
];
const LIMITS: [&str; 12] = [
    "tmp-size = \"1MiB\"",
    "tmp-size = \"9000GiB\"",
    "run-size = \"1\"",
    "run-size = \"9000GiB\"",
    "enforce = \"off\"",
    "processes = 20",
    "processes = 100000000",
    "processes = \"unlimited\"",
    "open-files = 100",
    "open-files = \"unlimited\"",
    "file-size = \"1MiB\"",
    "file-size = \"unlimited\"",
];
const OTHER: [&str; 12] = [
    "[network]\nmode = \"host\"",
    "[network]\nmode = \"none\"",
    "[network]\nallow = [\"evil.example\"]",
    "[network]\nhost-ports = [22]",
    "[network]\ndeny = [\"@npm\", \"evil.example\"]",
    "[network]\ndeny = [\"*\"]",
    "[sockets]\ndocker = true",
    "[sockets]\nssh-agent = false",
    "[agent]\ncommand = [\"sh\"]",
    "[agent]\nshell = [\"./x\"]",
    "[agent]\ntool-marker = \"X\"",
    "[agent]\nhelpers = [\"git\"]",
];

/// A few lines, of which TOML allows each key once.
fn some(lines: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    let few = 0..=lines.len().min(3);
    subsequence(lines, few).prop_map(|lines| {
        let key = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let mut seen = Vec::new();
        lines
            .into_iter()
            .filter(|line| {
                !seen.contains(&key(line)) && {
                    seen.push(key(line));
                    true
                }
            })
            .collect()
    })
}

/// A whole profile. Mostly of what a stranger may say, or it would nearly always be refused.
fn profile() -> impl Strategy<Value = String> {
    let top = prop_oneof![4 => Just(vec![]), 1 => some(&TOP)];
    let other = prop_oneof![4 => Just(""), 1 => select(&OTHER[..])];
    (top, some(&FILES), some(&ENVIRONMENT), some(&LIMITS), other).prop_map(
        |(top, files, environment, limits, other)| {
            format!(
                "{}\n[files]\n{}\n[environment]\n{}\n[limits]\n{}\n{other}\n",
                top.join("\n"),
                files.join("\n"),
                environment.join("\n"),
                limits.join("\n"),
            )
        },
    )
}

fn settle(fixture: &Fixture) -> crate::error::Result<Settings> {
    fixture.settle(&ProfileChoice::ForCommand, &["true"])
}

fn values(list: &[Settled<String>]) -> Vec<&str> {
    list.iter().map(|settled| settled.value.as_str()).collect()
}

fn is_lower(after: Option<&Settled<Limit<u64>>>, before: Option<&Settled<Limit<u64>>>) -> bool {
    match (after.map(|it| it.value), before.map(|it| it.value)) {
        (Some(Limit::AtMost(after)), Some(Limit::AtMost(before))) => after <= before,
        (None | Some(Limit::Unlimited), Some(Limit::AtMost(_))) => false,
        (_, None | Some(Limit::Unlimited)) => true,
    }
}

/// Whether what holds with a stranger's profile is at most what held without it.
fn check_less(after: &Settings, before: &Settings) -> Result<(), TestCaseError> {
    prop_assert!(values(&before.hide).iter().all(|path| values(&after.hide).contains(path)));
    for new in values(&after.hide).iter().filter(|path| !values(&before.hide).contains(path)) {
        prop_assert!(new.starts_with("${PROJECT}/") && !new.contains(".."), "{}", new);
    }
    let denied = values(&after.deny_env);
    prop_assert!(values(&before.deny_env).iter().all(|name| denied.contains(name)));
    prop_assert!(values(&after.pass).iter().all(|name| values(&before.pass).contains(name)));
    prop_assert!(after.set.iter().all(|(name, value)| before.set.get(name) == Some(value)));
    for (after, before) in
        [(&after.tmp_size, &before.tmp_size), (&after.run_size, &before.run_size)]
    {
        let size = |size: &Option<Settled<u64>>| size.as_ref().map(|size| size.value);
        prop_assert!(size(after) <= size(before));
    }
    let denied = values(&after.network.deny);
    prop_assert!(values(&before.network.deny).iter().all(|rule| denied.contains(rule)));
    let (a, b) = (&after.limits, &before.limits);
    prop_assert!(is_lower(a.processes.as_ref(), b.processes.as_ref()));
    prop_assert!(is_lower(a.open_files.as_ref(), b.open_files.as_ref()));
    prop_assert!(is_lower(a.file_size.as_ref(), b.file_size.as_ref()));
    // All else, new keys too, is as it was.
    let rest = Settings {
        hide: before.hide.clone(),
        deny_env: before.deny_env.clone(),
        pass: before.pass.clone(),
        set: before.set.clone(),
        tmp_size: before.tmp_size.clone(),
        run_size: before.run_size.clone(),
        must_not_read: before.must_not_read.clone(),
        must_write: before.must_write.clone(),
        must_not_reach: before.must_not_reach.clone(),
        network: super::settings::NetworkSettings {
            deny: before.network.deny.clone(),
            ..after.network.clone()
        },
        limits: super::settings::LimitSettings {
            enforce: after.limits.enforce.clone(),
            memory: after.limits.memory.clone(),
            cpu: after.limits.cpu.clone(),
            ..before.limits.clone()
        },
        ..after.clone()
    };
    prop_assert_eq!(&rest, before);
    Ok(())
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn an_untrusted_profile_never_grants(own in profile(), more in profile()) {
        let fixture = Fixture::new();
        fixture.user("default", "[environment]\npass = [\"LANG\"]\nset.A = \"1\"\ndeny = [\"X\"]\n");
        let before = settle(&fixture).unwrap();
        fixture.write(OWN, &own).write("project/more.toml", &more);
        match settle(&fixture) {
            Ok(after) => check_less(&after, &before)?,
            Err(error) => {
                let text = format!("{error}{}", error.hints().concat());
                prop_assert!(text.lines().all(|line| line == visible(line)), "{}", text);
            }
        }
    }

    #[test]
    fn no_text_of_a_strangers_profile_is_more_than_an_error(text in "(?s)(git|\\[files\\]\n|hide|=|\"|\\.|[ -~]|.){0,40}") {
        let fixture = Fixture::new();
        let before = settle(&fixture).unwrap();
        fixture.write(OWN, &text);
        if let Ok(after) = settle(&fixture) {
            check_less(&after, &before)?;
        }
    }
}

/// The law above is no empty one: some of these profiles are accepted, and change something.
#[test]
fn what_a_stranger_may_say_is_heard() {
    let fixture = Fixture::new();
    let before = settle(&fixture).unwrap();
    fixture
        .write(OWN, "[files]\nhide = [\".env\"]\n[limits]\ntmp-size = \"1MiB\"\nprocesses = 20\n");
    let after = settle(&fixture).unwrap();
    assert_ne!(after, before);
    assert!(check_less(&after, &before).is_ok());
    assert!(check_less(&before, &after).is_err(), "and the law sees the difference");
}
