//! Names that lead where they must not: the host's loopback, its network, a metadata service.

use super::harness::*;

#[test]
fn a_name_that_leads_to_the_loopback_is_not_dialled() {
    isolated("guard::a_name_that_leads_to_the_loopback_is_not_dialled", || {
        for rule in ["a.test:8080", "a.test:8080 private"] {
            let server = Forbidden::new();
            let mut setup = Setup::new(&[rule]).host("a.test", server.at());
            setup.guarded = true;
            let running = setup.start();
            ends((address("a.test"), 8080), b"hello");
            let refused = running.refused();
            drop(running);
            assert!(!server.was_reached() && refused.allow.is_none());
            assert_eq!((&*refused.why, &*refused.host), ("private", "a.test"));
            assert_eq!(refused.detail.as_deref(), Some("127.0.0.1, a loopback address"));
        }
    });
}

/// The control.
#[test]
fn without_the_guard_it_would_be() {
    isolated("guard::without_the_guard_it_would_be", || {
        let (at, served) = echo();
        let _running = Setup::new(&["a.test:8080"]).host("a.test", at).start();
        assert_eq!(talk(open("a.test", 8080), b"hello"), b"hello");
        assert_eq!(served.join().unwrap(), b"hello");
    });
}

#[test]
fn a_private_address_is_offered_to_be_allowed() {
    isolated("guard::a_private_address_is_offered_to_be_allowed", || {
        let at = "10.1.2.3:8080".parse().unwrap();
        let mut setup = Setup::new(&["a.test:8080"]).host("a.test", at);
        setup.guarded = true;
        let running = setup.start();
        ends((address("a.test"), 8080), b"x");
        assert_eq!(running.refused().allow.as_deref(), Some("a.test:8080 private"));
    });
}

#[test]
fn of_several_addresses_only_the_good_ones_are_dialled() {
    isolated("guard::of_several_addresses_only_the_good_ones_are_dialled", || {
        let server = Forbidden::new();
        // Nobody's, and without a way there from this network.
        let good = "192.0.2.1:8080".parse().unwrap();
        let mut setup = Setup::new(&["a.test:8080"]).host("a.test", server.at());
        setup = setup.host("a.test", good);
        setup.guarded = true;
        let running = setup.start();
        ends((address("a.test"), 8080), b"x");
        assert_eq!(running.connect().host, "a.test");
        let error = running.disconnect().error.unwrap();
        assert!(error.contains("192.0.2.1"), "{error}");
        assert!(!server.was_reached());
    });
}

/// The name is looked up once, so that a second answer (DNS rebinding) is never asked for.
#[test]
fn a_name_is_looked_up_once_for_a_connection() {
    isolated("guard::a_name_is_looked_up_once_for_a_connection", || {
        let (at, _served) = echo();
        let running = Setup::new(&["a.test:8080"]).host("a.test", at).start();
        assert_eq!(talk(open("a.test", 8080), b"x"), b"x");
        assert_eq!(running.lookups.lock().unwrap().len(), 1);
    });
}

#[test]
fn an_address_that_a_rule_names_is_no_way_to_the_loopback_either() {
    isolated("guard::an_address_that_a_rule_names_is_no_way_to_the_loopback_either", || {
        let mut setup = Setup::new(&["127.9.9.9:8080"]);
        setup.guarded = true;
        let running = setup.start();
        let at: std::net::IpAddr = "127.9.9.9".parse().unwrap();
        ends((at, 8080), b"x");
        let refused = running.refused();
        assert_eq!((&*refused.why, refused.allow), ("private", None));
    });
}
