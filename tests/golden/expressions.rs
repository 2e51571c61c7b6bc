//! Keras's way to write an object, `Conv1D(3, 4, strides=2, padding="same")`, taken apart.

use std::cell::RefCell;

/// A call of a class, as the golden files write it.
#[derive(Clone, Debug)]
pub struct Expression {
    pub name: String,
    arguments: Vec<(Option<String>, Value)>,
    /// The arguments that were asked for: one that nobody asked for would test less than it says.
    used: RefCell<Vec<usize>>,
}

#[derive(Clone, Debug)]
pub enum Value {
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Call(Expression),
    None,
}

impl Expression {
    /// # Panics
    /// If it is no such call.
    pub fn parse(text: &str) -> Expression {
        let (name, rest) = text.split_once('(').unwrap_or_else(|| panic!("{text} is no call"));
        let inside = rest.strip_suffix(')').unwrap_or_else(|| panic!("{text} is no call"));
        let is_name = |text: &str| text.trim().chars().all(|c| c.is_alphanumeric() || c == '_');
        let arguments = parts(inside).into_iter().map(|part| match part.split_once('=') {
            Some((name, value)) if is_name(name) => (Some(name.trim().to_string()), Value::parse(value)),
            _ => (None, Value::parse(part)),
        });
        // Where the class lives is told by its name.
        let name = name.rsplit('.').next().unwrap_or(name);
        Expression { name: name.to_string(), arguments: arguments.collect(), used: RefCell::default() }
    }

    /// The argument of this name, or at this position.
    pub fn get(&self, position: usize, name: &str) -> Option<Value> {
        let named = self.arguments.iter().position(|(given, _)| given.as_deref() == Some(name));
        let found = named.or_else(|| self.arguments.get(position).filter(|(given, _)| given.is_none()).map(|_| position))?;
        self.used.borrow_mut().push(found);
        Some(self.arguments[found].1.clone())
    }

    pub fn named(&self, name: &str) -> Option<Value> {
        self.get(usize::MAX, name)
    }

    pub fn required(&self, position: usize, name: &str) -> Value {
        self.get(position, name).unwrap_or_else(|| panic!("{}: no {name}", self.name))
    }

    /// # Panics
    /// If an argument was not asked for.
    pub fn check_all_used(&self) {
        assert!(self.all_used(), "{}: {:?} with an argument that is not understood", self.name, self.arguments);
    }

    fn all_used(&self) -> bool {
        (0..self.arguments.len()).all(|i| self.used.borrow().contains(&i))
    }
}

/// What commas divide, but not inside brackets or quotes.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut start, mut found) = (0, false, 0, Vec::new());
    for (i, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 && !quoted => {
                found.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    found.push(&text[start..]);
    found.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

impl Value {
    /// # Panics
    /// If it is nothing that golden files hold.
    pub fn parse(text: &str) -> Value {
        let text = text.trim();
        let within = |open, close| text.strip_prefix(open).and_then(|rest: &str| rest.strip_suffix(close));
        if let Some(word) = within('"', '"') {
            return Value::Text(word.to_string());
        }
        if let Some(inside) = within('(', ')').or_else(|| within('[', ']')) {
            return Value::List(parts(inside).into_iter().map(Value::parse).collect());
        }
        match text {
            "None" => Value::None,
            "True" => Value::Number(1.0),
            "False" => Value::Number(0.0),
            _ if text.starts_with(char::is_alphabetic) => Value::Call(Expression::parse(text)),
            _ => {
                let number = |text: &str| text.trim().parse::<f64>().ok();
                let quotient = |(a, b)| Some(number(a)? / number(b)?);
                let found = text.split_once('/').map_or_else(|| number(text), quotient);
                Value::Number(found.unwrap_or_else(|| panic!("{text} is no value")))
            }
        }
    }

    pub fn number(self) -> f64 {
        let Value::Number(number) = self else { panic!("{self:?} is no number") };
        number
    }

    pub fn count(self) -> usize {
        let number = self.number();
        assert!(number.fract() == 0.0 && number >= 0.0, "{number} is no count");
        number as usize
    }

    pub fn flag(self) -> bool {
        self.count() == 1
    }

    pub fn axis(self) -> isize {
        self.number() as isize
    }

    pub fn text(self) -> String {
        let Value::Text(text) = self else { panic!("{self:?} is no text") };
        text
    }

    /// A list, or one of a single value; nothing for `None`.
    pub fn list<T>(self, of: impl Fn(Value) -> T) -> Vec<T> {
        match self {
            Value::List(values) => values.into_iter().map(of).collect(),
            Value::None => Vec::new(),
            one => vec![of(one)],
        }
    }

    pub fn axes(self) -> Vec<isize> {
        self.list(Value::axis)
    }

    pub fn counts(self) -> Vec<usize> {
        self.list(Value::count)
    }
}

mod tests {
    use super::{Expression, Value, parts};

    #[test]
    fn expressions_are_understood() {
        assert_eq!(parts("2, (1, 3), x=\"a,b\", [4]"), ["2", "(1, 3)", "x=\"a,b\"", "[4]"]);
        let e = Expression::parse("Conv2D(4, (2, 3), strides=2, use_bias=False)");
        assert_eq!((e.name.as_str(), e.required(0, "filters").count()), ("Conv2D", 4));
        assert_eq!(e.required(1, "kernel_size").counts(), [2, 3]);
        assert!(!e.all_used());
        assert_eq!((e.named("strides").expect("given").count(), e.named("use_bias").expect("given").flag()), (2, false));
        assert!(e.all_used() && e.named("padding").is_none());
        assert_eq!(Expression::parse("Rescaling(1 / 4, offset=-1)").required(0, "scale").number(), 0.25);
        let Value::Call(inner) = Expression::parse("Bidirectional(LSTM(2, activation=\"relu\"), merge_mode=None)").required(0, "layer")
        else {
            panic!("an expression inside")
        };
        assert_eq!((inner.name.as_str(), inner.required(0, "units").count()), ("LSTM", 2));
    }
}
