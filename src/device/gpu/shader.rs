//! A WGSL file and its specialisation: values of `const`s and bodies of hook functions are replaced, extra bindings declared, nothing else.

use std::fmt::Write;

/// The number of the parameter block's binding: `@group(0) @binding(15) var<uniform> p: Params;`. It leaves the numbers before it to storage
/// buffers; no adapter must offer so many.
pub const PARAMS_BINDING: u32 = 15;

/// A WGSL source on its way to a pipeline.
#[derive(Clone, Debug)]
pub struct Shader {
    name: &'static str,
    text: String,
}

impl Shader {
    /// Starts from a file that is valid WGSL as it stands; `name` is the op's stem, with the role where one file has several.
    pub fn new(name: &'static str, source: &str) -> Shader {
        Shader { name, text: source.to_string() }
    }

    /// The name that labels and errors show.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The text as it stands now.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Replaces the value of `const NAME: u32 = …;`.
    pub fn set(self, name: &str, value: usize) -> Shader {
        let value = u32::try_from(value).unwrap_or_else(|_| panic!("{}: {name} = {value} does not fit 32 bits", self.name));
        self.set_text(name, "u32", &format!("{value}u"))
    }

    /// Replaces several `u32` constants.
    pub fn set_all(self, constants: &[(&str, usize)]) -> Shader {
        constants.iter().fold(self, |shader, (name, value)| shader.set(name, *value))
    }

    /// Replaces the value of `const NAME: TYPE = …;` by WGSL text.
    pub fn set_text(mut self, name: &str, kind: &str, value: &str) -> Shader {
        let head = format!("const {name}: {kind} = ");
        let start = self.text.find(&head).unwrap_or_else(|| panic!("{}: no `{head}…;`", self.name)) + head.len();
        let end = start + self.text[start..].find(';').unwrap_or_else(|| panic!("{}: `{head}` has no end", self.name));
        self.text.replace_range(start..end, value);
        self
    }

    /// Replaces the body of `fn NAME(…) -> … { … }`, from its opening brace to the matching one.
    pub fn hook(mut self, name: &str, body: &str) -> Shader {
        let head = format!("fn {name}(");
        let at = self.text.find(&head).unwrap_or_else(|| panic!("{}: no hook `{name}`", self.name));
        let open = at + self.text[at..].find('{').unwrap_or_else(|| panic!("{}: hook `{name}` has no body", self.name));
        let mut depth = 0;
        let close = self.text[open..]
            .char_indices()
            .find(|(_, c)| {
                depth += match c {
                    '{' => 1,
                    '}' => -1,
                    _ => 0,
                };
                depth == 0
            })
            .map_or_else(|| panic!("{}: hook `{name}` has no end", self.name), |(i, _)| open + i);
        self.text.replace_range(open..=close, &format!("{{ {body} }}"));
        self
    }

    /// Replaces what stands between the lines `// Part: NAME.` and `// End of part.` by another file's text.
    pub(crate) fn part(mut self, name: &str, text: &str) -> Shader {
        let head = format!("// Part: {name}.");
        let start = self.text.find(&head).unwrap_or_else(|| panic!("{}: no part `{name}`", self.name));
        let end = self.text[start..].find("// End of part.").unwrap_or_else(|| panic!("{}: part `{name}` has no end", self.name));
        self.text.replace_range(start..start + end, text);
        self
    }

    /// Adds a declaration after the file's text: a binding or a function that a hook's body needs.
    pub fn declare(mut self, text: &str) -> Shader {
        self.text.push('\n');
        self.text.push_str(text);
        self
    }

    /// Declares one more storage buffer, read-only unless `write`.
    pub fn binding(mut self, number: usize, name: &str, element: &str, write: bool) -> Shader {
        let access = if write { "read_write" } else { "read" };
        let _ = write!(self.text, "\n@group(0) @binding({number}) var<storage, {access}> {name}: array<{element}>;");
        self
    }

    /// Takes out the declaration of storage buffer `name`, which must have this number, and says what its elements are.
    pub(crate) fn without_binding(mut self, name: &str, number: usize) -> (Shader, String) {
        let own = format!("> {name}: array<");
        let start = self.text.find(&own).unwrap_or_else(|| panic!("{}: no storage buffer `{name}`", self.name));
        let line = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[line..].find('\n').map_or(self.text.len(), |at| line + at);
        let declaration: String = self.text.drain(line..end).collect();
        assert!(declaration.contains(&format!("@group(0) @binding({number})")), "{}: `{name}` is not the last binding", self.name);
        let element = &declaration[declaration.find(&own).map_or(0, |at| at + own.len())..];
        let element = element.split_once(">;").map_or(element, |(element, _)| element);
        let element = self.alias(element).unwrap_or(element).to_string();
        (self, element)
    }

    /// The name of the storage buffer of this number, and what it says that its elements are.
    pub(super) fn storage(&self, number: usize) -> (String, String) {
        let head = format!("@group(0) @binding({number}) var<storage");
        let declaration = self.text.lines().find(|line| line.starts_with(&head));
        let parts = declaration.and_then(|line| line.split_once("> ")?.1.split_once(": array<"));
        let (name, rest) = parts.unwrap_or_else(|| panic!("{}: no line `{head}, …> NAME: array<…>;`", self.name));
        let element = rest.rsplit_once(">;").map_or(rest, |(element, _)| element);
        (name.to_string(), element.to_string())
    }

    pub(super) fn map_text(mut self, f: impl FnOnce(&str) -> String) -> Shader {
        self.text = f(&self.text);
        self
    }

    /// What `alias NAME = …;` stands for.
    pub(super) fn alias(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.text.split_once(&format!("alias {name} = "))?;
        rest.split_once(';').map(|(kind, _)| kind)
    }

    /// For each storage buffer, in order of number: whether the shader may write to it.
    /// Read from the declarations, so that a layout cannot disagree with the text.
    pub fn bindings(&self) -> Vec<bool> {
        let mut found: Vec<(usize, bool)> = Vec::new();
        for line in self.text.lines().filter(|l| l.trim_start().starts_with("@group(")) {
            assert!(line.trim_start().starts_with("@group(0)"), "{}: there is only group 0: `{line}`", self.name);
            let number = line.split("@binding(").nth(1).and_then(|rest| rest.split(')').next()).and_then(|n| n.trim().parse().ok());
            let number: usize = number.unwrap_or_else(|| panic!("{}: no binding number in `{line}`", self.name));
            if line.contains("var<uniform>") {
                assert_eq!(number, PARAMS_BINDING as usize, "{}: the parameter block has another number: `{line}`", self.name);
                continue;
            }
            found.push((number, line.contains("read_write")));
        }
        found.sort_unstable();
        assert!(found.iter().enumerate().all(|(i, (n, _))| i == *n), "{}: binding numbers have a gap or repeat", self.name);
        found.into_iter().map(|(_, write)| write).collect()
    }

    /// Whether the shader reads the parameter block, its only uniform.
    pub fn has_params(&self) -> bool {
        self.text.contains("var<uniform>")
    }
}
