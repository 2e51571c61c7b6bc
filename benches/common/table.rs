//! A table in Markdown, aligned so that it reads well in a terminal too.

/// Rows of cells under a head. The columns of numbers are flush right.
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&'static str]) -> Table {
        Table { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.head.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// The lines, each with its end.
    pub fn text(&self) -> String {
        let length = |text: &str| text.chars().count();
        let columns = 0..self.head.len();
        let width = |c: usize| self.rows.iter().map(|r| length(&r[c])).max().unwrap_or(0).max(length(self.head[c])).max(3);
        let widths: Vec<usize> = columns.clone().map(width).collect();
        let numeric: Vec<bool> = columns.clone().map(|c| self.rows.iter().all(|r| is_number(&r[c]))).collect();
        let line = |cells: &dyn Fn(usize) -> String| {
            let cells = columns.clone().map(|c| match numeric[c] {
                true => format!("{:>1$}", cells(c), widths[c]),
                false => format!("{:<1$}", cells(c), widths[c]),
            });
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let rule = |c: usize| if numeric[c] { format!("{}:", "-".repeat(widths[c] - 1)) } else { "-".repeat(widths[c]) };
        let mut text = line(&|c| self.head[c].to_string()) + &line(&rule);
        for row in &self.rows {
            text += &line(&|c| row[c].clone());
        }
        text
    }
}

fn is_number(cell: &str) -> bool {
    cell == "-" || cell.starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c))
}

/// A number with about three digits that matter; `-` for one that is not there.
pub fn number(value: Option<f64>) -> String {
    match value {
        Some(v) if v.abs() >= 99.95 => thousands(v),
        Some(v) if v.abs() >= 9.995 => format!("{v:.1}"),
        Some(v) if v.abs() >= 0.9995 || v == 0.0 => format!("{v:.2}"),
        Some(v) if v.is_finite() => format!("{v:.3}"),
        _ => "-".to_string(),
    }
}

/// A whole number with commas.
pub fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_string() } else { String::new() };
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
