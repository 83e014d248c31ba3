//! A sandbox with a gateway, and behind it a broker that only accepts: it tells whoever connects
//! which address was connected to. The tests of the gateway drive it.
//!
//! `gateway JOB` with a [`Job`] as JSON. What is inside has standard output; what is seen from
//! outside is one JSON value a line on standard error.
#![expect(clippy::print_stderr, clippy::unwrap_used, clippy::panic, reason = "a part of a test")]

use std::ffi::OsString;
use std::io::{IoSlice, IoSliceMut, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use claudebox::network::gateway::{Asked, start};
use claudebox::network::sockets::{Sockets, Way};
use claudebox::sys::bare::Bare;
use claudebox::sys::fds;
use claudebox::sys::process::{self, SingleThreaded};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What to do.
#[derive(Serialize, Deserialize)]
struct Job {
    bwrap: PathBuf,
    /// Its arguments, with the command.
    args: Vec<String>,
    pool: ipnet::Ipv4Net,
    ways: Vec<Way>,
    /// At the gateway.
    listen: Vec<SocketAddr>,
    datagrams: Vec<SocketAddr>,
    /// In the sandbox.
    inside: Vec<SocketAddr>,
    /// Tell of attempts.
    attempts: bool,
    /// Milliseconds to go on for when everything inside has ended.
    linger: u64,
    /// A port inside to connect to when something comes in.
    back: Option<u16>,
}

fn main() -> ExitCode {
    let job = std::env::args().nth(1).unwrap();
    let job: Job = serde_json::from_str(&job).unwrap();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let single = SingleThreaded::check().unwrap();
    let (info, info_of_bwrap) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (block, go) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let mut args: Vec<OsString> = Vec::new();
    for (option, fd) in [("--info-fd", &info_of_bwrap), ("--block-fd", &block)] {
        args.extend([option.into(), fds::number(fd).into()]);
    }
    args.extend(job.args.iter().map(OsString::from));
    let inherit: Vec<BorrowedFd<'_>> = vec![info_of_bwrap.as_fd(), info.as_fd(), block.as_fd()];
    let stderr = std::io::stderr();
    let bare = Bare {
        program: &job.bwrap,
        name: "bwrap",
        args: &args,
        into: None,
        enter: &[],
        inherit: &inherit,
        stderr: stderr.as_fd(),
    };
    let mut bwrap = bare.spawn().unwrap();
    drop((info_of_bwrap, block));
    let asked = Asked::new(job.pool, job.ways.clone());
    let started = start(&single, asked, info).and_then(|it| it.ready(Duration::from_secs(30)));
    let started = match started {
        Ok(started) => started,
        Err(error) => {
            eprintln!("{}", json!({ "error": error.to_string(), "hints": error.hints() }));
            // Before the end of this process lets it go on.
            bwrap.kill().and_then(|()| bwrap.wait()).unwrap();
            for orphan in process::children().unwrap() {
                let _ = nix::sys::signal::kill(orphan, nix::sys::signal::Signal::SIGKILL);
            }
            return ExitCode::from(125);
        }
    };
    eprintln!("{}", json!({ "gateway": started.sockets.gateway(), "notice": started.notice }));
    serve(&job, &*started.sockets);
    rustix::io::write(&go, b"1").unwrap();
    let status = bwrap.wait().unwrap();
    // The packets of the last attempt may still be on their way through the thread that tells them.
    thread::sleep(Duration::from_millis(job.linger));
    ExitCode::from(status.code().and_then(|code| code.try_into().ok()).unwrap_or(255))
}

fn serve(job: &Job, sockets: &dyn Sockets) {
    for at in &job.listen {
        let made = sockets.listen(*at).map_err(|err| format!("listen {at}: {err}"));
        match made {
            Ok(listener) => {
                let back = job.back.map(|port| (sockets.connect_inside(false).unwrap(), port));
                accept(listener, back);
            }
            Err(why) => eprintln!("{}", json!({ "failed": why })),
        }
    }
    for at in &job.inside {
        match sockets.listen_inside(at.ip(), at.port()) {
            Ok(listener) => accept(listener, None),
            Err(err) => eprintln!("{}", json!({ "failed": format!("inside {at}: {err}") })),
        }
    }
    for at in &job.datagrams {
        answer(sockets.datagrams(*at).unwrap());
    }
    if job.attempts {
        watch(sockets.attempts().unwrap());
    }
}

fn accept(listener: OwnedFd, mut back: Option<(OwnedFd, u16)>) {
    let listener = TcpListener::from(listener);
    listener.set_nonblocking(false).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let at = stream.local_addr().unwrap();
            if let Some((socket, port)) = back.take() {
                eprintln!("{}", json!({ "inside-said": connect_back(socket, port) }));
            }
            let _ = stream.write_all(format!("{at}\n").as_bytes());
        }
    });
}

fn connect_back(socket: OwnedFd, port: u16) -> String {
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(false).unwrap();
    let mut said = String::new();
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    match rustix::net::connect(&stream, &to) {
        Ok(()) => (&stream).read_to_string(&mut said).map(|_| said).unwrap_or_default(),
        Err(errno) => errno.to_string(),
    }
}

/// Answers each datagram from the address it was sent to, with that address.
fn answer(socket: OwnedFd) {
    let socket = UdpSocket::from(socket);
    socket.set_nonblocking(false).unwrap();
    thread::spawn(move || {
        loop {
            let mut bytes = [0; 512];
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let mut space = nix::cmsg_space!(libc::in6_pktinfo);
            let flags = MsgFlags::empty();
            let received =
                recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)
                    .unwrap();
            let from = received.address;
            let send = |to: IpAddr, control: &[ControlMessage<'_>]| {
                let text = to.to_string();
                let text = [IoSlice::new(text.as_bytes())];
                sendmsg(socket.as_raw_fd(), &text, control, flags, from.as_ref()).unwrap();
            };
            for message in received.cmsgs().unwrap() {
                match message {
                    ControlMessageOwned::Ipv4PacketInfo(mut info) => {
                        let to = IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes());
                        info.ipi_spec_dst = info.ipi_addr;
                        info.ipi_ifindex = 0;
                        send(to, &[ControlMessage::Ipv4PacketInfo(&info)]);
                    }
                    ControlMessageOwned::Ipv6PacketInfo(mut info) => {
                        let to = IpAddr::from(info.ipi6_addr.s6_addr);
                        info.ipi6_ifindex = 0;
                        send(to, &[ControlMessage::Ipv6PacketInfo(&info)]);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    });
}

/// Tells of each packet: its protocol, where it goes, and to which port.
fn watch(socket: OwnedFd) {
    let flags = rustix::fs::OFlags::empty();
    rustix::fs::fcntl_setfl(&socket, flags).unwrap();
    thread::spawn(move || {
        loop {
            let mut bytes = [0; 512];
            let taken = rustix::io::read(&socket, &mut bytes).unwrap();
            let packet = &bytes[..taken];
            let attempt = attempt(packet);
            eprintln!("{}", json!({ "attempt": attempt }));
        }
    });
}

fn attempt(packet: &[u8]) -> String {
    let (protocol, to, at) = if packet[0] >> 4 == 4 {
        let to: [u8; 4] = packet[16..20].try_into().unwrap();
        (packet[9], IpAddr::from(to), usize::from(packet[0] & 15) * 4)
    } else {
        let to: [u8; 16] = packet[24..40].try_into().unwrap();
        (packet[6], IpAddr::from(to), 40)
    };
    let port = u16::from_be_bytes([packet[at + 2], packet[at + 3]]);
    let protocol = if protocol == 6 { "tcp" } else { "udp" };
    format!("{protocol} {}", SocketAddr::new(to, port))
}
