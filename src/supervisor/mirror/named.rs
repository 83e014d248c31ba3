//! Reads a few keys of a JSON object that an agent wrote, and passes over the rest: a million of
//! small values would take a hundred times their text in memory, and the supervisor's is not the
//! sandbox's. It must never keep a value that is longer than any that passes.
#![forbid(unsafe_code)]

use std::fmt;

use serde::Deserializer as _;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::exchange::{Keys, LARGEST, Object};

/// What is read.
pub(super) struct Named<'k>(pub(super) Keys<'k>);

impl Named<'_> {
    /// The values of the keys. One that is too long is not there.
    ///
    /// # Errors
    /// Where the text is no JSON object, or not all of it is.
    pub(super) fn read(self, text: &[u8]) -> serde_json::Result<Object> {
        let mut json = serde_json::Deserializer::from_slice(text);
        let object = json.deserialize_map(self)?;
        json.end()?;
        Ok(object)
    }
}

impl<'de> Visitor<'de> for Named<'_> {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut object = Object::new();
        while let Some(key) = map.next_key::<String>()? {
            if !self.0.hold(&key) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let text = map.next_value::<&RawValue>()?.get();
            // Of a key that comes twice the last counts, as everywhere.
            object.remove(&key);
            if text.len() <= LARGEST {
                object.insert(key, serde_json::from_str(text).map_err(A::Error::custom)?);
            }
        }
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> serde_json::Result<Object> {
        let (both, first) = (["login".to_owned()], ["name".to_owned()]);
        Named(Keys { both: &both, first: &first }).read(text.as_bytes())
    }

    #[test]
    fn only_what_is_named_is_kept() {
        let text =
            r#"{"a": [{}], "login": {"t": "1"}, "log\u0069n": {"t": "2"}, "name": 1, "b": ""}"#;
        assert_eq!(Value::from(read(text).unwrap()), json!({"login": {"t": "2"}, "name": 1}));
        let long = format!(r#"{{"login": 1, "login": [{}0], "name": 1}}"#, "0,".repeat(LARGEST));
        assert_eq!(Value::from(read(&long).unwrap()), json!({"name": 1}));
        for wrong in
            ["", "[]", "\"login\"", "{\"login\": 1", "{\"login\": 1} x", "{\"login\": 1e999}"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let deep =
            |key, depth| format!("{{\"{key}\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(read(&deep("a", 1_000_000)).unwrap(), Object::new(), "it costs no stack");
        assert!(read(&deep("login", 1_000)).is_err());
    }

    proptest! {
        #[test]
        fn it_is_what_the_whole_object_has(
            object in prop::collection::btree_map("(login|name|other)", "[ab]{0,2}", 0..4),
        ) {
            let mut whole: Object = serde_json::from_value(json!(object)).unwrap();
            whole.retain(|key, _| key != "other");
            prop_assert_eq!(read(&json!(object).to_string()).unwrap(), whole);
        }
    }
}
