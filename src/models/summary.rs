//! The table of a model, as Keras 3 prints it.

use crate::layers::{Layer, title};
use crate::shape::Shape;
use crate::variable::Variable;

/// Characters between the lines of each column: Keras's for a terminal of 92 characters or more.
const WIDTHS: [usize; 3] = [38, 29, 17];

/// The table and the totals. `outputs` is `None` before the model is built.
pub(super) fn draw(name: &str, layers: &[Box<dyn Layer>], outputs: Option<&[Shape]>, optimizer: &[Variable]) -> String {
    let mut text = format!("Model: \"{name}\"\n");
    text.push_str(&rule('┏', '━', '┳', '┓'));
    text.push_str(&row('┃', &["Layer (type)".into(), "Output Shape".into(), "Param #".into()]));
    text.push_str(&rule('┡', '━', '╇', '┩'));
    for (i, layer) in layers.iter().enumerate() {
        if i > 0 {
            text.push_str(&rule('├', '─', '┼', '┤'));
        }
        let (shape, count) = match outputs {
            Some(outputs) => (with_batch(&outputs[i]), thousands(elements(&layer.variables()))),
            None => ("?".into(), "0 (unbuilt)".into()),
        };
        text.push_str(&row('│', &[title(layer.as_ref()), shape, count]));
    }
    text.push_str(&rule('└', '─', '┴', '┘'));
    let (trainable, frozen): (Vec<Variable>, Vec<Variable>) = layers.iter().flat_map(|l| l.variables()).partition(Variable::trainable);
    let all: Vec<Variable> = [&trainable, &frozen, optimizer].concat();
    text.push_str(&total("Total", &all));
    text.push_str(&total("Trainable", &trainable));
    text.push_str(&total("Non-trainable", &frozen));
    if !optimizer.is_empty() {
        text.push_str(&total("Optimizer", optimizer));
    }
    text
}

fn rule(left: char, line: char, cross: char, right: char) -> String {
    let columns: Vec<String> = WIDTHS.iter().map(|&w| line.to_string().repeat(w)).collect();
    format!("{left}{}{right}\n", columns.join(&cross.to_string()))
}

/// One row of the table; texts that are too long go on in further lines. The last column is aligned to the right.
fn row(line: char, cells: &[String; 3]) -> String {
    let wrapped: Vec<Vec<String>> = cells.iter().zip(WIDTHS).map(|(cell, width)| wrap(cell, width - 2)).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for i in 0..height {
        let [a, b, c] = [0, 1, 2].map(|column| wrapped[column].get(i).map_or("", String::as_str));
        let [wa, wb, wc] = WIDTHS.map(|w| w - 2);
        text.push_str(&format!("{line} {a:<wa$} {line} {b:<wb$} {line} {c:>wc$} {line}\n"));
    }
    text
}

/// Lines of at most `width` characters, broken at spaces, and inside a word only if it is longer than a line.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("it starts with a line");
        let used = last.chars().count();
        let gap = usize::from(used > 0);
        if used + gap + word.chars().count() <= width {
            last.push_str(&" ".repeat(gap));
            last.push_str(word);
            continue;
        }
        let letters: Vec<char> = word.chars().collect();
        let pieces = letters.chunks(width).map(|piece| piece.iter().collect::<String>());
        if used == 0 {
            lines.pop();
        }
        lines.extend(pieces);
    }
    lines
}

/// `(None, 28, 28, 1)`: the batch may have any size.
fn with_batch(sample: &Shape) -> String {
    let axes: Vec<String> = std::iter::once("None".to_string()).chain(sample.iter().map(ToString::to_string)).collect();
    if axes.len() == 1 { "(None,)".into() } else { format!("({})", axes.join(", ")) }
}

fn elements(variables: &[Variable]) -> usize {
    variables.iter().map(|v| v.shape().elements()).sum()
}

fn total(what: &str, variables: &[Variable]) -> String {
    let bytes: usize = variables.iter().map(|v| v.spec().bytes()).sum();
    format!(" {what} params: {} ({})\n", thousands(elements(variables)), memory(bytes))
}

/// `4,738,826`.
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).expect("digits are ASCII")).collect();
    groups.join(",")
}

/// `18.08 MB`, in steps of 1024.
fn memory(bytes: usize) -> String {
    let mut size = bytes as f64;
    let mut units = ["B", "KB", "MB", "GB", "TB"].iter();
    let mut unit = units.next().expect("there are units");
    while size >= 1024.0 {
        let Some(next) = units.next() else { break };
        (size, unit) = (size / 1024.0, next);
    }
    format!("{size:.2} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (4_738_826, "4,738,826")] {
            assert_eq!(thousands(n), text);
        }
        for (bytes, text) in
            [(0, "0.00 B"), (1023, "1023.00 B"), (4 * 4_738_826, "18.08 MB"), (4 * 325_956, "1.24 MB"), (1 << 30, "1.00 GB")]
        {
            assert_eq!(memory(bytes), text);
        }
    }

    #[test]
    fn long_texts_wrap() {
        assert_eq!(wrap("global_average_pooling2d (GlobalAveragePooling2D)", 36), ["global_average_pooling2d", "(GlobalAveragePooling2D)"]);
        assert_eq!(wrap("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(wrap("a b", 4), ["a b"]);
        assert_eq!(wrap("", 4), [""]);
        let lines: Vec<String> = row('│', &["x".repeat(80), "y".into(), "1".into()]).lines().map(str::to_string).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|l| l.chars().count() == WIDTHS.iter().sum::<usize>() + 4), "{lines:?}");
    }

    #[test]
    fn shapes() {
        assert_eq!(with_batch(&Shape::from([28, 28, 1])), "(None, 28, 28, 1)");
        assert_eq!(with_batch(&Shape::from([])), "(None,)");
    }
}
