//! What `tmux capture-pane -e` prints, as styled cells: text with SGR sequences (ECMA-48) and
//! nothing else.

use unicode_width::UnicodeWidthChar as _;

/// How a cell looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    /// `#rrggbb`; none for the terminal's own colour.
    pub(crate) foreground: Option<String>,
    /// The same, behind the text.
    pub(crate) background: Option<String>,
    pub(crate) bold: bool,
    pub(crate) dim: bool,
    pub(crate) italic: bool,
    pub(crate) underline: bool,
    pub(crate) reverse: bool,
}

/// Neighbouring cells of one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) column: usize,
    pub(crate) width: usize,
    pub(crate) text: String,
    pub(crate) style: Style,
}

/// The screen, row by row.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    pub(crate) columns: usize,
    pub(crate) rows: Vec<Vec<Span>>,
}

/// Reads a captured screen; the style carries over from line to line.
pub(crate) fn parse(text: &str, columns: usize, rows: usize) -> Screen {
    let mut style = Style::default();
    let lines = text.lines().take(rows);
    let mut parsed: Vec<Vec<Span>> = lines.map(|line| parse_line(line, &mut style)).collect();
    parsed.resize(rows, Vec::new());
    Screen { columns, rows: parsed }
}

fn parse_line(line: &str, style: &mut Style) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut column = 0;
    let mut line_drawing = false;
    let mut rest = line.chars();
    while let Some(ch) = rest.next() {
        if matches!(ch, '\x0e' | '\x0f') {
            line_drawing = ch == '\x0e';
            continue;
        }
        let ch = if line_drawing { drawn(ch) } else { ch };
        if ch == '\x1b' {
            let sequence: String =
                rest.by_ref().take_while(|ch| !ch.is_ascii_alphabetic()).collect();
            apply(style, sequence.trim_start_matches('['));
            continue;
        }
        // No other control character is ever in a cell.
        let Some(width) = ch.width() else { continue };
        match spans.last_mut() {
            Some(span) if span.style == *style => {
                span.text.push(ch);
                span.width += width;
            }
            _ => {
                spans.push(Span { column, width, text: ch.to_string(), style: style.clone() });
            }
        }
        column += width;
    }
    spans
}

/// The line-drawing characters of a VT100, which tmux brackets in shift-out and shift-in when its
/// terminal is not known to take UTF-8.
fn drawn(ch: char) -> char {
    match ch {
        'j' => '┘',
        'k' => '┐',
        'l' => '┌',
        'm' => '└',
        'n' => '┼',
        'q' => '─',
        't' => '├',
        'u' => '┤',
        'v' => '┴',
        'w' => '┬',
        'x' => '│',
        other => other,
    }
}

/// Applies the parameters of one SGR sequence.
fn apply(style: &mut Style, parameters: &str) {
    let mut codes = parameters.split([';', ':']).map(|code| code.parse::<u8>().unwrap_or(0));
    while let Some(code) = codes.next() {
        match code {
            0 => *style = Style::default(),
            1 => style.bold = true,
            2 => style.dim = true,
            3 => style.italic = true,
            4 => style.underline = true,
            7 => style.reverse = true,
            22 => (style.bold, style.dim) = (false, false),
            23 => style.italic = false,
            24 => style.underline = false,
            27 => style.reverse = false,
            30..=37 => style.foreground = Some(palette(code - 30)),
            38 => style.foreground = extended(&mut codes),
            39 => style.foreground = None,
            40..=47 => style.background = Some(palette(code - 40)),
            48 => style.background = extended(&mut codes),
            49 => style.background = None,
            90..=97 => style.foreground = Some(palette(code - 90 + 8)),
            100..=107 => style.background = Some(palette(code - 100 + 8)),
            _ => {}
        }
    }
}

/// `5;N` from the palette of 256, or `2;R;G;B`.
fn extended(codes: &mut impl Iterator<Item = u8>) -> Option<String> {
    match codes.next()? {
        5 => codes.next().map(palette),
        2 => {
            let (red, green, blue) = (codes.next()?, codes.next()?, codes.next()?);
            Some(format!("#{red:02x}{green:02x}{blue:02x}"))
        }
        _ => None,
    }
}

/// The 256 colours: 16 of a calm dark scheme, then xterm's cube and greys.
fn palette(index: u8) -> String {
    const NAMED: [&str; 16] = [
        "#1d1f21", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c5c8c6",
        "#7f848e", "#ef8189", "#b1d196", "#f0d197", "#84c0f4", "#d59ae6", "#7cc7d1", "#ffffff",
    ];
    match index {
        0..=15 => NAMED[usize::from(index)].to_owned(),
        16..=231 => {
            let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            let cube = index - 16;
            let (red, green, blue) = (level(cube / 36), level(cube / 6 % 6), level(cube % 6));
            format!("#{red:02x}{green:02x}{blue:02x}")
        }
        232..=255 => {
            let grey = 8 + 10 * (index - 232);
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<Span> {
        parse(text, 80, 1).rows.remove(0)
    }

    #[test]
    fn a_change_of_style_begins_a_span() {
        let spans = line("ab\x1b[1;31mcd\x1b[39mef\x1b[0m");
        let facts: Vec<_> = spans
            .iter()
            .map(|span| (span.column, span.text.as_str(), span.style.foreground.clone()))
            .collect();
        let red = Some("#e06c75".to_owned());
        assert_eq!(facts, [(0, "ab", None), (2, "cd", red), (4, "ef", None)]);
        assert!(spans[2].style.bold, "only the colour was reset");
    }

    #[test]
    fn extended_colours_take_their_parameters() {
        let spans = line("\x1b[38;5;196;48;2;1;2;3;4mx");
        assert_eq!(spans[0].style.foreground.as_deref(), Some("#ff0000"));
        assert_eq!(spans[0].style.background.as_deref(), Some("#010203"));
        assert!(spans[0].style.underline);
    }

    #[test]
    fn wide_characters_take_two_cells() {
        let spans = line("漢\x1b[7mx");
        assert_eq!((spans[0].width, spans[1].column), (2, 2));
    }

    #[test]
    fn old_line_drawing_becomes_lines() {
        let spans = line("x\x0exq\x0fq");
        assert_eq!((spans[0].text.as_str(), spans[0].width), ("x│─q", 4));
    }

    #[test]
    fn a_style_goes_on_to_the_next_line_and_missing_lines_are_empty() {
        let screen = parse("\x1b[32ma\nb", 80, 3);
        assert_eq!(screen.rows[1][0].style.foreground.as_deref(), Some("#98c379"));
        assert!(screen.rows[2].is_empty());
    }
}
