//! Shaders over f16: a kernel's text computes in f32, and only its loads and stores know of anything smaller.
//!
//! So no op has a text of its own for f16. A buffer may be declared as floats, or as words that hold the bits of floats, or as vectors of either;
//! whichever it is, the kernel gets an f32 from a load and gives one to a store.

use super::shader::Shader;

/// How a shader's elements become f16 and back.
struct Half {
    stored: &'static str,
    /// What stands around a load, and around a value that is stored.
    load: [&'static str; 2],
    store: [&'static str; 2],
}

impl Half {
    /// For elements of this type.
    fn of(element: &str) -> Option<Half> {
        Some(match element {
            "f32" => Half { stored: "f16", load: ["f32(", ")"], store: ["f16(", ")"] },
            "vec4<f32>" => Half { stored: "vec4<f16>", load: ["vec4<f32>(", ")"], store: ["vec4<f16>(", ")"] },
            "u32" => Half { stored: "f16", load: ["bitcast<u32>(f32(", "))"], store: ["f16(bitcast<f32>(", "))"] },
            "vec4<u32>" => {
                let (load, store) = (["bitcast<vec4<u32>>(vec4<f32>(", "))"], ["vec4<f16>(bitcast<vec4<f32>>(", "))"]);
                Half { stored: "vec4<f16>", load, store }
            }
            _ => return None,
        })
    }

    /// The text with every `name[…]` widened and every `name[…] = …;` rounded.
    fn rewrite(&self, text: &str, name: &str) -> String {
        let mut done = String::with_capacity(text.len() + text.len() / 8);
        let mut rest = text;
        while let Some(at) = next_use(rest, name) {
            let open = at + name.len();
            let close = open + closing(&rest[open..]).unwrap_or_else(|| panic!("`{name}[` has no end in {rest}"));
            let place = format!("{name}[{}]", self.rewrite(&rest[open + 1..close], name));
            done += &rest[..at];
            rest = &rest[close + 1..];
            let value = rest.strip_prefix(" = ").and_then(|value| value.split_once(';'));
            let [before, after] = if value.is_some() { self.store } else { self.load };
            match value {
                Some((value, following)) => {
                    done += &format!("{place} = {before}{}{after};", self.rewrite(value, name));
                    rest = following;
                }
                None => done += &format!("{before}{place}{after}"),
            }
        }
        done + rest
    }
}

/// Where `name[` stands next, as a word of its own.
fn next_use(text: &str, name: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find(name)?;
        let end = at + name.len();
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        if text[end..].starts_with('[') && !text[..at].ends_with(is_part) {
            return Some(at);
        }
        from = end;
    }
}

/// The bracket that closes the one that the text begins with.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(i, c)| {
        depth += match c {
            '[' => 1,
            ']' => -1,
            _ => 0,
        };
        (depth == 0).then_some(i)
    })
}

impl Shader {
    /// With f16 in the storage buffer of this number, which the text declares to hold floats, or words, or vectors of four.
    pub(super) fn with_halves(self, number: usize) -> Shader {
        let (name, element) = self.storage(number);
        let half = Half::of(self.alias(&element).unwrap_or(&element))
            .unwrap_or_else(|| panic!("{}: `{name}` holds {element}, which cannot be f16", self.name()));
        let second = ["let {name} ", "let {name}:", "var {name} ", "var {name}:", "({name}: ", ", {name}: "]
            .map(|word| word.replace("{name}", &name));
        for function in self.text().split("\nfn ").skip(1) {
            let ambiguous = next_use(function, &name).is_some() && second.iter().any(|word| function.contains(word));
            assert!(!ambiguous, "{}: a function with a second `{name}`: {function}", self.name());
        }
        self.map_text(|text| {
            let declared = format!(" {name}: array<{element}>");
            half.rewrite(text, &name).replacen(&declared, &format!(" {name}: array<{}>", half.stored), 1)
        })
    }

    /// With the leave that a text needs which speaks of f16.
    pub(super) fn enabled(self) -> Shader {
        if self.text().contains("f16(") || self.text().contains("<f16>") {
            self.map_text(|text| format!("enable f16;\n{text}"))
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halved(text: &str, number: usize) -> String {
        Shader::new("test", text).with_halves(number).text().to_string()
    }

    #[test]
    fn loads_widen_and_stores_round() {
        let text = "@group(0) @binding(0) var<storage, read> x: array<f32>;\n@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;\n\
                    fn f(i: u32) { let ax = vec4<f32>(x[i], x[u32(x[1])], p.x[0], xx[0]); if (ax.x == y[i].x) { y[i + 1u] = y[i] + ax; } }";
        assert_eq!(
            halved(text, 0).lines().last(),
            Some(
                "fn f(i: u32) { let ax = vec4<f32>(f32(x[i]), f32(x[u32(f32(x[1]))]), p.x[0], xx[0]); \
                 if (ax.x == y[i].x) { y[i + 1u] = y[i] + ax; } }"
            )
        );
        let both = Shader::new("test", text).with_halves(0).with_halves(1).enabled();
        assert!(both.text().starts_with("enable f16;\n@group(0) @binding(0) var<storage, read> x: array<f16>;\n"), "{}", both.text());
        assert!(both.text().contains("var<storage, read_write> y: array<vec4<f16>>;"), "{}", both.text());
        assert!(
            both.text().ends_with("if (ax.x == vec4<f32>(y[i]).x) { y[i + 1u] = vec4<f16>(vec4<f32>(y[i]) + ax); } }"),
            "{}",
            both.text()
        );
    }

    #[test]
    fn words_hold_the_bits_of_floats() {
        let text = "alias Bits = u32;\n@group(0) @binding(0) var<storage, read_write> y: array<Bits>;\nfn f(i: u32) { y[i] = y[i ^ 1u]; }";
        let expected = "fn f(i: u32) { y[i] = f16(bitcast<f32>(bitcast<u32>(f32(y[i ^ 1u])))); }";
        assert_eq!(halved(text, 0).lines().last(), Some(expected));
    }

    #[test]
    #[should_panic(expected = "with a second `x`")]
    fn a_second_meaning_is_refused() {
        halved("@group(0) @binding(0) var<storage, read> x: array<f32>;\nfn f(x: vec4<f32>) -> f32 { return x[0]; }", 0);
    }
}
