//! Plots as SVG files that read well on a light and on a dark page: the picture brings its own card, and its colours follow the reader's mode.

use super::look::{self, COLOURS, escaped, label, text};
use std::fmt::Write;

/// Panels side by side under one title.
pub struct Figure {
    pub title: String,
    pub subtitle: String,
    pub panels: Vec<Panel>,
}

/// One pair of axes.
pub struct Panel {
    title: String,
    x: Axis,
    y: Axis,
    series: Vec<Series>,
}

/// Points that belong together.
pub struct Series {
    pub name: String,
    pub mark: Mark,
    pub points: Vec<(f64, f64)>,
    /// Series of one colour belong together: what was measured and the line through it.
    pub colour: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    Dots,
    Line,
    /// A dashed line in the colour of text: what the others are compared with.
    Reference,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// From zero.
    Linear,
    Log,
    /// Logarithmic, with ticks at powers of four.
    Fours,
}

struct Axis {
    label: String,
    scale: Scale,
    from: f64,
    to: f64,
}

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 430.0;
/// Above, right of, below and left of the axes of a panel.
const MARGIN: [f64; 4] = [122.0, 18.0, 58.0, 66.0];

impl Series {
    /// In the first colour.
    pub fn new(name: impl Into<String>, mark: Mark, points: Vec<(f64, f64)>) -> Series {
        Series { name: name.into(), mark, points, colour: 0 }
    }

    pub fn coloured(mut self, colour: usize) -> Series {
        self.colour = colour % COLOURS.len();
        self
    }

    /// A function as a line without an entry in the legend.
    pub fn curve(from: f64, to: f64, f: impl Fn(f64) -> f64) -> Series {
        const PIECES: usize = 96;
        // Even steps of the logarithm, so that it is smooth at both ends on either scale.
        let at = |i: usize| from * (to / from).powf(i as f64 / PIECES as f64);
        Series::new("", Mark::Line, (0..=PIECES).map(|i| (at(i), f(at(i)))).collect())
    }
}

impl Panel {
    /// Axes that hold all points, each with a label and a scale.
    pub fn new(title: impl Into<String>, x: (&str, Scale), y: (&str, Scale), series: Vec<Series>) -> Panel {
        let all = || series.iter().flat_map(|s| &s.points);
        let axis = |(label, scale): (&str, Scale), values: Vec<f64>| Axis::over(label, scale, &values);
        // Room above the highest point, which would lie on the edge.
        let high = |y: f64| 1.03 * y;
        let (x, y) = (axis(x, all().map(|p| p.0).collect()), axis(y, all().map(|p| high(p.1)).collect()));
        Panel { title: title.into(), x, y, series }
    }
}

impl Figure {
    /// The whole file.
    pub fn svg(&self) -> String {
        let mut svg = look::open(WIDTH, HEIGHT, &self.title, &self.subtitle);
        // Without a legend the panels move up.
        let top = if self.legend(&mut svg) { MARGIN[0] } else { MARGIN[0] - 24.0 };
        let wide = (WIDTH - 24.0) / self.panels.len() as f64;
        for (i, panel) in self.panels.iter().enumerate() {
            let left = 12.0 + wide * i as f64;
            let area = Area { left: left + MARGIN[3], right: left + wide - MARGIN[1], top, bottom: HEIGHT - MARGIN[2] };
            panel.draw(&mut svg, &area);
        }
        svg + "</svg>\n"
    }

    /// The names of all series, each once. Whether there is any.
    fn legend(&self, svg: &mut String) -> bool {
        let (mut x, y) = (24.0, 82.0);
        let mut seen: Vec<&str> = Vec::new();
        for series in self.panels.iter().flat_map(|p| &p.series) {
            if series.name.is_empty() || seen.contains(&series.name.as_str()) {
                continue;
            }
            seen.push(&series.name);
            let _ = match series.mark {
                Mark::Dots => writeln!(svg, r#"<circle class="dot f{}" cx="{}" cy="{}" r="4.5"/>"#, series.colour, x + 5.0, y - 4.0),
                mark => {
                    let class = if mark == Mark::Line { format!("line l{}", series.colour) } else { "reference".into() };
                    writeln!(svg, r#"<path class="{class}" d="M{} {}h16"/>"#, x - 2.0, y - 4.0)
                }
            };
            let start = if series.mark == Mark::Dots { 15.0 } else { 20.0 };
            text(svg, "name", [x + start, y], "start", &series.name);
            // The letters of this size are about 6.6 wide.
            x += start + 6.6 * series.name.chars().count() as f64 + 24.0;
        }
        !seen.is_empty()
    }
}

/// Where a panel's axes stand in the picture.
struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Panel {
    fn draw(&self, svg: &mut String, area: &Area) {
        let x = |value: f64| area.left + self.x.place(value) * (area.right - area.left);
        let y = |value: f64| area.bottom - self.y.place(value) * (area.bottom - area.top);
        text(svg, "panel", [area.left, area.top - 12.0], "start", &self.title);
        for tick in self.y.ticks() {
            let _ = writeln!(svg, r#"<path class="grid" d="M{:.1} {:.1}H{:.1}"/>"#, area.left, y(tick), area.right);
            text(svg, "tick", [area.left - 8.0, y(tick) + 4.0], "end", &label(tick));
        }
        for tick in self.x.ticks() {
            let _ = writeln!(svg, r#"<path class="axis" d="M{:.1} {:.1}v5"/>"#, x(tick), area.bottom);
            text(svg, "tick", [x(tick), area.bottom + 19.0], "middle", &label(tick));
        }
        let _ = writeln!(svg, r#"<path class="axis" d="M{:.1} {:.1}H{:.1}"/>"#, area.left, area.bottom, area.right);
        text(svg, "soft", [(area.left + area.right) / 2.0, area.bottom + 40.0], "middle", &self.x.label);
        let (side, middle) = (area.left - 50.0, (area.top + area.bottom) / 2.0);
        let turned = format!(r#" transform="rotate(-90 {side:.1} {middle:.1})""#);
        let _ = writeln!(
            svg,
            r#"<text class="soft" x="{side:.1}" y="{middle:.1}" text-anchor="middle"{turned}>{}</text>"#,
            escaped(&self.y.label)
        );
        // Lines first, so that no point is under one.
        for series in self.series.iter().filter(|s| s.mark != Mark::Dots) {
            let class = if series.mark == Mark::Line { format!("line l{}", series.colour) } else { "reference".into() };
            let points: Vec<String> = series.points.iter().map(|&(a, b)| format!("{:.1} {:.1}", x(a), y(b))).collect();
            if !points.is_empty() {
                let _ = writeln!(svg, r#"<path class="{class}" d="M{}"/>"#, points.join("L"));
            }
        }
        for series in self.series.iter().filter(|s| s.mark == Mark::Dots) {
            for &(a, b) in &series.points {
                let _ = write!(svg, r#"<circle class="dot f{}" cx="{:.1}" cy="{:.1}" r="4">"#, series.colour, x(a), y(b));
                let _ = writeln!(svg, "<title>{}: {} → {}</title></circle>", escaped(&series.name), label(a), label(b));
            }
        }
    }
}

impl Axis {
    fn over(label: &str, scale: Scale, values: &[f64]) -> Axis {
        let finite = || values.iter().copied().filter(|v| v.is_finite() && (scale == Scale::Linear || *v > 0.0));
        let (least, most) = (finite().fold(f64::INFINITY, f64::min), finite().fold(0.0, f64::max));
        let (from, to) = match scale {
            _ if most <= 0.0 => (if scale == Scale::Linear { 0.0 } else { 1.0 }, 10.0),
            Scale::Linear => {
                let step = linear_step(most);
                (0.0, (most / step - 1e-9).ceil() * step)
            }
            // A little room, so that no point sits on an edge.
            Scale::Log | Scale::Fours => (least / 1.2, most * 1.2),
        };
        Axis { label: label.into(), scale, from, to }
    }

    /// From 0 at the start of the axis to 1 at its end.
    fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Log | Scale::Fours => (value / self.from).ln() / (self.to / self.from).ln(),
        };
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = linear_step(self.to);
                (0..=(self.to / step + 1e-9) as usize).map(|i| i as f64 * step).collect()
            }
            Scale::Fours => self.powers(4.0, &[1.0]),
            Scale::Log => {
                let decades = (self.to / self.from).log10();
                self.powers(
                    10.0,
                    if decades < 1.3 {
                        &[1.0, 2.0, 3.0, 5.0]
                    } else if decades < 3.2 {
                        &[1.0, 3.0]
                    } else {
                        &[1.0]
                    },
                )
            }
        }
    }

    /// The multiples of the powers of a base that are on the axis.
    fn powers(&self, base: f64, multiples: &[f64]) -> Vec<f64> {
        let (first, last) = (self.from.log(base).floor() as i32, self.to.log(base).ceil() as i32);
        let all = (first..=last).flat_map(|power| multiples.iter().map(move |m| m * base.powi(power)));
        all.filter(|v| (self.from..=self.to).contains(v)).collect()
    }
}

/// 1, 2 or 5 times a power of ten, for four to eight ticks up to a number.
fn linear_step(most: f64) -> f64 {
    let rough = most / 7.0;
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= rough).unwrap_or(rough)
}
