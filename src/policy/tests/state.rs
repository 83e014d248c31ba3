//! The agent's state, and git's.

use super::*;

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

/// An agent of an earlier session made `~/.config` of its private home a link to the real one.
#[test]
fn a_copy_is_not_read_through_a_planted_directory() {
    let host = r#"{"login": 1, "token": "SECRET"}"#;
    let case =
        Case::debian().disk(|disk| disk.file("/home/u/.config/agent.json", host)).with(|case| {
            case.settings.state_copy =
                [("~/.config/agent.json".to_owned(), list(5, &["login"]))].into();
        });
    let own = format!("{}/.config", case.private_home());
    let planted = case.disk(|disk| disk.link(&own, "/home/u/.config"));
    let prepared = format!("{:?}", planted.policy().unwrap().prepare);
    assert!(prepared.contains("login") && !prepared.contains("SECRET"), "{prepared}");
}

#[test]
fn a_link_in_the_state_shows_only_what_has_its_name() {
    let case = with_state().disk(|disk| {
        disk.without("/home/u/.agent/hooks").link("/home/u/.agent/hooks", "/home/u/.ssh")
    });
    assert!(!case.mounts().contains("/home/u/.ssh"), "{}", case.mounts());
    let left_out = case.policy().unwrap().left_out;
    let phrase = "/home/u/.ssh (/home/u/.agent/hooks leads there, by another name)";
    assert!(left_out.iter().any(|found| found == phrase), "{left_out:?}");
}

/// A profile of which nothing is shared but the conversations of the project.
fn with_own_state() -> Case {
    Case::debian()
        .disk(|disk| {
            disk.file("/home/u/dotfiles/settings.json", "{}")
                .link("/home/u/.agent/settings.json", "../dotfiles/settings.json")
                .file("/home/u/.agent/login.json", "{}")
                .link("/home/u/.agent/gone.json", "nowhere")
        })
        .with(|case| {
            case.settings.state =
                list(30, &["~/.agent/talks/${PROJECT-SLUG}", "~/.agent/talks/${START-SLUG}"]);
            case.settings.state_own = list(31, &["~/.agent/talks/${START-SLUG}/notes"]);
            case.settings.state_readonly =
                list(32, &["~/.agent/settings.json", "~/.agent/hooks/", "~/.agent/gone.json"]);
            case.settings.state_private = list(33, &["~/.agent/sockets"]);
            case.settings.state_emptied =
                [("~/.agent".to_owned(), at(34, vec!["history".to_owned()]))].into();
            case.settings.state_sync = [
                ("~/.agent/login.json".to_owned(), list(35, &["token"])),
                ("~/.agent/gone.json".to_owned(), list(36, &["token"])),
            ]
            .into();
            case.settings.state_return =
                [("~/.agent.json".to_owned(), list(37, &["account"]))].into();
        })
}

#[test]
fn what_is_not_shared_is_the_projects_own() {
    let case = with_own_state();
    let mounts = case.mounts();
    let agent = mounts.split_inclusive('\n').filter(|line| line.contains("/.agent"));
    insta::assert_snapshot!(agent.collect::<String>(), @"
    rw    /home/u/.agent = PRIVATE/.agent holds a mount point, so it cannot be moved
    ro    /home/u/.agent/settings.json = /home/u/dotfiles/settings.json what the agent of the host obeys [test.toml:32]
    tmpfs /home/u/.agent/sockets (64 MiB)                    fresh in every session [test.toml:33]
    rw    /home/u/.agent/talks = PRIVATE/.agent/talks holds a mount point, so it cannot be moved
    rw    /home/u/.agent/talks/-home-u-p                     the agent's state, shared with the host [test.toml:30]
    rw    /home/u/.agent/talks/-home-u-p-sub                 the agent's state, shared with the host [test.toml:30]
    rw    /home/u/.agent/talks/-home-u-p-sub/notes = PRIVATE/.agent/talks/-home-u-p-sub/notes the agent's state, of this project alone [test.toml:31]
    ");
    let policy = case.policy().unwrap();
    let text = explain::text(&policy).replace(&case.private_home(), "PRIVATE");
    let lines = text.lines().filter(|line| {
        ["emptied", "if missing", "both ways", "to the host", "gone.json"]
            .iter()
            .any(|word| line.contains(word))
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    emptied    PRIVATE/.agent, but for history, settings.json, sockets
    if missing /home/u/.agent/talks/-home-u-p
    if missing /home/u/.agent/talks/-home-u-p-sub
    if missing /home/u/.agent/talks/-home-u-p-sub/notes
    /home/u/.agent.json (to the host, where it has none: account)
    /home/u/.agent/login.json (both ways: token)
    /home/u/.agent/gone.json (test.toml:36): it is a link that leads nowhere
    ");
}

#[test]
fn a_whole_shared_directory_can_be_made_the_projects_own() {
    let case = with_own_state()
        .with(|case| case.settings.state_own.extend(list(40, &["~/.agent/talks/${PROJECT-SLUG}"])));
    let mounts = case.mounts();
    let talks = mounts.lines().find(|line| line.contains("/talks/-home-u-p ")).unwrap();
    assert!(talks.contains("= PRIVATE/.agent/talks/-home-u-p"), "{talks}");
}

#[test]
fn settings_that_lead_into_the_project_are_shown_as_weakened() {
    let case = with_own_state().disk(|disk| {
        disk.file("/home/u/p/settings.json", "{}")
            .link("/home/u/.agent/settings.json", "/home/u/p/settings.json")
    });
    let weakened = case.policy().unwrap().weakened.join("\n");
    assert!(weakened.contains("/home/u/.agent/settings.json leads into the project"), "{weakened}");
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
