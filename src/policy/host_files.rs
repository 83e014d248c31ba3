//! The host-executable files of the project (see [`crate::host_files`]). What git does not track is
//! read-only inside. What git tracks stays writable, since git writes it, and is compared at the end.
//! What is not there is not made.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::around::Named;
use super::caller::Caller;
use super::draft::Draft;
use super::guard::Guard;
use super::mount::{Access, Mount, View};
use super::project::GitEntry;
use crate::bytes::Bytes;
use crate::error::Result;
use crate::git::private::programs::InTree;
use crate::host::reached::reached;
use crate::host_files::index::{self, Index};
use crate::host_files::known::Known;
use crate::host_files::links::{self, Paths};
use crate::host_files::path::{is_at_or_below, name as last_name, parent};
use crate::host_files::survey::{FirstLook, Item, Survey};
use crate::host_files::table::{self, BARE, NESTED};
use crate::log::text::count;
use crate::visible::visible;

/// Repositories in the project whose configuration is read.
const MOST_NESTED: usize = 4096;

/// What else counts, and who obeys it.
type Obeyed = BTreeMap<PathBuf, &'static str>;

/// Adds the mounts; answers with what is known. `obeyed`: what else counts, wherever a link has it from.
/// `named`: what the configurations of git of the project and around it do, `caller` being the user's own.
pub(super) fn mounts(
    draft: &mut Draft<'_>,
    obeyed: Obeyed,
    caller: &Caller,
    named: Named,
) -> Result<Known> {
    let own_git = draft.project.git == GitEntry::Directory || draft.git_dir.is_some();
    let Looked { mut survey, extra, links, left: left_links, programs } =
        look(draft, own_git, obeyed, caller, named);
    let targets = links::targets(&extra);
    let index = if own_git {
        let git = draft.git_dir.clone().unwrap_or_else(|| draft.project.root.join(".git"));
        index::of_repository(&git, &targets, draft.facts)
    } else {
        Some(Index::default())
    };
    if index.is_none() {
        draft.weakened.push(
            "host files: the index of git cannot be read, so all of them are writable inside"
                .to_owned(),
        );
    }
    for open in programs.open {
        if !draft.weakened.contains(&open) {
            draft.weakened.push(open);
        }
    }
    let mut guard = Guard::new(draft, index.as_ref());
    guard.submodules()?;
    for (path, item) in survey.units() {
        guard.unit(path, item, &survey)?;
    }
    // Last: many are in a repository that is read-only as a whole.
    for (path, key) in &programs.paths {
        guard.program(path, key)?;
    }
    let Guard { mut protected, left, whole, .. } = guard;
    protected.sort();
    leave_linked(draft, &survey, &mut protected);
    if left > 0 {
        draft.weakened.push(format!("host files: {left} more are writable inside: too many"));
    }
    if let Some(first) = whole.first() {
        draft.left_out.push(format!(
            "host files: {} read-only as a whole, {} the first: there are too many (to work in one, start \
             there, or --bind it)",
            count(whole.len() as u64, "repository"),
            visible(first)
        ));
    }
    if survey.unseen > 0 {
        draft.weakened.push(format!(
            "host files: {} not looked at: what is there is writable inside",
            count(survey.unseen, "directory")
        ));
    }
    if left_links > 0 {
        draft.weakened.push(format!(
            "host files: {} not followed: what they lead to is writable inside",
            count(left_links, "link")
        ));
        survey.unseen += left_links;
    }
    let mut known = Known {
        own_git,
        git_dir: draft.git_dir.as_deref().map(Bytes::from),
        targets,
        links: links::targets(&links),
        protected,
        gitlinks: index
            .map(|index| index.gitlinks)
            .unwrap_or_default()
            .into_iter()
            .map(Bytes)
            .collect(),
        unseen: survey.unseen,
        ..Known::default()
    };
    let counts = |path: &Bytes| known.protected.contains(path) || !known.protects(&path.0);
    known.items = survey.items.into_iter().filter(|(path, _)| counts(path)).collect();
    Ok(known)
}

/// A file with a second name is read-only by the one and can be written by the other, if an earlier
/// session left that in the project. It counts as what can change, and is compared at the end.
fn leave_linked(draft: &mut Draft<'_>, survey: &Survey, protected: &mut Vec<Bytes>) {
    let linked = survey.items.iter().filter(|(_, item)| item.linked).map(|(path, _)| path);
    let linked: Vec<&Bytes> = linked
        .filter(|path| protected.iter().any(|root| is_at_or_below(&path.0, &root.0)))
        .collect();
    let Some(first) = linked.first() else { return };
    draft.weakened.push(format!(
        "host files: {} of them (the first is {}) can be written by another name, a hard link",
        linked.len(),
        visible(first)
    ));
    protected.retain(|root| !linked.iter().any(|path| is_at_or_below(&path.0, &root.0)));
}

/// Takes back what is not protected by the mounts as they are in the end.
pub(super) fn confirm(draft: &Draft<'_>, known: &mut Known) {
    let view = View::of(&draft.steps, draft.facts);
    known.protected.retain(|path| {
        let destination = draft.project.root.join(path.as_path());
        let writable = view
            .covering(&destination)
            .is_some_and(|step| matches!(step.mount, Mount::Bind { access: Access::Write, .. }));
        !writable || view.host_path(&destination).as_deref() != Some(&*destination)
    });
}

/// What was looked for, and found.
struct Looked {
    survey: Survey,
    /// What counts although its name is not in the table.
    extra: Paths,
    /// What leads there.
    links: Paths,
    /// How many of these there was no room for, and of what they lead to.
    left: u64,
    /// What configurations of git name.
    programs: InTree,
}

/// Looks for them: also in the directories that a configuration of git takes hooks from, and where that
/// configuration is. A link cannot be protected, so what it leads to within the project is, and counts
/// where it is not there yet.
fn look(draft: &Draft<'_>, own_git: bool, obeyed: Obeyed, caller: &Caller, named: Named) -> Looked {
    let root = &draft.project.root;
    let ends = |paths: &Paths| links::ends(root, paths, &|path| draft.facts.read_link(path));
    let look = |extra: &Paths| draft.facts.host_files(root, &FirstLook { own_git, extra });
    let config = |(path, program)| {
        let like = if program == "git" { ".git/config" } else { ".claudebox.toml" };
        Some((Bytes::from(path), table::by_pattern(like)?))
    };
    let mut links = of_git(&named);
    links.extend(obeyed.into_iter().filter_map(config));
    // Behind a link `..` is not where the name says: where it is, is among the ends.
    let is_plain = |path: &Bytes| !path.0.split(|byte| *byte == b'/').any(|name| name == b"..");
    let mut extra: Paths = links.clone();
    extra.retain(|path, _| is_plain(path));
    let mut left = links::add(&mut extra, ends(&links)).left;
    let mut survey = look(&extra);
    let (nested, unasked) = of_nested(draft, &survey, caller);
    let mut more = of_git(&nested);
    let included = nested.included.iter().flat_map(|file| reached(file, root, draft.facts));
    more.extend(included.map(|path| (path, "git")).filter_map(config));
    more.retain(|path, _| is_plain(path));
    let added = links::add(&mut extra, more.clone());
    if added.new > 0 {
        links::add(&mut links, more);
        survey = look(&extra);
    }
    left += added.left;
    for _ in 0..links::ROUNDS {
        links::add(&mut links, links::ranked(&links::found(&survey)));
        let mut more = ends(&links);
        more.retain(|(path, _)| !survey.items.contains_key(path));
        let added = links::add(&mut extra, more);
        left += added.left;
        if added.new == 0 {
            break;
        }
        survey = look(&extra);
    }
    survey.unseen += unasked;
    // Each that has no room here was not followed.
    left += links::add(&mut links, links::ranked(&links::found(&survey))).left;
    let mut programs = named.programs;
    programs.paths.extend(nested.programs.paths);
    programs.open.extend(nested.programs.open);
    Looked { survey, extra, links, left: left as u64, programs }
}

/// What counts because a configuration of git names it, whether it is there or not.
fn of_git(named: &Named) -> Paths {
    let programs = named.programs.ways.iter().map(|path| (Bytes::from(&**path), &table::PROGRAM));
    let hook = |path: &PathBuf| Some((Bytes::from(&**path), table::by_pattern(".githooks/")?));
    programs.chain(named.hooks.iter().filter_map(hook)).collect()
}

/// What nested repositories name, and how many were not asked.
fn of_nested<'s>(draft: &Draft<'_>, survey: &'s Survey, caller: &Caller) -> (Named, u64) {
    let (mut named, mut asked, mut left) = (Named::default(), 0, 0);
    let repository = |(path, item): (&'s Bytes, &Item)| {
        let bare = *item.entry == BARE && last_name(&path.0) == b"HEAD";
        (bare || *item.entry == NESTED).then(|| (parent(&path.0), bare))
    };
    let packages = survey.packages.iter().map(|package| (package.0.as_slice(), false));
    for (dir, bare) in survey.units().filter_map(repository).chain(packages) {
        if asked == MOST_NESTED {
            left += 1;
            continue;
        }
        asked += 1;
        let dir = draft.project.root.join(OsStr::from_bytes(dir));
        if bare {
            named.add_bare(draft, &dir, caller);
        } else {
            named.add_nested(draft, &dir, caller);
        }
    }
    (named, left)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, at, bwrap};
    use super::super::guard::{MOST, MOST_REPOSITORIES, MOST_WHOLE};
    use super::super::mount::{Class, Step};
    use super::*;
    use crate::host::fake::FakeDisk;
    use crate::host_files::index::tests::index;
    use crate::host_files::known::Target;
    use crate::policy::invocation::BindArgument;
    use crate::profile::schema::Git;

    const FILE: u32 = 0o100_644;

    fn with(tracked: &[(&str, u32)], disk: impl FnOnce(FakeDisk) -> FakeDisk) -> Case {
        Case::debian().disk(|before| disk(before).bytes("/home/u/p/.git/index", index(tracked)))
    }

    /// What is mounted in the project for host-executable files, in order.
    fn mounts(case: &Case) -> Vec<String> {
        let policy = case.policy().unwrap();
        let line = |step: &Step| {
            let Mount::Bind { destination, access, .. } = &step.mount else { return None };
            let path = destination.strip_prefix("/home/u/p").ok()?.display();
            let word = if *access == Access::Read { "ro" } else { "rw" };
            (step.class == Class::HostFile).then(|| format!("{word} {path}"))
        };
        policy.mounts.iter().filter_map(line).collect()
    }

    fn protected(case: &Case) -> Vec<String> {
        let known = case.policy().unwrap().known;
        known.protected.iter().map(|path| path.as_path().display().to_string()).collect()
    }

    fn weakened(case: &Case) -> Vec<String> {
        let all = case.policy().unwrap().weakened;
        all.into_iter().filter(|phrase| phrase.starts_with("host files")).collect()
    }

    #[test]
    fn what_git_does_not_track_is_read_only_with_the_way_to_it_pinned() {
        let case = with(&[("b/.envrc", FILE)], |disk| {
            disk.file("/home/u/p/.envrc", "")
                .file("/home/u/p/a/b/.vscode/tasks.json", "")
                .file("/home/u/p/b/.envrc", "")
                .file("/home/u/p/nest/.git/HEAD", "")
        });
        let expected = ["rw a", "ro .envrc", "rw a/b", "ro nest/.git", "ro a/b/.vscode"];
        let mut mounts = mounts(&case);
        mounts.sort();
        let mut expected: Vec<String> = expected.map(str::to_owned).into();
        expected.push("rw nest".to_owned());
        expected.sort();
        assert_eq!(mounts, expected);
        let git = [".git/config", ".git/hooks"];
        assert_eq!(
            protected(&case),
            [&[".envrc"][..], &git, &["a/b/.vscode", "nest/.git"]].concat()
        );
        let known = case.policy().unwrap().known;
        assert!(known.items.contains_key(&Bytes::from("b/.envrc")));
        assert!(!known.items.contains_key(&Bytes::from("nest/.git/HEAD")), "it cannot change");
        assert_eq!(weakened(&case), [""; 0]);
    }

    #[test]
    fn in_a_tracked_directory_the_rest_is_read_only() {
        let tracked = [(".claude/settings.json", FILE), (".husky/pre-commit", FILE)];
        let case = with(&tracked, |disk| {
            disk.file("/home/u/p/.claude/settings.json", "")
                .file("/home/u/p/.claude/settings.local.json", "")
                .file("/home/u/p/.husky/pre-commit", "")
                .file("/home/u/p/.husky/_/run", "")
                .file("/home/u/p/.husky/_/deep/run", "")
        });
        let expected = ["rw .claude", "rw .husky", "ro .claude/settings.local.json", "ro .husky/_"];
        assert_eq!(mounts(&case), expected);
    }

    #[test]
    fn what_has_a_second_name_is_mounted_and_still_compared() {
        let case = with(&[], |disk| {
            disk.file("/home/u/p/.vscode/tasks.linked", "").file("/home/u/p/.envrc", "")
        });
        assert_eq!(mounts(&case), ["ro .envrc", "ro .vscode"]);
        assert_eq!(protected(&case), [".envrc", ".git/config", ".git/hooks"]);
        let known = case.policy().unwrap().known;
        assert!(known.items.contains_key(&Bytes::from(".vscode/tasks.linked")));
        assert!(weakened(&case)[0].contains("the first is .vscode/tasks.linked"));
    }

    #[test]
    fn an_index_that_cannot_be_read_leaves_everything_to_git_and_says_so() {
        let case = Case::debian().disk(|disk| {
            disk.file("/home/u/p/.git/index", "DIRC?")
                .file("/home/u/p/.envrc", "")
                .file("/home/u/p/n/.git/config", "")
        });
        assert_eq!(mounts(&case), ["rw n", "ro n/.git"], "git never tracks a nested .git");
        assert!(weakened(&case)[0].contains("index of git cannot be read"));
    }

    #[test]
    fn a_submodule_that_is_not_there_yet_cannot_be_made() {
        let links = [("here", 0o160_000), ("lib/sub", 0o160_000), ("missing", 0o160_000)];
        let case = with(&links, |disk| {
            disk.dir("/home/u/p/lib/sub")
                .file("/home/u/p/here/.git", "gitdir: ../.git/modules/here")
        });
        assert_eq!(mounts(&case), ["rw lib", "rw here", "ro lib/sub", "ro here/.git"]);
        assert_eq!(case.policy().unwrap().known.gitlinks.len(), 3);
    }

    #[test]
    fn a_link_is_not_protected_but_what_it_leads_to_is() {
        let case = with(&[], |disk| {
            disk.file("/home/u/p/conf/tasks.json", "")
                .link("/home/u/p/.vscode", "conf")
                .link("/home/u/p/.idea", "/etc")
                .link("/home/u/p/.zed", ".")
        });
        assert_eq!(mounts(&case), ["ro conf"]);
        let tracked = [("conf/tasks.json", FILE)];
        let case_of_git = with(&tracked, |disk| {
            disk.file("/home/u/p/conf/tasks.json", "").link("/home/u/p/.vscode", "conf")
        });
        assert_eq!(mounts(&case_of_git), [""; 0]);
        assert_eq!(weakened(&case).len(), 3);
        let known = case.policy().unwrap().known;
        assert_eq!(known.targets[0].entry.pattern, ".vscode/");
    }

    #[test]
    fn hooks_count_wherever_the_users_configuration_has_them() {
        let hooks = |config: &'static str, file: &'static str| {
            let case =
                with(&[], |disk| disk.file(file, config).file("/home/u/p/scripts/hooks/x", ""));
            (mounts(&case), case.policy().unwrap().known.targets.len())
        };
        let relative = "[core]\n\thooksPath = \"./scripts/hooks\"\n";
        let expected = (vec!["rw scripts".to_owned(), "ro scripts/hooks".to_owned()], 1);
        assert_eq!(hooks(relative, "/home/u/p/.git/config"), expected);
        assert_eq!(hooks(relative, "/home/u/.gitconfig"), expected);
        let absolute = "[core]\nhookspath=/home/u/p/scripts/hooks\n";
        assert_eq!(hooks(absolute, "/home/u/p/.git/config"), expected);
        for other in ["~/hooks", "/etc/hooks", ".", "../x", ".git/hooks", "scripts/../.."] {
            let text = format!("[core]\nhooksPath = {other}\n").leak();
            assert_eq!(hooks(text, "/home/u/p/.git/config").0, [""; 0], "{other}");
        }
        let new = with(&[], |disk| disk.file("/home/u/p/.git/config", "[core]\nhooksPath = new\n"));
        assert_eq!(new.policy().unwrap().known.targets[0].path, "new".into());
    }

    #[test]
    fn what_was_asked_for_as_writable_is() {
        let bind = |writable| {
            with(&[], |disk| disk.file("/home/u/p/.envrc", "").dir("/home/u/p/.vscode")).with(
                |case| {
                    let bind = BindArgument {
                        source: "/home/u/p/.envrc".into(),
                        destination: None,
                        writable,
                    };
                    case.invocation.binds.push(bind);
                },
            )
        };
        assert_eq!(mounts(&bind(true)), ["ro .vscode"]);
        assert!(!protected(&bind(true)).contains(&".envrc".to_owned()));
        assert_eq!(mounts(&bind(false)), ["ro .vscode"]);
        assert!(protected(&bind(false)).contains(&".envrc".to_owned()));
    }

    #[test]
    fn attack_decoys_do_not_take_the_room_of_a_link() {
        let decoys = links::MOST + 9;
        let case = with(&[], |disk| {
            let disk = disk.link("/home/u/p/.husky", "build/hooks");
            (0..decoys).fold(disk, |disk, n| {
                disk.link(format!("/home/u/p/!{n}/.envrc"), format!("../x{n}"))
            })
        });
        let policy = case.policy().unwrap();
        let counts = |targets: &[Target], path: &str| {
            targets.iter().any(|target| target.path == Bytes::from(path))
        };
        assert!(counts(&policy.known.targets, "build/hooks"));
        assert!(counts(&policy.known.links, ".husky"));
        let left = weakened(&case).into_iter().find(|text| text.contains("not followed"));
        assert_eq!(
            left.unwrap(),
            "host files: 10 links not followed: what they lead to is writable inside"
        );
        assert_eq!(policy.known.unseen, 10);
    }

    #[test]
    fn there_is_an_end_to_it() {
        let case = with(&[], |disk| {
            (0..MOST + 9).fold(disk, |disk, n| disk.file(format!("/home/u/p/{n}/.envrc"), ""))
        });
        assert_eq!(mounts(&case).len(), 2 * MOST);
        assert_eq!(weakened(&case), ["host files: 9 more are writable inside: too many"]);
    }

    #[test]
    fn beyond_it_repositories_are_held_as_a_whole_and_no_more_than_that() {
        let nested = |many: usize, around: &str| {
            with(&[], |disk| {
                (0..many).fold(disk, |disk, n| {
                    disk.file(format!("/home/u/p/{around}{n:03}/.git/HEAD"), "")
                        .file(format!("/home/u/p/{around}{n:03}/.git/config"), "")
                })
            })
        };
        let case = nested(MOST_REPOSITORIES + 300, "v/");
        let mounts = mounts(&case);
        assert_eq!(mounts.len(), 1 + 2 * MOST_REPOSITORIES);
        assert!(
            ["ro v", "rw v/000", "ro v/000/.git"].iter().all(|it| mounts.contains(&(*it).into()))
        );
        let last = format!("v/{:03}", MOST_REPOSITORIES + 299);
        assert!(protected(&case).contains(&last) && !protected(&case).contains(&"v".to_owned()));
        let said = case.policy().unwrap().left_out.join("\n");
        assert!(said.contains("300 repositories read-only as a whole"), "{said}");
        let asked_for = |case: Case, path: &str| {
            let bind = BindArgument {
                source: format!("/home/u/p/{path}").into(),
                destination: None,
                writable: true,
            };
            case.with(|case| case.invocation.binds.push(bind))
        };
        let tree = protected(&asked_for(case.clone(), &last));
        assert!(tree.contains(&format!("{last}/.git")) && !tree.contains(&last));
        assert!(protected(&asked_for(case, "v")).contains(&last));
        let error = nested(MOST_REPOSITORIES + MOST_WHOLE + 1, "").policy().unwrap_err();
        insta::assert_snapshot!(error, @"/home/u/p holds too many repositories, each of which has git outside run programs: 448 and more cannot be made read-only");
    }

    #[test]
    fn without_git_inside_nothing_is_tracked_by_it() {
        let tracked = [(".envrc", FILE)];
        let case = with(&tracked, |disk| disk.file("/home/u/p/.envrc", ""))
            .with(|case| case.settings.git = Some(at(1, Git::None)));
        assert_eq!(mounts(&case), [""; 0], "git outside still writes it");
        let case = Case::debian()
            .disk(|disk| disk.without("/home/u/p/.git").file("/home/u/p/.envrc", ""))
            .with(|case| case.invocation.project = Some("/home/u/p".into()));
        assert_eq!(mounts(&case), ["ro .envrc"]);
        let old = case.with(|case| case.host.bwrap = Some(bwrap(&[])));
        assert!(old.bwrap().contains("--ro-bind /home/u/p/.envrc /home/u/p/.envrc"));
    }
}
