//! Bars that lie side by side in groups, with the range of each: ratios against a line.

use super::look::{self, escaped, label, text};
use std::fmt::Write;

pub struct Bars {
    pub title: String,
    pub subtitle: String,
    /// A dashed line at this value.
    pub reference: f64,
    /// Those of one group stand together.
    pub bars: Vec<Bar>,
}

pub struct Bar {
    pub group: String,
    pub name: String,
    pub value: f64,
    pub range: (f64, f64),
}

const WIDTH: f64 = 880.0;
const TOP: f64 = 84.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 96.0;
const BAR: f64 = 22.0;
const GROUP: f64 = 34.0;

impl Bars {
    /// The whole file. Lengths are linear from zero.
    pub fn svg(&self) -> String {
        let mut groups: Vec<&str> = Vec::new();
        for bar in &self.bars {
            if !groups.contains(&bar.group.as_str()) {
                groups.push(&bar.group);
            }
        }
        let height = TOP + GROUP * groups.len() as f64 + BAR * self.bars.len() as f64 + 24.0;
        let mut svg = look::open(WIDTH, height, &self.title, &self.subtitle);
        let most = self.bars.iter().map(|b| b.range.1.max(b.value)).filter(|v| v.is_finite()).fold(self.reference, f64::max);
        let x = |value: f64| LEFT + value.clamp(0.0, most) / most * (WIDTH - LEFT - RIGHT);
        let mut y = TOP;
        for (colour, group) in groups.iter().enumerate() {
            text(&mut svg, "panel", [24.0, y + 16.0], "start", group);
            y += GROUP - 8.0;
            for bar in self.bars.iter().filter(|b| b.group == *group) {
                draw(&mut svg, bar, y, colour % look::COLOURS.len(), &x);
                y += BAR;
            }
            y += 8.0;
        }
        let _ = writeln!(svg, r#"<path class="reference" d="M{0:.1} {TOP}V{1:.1}"/>"#, x(self.reference), height - 18.0);
        svg + "</svg>\n"
    }
}

fn draw(svg: &mut String, bar: &Bar, y: f64, colour: usize, x: &impl Fn(f64) -> f64) {
    let (middle, ends) = (y + BAR / 2.0 - 1.0, bar.range);
    text(svg, "soft", [LEFT - 10.0, middle + 4.0], "end", &bar.name);
    let words = format!("{} {}: {} ({} to {})", bar.group, bar.name, label(bar.value), label(ends.0), label(ends.1));
    let wide = x(bar.value) - LEFT;
    let _ =
        write!(svg, r#"<rect class="f{colour}" opacity=".85" x="{LEFT}" y="{:.1}" width="{wide:.1}" height="14" rx="2">"#, middle - 7.0);
    let _ = writeln!(svg, "<title>{}</title></rect>", escaped(&words));
    let _ = writeln!(
        svg,
        r#"<path class="whisker" d="M{0:.1} {1:.1}H{2:.1}M{0:.1} {3:.1}v8M{2:.1} {3:.1}v8"/>"#,
        x(ends.0),
        middle,
        x(ends.1),
        middle - 4.0
    );
    text(svg, "name", [x(ends.1.max(bar.value)) + 8.0, middle + 4.0], "start", &format!("{:.2}", bar.value));
}
