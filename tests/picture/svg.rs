//! A screen as SVG, in the frame of a window: one `text` per span, each stretched to its cells, so
//! that it looks the same whichever monospace font the reader has. It must never let what stood on
//! the screen become markup.

use std::fmt::Write as _;

use super::screen::{Screen, Span, Style};

/// Size of a cell and of the margin, in pixels.
const CELL: (usize, usize) = (8, 17);
const MARGIN: usize = 14;

const BACKGROUND: &str = "#16181b";
const FOREGROUND: &str = "#d4d7d9";
const FONTS: &str = "ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace";

/// The title bar of the window.
const BAR: usize = 30;
const BAR_COLOUR: &str = "#24282c";
const BUTTONS: [&str; 3] = ["#e06c75", "#e5c07b", "#98c379"];

/// The document; `title` stands in the window's bar and is what a screen reader says.
pub(crate) fn render(screen: &Screen, title: &str) -> String {
    let width = screen.columns * CELL.0 + 2 * MARGIN;
    let height = screen.rows.len() * CELL.1 + 2 * MARGIN + BAR;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" font-family=\"{FONTS}\" font-size=\"13\">\n\
         <title>{title}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{BAR_COLOUR}\"/>\n\
         <path d=\"M0 {BAR}h{width}v{side}a8 8 0 0 1 -8 8h-{bottom}a8 8 0 0 1 -8 -8z\" fill=\"{BACKGROUND}\"/>\n",
        title = escaped(title),
        side = height - BAR - 8,
        bottom = width - 16,
    );
    for (index, colour) in BUTTONS.iter().enumerate() {
        let x = 18 + 20 * index;
        let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"15\" r=\"6\" fill=\"{colour}\"/>");
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"19\" text-anchor=\"middle\" fill=\"{FOREGROUND}\" opacity=\"0.65\">{}</text>",
        width / 2,
        escaped(title)
    );
    for (row, spans) in screen.rows.iter().enumerate() {
        for span in spans {
            render_span(&mut svg, row, span);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn render_span(svg: &mut String, row: usize, span: &Span) {
    let (x, y) = (MARGIN + span.column * CELL.0, BAR + MARGIN + row * CELL.1);
    let (foreground, background) = colours(&span.style);
    let width = span.width * CELL.0;
    if let Some(background) = background {
        let height = CELL.1;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{background}\"/>"
        );
    }
    if span.text.trim().is_empty() {
        return;
    }
    let baseline = y + 13;
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{baseline}\" textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\" \
         xml:space=\"preserve\" fill=\"{foreground}\"{}>{}</text>",
        attributes(&span.style),
        escaped(&span.text)
    );
}

fn colours(style: &Style) -> (String, Option<String>) {
    let foreground = style.foreground.clone().unwrap_or_else(|| FOREGROUND.to_owned());
    if style.reverse {
        let behind = style.background.clone().unwrap_or_else(|| BACKGROUND.to_owned());
        return (behind, Some(foreground));
    }
    (foreground, style.background.clone())
}

fn attributes(style: &Style) -> String {
    let mut text = String::new();
    for (on, attribute) in [
        (style.bold, " font-weight=\"bold\""),
        (style.dim, " opacity=\"0.65\""),
        (style.italic, " font-style=\"italic\""),
        (style.underline, " text-decoration=\"underline\""),
    ] {
        if on {
            text.push_str(attribute);
        }
    }
    text
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for ch in text.chars() {
        match ch {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::screen;
    use super::*;

    fn rendered(text: &str) -> String {
        render(&screen::parse(text, 20, 1), "a & b")
    }

    /// The spans of the screen, without the frame.
    fn spans(text: &str) -> Vec<String> {
        let is_span = |line: &&str| line.contains("textLength") || line.contains("height=\"17\"");
        rendered(text).lines().filter(is_span).map(str::to_owned).collect()
    }

    #[test]
    fn text_stays_text_in_its_cells() {
        assert_eq!(
            spans("ab\x1b[1;31mcd"),
            [
                "<text x=\"14\" y=\"57\" textLength=\"16\" lengthAdjust=\"spacingAndGlyphs\" \
                 xml:space=\"preserve\" fill=\"#d4d7d9\">ab</text>",
                "<text x=\"30\" y=\"57\" textLength=\"16\" lengthAdjust=\"spacingAndGlyphs\" \
                 xml:space=\"preserve\" fill=\"#e06c75\" font-weight=\"bold\">cd</text>",
            ]
        );
    }

    #[test]
    fn nothing_on_the_screen_becomes_markup() {
        let svg = rendered("</text><script>&\"'");
        assert!(!svg.contains("<script>"), "{svg}");
        assert!(svg.contains(">&lt;/text&gt;&lt;script&gt;&amp;&quot;&apos;</text>"), "{svg}");
        assert!(svg.contains("<title>a &amp; b</title>"), "{svg}");
    }

    #[test]
    fn reversed_cells_are_filled_even_without_text() {
        let spans = spans("\x1b[7m  \x1b[0m");
        assert_eq!(
            spans,
            ["<rect x=\"14\" y=\"44\" width=\"16\" height=\"17\" fill=\"#d4d7d9\"/>"]
        );
    }
}
