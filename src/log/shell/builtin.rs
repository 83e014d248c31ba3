//! What a shell does itself by the name of a command. Some builtins execute what a file, a variable
//! or an argument says; behind such a one nobody knows which of the shell's children the text means.
#![forbid(unsafe_code)]

use super::word::{Word, is_name};

/// What is known of a command by its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Succeeds,
    Fails,
    /// The shell, or its loop, goes no further.
    Ends,
    Unknown,
}

/// Reserved words of a grammar that is read.
pub(super) const RESERVED: [&[u8]; 14] = [
    b"!", b"{", b"}", b"if", b"then", b"elif", b"else", b"fi", b"while", b"until", b"for", b"do",
    b"done", b"in",
];
/// Those of them that end a list.
pub(super) const CLOSING: [&[u8]; 7] = [b"}", b"then", b"elif", b"else", b"fi", b"do", b"done"];

/// Builtins and reserved words of bash, dash, zsh and ksh that can execute more than their line says,
/// or change what the lines after it mean.
const OPAQUE: [&[u8]; 66] = [
    b".",
    b"source",
    b"eval",
    b"trap",
    b"alias",
    b"unalias",
    b"builtin",
    b"bind",
    b"caller",
    b"compgen",
    b"complete",
    b"compopt",
    b"coproc",
    b"declare",
    b"typeset",
    b"enable",
    b"fc",
    b"getopts",
    b"hash",
    b"help",
    b"history",
    b"let",
    b"logout",
    b"mapfile",
    b"readarray",
    b"select",
    b"shopt",
    b"function",
    b"case",
    b"esac",
    b"autoload",
    b"bindkey",
    b"emulate",
    b"float",
    b"functions",
    b"integer",
    b"noglob",
    b"nocorrect",
    b"print",
    b"repeat",
    b"foreach",
    b"end",
    b"sched",
    b"setopt",
    b"unsetopt",
    b"unhash",
    b"unfunction",
    b"vared",
    b"zle",
    b"zmodload",
    b"zcompile",
    b"zformat",
    b"zparseopts",
    b"zpty",
    b"zregexparse",
    b"zstyle",
    b"zselect",
    b"zsocket",
    b"ztcp",
    b"-",
    b"nameref",
    b"compound",
    b"enum",
    b"namespace",
    b"hist",
    b"getln",
];

/// Variables by which a shell executes something, or takes names for other programs.
pub(super) fn is_special(name: &[u8]) -> bool {
    const SPECIAL: [&[u8]; 16] = [
        b"BASH_ENV",
        b"ENV",
        b"PS0",
        b"PS1",
        b"PS2",
        b"PS3",
        b"PS4",
        b"PROMPT_COMMAND",
        b"SHELLOPTS",
        b"BASHOPTS",
        b"ZDOTDIR",
        b"FPATH",
        b"fpath",
        b"IFS",
        b"aliases",
        b"functions",
    ];
    SPECIAL.contains(&name) || name.starts_with(b"BASH_FUNC_")
}

/// What a command does to its shell. `None`: it may execute more than it says.
pub(super) fn effect(words: &[Word]) -> Option<Effect> {
    let (first, arguments) = words.split_first()?;
    if first.is_path() {
        return Some(Effect::Unknown);
    }
    // `$X` may be `eval`.
    first.is_literal().then_some(())?;
    let name = first.bytes.as_slice();
    let literal = arguments.iter().all(Word::is_literal);
    let numbers = arguments.iter().all(Word::is_number);
    // A subscript is evaluated: `read 'a[$(x)]'`.
    let plain = literal && !arguments.iter().any(|word| word.bytes.contains(&b'['));
    let known = match name {
        b":" | b"true" => return Some(Effect::Succeeds),
        b"false" => return Some(Effect::Fails),
        b"exit" | b"return" | b"break" | b"continue" => {
            return numbers.then_some(Effect::Ends);
        }
        b"shift" | b"umask" | b"ulimit" => numbers || plain,
        b"wait" => numbers,
        b"set" => arguments.iter().all(is_harmless_option),
        b"read" | b"unset" => plain && !arguments.iter().any(|word| is_special(&word.bytes)),
        b"export" | b"local" | b"readonly" => arguments.iter().all(is_plain_assignment),
        b"printf" => is_plain_printf(arguments),
        b"[" => {
            let (last, operands) = arguments.split_last()?;
            last.is_literal() && last.bytes == b"]" && is_plain_test(operands, false)
        }
        // An unknown command to dash.
        b"[[" => {
            let (last, operands) = arguments.split_last()?;
            last.is_literal() && last.bytes == b"]]" && is_plain_test(operands, true)
        }
        b"test" => is_plain_test(arguments, false),
        name => !OPAQUE.contains(&name) && !RESERVED.contains(&name),
    };
    known.then_some(Effect::Unknown)
}

/// `set -e`, `set -o pipefail`: no other takes words for something else.
fn is_harmless_option(word: &Word) -> bool {
    const NAMES: [&[u8]; 4] = [b"pipefail", b"errexit", b"nounset", b"xtrace"];
    let flags = word.bytes.strip_prefix(b"-").or_else(|| word.bytes.strip_prefix(b"+"));
    let flags = flags.is_some_and(|flags| flags.iter().all(|flag| b"euxo".contains(flag)));
    word.is_literal() && (flags || NAMES.contains(&word.bytes.as_slice()))
}

/// `NAME`, or `NAME=VALUE`.
fn is_plain_assignment(word: &Word) -> bool {
    let name = word.is_literal() && is_name(&word.bytes) && !is_special(&word.bytes);
    name || (word.assignment && word.assigns_safely())
}

/// A format that evaluates no argument, as `%d` does in zsh; `-v 'a[$(x)]'` is none.
fn is_plain_printf(arguments: &[Word]) -> bool {
    let Some(format) = arguments.first().filter(|format| format.is_literal()) else { return false };
    let mut parts = format.bytes.split(|byte| *byte == b'%').skip(1);
    !format.bytes.starts_with(b"-") && parts.all(|part| matches!(part.first(), Some(b's' | b'b')))
}

/// One condition of test(1), with its operator in sight: `-v` evaluates, and so does `-eq` in `[[` and
/// in zsh. `bracketed`: no word splits, as in `[[`.
fn is_plain_test(mut operands: &[Word], bracketed: bool) -> bool {
    const UNARY: &[u8] = b"bcdefghknprstuwxzLNOS";
    const BINARY: [&[u8]; 7] = [b"=", b"==", b"!=", b"=~", b"-nt", b"-ot", b"-ef"];
    const NUMERIC: [&[u8]; 6] = [b"-eq", b"-ne", b"-lt", b"-le", b"-gt", b"-ge"];
    if let [not, rest @ ..] = operands
        && not.is_literal()
        && not.bytes == b"!"
    {
        operands = rest;
    }
    let is_one = |word: &Word| bracketed || word.is_literal() || !word.splits;
    let operator = |word: &Word| if word.is_literal() { word.bytes.clone() } else { Vec::new() };
    match operands {
        [one] => is_one(one),
        [unary, one] => match operator(unary).as_slice() {
            [b'-', letter] => UNARY.contains(letter) && is_one(one),
            _ => false,
        },
        [left, binary, right] => {
            let binary = operator(binary);
            let numeric = NUMERIC.contains(&binary.as_slice());
            let texts = BINARY.contains(&binary.as_slice());
            (numeric && left.is_number() && right.is_number())
                || (texts && is_one(left) && is_one(right))
        }
        _ => false,
    }
}
