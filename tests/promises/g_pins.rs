//! G, P and W: what is read-only in the project cannot be changed, moved away or covered, whatever it
//! is: a hook, a host-executable file, a bind of the command line. And what the project looks like may
//! change between the moment when it was settled what to mount and the mount itself.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use claudebox::policy::mount::Class;

use crate::built::Built;
use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};

/// Attacks on `$f`, a file that says `mine`, in the directory `$d`, which is two directories below
/// `$t`. `x` exchanges two names (`RENAME_EXCHANGE`).
const ATTACKS: [(&str, &str); 18] = [
    ("write", "echo evil > $f"),
    ("delete", "rm -f $f; echo evil > $f"),
    ("rename-over", "echo evil > $t/new; mv -f $t/new $f"),
    ("link-over", "ln -sfn /tmp/evil $f"),
    ("hard-link", "ln $f $t/hard; echo evil > $t/hard"),
    ("link-to-it", "ln -s $PWD/$f $t/link; echo evil > $t/link"),
    ("move-directory", "mv $d $d.old; mkdir $d; echo evil > $f"),
    ("move-above", "mv $t/a $t/a.old; mkdir -p $d; echo evil > $f"),
    ("move-top", "mv $t $t.old; mkdir -p $d; echo evil > $f"),
    ("remove-above", "rm -rf $t/a; mkdir -p $d; echo evil > $f"),
    ("exchange-directory", "mkdir $t/n; echo evil > $t/n/${f##*/}; x $t/n $d"),
    ("exchange-above", "mkdir -p $t/n/b; echo evil > $t/n/b/${f##*/}; x $t/n $t/a"),
    ("exchange-file", "echo evil > $t/n; x $t/n $f"),
    ("link-above", "mv $t/a $t/n; mkdir -p $t/m/b; echo evil > $t/m/b/${f##*/}; ln -s m $t/a"),
    ("by-proc-root", "echo evil > /proc/self/root$PWD/$f"),
    ("by-descriptor", "exec 7< $f; echo evil > /proc/self/fd/7"),
    ("unmount", "umount $f; umount -l $d; mount --move $f /tmp; echo evil > $f"),
    ("truncate", "cp /dev/null $f; truncate -s 0 $f; dd if=/dev/null of=$f"),
];

const EXCHANGE: &str = r#"x() { python3 -c 'import ctypes, sys
ctypes.CDLL(None).renameat2(-100, sys.argv[1].encode(), -100, sys.argv[2].encode(), 2)' "$1" "$2"; }
"#;

/// Kinds of files that are read-only within the project: a name for `a/b/NAME`.
const KINDS: [&str; 2] = [".envrc", "bound"];

fn file(attack: &str, kind: &str) -> String {
    // A line feed and a blank, since somebody may think that paths have none.
    format!("{attack}/{kind} \n/a/b/{kind}")
}

/// Runs all attacks; answers with those after which a file does not say `mine`.
fn succeeded(place: &Place, pinned: bool) -> Vec<String> {
    let mut script = String::from(EXCHANGE);
    let mut files = Vec::new();
    for (name, attack) in ATTACKS {
        for kind in KINDS {
            let path = file(name, kind);
            files.push(place.project_file(&path, "mine"));
            let (d, _) = path.rsplit_once('/').unwrap();
            let (t, _) = d.strip_suffix("/b").unwrap().rsplit_once('/').unwrap();
            writeln!(script, "( f='{path}'; d='{d}'; t='{t}'; IFS=; {attack} ) 2>/dev/null")
                .unwrap();
        }
    }
    let mut session = Built::new(place, &["sh", "-c", &format!("{script}true")]);
    for path in files.iter().filter(|path| path.ends_with("bound")) {
        session = session.ro_bind(path, path);
    }
    let mut policy = session.policy();
    if !pinned {
        policy.mounts.retain(|step| {
            let below = step.mount.destination().starts_with(place.project());
            !below || step.class == Class::Project
        });
    }
    session.run(&session.plan_of(&policy)).run().code(0);
    let says_mine = |path: &Path| fs::read_to_string(path).is_ok_and(|text| text == "mine");
    let changed = files.iter().filter(|path| !says_mine(path));
    let named = changed.map(|path| path.strip_prefix(place.project()).unwrap());
    named.map(|path| path.to_str().unwrap().to_owned()).collect()
}

#[test]
fn promise_g_what_is_read_only_in_the_project_stays_where_and_what_it_is() {
    must_have_sandbox();
    must_have(&["python3"]);
    for user in users() {
        let none: [String; 0] = [];
        assert_eq!(succeeded(&Place::new(user), true), none);
        // Control: with nothing mounted in the project, every attack succeeds.
        let all = ATTACKS.iter().flat_map(|(name, _)| KINDS.map(|kind| file(name, kind)));
        assert_eq!(succeeded(&Place::new(user), false), all.collect::<Vec<_>>());
    }
}

/// Attacks on the repository itself; each would leave a hook of its own name, or a setting.
const ON_GIT: [(&str, &str); 10] = [
    ("write", "echo evil > .git/hooks/write"),
    (
        "move-hooks",
        "mv .git/hooks .git/h; cp -r .git/h .git/hooks; echo evil > .git/hooks/move-hooks",
    ),
    (
        "remove-hooks",
        "rm -rf .git/h; mkdir -p .git/h; cp -r .git/hooks/. .git/h; rm -rf .git/hooks; \
                      mv .git/h .git/hooks; echo evil > .git/hooks/remove-hooks",
    ),
    (
        "exchange-hooks",
        "mkdir .git/n; cp -r .git/hooks/. .git/n; echo evil > .git/n/exchange-hooks; \
                        x .git/n .git/hooks",
    ),
    (
        "link-hooks",
        "mkdir n; cp -r .git/hooks/. n; echo evil > n/link-hooks; mv .git/hooks .git/o; \
                    ln -s ../n .git/hooks",
    ),
    (
        "hard-link",
        "ln .git/hooks/sample s; echo evil > s; [ $(cat .git/hooks/sample) = evil ] && \
                   cp s .git/hooks/hard-link",
    ),
    ("move-git", "mv .git g; cp -r g .git; echo evil > .git/hooks/move-git"),
    ("exchange-git", "cp -r .git n2; echo evil > n2/hooks/exchange-git; x n2 .git"),
    (
        "git-file",
        "mv .git g2; cp -r g2 real; echo evil > real/hooks/git-file; \
                  echo gitdir: real > .git; cp -r real g3; rm .git; mv g3 .git",
    ),
    ("git-link", "mv .git g4; cp -r g4 n4; echo evil > n4/hooks/git-link; ln -s n4 .git"),
];

#[test]
fn promise_g_the_repository_stays_where_it_is() {
    must_have_sandbox();
    must_have(&["python3"]);
    for user in users() {
        let hooks = |pinned: bool| {
            let place = Place::new(user);
            fs::create_dir_all(place.project().join(".git/hooks")).unwrap();
            place.project_file(".git/hooks/sample", "mine");
            let attacks = ON_GIT.map(|(_, attack)| format!("( {attack} ) 2>/dev/null\n")).concat();
            let session = Built::new(&place, &["sh", "-c", &format!("{EXCHANGE}{attacks}true")]);
            let mut policy = session.policy();
            if !pinned {
                policy.mounts.retain(|step| !matches!(step.class, Class::Git | Class::HostFile));
            }
            session.run(&session.plan_of(&policy)).run().code(0);
            let planted = |name: &&str| place.project().join(".git/hooks").join(name).exists();
            ON_GIT.map(|(name, _)| name).into_iter().filter(planted).collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        assert_eq!(hooks(true), none);
        // Control: without the mounts, each plants its hook.
        assert_eq!(hooks(false), ON_GIT.map(|(name, _)| name));
    }
}
