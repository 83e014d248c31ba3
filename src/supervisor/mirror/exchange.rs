//! What passes between a JSON file of the home and the agent's copy of it, by key. The agent wrote
//! the copy, so only what a profile names passes, only what was changed while the session ran, and
//! nothing that is less than what the host has. It must never do I/O.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A JSON object.
pub(super) type Object = Map<String, Value>;

/// The largest value that is taken from a copy, in bytes of JSON. A login has a few hundred.
pub(super) const LARGEST: usize = 16 << 10;

/// Which top-level keys pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys<'k> {
    /// Kept the same on both sides.
    pub(super) both: &'k [String],
    /// Given to the host where it has none of its own.
    pub(super) first: &'k [String],
}

impl Keys<'_> {
    /// Whether it is one of them.
    pub(super) fn hold(&self, key: &str) -> bool {
        self.both.iter().chain(self.first).any(|known| known == key)
    }

    fn of(&self, object: &Object) -> Object {
        let keys = self.both.iter().chain(self.first);
        keys.filter_map(|key| Some((key.clone(), object.get(key)?.clone()))).collect()
    }
}

/// What both sides had when they were last looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    host: Object,
    copy: Object,
}

/// What is to be written.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Into the host's file.
    pub(super) to_host: Object,
    /// Into the copy; `None` takes a key away.
    pub(super) to_copy: BTreeMap<String, Option<Value>>,
}

/// The beginning of a session: the host's word counts, also where it says nothing any more. (Who has
/// logged out is logged out here too.)
pub(super) fn begin(keys: Keys<'_>, host: &Object, copy: &Object) -> (Changes, Seen) {
    let differs = |key: &&String| host.get(*key) != copy.get(*key);
    let to_copy = keys.both.iter().filter(differs);
    let to_copy: BTreeMap<_, _> =
        to_copy.map(|key| (key.clone(), host.get(key).cloned())).collect();
    let mut seen = Seen { host: keys.of(host), copy: keys.of(copy) };
    apply(&mut seen.copy, &to_copy);
    (Changes { to_host: Object::new(), to_copy }, seen)
}

/// Whether the copy has something that was not there when it was last looked at. If not, and the
/// host's file was not touched, there is nothing to pass.
pub(super) fn is_news(keys: Keys<'_>, seen: &Seen, copy: &Object) -> bool {
    keys.of(copy) != seen.copy
}

/// What passes now. Where both sides have changed, the host's word counts.
pub(super) fn pass(keys: Keys<'_>, seen: &mut Seen, host: &Object, copy: &Object) -> Changes {
    let mut changes = Changes::default();
    for key in keys.both {
        let (ours, theirs) = (host.get(key), copy.get(key));
        if ours == theirs {
            continue;
        }
        if ours != seen.host.get(key) {
            changes.to_copy.insert(key.clone(), ours.cloned());
        } else if let Some(theirs) = theirs.filter(|theirs| seen.copy.get(key) != Some(theirs))
            && may_replace(ours, theirs)
        {
            changes.to_host.insert(key.clone(), theirs.clone());
        }
    }
    for key in keys.first {
        if let Some(theirs) = copy.get(key).filter(|theirs| seen.copy.get(key) != Some(theirs))
            && !host.contains_key(key)
            && may_replace(None, theirs)
        {
            changes.to_host.insert(key.clone(), theirs.clone());
        }
    }
    *seen = Seen { host: keys.of(host), copy: keys.of(copy) };
    seen.host.extend(changes.to_host.clone());
    apply(&mut seen.copy, &changes.to_copy);
    changes
}

/// Writes changes into a copy.
pub(super) fn apply(copy: &mut Object, changes: &BTreeMap<String, Option<Value>>) {
    for (key, value) in changes {
        match value {
            Some(value) => copy.insert(key.clone(), value.clone()),
            None => copy.remove(key),
        };
    }
}

/// Whether the host takes a value from a copy. An agent whose token was refused blanks it in its
/// copy; the host's may have been renewed meanwhile, and must not be lost to that.
fn may_replace(ours: Option<&Value>, theirs: &Value) -> bool {
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let keeps = match (ours, theirs) {
        (None, _) => !theirs.is_null() && theirs.get("type").is_none(),
        (Some(Value::Object(ours)), Value::Object(theirs)) => {
            let mut texts = ours.iter().filter(|(_, value)| text(value));
            texts.all(|(key, _)| theirs.get(key).is_some_and(text)) && is_same_kind(ours, theirs)
        }
        (Some(Value::Object(_)), _) => false,
        (Some(ours), theirs) => std::mem::discriminant(ours) == std::mem::discriminant(theirs),
    };
    keeps && is_plain(theirs) && serde_json::to_vec(theirs).is_ok_and(|json| json.len() <= LARGEST)
}

/// Whether a login that says of which kind it is stays of that kind, and gains nothing else: in
/// OpenCode's file an entry of another `type` names variables that the host's sets, and a
/// configuration that it fetches and obeys.
fn is_same_kind(ours: &Object, theirs: &Object) -> bool {
    ours.get("type") == theirs.get("type")
        && (!ours.contains_key("type") || theirs.keys().all(|key| ours.contains_key(key)))
}

/// Whether no text in it could act on a terminal: the host's agent shows the account's name.
fn is_plain(value: &Value) -> bool {
    let plain = |text: &str| !text.contains(char::is_control);
    match value {
        Value::String(text) => plain(text),
        Value::Array(values) => values.iter().all(is_plain),
        Value::Object(object) => object.iter().all(|(key, value)| plain(key) && is_plain(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        serde_json::from_value(value).unwrap()
    }

    /// A session with keys `login` (both ways) and `name` (first).
    struct Session {
        keys: [Vec<String>; 2],
        seen: Seen,
    }

    impl Session {
        fn keys(&self) -> Keys<'_> {
            Keys { both: &self.keys[0], first: &self.keys[1] }
        }

        fn begin(host: Value, copy: Value) -> (Self, Changes) {
            let keys = [vec!["login".to_owned()], vec!["name".to_owned()]];
            let mut session = Self { keys, seen: Seen::default() };
            let (changes, seen) = begin(session.keys(), &object(host), &object(copy));
            session.seen = seen;
            (session, changes)
        }

        fn pass(&mut self, host: Value, copy: Value) -> Changes {
            let mut seen = self.seen.clone();
            let changes = pass(self.keys(), &mut seen, &object(host), &object(copy));
            self.seen = seen;
            changes
        }
    }

    fn to_host(value: Value) -> Changes {
        Changes { to_host: object(value), ..Changes::default() }
    }

    fn to_copy(value: Option<Value>) -> Changes {
        Changes { to_copy: [("login".to_owned(), value)].into(), ..Changes::default() }
    }

    #[test]
    fn a_session_begins_with_what_the_host_has() {
        let copy = json!({"login": {"t": "old"}, "name": "x", "hooks": 1});
        let (mut session, changes) = Session::begin(json!({"login": {"t": "new"}}), copy.clone());
        assert_eq!(changes, to_copy(Some(json!({"t": "new"}))));
        let (_, changes) = Session::begin(json!({}), copy);
        assert_eq!(changes, to_copy(None), "who logged out is logged out");
        let both = json!({"login": {"t": "new"}, "name": "x"});
        assert_eq!(
            session.pass(json!({"login": {"t": "new"}}), both),
            Changes::default(),
            "what the copy has had before is no news"
        );
    }

    #[test]
    fn a_first_login_and_a_renewal_reach_the_host() {
        let (mut session, changes) = Session::begin(json!({}), json!({}));
        assert_eq!(changes, Changes::default());
        let copy = json!({"login": {"t": "1"}, "name": "n", "mcpServers": {"evil": 1}});
        let expected = json!({"login": {"t": "1"}, "name": "n"});
        assert_eq!(session.pass(json!({}), copy.clone()), to_host(expected.clone()));
        assert_eq!(session.pass(expected.clone(), copy), Changes::default());
        let renewed = json!({"login": {"t": "2"}, "name": "other"});
        assert_eq!(session.pass(expected, renewed), to_host(json!({"login": {"t": "2"}})));
    }

    #[test]
    fn what_another_session_renewed_is_not_lost() {
        let old = json!({"login": {"t": "1"}});
        let (mut session, _) = Session::begin(old.clone(), old.clone());
        let host = json!({"login": {"t": "2"}});
        assert_eq!(session.pass(host.clone(), old.clone()), to_copy(Some(json!({"t": "2"}))));
        assert_eq!(session.pass(host.clone(), host.clone()), Changes::default());

        let (mut session, _) = Session::begin(old.clone(), old);
        let mine = json!({"login": {"t": "3"}});
        assert_eq!(session.pass(host, mine), to_copy(Some(json!({"t": "2"}))));
    }

    #[test]
    fn the_host_does_not_lose_a_text_or_take_another_kind() {
        let host = json!({"login": {"t": "1", "at": 5}});
        for worse in [json!({"t": ""}), json!({}), json!(null), json!("t"), json!({"t": 1})] {
            let (mut session, _) = Session::begin(host.clone(), host.clone());
            let changes = session.pass(host.clone(), json!({"login": worse}));
            assert_eq!(changes, Changes::default());
        }
        let (mut session, _) = Session::begin(host.clone(), host.clone());
        assert_eq!(session.pass(host.clone(), json!({})), Changes::default(), "logged out inside");
        for odd in ["a\u{1b}]0;b\u{7}", "a\u{9b}31m", "a\n"] {
            let (mut session, _) = Session::begin(json!({}), json!({}));
            let inside = json!({"login": {"t": [odd]}, "name": {odd: 1}});
            assert_eq!(session.pass(json!({}), inside), Changes::default(), "{odd:?}");
        }
        let large = json!({"login": {"t": "x".repeat(LARGEST)}});
        assert_eq!(session.pass(host, large), Changes::default());
    }

    /// OpenCode's entries say of which kind they are: `wellknown` names a variable that it sets, and an
    /// address from which it takes a configuration.
    #[test]
    fn a_login_that_says_its_kind_stays_of_it() {
        let host = json!({"login": {"type": "oauth", "access": "1"}});
        let renewed = json!({"type": "oauth", "access": "2"});
        for (theirs, passes) in [
            (renewed.clone(), true),
            (json!({"type": "wellknown", "access": "2"}), false),
            (json!({"type": "oauth", "access": "2", "enterpriseUrl": "evil.example"}), false),
            (json!({"access": "2"}), false),
        ] {
            let (mut session, _) = Session::begin(host.clone(), host.clone());
            let changes = session.pass(host.clone(), json!({"login": theirs}));
            assert_eq!(!changes.to_host.is_empty(), passes, "{theirs}");
        }
        let plain = json!({"login": {"access": "1"}});
        let (mut session, _) = Session::begin(plain.clone(), plain.clone());
        assert_eq!(session.pass(plain, json!({"login": renewed.clone()})), Changes::default());
        let (mut session, _) = Session::begin(json!({}), json!({}));
        assert_eq!(session.pass(json!({}), json!({"login": renewed})), Changes::default());
    }

    proptest! {
        #[test]
        fn nothing_but_the_named_keys_passes(
            host in prop::collection::btree_map("(login|name|other)", "[ab]{0,1}", 0..3),
            copy in prop::collection::btree_map("(login|name|hooks)", "[ab]{0,1}", 0..4),
        ) {
            let (mut session, _) = Session::begin(json!({}), json!({}));
            let changes = session.pass(json!(host), json!(copy));
            for key in changes.to_host.keys() {
                prop_assert!(key == "login" || (key == "name" && !host.contains_key("name")));
            }
            prop_assert!(changes.to_copy.keys().all(|key| key == "login"));
        }
    }
}
