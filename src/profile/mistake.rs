//! What serde says about a mistake, said for a person: unknown keys and values get a "did you
//! mean", a key that belongs in another table is told where. The known keys come from the JSON
//! schema, so there is no second list to keep.
#![forbid(unsafe_code)]

use schemars::JsonSchema;
use serde_json::Value;

use crate::visible::visible;

/// What toml says where a word in quotes has to stand, and something else does.
const NO_WORD: &str = "wanted string or table";

/// The title and the hints for a message of serde or toml about the value of a key.
pub(super) fn explain<T: JsonSchema>(message: &str, key: &str) -> (String, Vec<String>) {
    if message == NO_WORD {
        let words: Vec<_> = words_of::<T>(key).iter().map(|word| format!("\"{word}\"")).collect();
        let expected = match words.as_slice() {
            [] => "a word in quotes".to_owned(),
            [word] => word.clone(),
            words => format!("one of {}", words.join(", ")),
        };
        return (format!("expected {expected}"), Vec::new());
    }
    for (start, what) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        let Some((word, known)) = message.strip_prefix(start).and_then(|m| m.split_once("`, "))
        else {
            continue;
        };
        let known: Vec<_> = known.split('`').skip(1).step_by(2).collect();
        return (format!("unknown {what} `{}`", visible(word)), hints::<T>(what, word, &known));
    }
    let mut lines = message.lines().map(str::to_owned);
    let title = in_toml_words(&lines.next().unwrap_or_default());
    let alone = title.strip_prefix("invalid type: string ");
    let alone = alone.and_then(|rest| rest.strip_suffix(", expected a list"));
    let in_brackets =
        alone.map(|word| format!("a list, also of one, stands in brackets: [{word}]"));
    (title, lines.chain(in_brackets).collect())
}

/// serde's names for types, in TOML's words.
fn in_toml_words(title: &str) -> String {
    let Some((found, expected)) = title.rsplit_once(", expected ") else {
        return title.to_owned();
    };
    let expected = match expected {
        "a sequence" => "a list",
        "a map" => "a table",
        "a boolean" => "true or false",
        name if name.starts_with("struct ") => "a table",
        other => other,
    };
    format!("{found}, expected {expected}").replace("invalid type: sequence", "invalid type: list")
}

fn hints<T: JsonSchema>(what: &str, word: &str, known: &[&str]) -> Vec<String> {
    if let Some(near) = nearest(word, known.iter().copied()) {
        return vec![format!("did you mean `{near}`?")];
    }
    if what == "key"
        && let Some(table) = table_of::<T>(word)
    {
        return vec![format!("`{word}` belongs in `[{table}]`")];
    }
    vec![format!("{what}s known here: {}", known.join(", "))]
}

/// The known word that was probably meant.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::damerau_levenshtein(word, known), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// The words that may be the value of this key, or be in its list.
fn words_of<T: JsonSchema>(key: &str) -> Vec<String> {
    let schema = schemars::schema_for!(T).to_value();
    let tables = schema.get("$defs").and_then(Value::as_object).into_iter().flatten();
    let tables = tables.map(|(_, table)| table).chain([&schema]);
    let words = |table: &Value| {
        let said = table.get("properties")?.get(key)?;
        let named = said.pointer("/anyOf/0/$ref").or_else(|| said.pointer("/items/$ref"))?;
        let known = schema.pointer(named.as_str()?.strip_prefix('#')?)?;
        let consts = known.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        let consts = consts.filter_map(|one| one.get("const"));
        let all = known.get("enum").and_then(Value::as_array).into_iter().flatten().chain(consts);
        Some(all.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>())
    };
    tables.filter_map(words).find(|words| !words.is_empty()).unwrap_or_default()
}

/// The table in which this key is known.
fn table_of<T: JsonSchema>(key: &str) -> Option<String> {
    let schema = schemars::schema_for!(T).to_value();
    let tables = schema.get("properties")?.as_object()?;
    let has_key = |table: &Value| {
        let named = table.pointer("/anyOf/0/$ref")?.as_str()?.strip_prefix('#')?;
        schema.pointer(named)?.pointer("/properties")?.get(key)
    };
    tables.iter().find(|(_, table)| has_key(table).is_some()).map(|(name, _)| name.clone())
}

/// A hint for a name that does not exist.
pub(super) fn did_you_mean<'n>(name: &str, known: impl Iterator<Item = &'n str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", known.collect::<Vec<_>>().join(", ")),
    }
}
