//! Which words of a command line may be a secret. A word too many that is left out is put back by
//! hand; a key that is written down is in every backup. It must never look at what a word is used for.
#![forbid(unsafe_code)]

/// Words in the name of an option or variable whose value is a secret.
const NAMES: [&str; 9] =
    ["key", "token", "secret", "passw", "passphrase", "auth", "credential", "cookie", "bearer"];

/// How keys begin that say whose they are.
const BEGINNINGS: [&str; 14] = [
    "sk-",
    "sk_",
    "pk_",
    "rk_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xox",
    "hf_",
    "npm_",
    "AIza",
];

/// From so many letters and digits on, without a break, a word is no longer one of a language.
const LONG: usize = 20;

/// The words of a command without what may be a secret, and how many were left out. An option whose value
/// is left out goes with it.
pub(super) fn without(argv: &[String]) -> (Vec<String>, usize) {
    let mut kept: Vec<String> = Vec::new();
    let mut left_out = 0;
    for (at, word) in argv.iter().enumerate() {
        // The program has to stay, whatever it is called.
        if at == 0 {
            kept.push(word.clone());
            continue;
        }
        let option = argv.get(at - 1).filter(|before| at > 1 && is_option(before));
        let named = option.is_some_and(|option| is_name(option)) && !is_option(word);
        if named || is_secret(word) {
            left_out += 1;
            if option.is_some() && kept.last() == option && !option.is_some_and(|o| o.contains('='))
            {
                kept.pop();
                left_out += 1;
            }
            continue;
        }
        kept.push(word.clone());
    }
    (kept, left_out)
}

fn is_option(word: &str) -> bool {
    word.starts_with('-') && word.len() > 1
}

/// Whether a word, by itself, may be a secret.
pub(super) fn is_secret(word: &str) -> bool {
    if let Some((name, value)) = word.split_once('=')
        && !value.is_empty()
        && (is_name(name) || is_secret(value))
    {
        return true;
    }
    let has_password = word
        .split_once("://")
        .and_then(|(_, rest)| rest.split('/').next())
        .is_some_and(|authority| authority.contains('@'));
    has_password || word.split(|ch: char| !is_of_a_key(ch)).any(is_key)
}

fn is_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|secret| name.contains(secret))
}

fn is_of_a_key(ch: char) -> bool {
    ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_')
}

fn is_key(word: &str) -> bool {
    if BEGINNINGS.iter().any(|start| word.starts_with(start) && word.len() >= start.len() + 8) {
        return true;
    }
    if word.starts_with("AKIA") || word.starts_with("eyJ") {
        return word.len() >= 16;
    }
    let longest = word.split(['-', '_']).map(str::len).max().unwrap_or(0);
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let letters = word.chars().filter(char::is_ascii_alphabetic).count();
    longest >= LONG && digits >= 2 && letters >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        without(&words).0.join(" ")
    }

    #[test]
    fn what_looks_like_a_key_is_left_out() {
        for (line, expected) in [
            ("aider --yes --model gpt-4o-2024-08-06", "aider --yes --model gpt-4o-2024-08-06"),
            ("aider --api-key sk-1234567890abcdef --yes", "aider --yes"),
            ("aider --api-key=hunter2 --yes", "aider --yes"),
            ("aider --openai-api-key hunter2", "aider"),
            ("aider --token-limit 100", "aider"),
            ("env GH_TOKEN=x aider", "env aider"),
            ("agent --set x=ghp_0123456789abcdef", "agent"),
            ("agent https://u:p@host.test/x", "agent"),
            ("agent https://host.test/x@y", "agent https://host.test/x@y"),
            ("agent -H Bearer:a9f8e7d6c5b4a3f2e1d0c9b8", "agent"),
            ("agent eyJhbGciOiJIUzI1NiJ9.x.y", "agent"),
            ("agent AKIAIOSFODNN7EXAMPLE", "agent"),
            (
                "./key-tool --verbose src/authentication_and_keys.rs",
                "./key-tool --verbose src/authentication_and_keys.rs",
            ),
            ("agent --auth --yes", "agent --auth --yes"),
            (
                "agent --continue 3f2c1b9a-8d7e-4f6a-9b0c-1d2e3f4a5b6c",
                "agent --continue 3f2c1b9a-8d7e-4f6a-9b0c-1d2e3f4a5b6c",
            ),
        ] {
            assert_eq!(kept(line), expected);
        }
    }

    #[test]
    fn how_many_is_told() {
        let words = ["a", "--key", "k", "b"].map(str::to_owned);
        assert_eq!(without(&words), (vec!["a".to_owned(), "b".to_owned()], 2));
    }
}
