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

/// The key is in the user's home, which is not there inside; what signs with it is.
#[test]
fn a_push_with_the_users_ssh_agent() {
    must_have_sandbox();
    must_have(&["ssh", "ssh-agent", "ssh-add"]);
    let (mut site, world) = (Site::new(), World::new());
    world.put("ssh.example:22", site.sshd());
    for (number, user) in users().into_iter().enumerate() {
        let place = Place::new(user);
        let secret = std::fs::read_to_string(site.path("id")).unwrap();
        let key = place.home_file(".ssh/id", &secret);
        let closed = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
        std::fs::set_permissions(&key, closed).unwrap();
        place.home_file(".ssh/known_hosts", std::fs::read(site.path("known_hosts")).unwrap());
        // A path of a socket is short.
        let socket = place.root().join("a");
        let agent =
            place.command("ssh-agent").args(["-D".as_ref(), "-a".as_ref(), socket.as_os_str()]);
        let agent = agent.start();
        crate::until("the ssh-agent listens", || socket.exists());
        let add = place.command("ssh-add").args([&key]).env("SSH_AUTH_SOCK", &socket);
        add.run().code(0);
        let url =
            format!("ssh://{}@ssh.example{}", site.login(), site.path("repository.git").display());
        place.git(&["remote", "add", "origin", &url]);
        let known = place.home().join(".ssh/known_hosts");
        let text = format!(
            "export GIT_SSH_COMMAND=\"ssh -F none -o UserKnownHostsFile={} -o StrictHostKeyChecking=yes\"
             git config user.name x; git config user.email x@x.invalid; git commit -q --allow-empty -m pushed
             git push -q origin HEAD:refs/heads/by-agent-{number} && git rev-parse HEAD
             test ! -e {} && ssh-add -L | cut -d' ' -f1; cat ~/.ssh/id 2>&1 || true",
            known.display(),
            key.display()
        );
        let try_to = |options: &[&str]| {
            let mut all = vec!["--ro-bind".to_owned(), known.to_str().unwrap().to_owned()];
            all.extend(options.iter().map(|option| (*option).to_owned()));
            script(&place, &world, &["ssh.example:22"], &all, &text)
                .env("SSH_AUTH_SOCK", &socket)
                .run()
        };
        let output = try_to(&["--allow-ssh-agent"]).code(0);
        let said: Vec<&str> = output.stdout.lines().collect();
        let [pushed, "ssh-ed25519", gone] = said[..] else { panic!("{output:?}") };
        assert!(gone.contains("No such file") && !output.stdout.contains(&secret), "{output:?}");
        let reference = site.path(&format!("repository.git/refs/heads/by-agent-{number}"));
        assert_eq!(std::fs::read_to_string(&reference).unwrap().trim(), pushed);
        // The commit came here, too.
        assert_eq!(place.git(&["rev-parse", "main"]).trim(), pushed);

        // Control: without the agent nobody is let in.
        std::fs::remove_file(&reference).unwrap();
        let refused = try_to(&[]);
        assert!(refused.stderr.contains("Permission denied"), "{refused:?}");
        assert!(!reference.exists());
        drop(agent);
    }
}

/// The beginning of the hash of what is to arrive.
fn digest(site: &Site) -> String {
    let output = std::process::Command::new("sha256sum").arg(site.path("work/data")).output();
    String::from_utf8(output.unwrap().stdout).unwrap()[..16].to_owned()
}
