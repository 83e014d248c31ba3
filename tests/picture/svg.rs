//! A screen as SVG: one `text` per span, each stretched to its cells, so that it looks the same
//! whichever monospace font the reader has.

use std::fmt::Write as _;

use super::screen::{Screen, Span, Style};

/// Size of a cell and of the margin, in pixels.
const CELL: (usize, usize) = (8, 17);
const MARGIN: usize = 14;

const BACKGROUND: &str = "#16181b";
const FOREGROUND: &str = "#d4d7d9";
const FONTS: &str = "ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace";

/// The document.
pub(crate) fn render(screen: &Screen) -> String {
    let width = screen.columns * CELL.0 + 2 * MARGIN;
    let height = screen.rows.len() * CELL.1 + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"{FONTS}\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
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
    let (x, y) = (MARGIN + span.column * CELL.0, MARGIN + row * CELL.1);
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
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
