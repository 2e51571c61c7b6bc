//! Pictures in the terminal.

use anyhow::Result;
use gradus::data::Dataset;
use gradus::prelude::*;

/// Draws the first images of a data set side by side, each over what the model says it is.
pub fn draw_predictions(model: &Model, data: &Dataset, count: usize) -> Result<()> {
    let shown = data.take(count);
    let probabilities = model.predict(&shown, count)?;
    let [height, width, channels] = shown.shape;
    println!();
    // A character is two pixels high: the upper half block takes the colour of the upper one, its background that of the lower.
    for y in (0..height).step_by(2) {
        let mut line = String::new();
        for i in 0..shown.len() {
            for x in 0..width {
                let at = |y: usize| if y < height { shown.image(i)[(y * width + x) * channels] } else { 0 };
                line.push(shade(at(y), at(y + 1)));
            }
            line.push(' ');
        }
        println!("{}", line.trim_end());
    }
    let mut labels = String::new();
    for i in 0..shown.len() {
        let row = probabilities.index_axis(ndarray::Axis(0), i);
        let (best, p) = row.iter().enumerate().fold((0, f32::MIN), |best, (k, &p)| if p > best.1 { (k, p) } else { best });
        let mark = if best == usize::from(shown.labels[i]) { "right" } else { "wrong" };
        let text = format!("{best} ({:.0} %), {mark}", 100.0 * p);
        labels.push_str(&format!("{text:^width$} "));
    }
    println!("{}", labels.trim_end());
    Ok(())
}

/// Two pixels as one character, dark to bright.
fn shade(upper: u8, lower: u8) -> char {
    const BRIGHT: u8 = 96;
    match (upper > BRIGHT, lower > BRIGHT) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    }
}
