//! W: nothing outside the project, the agent's own state and a private /tmp can be written.

use std::fs;

use crate::common::place::Place;
use crate::common::{must_have_sandbox, user::users};
use crate::outside::tree;
use crate::script;

/// Tries every way to write at a path: create, append, truncate, link, rename, mode, times, mkdir.
const ATTACK: &str = r#"
for place in "$@"; do
    echo escaped > "$place/escaped"; mkdir "$place/escaped-directory"; ln -s x "$place/escaped-link"
    for file in "$place"/*; do
        echo escaped >> "$file"; chmod 777 "$file"; touch -d 2001-01-01 "$file"
        mv "$file" "$file.moved"; ln "$file" "$place/hard"; rm -rf "$file"
    done
done 2>/dev/null
true
"#;

fn attack(place: &Place, options: &[&str], target: &str) {
    let script = format!("set -- {target}\n{ATTACK}");
    self::script(place, options, &script).run().code(0);
}

#[test]
fn promise_w_the_directory_above_and_the_home_are_out_of_reach() {
    must_have_sandbox();
    for user in users() {
        let attacked = Place::new(user);
        let place = &attacked;
        place.home_file("document", "mine");
        let beside = place.root().join("beside");
        fs::create_dir(&beside).unwrap();
        fs::write(beside.join("file"), "mine").unwrap();
        // A first run makes claudebox's own directories, which are not what is being judged.
        script(place, &[], "true").run().code(0);
        let places = [place.root().join("beside"), place.home().join("document")];
        let before = places.map(|path| fs::metadata(&path).map(|_| path).unwrap());
        let mut seen = tree(&beside);
        seen.extend(tree(&place.root().join("tmp")));
        attack(place, &[], "$HOME $PWD/.. $PWD/../beside $PWD/../tmp / /var/tmp");
        let mut now = tree(&beside);
        now.extend(tree(&place.root().join("tmp")));
        assert_eq!(now, seen);
        assert_eq!(fs::read_to_string(&before[1]).unwrap(), "mine");
        assert!(!place.root().join("escaped").exists());
        assert!(!place.home().join("escaped").exists());

        // Control: with the directory bound writable, the same attack changes it. (In another
        // project: the first one is the agent's own to destroy, and it has.)
        let place = Place::new(user);
        user.own(&beside);
        attack(&place, &["--bind", beside.to_str().unwrap()], beside.to_str().unwrap());
        assert_ne!(tree(&beside), seen, "the attack can do something where it is allowed to");
    }
}

#[test]
fn promise_w_the_system_is_read_only_for_root_too() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let name = place.root().file_name().unwrap().to_str().unwrap().to_owned();
        let targets = ["/etc", "/usr", "/usr/bin", "/usr/local/bin", "/opt", "/var/lib", "/root"];
        let tries = format!("for dir in {}; do touch $dir/{name}; done", targets.join(" "));
        let remount = "mount -o remount,rw /usr; mount -o remount,rw,bind /etc; ";
        script(&place, &[], &format!("{remount} {tries}; true")).run().code(0);
        for directory in targets {
            assert!(!std::path::Path::new(directory).join(&name).exists(), "{directory}");
        }
        // Control: where nothing stands in the way, this is how a file is made.
        script(&place, &[], &format!("touch ./{name}")).run().code(0);
        assert!(place.project().join(&name).exists());
    }
}

#[test]
fn promise_w_tmp_is_private_and_the_project_is_writable() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let name = place.root().file_name().unwrap().to_str().unwrap().to_owned();
        let write = format!("echo x > /tmp/{name} && cat /tmp/{name} && echo y > here");
        script(&place, &[], &write).run().code(0).says("x");
        assert!(!std::path::Path::new("/tmp").join(&name).exists());
        assert_eq!(fs::read_to_string(place.project().join("here")).unwrap(), "y\n");

        // Control: outside the same leaves a file there.
        place.command("sh").args(["-c", &write]).run().code(0);
        let left = std::path::Path::new("/tmp").join(&name);
        assert!(left.exists());
        fs::remove_file(left).unwrap();
    }
}

/// The log calls what stands there by its name alone: nobody else can have put it there.
#[test]
fn promise_w_nothing_is_put_where_the_systems_programs_are() {
    must_have_sandbox();
    let put = "for dir in /run/current-system/sw/bin /run/wrappers/bin /nix/store/x/bin /usr/local/bin /usr/bin /bin \
                   /usr/sbin /usr/games /tmp/bin; do
                   mkdir -p $dir 2>/dev/null && cp /bin/true $dir/planted 2>/dev/null && $dir/planted && echo $dir
               done; true";
    for user in users() {
        let place = Place::new(user);
        let put = script(&place, &[], put).run().code(0);
        // The control is the last: an ordinary directory.
        assert_eq!(put.stdout, "/tmp/bin\n");
    }
}
