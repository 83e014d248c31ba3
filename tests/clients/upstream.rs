//! A proxy that the host has to use, in the language other than HTTP that it may speak. Inside nothing is
//! told of it.

use crate::common::place::Place;
use crate::common::run::Run;
use crate::common::world::World;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::script;
use crate::site::{Site, trusting};

const RULES: [&str; 2] = ["www.example:80", "www.example"];
const SCRIPT: &str = "for scheme in http https; do curl -sS $scheme://www.example/hello; done
    curl -sS http://evil.example/hello 2>/dev/null || echo $?; env | grep -i _proxy || true";
/// The last of it: no such host.
const EXPECTED: &str = "hello from www.example\nhello from www.example\n6\n";
const ASKED: [&str; 2] = ["www.example:443", "www.example:80"];

fn of(place: &Place, world: &World, site: &Site) -> Run {
    script(place, world, &RULES, &trusting(place, site), SCRIPT).without_env("HTTPS_PROXY")
}

#[test]
fn the_hosts_proxy_may_speak_socks() {
    must_have_sandbox();
    must_have(&["curl"]);
    let (site, world) = (Site::new(), World::new());
    site.put(&world);
    for user in users() {
        let place = Place::new(user);
        let output = of(&place, &world, &site).env("ALL_PROXY", world.socks()).run().code(0);
        assert_eq!(output.stdout, EXPECTED, "{user:?} {}", output.stderr);
        assert_eq!(world.asked(), ASKED);
        assert_eq!(world.last(), "me:secret");
        let explain = place.claudebox(["explain", "--", "true"]).env("ALL_PROXY", world.socks());
        let explained = explain.run().code(0).says("socks5h://127.0.0.1:");
        assert!(!explained.stdout.contains("secret"), "{}", explained.stdout);
    }
}
