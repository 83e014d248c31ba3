//! Two sandboxes at once, each with rules of its own: neither gets by the other's, nor to the other.

use crate::common::place::Place;
use crate::common::world::World;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::site::Site;
use crate::{script, until};

/// Looks up its own name, says its address, and when both are ready tries its own, the other's, the
/// address that the other has for its name, and the other's server.
const PROGRAM: &str = r#"
import os, socket, sys, time
own, other, theirs, server = sys.argv[1:]
listener = socket.create_server(("0.0.0.0", int(server)))
open("address", "w").write(socket.gethostbyname(own))
os.rename("address", "ready")
while not os.path.exists("go"): time.sleep(0.02)
def ask(host, port):
    stream = socket.create_connection((host, port), 20)
    stream.sendall(b"GET /hello HTTP/1.0\r\nHost: %s\r\n\r\n" % own.encode())
    got = b""
    while more := stream.recv(999): got += more
    return got.decode().splitlines()[-1]
for host, port in [(own, 80), (other, 80), (open("go").read(), 80), ("25.64.0.2", int(theirs))]:
    try: print(ask(host, port))
    except OSError as error: print(type(error).__name__)
"#;

#[test]
fn two_sandboxes_at_once_each_have_their_own_rules() {
    must_have_sandbox();
    must_have(&["python3"]);
    let (site, world) = (Site::new(), World::new());
    site.put(&world);
    for user in users() {
        let sides = [("www.example", "git.example"), ("git.example", "www.example")];
        let places = sides.map(|_| Place::new(user));
        let mut sessions = Vec::new();
        for (number, (own, other)) in sides.into_iter().enumerate() {
            places[number].project_file("both.py", PROGRAM);
            let (mine, theirs) = (7000 + number, 7001 - number);
            let lines = format!("exec python3 both.py {own} {other} {theirs} {mine}");
            let rules = [&*format!("{own}:80")];
            sessions.push(script(&places[number], &world, &rules, &[], &lines).start());
        }
        let ready = places.each_ref().map(|place| place.project().join("ready"));
        until("both are ready", || ready.iter().all(|file| file.exists()));
        for (number, place) in places.iter().enumerate() {
            let file = place.project_file("going", std::fs::read(&ready[1 - number]).unwrap());
            std::fs::rename(file, place.project().join("go")).unwrap();
        }
        for (session, (own, _)) in sessions.into_iter().zip(sides) {
            let output = session.wait().code(0);
            let expected = format!(
                "hello from {own}\ngaierror\nConnectionRefusedError\nConnectionRefusedError\n"
            );
            assert_eq!(output.stdout, expected);
        }
        assert_eq!(world.count(), ["git.example:80", "www.example:80"]);

        // Control: with both rules each gets both.
        let place = &places[0];
        let rules = ["www.example:80", "git.example:80"];
        let lines = "exec python3 both.py www.example git.example 7001 7000";
        let output = script(place, &world, &rules, &[], lines).run().code(0);
        assert_eq!(output.stdout.matches("hello from www.example").count(), 3, "{output:?}");
        world.count();
    }
}

#[test]
fn what_is_allowed_meanwhile_is_reached_by_the_session_that_it_was_said_to() {
    must_have_sandbox();
    must_have(&["curl"]);
    let (site, world) = (Site::new(), World::new());
    site.put(&world);
    for user in users() {
        let places = [Place::new(user), Place::new(user)];
        // A program that goes on trying, as they do, and one that looks once.
        let lines = "touch up; until curl -s http://www.example/hello; do sleep 0.05; done
            while test -e hold; do sleep 0.05; done
            curl -s http://www.example/hello";
        let holds = places.each_ref().map(|place| place.project_file("hold", ""));
        let sessions =
            places.each_ref().map(|place| script(place, &world, &[], &[], lines).start());
        let up = |place: &Place| place.project().join("up").exists();
        until("both are up", || places.iter().all(up));
        assert!(world.asked().is_empty());
        places[0].claudebox(["allow", "www.example:80"]).run().code(0);
        until("the one gets there", || world.times() > 0);
        let [allowed, other] = sessions;
        std::fs::remove_file(&holds[0]).unwrap();
        allowed.wait().code(0).says(&"hello from www.example\n".repeat(2));
        assert_eq!(world.count().len(), 2, "the other one gets nowhere");
        drop(other);
    }
}
