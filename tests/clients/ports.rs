//! Single ports between the two loopbacks: a dev server inside, a service of this machine, and the
//! notice of what begins to listen.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use claudebox::log::event::{Event, Listen};

use crate::common::log::Log;
use crate::common::place::Place;
use crate::common::world::World;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::site::{Site, free_port};
use crate::{script, until};

/// What a server of this machine's loopback says to a browser.
fn browse(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"GET /page HTTP/1.0\r\n\r\n").ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    said.contains("200 OK").then_some(said)
}

fn listening(place: &Place) -> Vec<Listen> {
    let events = Log::latest(place).events.into_iter();
    let listens = events.filter_map(|event| match event {
        Event::Listen(listen) => Some(listen),
        _ => None,
    });
    listens.collect()
}

#[test]
fn a_dev_server_inside_is_there_on_the_host_and_told_of() {
    must_have_sandbox();
    must_have(&["python3"]);
    let world = World::new();
    for user in users() {
        let place = Place::new(user);
        place.project_file("page", "a page\n");
        let hold = place.project_file("hold", "");
        // As some, as vite, and as others do; the last one is not published.
        let servers = [("127.0.0.1", 3000), ("::1", 3001), ("0.0.0.0", 3002), ("127.0.0.1", 3003)];
        let outside = [free_port(), free_port(), free_port()];
        let publish: Vec<String> = (servers.iter().zip(outside))
            .flat_map(|((_, inside), outside)| ["--publish".into(), format!("{inside}:{outside}")])
            .collect();
        let serve = servers
            .map(|(at, port)| format!("python3 -m http.server --bind {at} {port} 2>/dev/null &\n"));
        let lines = format!("{}while test -e hold; do sleep 0.05; done", serve.concat());
        let session = script(&place, &world, &[], &publish, &lines).start();
        for port in outside {
            until("the dev server is there", || {
                browse(port).is_some_and(|said| said.ends_with("a page\n"))
            });
        }
        // Control.
        assert!(browse(3003).is_none());
        until("all are told of", || listening(&place).len() >= servers.len());
        fs::remove_file(hold).unwrap();
        session.wait();
        let mut told = listening(&place);
        told.sort_by_key(|listen| listen.port);
        let told: Vec<_> =
            told.iter().map(|listen| (&*listen.address, listen.port, listen.published)).collect();
        let published = outside.into_iter().map(Some).chain([None]);
        let expected: Vec<_> =
            servers.into_iter().zip(published).map(|((at, port), out)| (at, port, out)).collect();
        assert_eq!(told, expected);
        assert!(browse(outside[0]).is_none(), "the port ends with the session");
        assert!(world.asked().is_empty());
    }
}

#[test]
fn a_service_of_the_host_is_there_inside_at_one_port() {
    must_have_sandbox();
    must_have(&["curl"]);
    let (site, world) = (Site::new(), World::new());
    for user in users() {
        let place = Place::new(user);
        let (open, shut) = (site.http, site.https);
        let lines = format!(
            "for host in 127.0.0.1 localhost '[::1]' app.localhost; do
                curl -sS http://$host:{open}/hello
             done
             curl -sS http://127.0.0.1:{shut}/hello 2>/dev/null || echo $?"
        );
        let options = ["--host-port".to_owned(), open.to_string()];
        let output = script(&place, &world, &[], &options, &lines).run().code(0);
        let expected: String = ["127.0.0.1", "localhost", "[::1]", "app.localhost"]
            .map(|host| format!("hello from {host}:{open}\n"))
            .concat();
        assert_eq!(output.stdout, format!("{expected}7\n"), "{}", output.stderr);
        assert!(world.asked().is_empty());
    }
}
