//! What the agent's own copy of a state file holds at the start: its last content, and over it the
//! keys that a profile takes over from the host's file. So a login or a setting made on the host
//! arrives, what the agent noted for itself stays, and nothing else of the host's file goes in.
#![forbid(unsafe_code)]

use serde_json::{Map, Value};

use super::origin::Settled;

/// The content to start with; `None` where there is nothing to write. `host` is the host's file,
/// `copy` the agent's from its last session (which the agent wrote: it must have been read without
/// following links, or it could be any file of the host). What is no JSON object counts as absent.
pub fn content(
    host: Option<&[u8]>,
    copy: Option<&[u8]>,
    keys: &[Settled<String>],
) -> Option<Vec<u8>> {
    let mut host = host.and_then(object);
    let mut content = copy.and_then(object);
    for key in keys {
        if let Some(value) = host.as_mut().and_then(|host| host.remove(&key.value)) {
            content.get_or_insert_default().insert(key.value.clone(), value);
        }
    }
    serde_json::to_vec_pretty(&content?).ok()
}

/// A JSON object, in which whole lines may be comments (`// ...`), as agents write on top of theirs. No
/// text of JSON has such a line otherwise: a string ends on the line on which it begins.
fn object(text: &[u8]) -> Option<Map<String, Value>> {
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.trim_ascii_start().starts_with(b"//"));
    serde_json::from_slice(&lines.collect::<Vec<&[u8]>>().join(&b'\n')).ok()
}

#[cfg(test)]
mod tests {
    use super::super::origin::{LayerKind, Origin};
    use super::*;

    fn content(host: Option<&str>, copy: Option<&str>) -> Option<Value> {
        let origin = Origin { layer: LayerKind::BuiltIn, source: "x".into(), line: 1 };
        let keys = ["account", "theme"]
            .map(|key| Settled { value: key.to_owned(), origin: origin.clone() });
        super::content(host.map(str::as_bytes), copy.map(str::as_bytes), &keys)
            .map(|content| serde_json::from_slice(&content).unwrap())
    }

    #[test]
    fn only_named_keys_go_in() {
        let host = r#"{"account": {"id": 1}, "secrets": "s", "projects": {"/a": {}}}"#;
        assert_eq!(content(Some(host), None).unwrap(), serde_json::json!({"account": {"id": 1}}));
    }

    #[test]
    fn the_host_wins_and_the_agents_own_notes_stay() {
        let (host, copy) = (r#"{"account": 2}"#, r#"{"account": 1, "theme": "dark", "seen": 3}"#);
        let expected = serde_json::json!({"account": 2, "theme": "dark", "seen": 3});
        assert_eq!(content(Some(host), Some(copy)).unwrap(), expected);
    }

    #[test]
    fn lines_of_comments_are_passed_over() {
        let host = "// Managed.\n  // {\n{\"account\":\n// no\n\"// a\\n// b\"}\n//";
        assert_eq!(
            content(Some(host), None).unwrap(),
            serde_json::json!({"account": "// a\n// b"})
        );
        assert_eq!(content(Some("{\"account\": 1} // x"), None), None);
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        assert_eq!(content(None, None), None);
        assert_eq!(content(Some(r#"{"other": 1}"#), None), None);
        for broken in ["", "[1]", "{", "null", "{\"a\":1}x"] {
            assert_eq!(content(Some(broken), Some(broken)), None, "{broken}");
        }
        assert_eq!(
            content(Some("{"), Some(r#"{"seen": 1}"#)).unwrap(),
            serde_json::json!({"seen": 1})
        );
    }
}
