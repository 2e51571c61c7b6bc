//! How pictures look: a card of their own, colours for light and dark readers, text.

use std::fmt::Write;

/// Light and dark: blue, orange, green, violet.
pub const COLOURS: [(&str, &str); 4] = [("#2369c9", "#74aaff"), ("#c8590b", "#ffa45c"), ("#12805c", "#4fcf9b"), ("#7a45c2", "#bb9bff")];

/// The start of a file: its size, its style, the card, title and subtitle.
pub fn open(width: f64, height: f64, title: &str, subtitle: &str) -> String {
    let mut svg =
        format!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">"#);
    let _ = write!(svg, "\n<title>{}</title>\n{}\n", escaped(title), style());
    let _ = writeln!(svg, r#"<rect class="card" x="0.5" y="0.5" width="{}" height="{}" rx="10"/>"#, width - 1.0, height - 1.0);
    text(&mut svg, "title", [24.0, 36.0], "start", title);
    text(&mut svg, "soft", [24.0, 57.0], "start", subtitle);
    svg
}

/// A number as a label has it: as few digits as say it, and at most three that matter.
pub fn label(value: f64) -> String {
    if value.abs() >= 999.5 {
        return super::table::thousands(value);
    }
    let digits = (2 - value.abs().max(1e-9).log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// A line of text; nothing for no words.
pub fn text(svg: &mut String, class: &str, [x, y]: [f64; 2], anchor: &str, words: &str) {
    if !words.is_empty() {
        let _ = writeln!(svg, r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#, escaped(words));
    }
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn style() -> String {
    let colours = |dark: bool| {
        let one = |(i, (light, night)): (usize, &(&str, &str))| {
            let colour = if dark { night } else { light };
            format!(".f{i}{{fill:{colour}}}.l{i}{{stroke:{colour}}}")
        };
        COLOURS.iter().enumerate().map(one).collect::<String>()
    };
    let shades = |[card, edge, ink, soft, grid, axis]: [&str; 6]| {
        format!(
            ".card{{fill:{card};stroke:{edge}}}.dot{{stroke:{card}}}.title,.panel,.name{{fill:{ink}}}.soft,.tick{{fill:{soft}}}\
             .grid{{stroke:{grid}}}.axis{{stroke:{axis}}}.reference{{stroke:{soft}}}.whisker{{stroke:{ink}}}"
        )
    };
    let (light, dark) = (
        shades(["#fdfdfc", "#e3e2de", "#1d1c1a", "#63625d", "#e9e8e4", "#a9a8a2"]),
        shades(["#16181c", "#32353b", "#eceae6", "#a3a5ab", "#2a2d33", "#6b6e75"]),
    );
    format!(
        "<style>text{{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;font-size:12px}}\
         .title{{font-size:17px;font-weight:600}}.panel{{font-size:13px;font-weight:600}}.tick{{font-variant-numeric:tabular-nums}}\
         .card,.dot,.whisker{{stroke-width:1}}.grid,.axis{{stroke-width:1;fill:none}}.whisker{{fill:none;opacity:.8}}.line{{stroke-width:2;fill:none;stroke-linejoin:round;opacity:.75}}\
         .reference{{stroke-width:1.5;fill:none;stroke-dasharray:5 4}}\n{light}{}\n\
         @media (prefers-color-scheme:dark){{{dark}{}}}</style>",
        colours(false),
        colours(true)
    )
}
