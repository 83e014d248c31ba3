//! G, P and W: what is read-only in the project cannot be changed, moved away or covered, whatever it
//! is: a hook, a host-executable file, a bind of the command line. And what the project looks like may
//! change between the moment when it was settled what to mount and the mount itself.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use claudebox::policy::mount::{Access, Class, Mount};
use claudebox::sandbox::plan::{Arg, FdSource, Plan};

use crate::built::Built;
use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::outside::tree;

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
            script.push_str(&format!(
                "( f='{path}'; d='{d}'; t='{t}'; IFS=; {attack} ) 2>/dev/null\n"
            ));
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
