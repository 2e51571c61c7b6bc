//! Reads the golden files; their format is described in `golden/README.md`.

use gradus::{DType, Device, Result, Shape, Tensor};

/// The cases of one file, in its order.
pub struct File {
    name: &'static str,
    cases: Vec<Case>,
}

/// The fields of one case.
pub struct Case {
    pub name: String,
    file: &'static str,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    /// `None` for a word.
    shape: Option<Shape>,
    text: String,
}

impl File {
    /// The file of this name with this content.
    ///
    /// # Panics
    /// With the number of the line that is not `case | field | shape | values` with as many values as the shape has.
    pub fn parse(name: &'static str, content: &str) -> File {
        let mut cases: Vec<Case> = Vec::new();
        for (line, number) in content.lines().zip(1..) {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            let [case, field, shape, values] = parts[..] else { panic!("{name}, line {number}: {} parts instead of 4", parts.len()) };
            let field = Field::parse(field, shape, values).unwrap_or_else(|e| panic!("{name}, line {number}: {e}"));
            if cases.last().is_none_or(|last| last.name != case) {
                assert!(!cases.iter().any(|c| c.name == case), "{name}, line {number}: case {case} comes twice");
                cases.push(Case { name: case.to_string(), file: name, fields: Vec::new() });
            }
            let fields = &mut cases.last_mut().expect("pushed above").fields;
            assert!(!fields.iter().any(|f| f.name == field.name), "{name}, line {number}: field {} comes twice", field.name);
            fields.push(field);
        }
        File { name, cases }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter()
    }

    pub fn find(&self, case: &str) -> Option<&Case> {
        self.cases.iter().find(|c| c.name == case)
    }

    /// # Panics
    /// If there is no such case.
    pub fn case(&self, case: &str) -> &Case {
        self.find(case).unwrap_or_else(|| panic!("{}: there is no case {case}", self.name))
    }
}

impl Field {
    fn parse(name: &str, shape: &str, text: &str) -> Result<Field, String> {
        let (name, text) = (name.to_string(), text.to_string());
        if shape == "str" {
            return Ok(Field { name, shape: None, text });
        }
        let axes = shape.split(',').filter(|axis| !axis.is_empty());
        let shape = axes.map(|axis| axis.parse().map_err(|e| format!("axis {axis:?}: {e}"))).collect::<Result<Vec<usize>, _>>()?;
        let shape = Shape::from(shape);
        let count = text.split_whitespace().count();
        if count != shape.elements() {
            return Err(format!("{name} has {count} values for shape {shape}"));
        }
        if let Some(word) = text.split_whitespace().find(|word| word.parse::<f64>().is_err()) {
            return Err(format!("{name} has {word:?} among its numbers"));
        }
        Ok(Field { name, shape: Some(shape), text })
    }
}

impl Case {
    pub fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|f| f.name == field)
    }

    fn field(&self, name: &str) -> &Field {
        self.fields.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("{}, case {}: there is no field {name}", self.file, self.name))
    }

    /// # Panics
    /// As all that follow: if there is no such field, or if it is none of numbers.
    pub fn shape(&self, field: &str) -> &Shape {
        let found = self.field(field);
        found.shape.as_ref().unwrap_or_else(|| panic!("{}, case {}: {field} is a word", self.file, self.name))
    }

    /// A word: `same`.
    pub fn word(&self, field: &str) -> &str {
        let found = self.field(field);
        assert!(found.shape.is_none(), "{}, case {}: {field} is no word", self.file, self.name);
        &found.text
    }

    /// Results, as they are written.
    pub fn f64s(&self, field: &str) -> Vec<f64> {
        self.shape(field);
        self.field(field).text.split_whitespace().map(|word| word.parse().expect("parsed once already")).collect()
    }

    /// Inputs: the other programs were given these numbers rounded to f32.
    pub fn f32s(&self, field: &str) -> Vec<f32> {
        self.shape(field);
        self.field(field).text.split_whitespace().map(|word| word.parse().expect("parsed once already")).collect()
    }

    pub fn integers(&self, field: &str) -> Vec<i64> {
        let numbers = self.f64s(field);
        assert!(numbers.iter().all(|n| n.fract() == 0.0), "{}, case {}: {field} has fractions", self.file, self.name);
        numbers.into_iter().map(|n| n as i64).collect()
    }

    /// # Panics
    /// If one is below 0.
    pub fn sizes(&self, field: &str) -> Vec<usize> {
        let of = |n: i64| usize::try_from(n).unwrap_or_else(|_| panic!("{}, case {}: {field} holds {n}", self.file, self.name));
        self.integers(field).into_iter().map(of).collect()
    }

    /// # Panics
    /// If there are not two.
    pub fn pair(&self, field: &str) -> [usize; 2] {
        <[usize; 2]>::try_from(self.sizes(field)).unwrap_or_else(|all| panic!("{}, case {}: {field} is {all:?}", self.file, self.name))
    }

    pub fn number(&self, field: &str) -> f64 {
        let numbers = self.f64s(field);
        assert_eq!(numbers.len(), 1, "{}, case {}: {field}", self.file, self.name);
        numbers[0]
    }

    /// # Panics
    /// If it is not a whole number that an u32 holds.
    pub fn count(&self, field: &str) -> u32 {
        let number = self.number(field);
        assert!(number.fract() == 0.0 && (0.0..4e9).contains(&number), "{}, case {}: {field} is {number}", self.file, self.name);
        number as u32
    }

    pub fn flag(&self, field: &str) -> bool {
        self.number(field) != 0.0
    }

    /// An input on a device: of this float type, or `u32`.
    pub fn tensor(&self, device: &Device, dtype: DType, field: &str) -> Result<Tensor> {
        let shape = self.shape(field).clone();
        let numbers = self.f32s(field);
        match dtype {
            DType::F64 => Tensor::new(device, shape, &numbers.iter().map(|&v| f64::from(v)).collect::<Vec<_>>()),
            DType::U32 => Tensor::new(device, shape, &self.integers(field).iter().map(|&v| v as u32).collect::<Vec<_>>()),
            _ => Tensor::new(device, shape, &numbers),
        }
    }
}

mod tests {
    use super::File;

    #[test]
    fn the_format_is_understood() {
        let text = "# a comment\none | x | 2,2 | 1 -0 1e-07 inf\none | kind | str | same\ntwo | n |  | 3\ntwo | none | 0,3 | \n";
        let file = File::parse("text", text);
        let one = file.case("one");
        assert_eq!(one.shape("x")[..], [2, 2]);
        assert_eq!(one.f64s("x"), [1.0, -0.0, 1e-7, f64::INFINITY]);
        assert_eq!((one.word("kind"), file.case("two").number("n"), file.case("two").f32s("none").len()), ("same", 3.0, 0));
        assert_eq!(file.cases().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn damage_is_noticed() {
        for text in
            ["a | x | 2", "a | x | 2 | 1", "a | x | 2 | 1 2 3", "a | x | 1 | b", "a | x | 1 | 1\na | x | 1 | 1", "a|x||1\nb|x||1\na|y||1"]
        {
            assert!(std::panic::catch_unwind(|| File::parse("text", text)).is_err(), "{text}");
        }
    }
}
