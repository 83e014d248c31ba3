//! The network, settled: rules with the place that asks for each, ports, proxies.

use super::*;
use crate::network::plan::{Allow, Publish};
use crate::network::rule::{Decision, Host as Target};
use crate::profile::groups::Groups;
use crate::profile::settings::NetworkSettings;
use crate::profile::source::Source;

fn groups(text: &str) -> Groups {
    let built_in = "[groups]\nnpm = [\"registry.npmjs.org\", \"a.example:8080\"]\n";
    let sources = [(LayerKind::BuiltIn, "groups.toml (built in)", built_in)];
    let sources = sources.into_iter().chain([(LayerKind::User, "groups.toml", text)]);
    let sources: Vec<Source> =
        sources.map(|(kind, name, text)| Source::new(kind, name, text.into()).unwrap()).collect();
    Groups::read(&sources).unwrap()
}

fn case(change: impl FnOnce(&mut NetworkSettings)) -> Case {
    Case::debian().with(|case| {
        case.settings.network.groups = groups("[groups]\nnpm = [\"npm.corp private\"]\n");
        change(&mut case.settings.network);
    })
}

fn allow(case: &Case) -> Allow {
    match compile::plan(&case.policy().unwrap(), &case.host).unwrap().network {
        Network::Allow(allow) => *allow,
        other => panic!("the network is {}", other.word()),
    }
}

fn shown(case: &Case) -> String {
    let text = explain::text(&case.policy().unwrap());
    text.split("\nnetwork\n").nth(1).unwrap().split("\n\n").next().unwrap().to_owned()
}

#[test]
fn every_rule_knows_who_asks_for_it() {
    let case = case(|network| {
        network.allow = list(3, &["@npm", "*.pages.dev", "db.corp:5432 private", "x.example:443"]);
        network.deny = list(9, &["*.internal.example", "10.0.0.0/8:22"]);
    });
    let case = case.with(|case| {
        case.invocation.allow = vec!["X.example".into(), "[2001:db8::1]:22".into()];
        case.invocation.host_ports = vec![11434];
        case.invocation.publish = vec![Publish { inside: 3000, outside: 8080 }];
        case.settings.network.host_ports = vec![at(5, 5432), at(5, 11434)];
        case.settings.network.publish = vec![at(6, Publish { inside: 1, outside: 0 })];
    });
    insta::assert_snapshot!(shown(&case), @"
    allow          @npm                                     [test.toml:3]
                     registry.npmjs.org, a.example:8080
    allow          @npm                                     [test.toml:3, groups.toml:2]
                     npm.corp private
    allow          *.pages.dev:443                          [test.toml:3]
    allow          db.corp:5432 private                     [test.toml:3]
    allow          x.example:443                            [--allow]
    allow          [2001:db8::1]:22                         [--allow]
    deny           *.internal.example                       [test.toml:9]
    deny           10.0.0.0/8:22                            [test.toml:9]
    pool           25.64.0.0/15                             [default]
    transparent    best-effort                              [default]
    host port      5432                                     [test.toml:5]
    host port      11434                                    [--host-port]
    publish        1 at any port of this machine            [test.toml:6]
    publish        3000 at port 8080 of this machine        [--publish]
    ");
    let weakened = case.policy().unwrap().weakened;
    let wide = "network: anybody can have a name of `*.pages.dev:443` (test.toml:3)";
    assert!(weakened.contains(&wide.to_owned()), "{weakened:?}");
    let allow = allow(&case);
    assert_eq!(allow.host_ports, [5432, 11434]);
    let json = explain::json(&case.policy().unwrap());
    assert_eq!(json["network"]["allow"][1]["origin"], "test.toml:3");
}

#[test]
fn a_denied_group_is_denied_at_its_ports_and_words_do_not_matter() {
    let case = case(|network| {
        network.allow = list(3, &["*.corp", "*.corp:8443", "registry.npmjs.org"]);
        network.deny = list(4, &["@npm"]);
    });
    let rules = allow(&case).rules;
    let decided = |name: &str, port| rules.decide(&Target::Name(name.parse().unwrap()), port);
    assert!(matches!(decided("registry.npmjs.org", 443), Decision::Denied(_)));
    assert!(matches!(decided("npm.corp", 8443), Decision::Denied(_)), "no port: all of them");
    assert!(matches!(decided("git.corp", 8443), Decision::Allowed(_)));
    assert!(rules.deny.iter().all(|rule| rule.text == "@npm"));
}

#[test]
fn a_group_that_there_is_not_is_an_error() {
    let typed =
        |rule: &str| case(|_| {}).with(|case| case.invocation.allow = vec![rule.into()]).error();
    insta::assert_snapshot!(typed("@nmp"), @"
        --allow: there is no group `@nmp`
        hint: did you mean `@npm`?
        ");
}

#[test]
fn a_host_with_the_name_of_a_group_is_one_and_the_group_is_named() {
    let remarks = |rule: &str| {
        let case = case(|_| {}).with(|case| case.invocation.allow = vec![rule.into()]);
        case.policy().unwrap().remarks
    };
    let said = "--allow npm is the host of that name; the group of hosts is `@npm`";
    assert_eq!(remarks("npm"), [said]);
    assert_eq!(remarks("@npm"), Vec::<String>::new());
    assert_eq!(remarks("npm.corp"), Vec::<String>::new());
}

#[test]
fn what_is_typed_for_a_list_needs_one() {
    let error = |mode, change: fn(&mut Invocation)| {
        let case = case(|network| network.allow = list(3, &["a.example"]));
        case.with(|case| {
            case.settings.network.mode = Some(at(2, mode));
            change(&mut case.invocation);
        })
    };
    let errors = [
        error(NetworkMode::None, |typed| typed.allow = vec!["a.example".into()]).error(),
        error(NetworkMode::Host, |typed| typed.host_ports = vec![1]).error(),
    ];
    insta::assert_snapshot!(errors.join("\n"), @"
    --allow is for the network `allow`, and it is `none` (test.toml:2)
    hint: add --network allow, or leave one of the two out
    --host-port is for the network `allow`, and it is `host` (test.toml:2)
    hint: add --network allow, or leave one of the two out
    ");
    // What a profile says waits for its mode.
    assert_eq!(error(NetworkMode::None, |_| {}).policy().unwrap().network.value, Network::None);
    let lifted = error(NetworkMode::None, |typed| {
        typed.allow = vec!["b.example".into()];
        typed.network = Some(NetworkMode::Allow);
    });
    assert_eq!(allow(&lifted).rules.allow.len(), 2);
}

#[test]
fn what_another_network_does_not_hold_is_said() {
    let with = |mode| {
        let case = case(|network| {
            network.mode = Some(at(2, mode));
            network.deny = list(3, &["*"]);
            network.host_ports = vec![at(4, 5432)];
        });
        case.policy().unwrap()
    };
    let (none, host) = (with(NetworkMode::None), with(NetworkMode::Host));
    let left_out = "network.host-ports: the network is `none`".to_owned();
    assert!(none.left_out.contains(&left_out) && !host.left_out.contains(&left_out));
    let denied = "network: what a profile denies is not denied".to_owned();
    assert!(host.weakened.contains(&denied) && !none.weakened.contains(&denied));
    assert!(!with(NetworkMode::Allow).weakened.contains(&denied));
}

#[test]
fn a_port_of_the_host_is_published_once() {
    let case = case(|network| {
        let publish = |inside, outside| at(3, Publish { inside, outside });
        network.publish = vec![publish(1, 0), publish(2, 0), publish(3, 80), publish(4, 80)];
    });
    insta::assert_snapshot!(case.error(), @"
    test.toml:3: port 80 of this machine is published twice: for 3 (test.toml:3) and for 4
    hint: give another: PORT:HOST-PORT, or PORT:0 for any that is free
    ");
}

#[test]
fn programs_hear_of_a_proxy_only_if_somebody_asks() {
    let variables = |case: &Case| -> Vec<String> {
        let policy = case.policy().unwrap();
        let about = |name: &str| name.to_ascii_lowercase().contains("proxy");
        let named = policy
            .environment
            .iter()
            .map(|variable| format!("{}={}", variable.name.display(), variable.value.display()));
        named.filter(|text| about(text.split('=').next().unwrap())).collect()
    };
    let without = case(|_| {});
    assert!(variables(&without).is_empty());
    assert_eq!(allow(&without).proxy, None);
    let with = case(|network| network.proxy = Some(at(3, true)));
    assert_eq!(allow(&with).proxy, Some(3128));
    insta::assert_snapshot!(variables(&with).join("\n"), @"
    ALL_PROXY=http://25.64.0.1:3128
    HTTPS_PROXY=http://25.64.0.1:3128
    HTTP_PROXY=http://25.64.0.1:3128
    NODE_USE_ENV_PROXY=1
    NO_PROXY=localhost,127.0.0.1,::1
    all_proxy=http://25.64.0.1:3128
    http_proxy=http://25.64.0.1:3128
    https_proxy=http://25.64.0.1:3128
    no_proxy=localhost,127.0.0.1,::1
    ");
    let only = case(|network| network.transparent = Some(at(3, Demand::Off)));
    assert_eq!(allow(&only).proxy, Some(3128));
    let neither = case(|network| {
        network.transparent = Some(at(3, Demand::Off));
        network.proxy = Some(at(4, false));
    });
    insta::assert_snapshot!(neither.error(), @r#"
    test.toml:4: the proxy is switched off, and so is every other way to a host (test.toml:3)
    hint: take `network.proxy = false` away, or `network.transparent = "off"`
    "#);
}

#[test]
fn the_hosts_own_proxy_stays_outside() {
    let case = case(|_| {}).with(|case| {
        let environment = &mut case.host.environment;
        environment.insert("HTTPS_PROXY".into(), "http://me:s3cret@proxy.corp:8080".into());
        environment.insert("no_proxy".into(), "localhost,.corp".into());
        case.settings.pass = list(20, &["HTTPS_PROXY", "no_proxy", "TERM"]);
    });
    let upstream = allow(&case).upstream.unwrap();
    assert_eq!((upstream.host.as_str(), upstream.port), ("proxy.corp", 8080));
    assert_eq!(upstream.credentials.as_deref(), Some("me:s3cret"));
    assert!(upstream.excepts(&"git.corp".parse().unwrap()));
    insta::assert_snapshot!(shown(&case), @"
    pool           25.64.0.0/15                             [default]
    transparent    best-effort                              [default]
    your proxy     http://proxy.corp:8080                   [$HTTPS_PROXY]
    ");
    let policy = case.policy().unwrap();
    assert!(!policy.environment.iter().any(|variable| variable.name == "HTTPS_PROXY"));
    insta::assert_snapshot!(policy.left_out.last().unwrap(), @"environment.pass, HTTPS_PROXY no_proxy: claudebox goes through your proxy for what is inside");
    let said =
        explain::text(&policy) + &explain::json(&policy).to_string() + &format!("{policy:?}");
    assert!(!said.contains("s3cret"));
    // With the host's network the variables are of use inside.
    let host = case.with(|case| case.invocation.network = Some(NetworkMode::Host));
    let policy = host.policy().unwrap();
    assert!(policy.environment.iter().any(|variable| variable.name == "HTTPS_PROXY"));
}
