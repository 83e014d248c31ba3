//! Text on a terminal: how wide it is, how it is cut, how it is broken into lines. It works on
//! text that is already visible and holds no escape sequence, so it can never cut one in half.
//! It must never count fewer columns than a terminal does: what is too wide is broken there, and
//! what follows begins a line, where it can read as a row that nobody wrote.
#![forbid(unsafe_code)]

mod marks;

use unicode_width::UnicodeWidthChar as _;

use crate::visible::is_in;

/// Columns that text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// What some terminal takes two columns for, and Unicode says fewer of: measured in tmux 3.3a.
const WIDE: [(u32, u32); 4] =
    [(0x302e, 0x302f), (0x3164, 0x3164), (0x3248, 0x324f), (0x16ff0, 0x16ff1)];

/// Only a mark that stands on another character takes no column. A vowel sign that Unicode draws
/// into the letter before it (U+09BE) has one in tmux.
fn columns(ch: char) -> usize {
    if is_in(&marks::MARKS, ch) {
        return 0;
    }
    let least = if is_in(&WIDE, ch) { 2 } else { 1 };
    ch.width().unwrap_or(0).max(least)
}

/// Text in at most so many columns; where it is cut, `…(+N)` says how many characters are missing.
pub fn fit(text: &str, most: usize) -> String {
    fit_counted(text, most).0
}

/// The same, and how many columns of the text are left of it.
pub fn fit_counted(text: &str, most: usize) -> (String, usize) {
    let all = width(text);
    if all <= most {
        return (text.to_owned(), all);
    }
    let total = text.chars().count();
    // The count itself takes room, and more of it the more is cut.
    let mut kept = 0;
    let mut used = 0;
    for ch in text.chars() {
        let mark = width(&cut_mark(total - kept - 1));
        if used + columns(ch) + mark > most {
            break;
        }
        used += columns(ch);
        kept += 1;
    }
    let mark = cut_mark(total - kept);
    let mut out: String = text.chars().take(kept).collect();
    // In a few columns there is no room for the number.
    out.push_str(if width(&mark) + used <= most { &mark } else { "…" });
    (out, used)
}

/// The end of a text in at most so many columns, for a host name, of which the end counts: where
/// it is cut, `(+N)…` says how many characters are missing.
pub fn fit_end(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let total = text.chars().count();
    let (mut kept, mut used) = (0, 0);
    for ch in text.chars().rev() {
        let mark = width(&cut_mark(total - kept - 1));
        if used + columns(ch) + mark > most {
            break;
        }
        used += columns(ch);
        kept += 1;
    }
    let missing = total - kept;
    let mark = format!("(+{missing})…");
    let mark = if width(&mark) + used <= most { &mark } else { "…" };
    mark.chars().chain(text.chars().skip(missing)).collect()
}

fn cut_mark(missing: usize) -> String {
    format!("…(+{missing})")
}

/// Text broken at spaces into lines of at most so many columns; a longer word is broken anywhere.
pub fn wrap(text: &str, most: usize) -> Vec<String> {
    let most = most.max(2);
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut line = lines.pop().unwrap_or_default();
        if !line.is_empty() && width(&line) + 1 + width(word) > most {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        for ch in word.chars() {
            if width(&line) + columns(ch) > most {
                lines.push(std::mem::take(&mut line));
            }
            line.push(ch);
        }
        lines.push(line);
    }
    lines
}

/// Text broken anywhere into pieces of at most so many columns, with every space of it.
pub fn pieces(text: &str, most: usize) -> Vec<String> {
    let most = most.max(2);
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for ch in text.chars() {
        if used + columns(ch) > most {
            pieces.push(String::new());
            used = 0;
        }
        used += columns(ch);
        if let Some(piece) = pieces.last_mut() {
            piece.push(ch);
        }
    }
    pieces
}

/// Right-aligned in so many columns.
pub fn right(text: &str, columns: usize) -> String {
    let mut out = " ".repeat(columns.saturating_sub(width(text)));
    out.push_str(text);
    out
}

/// A duration in microseconds, in at most five columns up to eleven days.
pub fn duration(micros: u64) -> String {
    let millis = micros / 1000;
    let seconds = millis / 1000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        0 if millis == 0 => "<1ms".to_owned(),
        0 => format!("{millis}ms"),
        1..10 => format!("{seconds}.{}s", millis % 1000 / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60).replace("m00s", "m"),
        3600..86400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{}d{:02}h", hours / 24, hours % 24),
    }
}

/// A number of things: `1 command`, `2 commands`, `3 directories`.
pub fn count(number: u64, thing: &str) -> String {
    match thing.strip_suffix('y') {
        _ if number == 1 => format!("1 {thing}"),
        Some(stem) => format!("{number} {stem}ies"),
        None => format!("{number} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_short() {
        let shown: Vec<_> = [0, 999, 1000, 999_999, 1_250_000, 59_999_999, 60_000_000, 185_000_000]
            .into_iter()
            .chain([3_600_000_000, 90_000_000_000])
            .map(duration)
            .collect();
        let want = ["<1ms", "<1ms", "1ms", "999ms", "1.2s", "59s", "1m", "3m05s", "1h00m", "1d01h"];
        assert_eq!(shown, want);
    }

    #[test]
    fn a_cut_says_how_much_is_missing() {
        assert_eq!(fit("cargo build", 11), "cargo build");
        assert_eq!(fit("cargo build --release", 11), "cargo…(+16)");
        assert_eq!(fit("日本語日本語", 9), "日本…(+4)");
        assert_eq!(fit("cargo", 2), "…");
        assert_eq!(fit_end("files.example.com", 17), "files.example.com");
        assert_eq!(fit_end("files.example.com", 16), "(+6)…example.com");
        assert_eq!(fit_end("日本語日本語", 9), "(+4)…本語");
        assert_eq!(fit_end("cargo", 2), "…");
    }

    #[test]
    fn attack_no_character_is_wider_than_it_is_counted() {
        let count = |text: &str| text.chars().map(columns).collect::<Vec<_>>();
        let odd = "\u{9be}\u{bd7}\u{302e}\u{3248}\u{16ff0}\u{d4e}\u{1d165}\u{1161}";
        assert_eq!(count(odd), [1, 1, 2, 2, 2, 1, 1, 1]);
        // Control: marks of no width, a letter, a wide one.
        assert_eq!(count("\u{301}\u{20dd}\u{93f}a日"), [0, 0, 1, 1, 2]);
        let row = "\u{9be}".repeat(30) + "12:00:00    0  <1ms   ls";
        assert!(width(&fit(&row, 40)) <= 40 && !fit(&row, 40).contains("ls"));
    }

    #[test]
    fn wrapping_keeps_words() {
        assert_eq!(wrap("the network is open", 11), ["the network", "is open"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_asked(text: String, most in 1_usize..60) {
            prop_assert!(width(&fit(&text, most)) <= most);
            prop_assert!(width(&fit_end(&text, most)) <= most);
            prop_assert!(pieces(&text, most).iter().all(|piece| width(piece) <= most.max(2)));
            prop_assert_eq!(pieces(&text, most).concat(), text.as_str());
            prop_assert!(wrap(&text, most.max(2)).iter().all(|line| width(line) <= most.max(2)));
        }

        #[test]
        fn nothing_but_a_mark_has_no_width(
            mark in "[[\\p{Mn}\\p{Me}]&&\\p{age=14.0}]{9}",
            other in "[^\\p{Mn}\\p{Me}]{9}",
        ) {
            prop_assert_eq!(width(&mark), 0);
            prop_assert!(other.chars().all(|ch| columns(ch) > 0));
        }

        #[test]
        fn the_count_is_right(text in "[a-zé日]{30,80}", most in 8_usize..20) {
            let cut = fit(&text, most);
            let (kept, count) = cut.rsplit_once("…(+").unwrap();
            let count: usize = count.trim_end_matches(')').parse().unwrap();
            prop_assert_eq!(kept.chars().count() + count, text.chars().count());
            prop_assert!(text.starts_with(kept));
        }
    }
}
