//! The table of a model, as Keras 3 prints it.

use super::model::{Built, Model};
use crate::error::Result;
use crate::layers::{Applied, Layer};
use crate::shape::Shape;
use crate::variable::Variable;

/// Characters between the lines of each column: Keras's for a terminal of 92 characters or more, and of 112 where there is a column that says
/// what a layer is connected to.
const CHAIN: [usize; 3] = [38, 29, 17];
const GRAPH: [usize; 4] = [30, 27, 19, 28];

/// One line of the table.
struct Row {
    title: String,
    shape: String,
    params: String,
    connected: String,
}

impl Model {
    /// A table of the layers with their output shapes and numbers of parameters, as Keras draws it; where layers do not simply follow one
    /// another, with what each is connected to. Builds the model if its input shape is known; before that, shapes are `?`.
    ///
    /// # Errors
    /// As [`Model::build`].
    pub fn summary(&mut self) -> Result<String> {
        match self.inputs.clone() {
            Some(inputs) => self.build_for(|| inputs)?,
            None => super::naming::name_layers(self.root.as_ref())?,
        }
        let optimizer = self.compiled().map_or_else(Vec::new, |compiled| compiled.optimizer().variables());
        let rows = match self.built() {
            Some(built) => self.rows(built),
            None => self.layers().into_iter().map(unbuilt).collect(),
        };
        let is_chain = rows.iter().all(|row| row.connected.is_empty());
        let head = ["Layer (type)", "Output Shape", "Param #", "Connected to"].map(String::from);
        let table: Vec<[String; 4]> = rows.into_iter().map(|r| [r.title, r.shape, r.params, r.connected]).collect();
        let drawn = if is_chain { draw(&CHAIN, &head, &table) } else { draw(&GRAPH, &head, &table) };
        Ok(format!("Model: \"{}\"\n{drawn}{}", self.name(), totals(&self.variables(), &optimizer)))
    }

    fn rows(&self, built: &Built) -> Vec<Row> {
        let called: Vec<&Applied> = built.applied.iter().filter(|layer| layer.depth == 0).collect();
        let mut rows = Vec::new();
        for (i, name) in self.input_names().iter().enumerate().filter(|_| self.graph.is_some()) {
            let shape = with_batch(&built.inputs()[i].shape);
            let connected = if is_chain(&called, built) { "" } else { "-" };
            rows.push(Row { title: format!("{name} (InputLayer)"), shape, params: "0".into(), connected: connected.into() });
        }
        for (at, layer) in called.iter().enumerate() {
            // A layer that is used again has its line already; what it is connected to then is told there.
            if called[..at].iter().any(|other| other.base.id() == layer.base.id()) {
                continue;
            }
            let uses: Vec<&&Applied> = called.iter().filter(|other| other.base.id() == layer.base.id()).collect();
            let connected =
                if is_chain(&called, built) { Vec::new() } else { uses.iter().flat_map(|u| self.sources(u, &called, built)).collect() };
            let layers = self.layers();
            let weights = layers.iter().find(|l| l.base().id() == layer.base.id()).map_or_else(Vec::new, |l| l.variables());
            let shapes: Vec<String> = layer.outputs.iter().map(|(_, spec)| with_batch(&Shape::from(&spec.shape[1..]))).collect();
            rows.push(Row {
                title: layer.base.title(),
                shape: shapes.join(", "),
                params: thousands(elements(&weights)),
                connected: connected.join(", "),
            });
        }
        rows
    }

    /// What a use of a layer takes: `dense[0][0]`, the first output of the first use of `dense`. Tensors that no layer made are not named.
    fn sources(&self, layer: &Applied, called: &[&Applied], built: &Built) -> Vec<String> {
        let inputs = self.input_names();
        let name = |id: &u64| {
            if let Some(i) = built.ends[0].iter().position(|x| x == id) {
                return Some(format!("{}[0][0]", inputs[i]));
            }
            let (at, k) = called.iter().enumerate().find_map(|(at, l)| Some((at, l.outputs.iter().position(|(y, _)| y == id)?)))?;
            let node = called[..at].iter().filter(|l| l.base.id() == called[at].base.id()).count();
            Some(format!("{}[{node}][{k}]", called[at].base.name()))
        };
        layer.inputs.iter().filter_map(|(id, _)| name(id)).collect()
    }
}

/// Whether each layer takes the one output of the one before.
fn is_chain(called: &[&Applied], built: &Built) -> bool {
    let mut last = match &built.ends[0][..] {
        [one] => *one,
        _ => return false,
    };
    let mut seen = Vec::new();
    called.iter().all(|layer| {
        let follows = matches!(&layer.inputs[..], [(x, _)] if *x == last) && layer.outputs.len() == 1 && !seen.contains(&layer.base.id());
        seen.push(layer.base.id());
        last = layer.outputs.first().map_or(0, |(y, _)| *y);
        follows
    })
}

fn unbuilt(layer: &dyn Layer) -> Row {
    Row { title: layer.base().title(), shape: "?".into(), params: "0 (unbuilt)".into(), connected: String::new() }
}

fn totals(weights: &[Variable], optimizer: &[Variable]) -> String {
    let (trainable, frozen): (Vec<Variable>, Vec<Variable>) = weights.iter().cloned().partition(Variable::trainable);
    let mut text = total("Total", &[weights, optimizer].concat()) + &total("Trainable", &trainable) + &total("Non-trainable", &frozen);
    if !optimizer.is_empty() {
        text.push_str(&total("Optimizer", optimizer));
    }
    text
}

/// The table, with as many columns as there are widths.
fn draw(widths: &[usize], head: &[String; 4], rows: &[[String; 4]]) -> String {
    let mut text = rule(widths, '┏', '━', '┳', '┓');
    text.push_str(&row(widths, '┃', head));
    text.push_str(&rule(widths, '┡', '━', '╇', '┩'));
    for (i, cells) in rows.iter().enumerate() {
        if i > 0 {
            text.push_str(&rule(widths, '├', '─', '┼', '┤'));
        }
        text.push_str(&row(widths, '│', cells));
    }
    text + &rule(widths, '└', '─', '┴', '┘')
}

fn rule(widths: &[usize], left: char, line: char, cross: char, right: char) -> String {
    let columns: Vec<String> = widths.iter().map(|&w| line.to_string().repeat(w)).collect();
    format!("{left}{}{right}\n", columns.join(&cross.to_string()))
}

/// One row of the table; texts that are too long go on in further lines. The column of numbers is aligned to the right.
fn row(widths: &[usize], line: char, cells: &[String; 4]) -> String {
    let wrapped: Vec<Vec<String>> = cells.iter().zip(widths).map(|(cell, width)| wrap(cell, width - 2)).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for i in 0..height {
        for (column, width) in widths.iter().map(|w| w - 2).enumerate() {
            let cell = wrapped[column].get(i).map_or("", String::as_str);
            let cell = if column == 2 { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            text.push_str(&format!("{line} {cell} "));
        }
        text.push_str(&format!("{line}\n"));
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
pub(crate) fn memory(bytes: usize) -> String {
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
        let text = row(&CHAIN, '│', &["x".repeat(80), "y".into(), "1".into(), String::new()]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|l| l.chars().count() == CHAIN.iter().sum::<usize>() + 4), "{lines:?}");
    }

    #[test]
    fn shapes() {
        assert_eq!(with_batch(&Shape::from([28, 28, 1])), "(None, 28, 28, 1)");
        assert_eq!(with_batch(&Shape::from([])), "(None,)");
    }
}
