//! The same programs on a machine that allows less: without a network namespace for the gateway, and
//! with nothing but the proxy.

use claudebox::log::event::Event;

use crate::common::log::Log;
use crate::common::place::Place;
use crate::common::world::World;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::site::{Site, trusting};

const LINES: &str = "
    for url in http://www.example https://www.example; do curl -sS $url/hello; done
    node -e 'fetch(\"https://www.example/hello\").then(async (a) => process.stdout.write(await a.text()))
        .catch(() => console.log(\"node reaches nothing\"))'
    git clone --quiet https://git.example/smart/repository.git there 2>/dev/null && ls there || echo no git
    rm -rf there
    for url in http://evil.example https://1.1.1.1 http://25.64.0.1:22; do
        curl -sSf --noproxy '' $url 2>/dev/null && echo got it || true
    done";

/// Runs the programs with a profile, on a machine with room for so many network namespaces; gives
/// back what they printed and what the log says of a lesser way.
fn run(place: &Place, world: &World, site: &Site, room: usize, profile: &str) -> (String, String) {
    place.home_file(".config/claudebox/profiles/default.toml", profile);
    let limited = format!("echo {room} > /proc/sys/user/max_net_namespaces && exec \"$@\"");
    let output = place
        .command("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", &limited, "-"])
        .args([place.executable().as_os_str()])
        .args(["run", "--no-monitor", "--allow", "www.example:80", "--allow", "www.example"])
        .args(["--allow", "git.example"])
        .args(trusting(place, site))
        .args(["--", "sh", "-euc", LINES])
        .env("HTTPS_PROXY", world.proxy())
        .run()
        .code(0);
    let told = Log::latest(place).events.into_iter().find_map(|event| match event {
        Event::Notice(notice) if notice.kind == "network-lesser" => Some(notice.text),
        _ => None,
    });
    (output.stdout, told.unwrap_or_default())
}

#[test]
fn programs_reach_what_is_allowed_on_a_machine_that_allows_less() {
    must_have_sandbox();
    must_have(&["curl", "node", "git", "unshare"]);
    let (site, world) = (Site::new(), World::new());
    site.put(&world);
    let hello = "hello from www.example\n";
    for user in users() {
        let place = Place::new(user);
        let asked = ["git.example:443", "www.example:443", "www.example:80"];
        for (room, lesser) in [(2, ""), (1, "the sandbox's own loopback answers for every address")]
        {
            let (said, told) = run(&place, &world, &site, room, "");
            assert_eq!(said, format!("{}data\n", hello.repeat(3)));
            assert!(told.contains(lesser) && told.is_empty() == lesser.is_empty(), "{told}");
            assert_eq!(world.asked(), asked);
        }
        // Node's fetch knows of a proxy from version 24 on.
        let proxy = "network.transparent = \"off\"\nnetwork.proxy = true\n";
        let (said, _) = run(&place, &world, &site, 1, proxy);
        let node = if said.contains("nothing") { "node reaches nothing\n" } else { hello };
        assert_eq!(said, format!("{hello}{hello}{node}data\n"));
        assert_eq!(world.asked(), asked);
    }
}
