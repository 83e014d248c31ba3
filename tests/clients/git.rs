//! git over each of its protocols, and ssh itself: the names of git:// and ssh are known without any
//! look into the connection, as a name has an address of its own.

use crate::common::place::Place;
use crate::common::world::World;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::script;
use crate::site::{Site, trusting};

/// Clones each URL to a directory of its own and compares the 3 MB in them.
const CLONE: &str = r#"
git config --global --add safe.directory '*'
clone() { git clone --quiet "$1" "$2" && sha256sum < "$2/data" | cut -c1-16; }
"#;

#[test]
fn over_http_and_https_the_simple_and_the_smart_way_and_a_push() {
    must_have_sandbox();
    let (site, world) = (Site::new(), World::new());
    site.put(&world);
    let lines = "
        clone http://git.example/repository.git simple
        clone https://git.example/repository.git simple-tls
        clone https://git.example/smart/repository.git smart
        cd smart; git checkout --quiet -b pushed-$NAME; head -c 2000000 /dev/urandom > more
        git add more; git -c user.name=x -c user.email=x@x.invalid commit --quiet -m more; git push --quiet origin pushed-$NAME
        git rev-parse HEAD
        git clone --quiet https://evil.example/smart/repository.git evil 2>/dev/null || echo refused";
    for (number, user) in users().into_iter().enumerate() {
        let place = Place::new(user);
        let mut options = trusting(&place, &site);
        options.extend(["--env".to_owned(), format!("NAME={number}")]);
        let rules = ["git.example:80", "git.example"];
        let run = script(&place, &world, &rules, &options, &format!("{CLONE}{lines}"));
        let output = run.run().code(0);
        let said: Vec<&str> = output.stdout.lines().collect();
        let [simple, simple_tls, smart, pushed, "refused"] = said[..] else { panic!("{output:?}") };
        let data = digest(&site);
        assert_eq!([simple, simple_tls, smart], [&*data; 3]);
        let reference = site.path(&format!("repository.git/refs/heads/pushed-{number}"));
        assert_eq!(std::fs::read_to_string(reference).unwrap().trim(), pushed);
        assert_eq!(world.asked(), ["git.example:443", "git.example:80"]);
    }
}

#[test]
fn over_its_own_protocol() {
    must_have_sandbox();
    let (mut site, world) = (Site::new(), World::new());
    world.put("git.example:9418", site.git_daemon());
    let lines = "clone git://git.example/repository.git there
        git clone --quiet git://evil.example/repository.git evil 2>/dev/null || echo refused";
    for user in users() {
        let place = Place::new(user);
        let text = format!("{CLONE}{lines}");
        let output = script(&place, &world, &["git.example:9418"], &[], &text).run().code(0);
        assert_eq!(output.stdout, format!("{}\nrefused\n", digest(&site)));
        assert_eq!(world.asked(), ["git.example:9418"]);
    }
}

#[test]
fn over_ssh_at_its_own_port_and_at_443_where_a_rule_says_raw() {
    must_have_sandbox();
    must_have(&["ssh"]);
    let (mut site, world) = (Site::new(), World::new());
    let port = site.sshd();
    for target in ["ssh.example:22", "ssh.example:443"] {
        world.put(target, port);
    }
    let lines = r#"
        chmod 600 id
        options="-F none -i id -o UserKnownHostsFile=known_hosts -o StrictHostKeyChecking=yes -o HostKeyAlias=ssh.example"
        export GIT_SSH_COMMAND="ssh $options"
        clone ssh://$LOGIN@ssh.example$REPOSITORY there
        echo hello | ssh $options $LOGIN@ssh.example cat
        ssh $options -o ConnectTimeout=20 -p 443 $LOGIN@ssh.example echo over 443 2>/dev/null || echo refused
        ssh $options $LOGIN@evil.example true 2>/dev/null || echo refused"#;
    for user in users() {
        let place = Place::new(user);
        for file in ["id", "known_hosts"] {
            place.project_file(file, std::fs::read(site.path(file)).unwrap());
        }
        let repository = site.path("repository.git");
        let options: Vec<String> = [
            format!("LOGIN={}", site.login()),
            format!("REPOSITORY={}", repository.to_str().unwrap()),
        ]
        .into_iter()
        .flat_map(|value| ["--env".to_owned(), value])
        .collect();
        let text = format!("{CLONE}{lines}");
        // A rule of port 443 wants TLS, and says so; with `raw` it wants nothing.
        for (rule, over, asked) in [
            ("ssh.example:443", "refused", &["ssh.example:22"][..]),
            ("ssh.example:443 raw", "over 443", &["ssh.example:22", "ssh.example:443"]),
        ] {
            let _ = std::fs::remove_dir_all(place.project().join("there"));
            let rules = ["ssh.example:22", rule];
            let output = script(&place, &world, &rules, &options, &text).run().code(0);
            let expected = format!("{}\nhello\n{over}\nrefused\n", digest(&site));
            assert_eq!(output.stdout, expected, "{}", output.stderr);
            assert_eq!(world.asked(), asked);
        }
    }
}

/// The beginning of the hash of what is to arrive.
fn digest(site: &Site) -> String {
    let output = std::process::Command::new("sha256sum").arg(site.path("work/data")).output();
    String::from_utf8(output.unwrap().stdout).unwrap()[..16].to_owned()
}
