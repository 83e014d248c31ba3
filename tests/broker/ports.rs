//! Single ports that lead from one side to the other.

use std::net::{Ipv4Addr, TcpListener};

use claudebox::network::plan::Publish;

use super::harness::*;

#[test]
fn a_port_of_the_host_is_there_inside() {
    isolated("ports::a_port_of_the_host_is_there_inside", || {
        let (at, served) = echo();
        let mut setup = Setup::new(&[]);
        setup.plan.host_ports = vec![at.port()];
        let running = setup.start();
        assert_eq!(talk(connect((INSIDE, at.port())).unwrap(), b"hello"), b"hello");
        assert_eq!(served.join().unwrap(), b"hello");
        let connect = running.connect();
        assert_eq!((&*connect.via, connect.port), ("host-port", at.port()));
        assert_eq!(running.disconnect().received, 5);
        // Nobody listens there any more.
        ends((INSIDE, at.port()), b"");
        assert!(running.disconnect().error.unwrap().contains("refused"));
    });
}

#[test]
fn a_port_inside_is_there_on_the_host() {
    isolated("ports::a_port_inside_is_there_on_the_host", || {
        let (at, served) = echo();
        let mut setup = Setup::new(&[]);
        setup.plan.publish = vec![Publish { inside: at.port(), outside: 0 }];
        let running = setup.start();
        let published = running.broker.status().unwrap().published[0];
        assert!(published.inside == at.port() && published.outside != 0);
        let stream = connect((Ipv4Addr::LOCALHOST, published.outside)).unwrap();
        assert_eq!(talk(stream, b"hello"), b"hello");
        assert_eq!(served.join().unwrap(), b"hello");
        assert_eq!(running.connect().via, "publish");
        // What the host sent came into the sandbox.
        let disconnect = running.disconnect();
        assert_eq!((disconnect.sent, disconnect.received), (5, 5));
    });
}

#[test]
fn a_port_that_is_taken_is_an_error_with_a_way_out() {
    isolated("ports::a_port_that_is_taken_is_an_error_with_a_way_out", || {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let outside = taken.local_addr().unwrap().port();
        let mut setup = Setup::new(&[]);
        setup.plan.publish = vec![Publish { inside: 3000, outside }];
        let Err(error) = setup.try_start() else { panic!() };
        assert!(error.to_string().contains("3000"), "{error}");
        assert_eq!(error.hints(), ["`--publish 3000:0` takes a port that is free"]);
    });
}
