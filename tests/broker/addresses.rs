//! Rules that speak of addresses.

use std::net::IpAddr;

use super::harness::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_net_is_listened_at_and_what_lies_beside_it_is_reset() {
    isolated("addresses::a_net_is_listened_at_and_what_lies_beside_it_is_reset", || {
        let running =
            Setup::new(&["127.5.0.0/16:8080", "a.test:8080"]).deny("127.5.5.0/24").start();
        for (address, why) in [("127.6.0.1", "not-listed"), ("127.5.5.1", "denied")] {
            ends((ip(address), 8080), b"");
            let refused = running.refused();
            assert_eq!((&*refused.host, &*refused.why), (address, why));
            // No rule would open the loopback.
            assert_eq!(refused.allow, None);
        }
        // Names at the same port have listeners of their own.
        ends((address("a.test"), 8080), b"");
        assert_eq!(running.connect().host, "a.test");
        // Within: dialled, where the broker itself listens; that is enough to see.
        let within = connect((ip("127.5.0.1"), 8080));
        assert_eq!(running.connect().host, "127.5.0.1");
        drop((within, running));
    });
}

#[test]
fn a_name_never_has_an_address_that_a_rule_means() {
    isolated("addresses::a_name_never_has_an_address_that_a_rule_means", || {
        let mut setup = Setup::new(&["*.test:80", "127.64.1.0/29:443"]);
        setup.plan.pool = "127.64.1.0/28".parse().unwrap();
        let _running = setup.start();
        for number in 0..7 {
            let address = address(&format!("n{number}.test"));
            assert!(address.octets()[3] >= 8, "{address}");
        }
    });
}
