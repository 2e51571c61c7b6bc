//! File names with places for numbers: `{epoch:02d}-{val_loss:.2f}.safetensors`, in the words of Python's format strings.

use crate::error::{Error, Result};
use crate::suggest;
use crate::train::text::{repr, scientific};

/// A text with places for numbers.
pub(super) struct Template {
    text: String,
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Place { name: String, format: Format },
}

/// `0`, the least width, the digits after the point, and the kind of number.
#[derive(Clone, Copy)]
struct Format {
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    kind: Option<char>,
}

/// A number for a place.
#[derive(Clone, Copy)]
pub(super) enum Value {
    Count(usize),
    Number(f64),
}

impl Template {
    /// # Errors
    /// [`Error::Argument`] naming a place that is not well formed.
    pub fn parse(text: &str) -> Result<Template> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            let mut literal = before.to_string();
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                literal.push_str(&from[..1]);
                parts.push(Part::Text(literal));
                rest = after;
                continue;
            }
            parts.push(Part::Text(literal));
            let inside = from.strip_prefix('{').and_then(|from| from.split_once('}'));
            let (inside, after) = inside.ok_or_else(|| wrong(text, "a name between { and }, or {{ and }} for braces", from))?;
            let (name, format) = inside.split_once(':').unwrap_or((inside, ""));
            let format = Format::parse(format);
            let format = format.ok_or_else(|| wrong(text, "a format like 02d, .2f, .3e or none", &format!("{{{inside}}}")))?;
            parts.push(Part::Place { name: name.to_string(), format });
            rest = after;
        }
        parts.push(Part::Text(rest.to_string()));
        Ok(Template { text: text.to_string(), parts })
    }

    /// The text with the numbers of these names in it.
    ///
    /// # Errors
    /// [`Error::Argument`] naming a place that no number is for, or whose format is not for the number.
    pub fn fill(&self, values: &[(&str, Value)]) -> Result<String> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Place { name, format } => {
                    let value = values.iter().find(|(n, _)| n == name).ok_or_else(|| self.unknown(name, values))?.1;
                    let whole = || wrong(&self.text, "a whole number for a place with d", &format!("{{{name}}}, which is none"));
                    filled.push_str(&format.write(value).ok_or_else(whole)?);
                }
            }
        }
        Ok(filled)
    }

    fn unknown(&self, name: &str, values: &[(&str, Value)]) -> Error {
        let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
        let near = suggest::did_you_mean(name, &names);
        wrong(&self.text, &format!("one of {}", names.join(", ")), &format!("{{{name}}}{near}"))
    }
}

fn wrong(text: &str, want: &str, got: &str) -> Error {
    Error::argument(format!("ModelCheckpoint: filepath {text:?}"), want, got)
}

impl Format {
    fn parse(text: &str) -> Option<Format> {
        let (zeros, text) = text.strip_prefix('0').map_or((false, text), |rest| (true, rest));
        let (width, text) = digits(text)?;
        let (precision, text) = match text.strip_prefix('.') {
            Some(rest) => {
                let (precision, rest) = digits(rest)?;
                (Some(precision?), rest)
            }
            None => (None, text),
        };
        let kind = match text {
            "" => None,
            "d" | "f" | "e" => text.chars().next(),
            _ => return None,
        };
        // Python has no digits after the point for whole numbers, and another meaning for them where no kind is given.
        let allowed = precision.is_none() || matches!(kind, Some('f' | 'e'));
        allowed.then_some(Format { zeros, width: width.unwrap_or(0), precision, kind })
    }

    /// `None` if the number is not of the kind.
    fn write(self, value: Value) -> Option<String> {
        let number = match value {
            Value::Count(n) => n as f64,
            Value::Number(x) => x,
        };
        let digits = self.precision.unwrap_or(6);
        let text = match (self.kind, value) {
            (Some('f'), _) => format!("{number:.digits$}"),
            (Some('e'), _) => scientific(number, digits),
            (_, Value::Count(n)) => n.to_string(),
            (None, Value::Number(x)) => repr(x),
            (Some(_), Value::Number(_)) => return None,
        };
        let missing = self.width.saturating_sub(text.len());
        if !self.zeros {
            return Some(" ".repeat(missing) + &text);
        }
        let (sign, size) = text.strip_prefix('-').map_or(("", text.as_str()), |size| ("-", size));
        Some(format!("{sign}{}{size}", "0".repeat(missing)))
    }
}

/// A number of up to two digits at the beginning, if there is one, and the rest; `None` if it has more digits.
fn digits(text: &str) -> Option<(Option<usize>, &str)> {
    let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    (digits.len() <= 2).then(|| (digits.parse().ok(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String> {
        let values = [("epoch", Value::Count(7)), ("val_loss", Value::Number(0.12345)), ("gain", Value::Number(-2.5))];
        Template::parse(text)?.fill(&values)
    }

    /// The texts were made by Python's `str.format`.
    #[test]
    fn as_python_formats() -> Result<()> {
        for (text, want) in [
            ("plain", "plain"),
            ("w{epoch:02d}-{val_loss:.2f}.x", "w07-0.12.x"),
            ("{epoch}/{val_loss}", "7/0.12345"),
            ("{epoch:3d}|{epoch:.1f}|{epoch:04}", "  7|7.0|0007"),
            ("{gain:07.2f} {gain:.1e} {val_loss:f}", "-002.50 -2.5e+00 0.123450"),
            ("{{{epoch}}}", "{7}"),
        ] {
            assert_eq!(fill(text)?, want, "{text}");
        }
        Ok(())
    }

    #[test]
    fn bad_places_are_named() {
        for (text, says) in [
            ("a{epoch", "expected a name between { and }, or {{ and }} for braces, got {epoch"),
            ("a}b", "or {{ and }} for braces, got }b"),
            ("{epoch:02x}", "expected a format like 02d, .2f, .3e or none, got {epoch:02x}"),
            ("{epoch:.2d}", "got {epoch:.2d}"),
            ("{val_loss:.}", "got {val_loss:.}"),
            ("{val_loss:100f}", "got {val_loss:100f}"),
            ("{val_loss:d}", "expected a whole number for a place with d, got {val_loss}"),
            ("{val_los:.2f}", "expected one of epoch, val_loss, gain, got {val_los}; did you mean \"val_loss\"?"),
            ("{}", "got {}"),
        ] {
            let error = fill(text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("ModelCheckpoint: filepath {text:?}: ")) && error.contains(says), "{error}");
        }
    }
}
