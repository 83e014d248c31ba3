//! Much: large transfers arrive as they were sent, an end that is closed early is not an end of both,
//! and a thousand connections at once are neither refused nor paid for with much memory.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use claudebox::log::event::Event;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::common::log::Log;
use crate::common::place::Place;
use crate::common::world::World;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::site::{Site, trusting};
use crate::{script, until};

/// A server of this machine that does the same with each connection.
fn server(serve: impl Fn(TcpStream) + Send + Sync + Copy + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || serve(stream));
        }
    });
    port
}

#[test]
fn fifty_megabytes_arrive_as_they_were_sent_in_both_directions() {
    must_have_sandbox();
    must_have(&["curl", "sha256sum"]);
    let (site, world) = (Site::new(), World::new());
    site.put(&world);
    for user in users() {
        let place = Place::new(user);
        let options = trusting(&place, &site);
        let lines = "
            curl -sS https://www.example/big > big
            wc -c < big
            curl -sS -T big http://www.example/take; echo
            sha256sum < big | cut -d' ' -f1
            curl -sS http://www.example/big | curl -sS -T - https://www.example/take";
        let rules = ["www.example:80", "www.example"];
        let output = script(&place, &world, &rules, &options, lines).run().code(0);
        let said: Vec<&str> = output.stdout.lines().collect();
        let ["52428800", taken, had, again] = said[..] else { panic!("{output:?}") };
        // What the server makes is the same each time; what it was sent, it hashed itself.
        assert!(had.len() == 64 && [taken, again] == [had; 2], "{said:?}");
        // Four transfers, two each way, and the log says how much it was.
        let (mut sent, mut received) = (0, 0);
        for event in Log::latest(&place).events {
            if let Event::Disconnect(disconnect) = event {
                assert_eq!(disconnect.error, None);
                sent += disconnect.sent;
                received += disconnect.received;
            }
        }
        let twice = 2 * 52_428_800..2 * 52_428_800 + 2_000_000;
        assert!(twice.contains(&sent) && twice.contains(&received), "{sent} {received}");
    }
}

/// How much goes in each direction.
const MUCH: usize = 5_000_000;

/// Bytes that are not the same twice in a row.
fn much() -> Vec<u8> {
    (0..MUCH).map(|number| u8::try_from(number * 7919 % 251).unwrap()).collect()
}

#[test]
fn an_end_that_was_closed_leaves_the_other_direction_open() {
    must_have_sandbox();
    must_have(&["python3"]);
    let world = World::new();
    let first_reads = server(|mut stream| {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        if said == much() {
            stream.write_all(&said).unwrap();
        }
    });
    let first_writes = server(|mut stream| {
        stream.write_all(&much()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        // There is nobody to tell but the program inside, which waits for the end: of its own accord
        // after the right bytes, by a reset (this one has not been read) after others.
        assert!(said == much(), "{} bytes came", said.len());
    });
    world.put("reads.example:7000", first_reads);
    world.put("writes.example:7000", first_writes);
    let program = r#"
import socket
much = bytes(n * 7919 % 251 for n in range(5_000_000))
def all(stream):
    got = bytearray()
    while more := stream.recv(1 << 16): got += more
    return got
stream = socket.create_connection(("reads.example", 7000))
stream.sendall(much); stream.shutdown(socket.SHUT_WR)
print(all(stream) == much)
stream = socket.create_connection(("writes.example", 7000))
print(all(stream) == much)
stream.sendall(much); stream.shutdown(socket.SHUT_WR)
print(stream.recv(1))
"#;
    for user in users() {
        let place = Place::new(user);
        place.project_file("client.py", program);
        let rules = ["reads.example:7000", "writes.example:7000"];
        let output = script(&place, &world, &rules, &[], "python3 client.py").run().code(0);
        assert_eq!(output.stdout, "True\nTrue\nb''\n");
    }
}

/// What connections may cost the supervisor together, in KiB, in a build without optimizations.
const COST: u64 = 8 * 1024;

/// Opens as many connections as it is told, keeps them as they are until `hold` is gone, and makes one
/// more.
const KEEPS: &str = r#"
import os, socket, sys, time
def one():
    stream = socket.create_connection(("many.example", 7000))
    assert stream.recv(1) == b"!"
    return stream
one()
open("begun", "w")
while not os.path.exists("go"): time.sleep(0.05)
kept = [one() for _ in range(int(sys.argv[1]))]
open("up", "w")
while os.path.exists("hold"): time.sleep(0.05)
one()
print(len(kept), "and one more")
"#;

/// As everyone: so many connections to this server cost no more than they may.
fn cost_little(many: usize, port: u16) {
    must_have_sandbox();
    must_have(&["python3"]);
    enough_files();
    let world = World::new();
    world.put("many.example:7000", port);
    for user in users() {
        let place = Place::new(user);
        place.project_file("keeps.py", KEEPS);
        let hold = place.project_file("hold", "");
        let lines = format!("exec python3 keeps.py {many}");
        let session = script(&place, &world, &["many.example:7000"], &[], &lines).start();
        let there = |name: &str| place.project().join(name).exists();
        until("it begins", || there("begun"));
        let before = resident(session.pid());
        place.project_file("go", "");
        until("all are open", || there("up"));
        let after = resident(session.pid());
        println!("{before} KiB before, {after} KiB with {many} connections");
        assert!(after < before + COST, "{before} KiB before, {after} KiB with {many} connections");
        fs::remove_file(hold).unwrap();
        session.wait().code(0).says(&format!("{many} and one more\n"));
        assert_eq!(world.count().len(), many + 2);
    }
}

#[test]
fn a_thousand_connections_may_be_idle_and_one_more_works() {
    // A byte says that it is there. Then it waits for the other end.
    let port = server(|mut stream| {
        let _ = stream.write_all(b"!");
        let _ = stream.read(&mut [0]);
    });
    cost_little(1000, port);
}

/// A server that sends without end to a program that does not read: what is under way is kept by the
/// kernel, and little of it by the supervisor.
#[test]
fn three_hundred_connections_may_be_stuck_and_one_more_works() {
    let port = server(|mut stream| while stream.write_all(&[b'!'; 8192]).is_ok() {});
    cost_little(300, port);
}

/// The memory of claudebox's own processes outside, in KiB: it, and its children of that name.
fn resident(pid: i32) -> u64 {
    let status = |pid: i32, name: &str| -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().trim_end_matches(" kB").to_owned())
    };
    let everyone = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<i32>().ok());
    let sum = everyone
        .filter(|&it| {
            let child = status(it, "PPid:").and_then(|parent| parent.parse().ok()) == Some(pid);
            it == pid || child && status(it, "Name:").as_deref() == Some("claudebox")
        })
        .filter_map(|it| status(it, "VmRSS:")?.parse::<u64>().ok())
        .sum();
    assert!(sum > 1000, "no process {pid}");
    sum
}

/// This process holds both ends of each connection outside, and the supervisor needs as many.
fn enough_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(
        most >= 8192,
        "at most {most} open files here: raise the hard limit (`ulimit -Hn 8192`)"
    );
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
}
