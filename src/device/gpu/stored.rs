//! Shaders whose buffers hold other types than their texts say: a kernel's text computes in f32, and only its loads and stores know of f16, or of
//! values that are loaded and stored two at a time.
//!
//! So no op has a text of its own for either. A buffer may be declared as floats, or as words that hold the bits of floats, or as vectors of
//! either; whichever it is, the kernel gets from a load what the text says, and gives it to a store.

use super::shader::Shader;

/// How what a shader's text computes with becomes what a buffer holds, and back.
struct Stored {
    element: &'static str,
    /// What stands around a load, and around a value that is stored.
    load: [&'static str; 2],
    store: [&'static str; 2],
}

/// What turns pairs of words into numbers and back.
const PAIRS: &str = "
fn g_words(v: vec2<u64>) -> vec4<u32> { return vec4<u32>(u32(v.x), u32(v.x >> 32u), u32(v.y), u32(v.y >> 32u)); }
fn g_floats(v: vec2<u64>) -> vec4<f32> { return bitcast<vec4<f32>>(g_words(v)); }
fn g_eight(v: vec4<u64>) -> mat2x4<f32> { return mat2x4<f32>(g_floats(v.xy), g_floats(v.zw)); }
fn g_pairs(v: vec4<u32>) -> vec2<u64> { return vec2<u64>(u64(v.x) | (u64(v.y) << 32u), u64(v.z) | (u64(v.w) << 32u)); }";

impl Stored {
    /// Elements of this type as f16.
    fn halves(element: &str) -> Option<Stored> {
        Some(match element {
            "f32" => Stored { element: "f16", load: ["f32(", ")"], store: ["f16(", ")"] },
            "vec4<f32>" => Stored { element: "vec4<f16>", load: ["vec4<f32>(", ")"], store: ["vec4<f16>(", ")"] },
            "mat2x4<f32>" => Stored { element: "mat2x4<f16>", load: ["mat2x4<f32>(", ")"], store: ["mat2x4<f16>(", ")"] },
            "u32" => Stored { element: "f16", load: ["bitcast<u32>(f32(", "))"], store: ["f16(bitcast<f32>(", "))"] },
            "vec4<u32>" => {
                let (load, store) = (["bitcast<vec4<u32>>(vec4<f32>(", "))"], ["vec4<f16>(bitcast<vec4<f32>>(", "))"]);
                Stored { element: "vec4<f16>", load, store }
            }
            _ => return None,
        })
    }

    /// Elements of this type as words of 64 bits, the first value of each pair in the low half.
    fn pairs(element: &str) -> Option<Stored> {
        Some(match element {
            "vec4<f32>" => Stored { element: "vec2<u64>", load: ["g_floats(", ")"], store: ["g_pairs(bitcast<vec4<u32>>(", "))"] },
            "vec4<u32>" => Stored { element: "vec2<u64>", load: ["g_words(", ")"], store: ["g_pairs(", ")"] },
            "mat2x4<f32>" => Stored { element: "vec4<u64>", load: ["g_eight(", ")"], store: ["", ""] },
            _ => return None,
        })
    }

    /// The text with a conversion around every `name[…]` and around what every `name[…] = …;` stores.
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

/// Whether a text uses storage buffer `name` in no other way than [`Stored::rewrite`] knows: `name[…]` for a load, `name[…] = …;` for a store.
fn only_whole_elements(text: &str, name: &str) -> Result<(), String> {
    let second =
        ["let {name} ", "let {name}:", "var {name} ", "var {name}:", "({name}: ", ", {name}: "].map(|word| word.replace("{name}", name));
    for function in text.split("\nfn ").skip(1) {
        if next_use(function, name).is_some() && second.iter().any(|word| function.contains(word)) {
            return Err(format!("a function with a second `{name}`: {function}"));
        }
    }
    let lengths = text.replace(&format!("arrayLength(&{name})"), "");
    if lengths.contains(&format!("&{name}")) {
        return Err(format!("a pointer to `{name}`"));
    }
    let mut rest = text;
    while let Some(at) = next_use(rest, name) {
        let open = at + name.len();
        let close = open + closing(&rest[open..]).ok_or_else(|| format!("`{name}[` has no end"))?;
        // What is inside the brackets comes next.
        rest = &rest[open..];
        let after = &rest[close - open + 1..];
        let statement = &after[..after.find(';').unwrap_or(after.len())];
        let place = statement.trim_start_matches(|c: char| c.is_alphanumeric() || "._[]".contains(c));
        let operator = place.trim_start();
        let assigns = operator.starts_with('=') && !operator.starts_with("==");
        let changes = ["+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", "++", "--"].iter().any(|o| operator.starts_with(o));
        if changes || assigns && !after.starts_with(" = ") {
            return Err(format!("`{name}[…]{statement}` is no store of a whole element"));
        }
    }
    Ok(())
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
        let stored = Stored::halves(self.alias(&element).unwrap_or(&element))
            .unwrap_or_else(|| panic!("{}: `{name}` holds {element}, which cannot be f16", self.name()));
        only_whole_elements(self.text(), &name).unwrap_or_else(|fault| panic!("{}: {fault}", self.name()));
        self.with_stored(&name, &element, &stored)
    }

    /// With vectors of 32-bit values loaded and stored in pairs of 64 bits, wherever the text does no more than load and store whole ones: a
    /// user's text may do anything.
    pub(super) fn with_pairs(self) -> Shader {
        let mut paired = self;
        for number in 0..paired.bindings().len() {
            let (name, element) = paired.storage(number);
            let stored = Stored::pairs(paired.alias(&element).unwrap_or(&element));
            if let Some(stored) = stored.filter(|_| only_whole_elements(paired.text(), &name).is_ok()) {
                paired = paired.with_stored(&name, &element, &stored);
            }
        }
        if paired.text().contains("array<vec2<u64>>") || paired.text().contains("array<vec4<u64>>") {
            paired.declare(PAIRS)
        } else {
            paired
        }
    }

    fn with_stored(self, name: &str, element: &str, stored: &Stored) -> Shader {
        self.map_text(|text| {
            let declared = format!(" {name}: array<{element}>");
            stored.rewrite(text, name).replacen(&declared, &format!(" {name}: array<{}>", stored.element), 1)
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

    fn paired(text: &str) -> String {
        Shader::new("test", text).with_pairs().text().to_string()
    }

    #[test]
    fn vectors_are_loaded_and_stored_in_pairs() {
        let text = "alias Bits = vec4<u32>;\n@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;\n\
                    @group(0) @binding(1) var<storage, read> e: array<mat2x4<f32>>;\n@group(0) @binding(2) var<storage, read> s: array<f32>;\n\
                    @group(0) @binding(3) var<storage, read_write> y: array<Bits>;\n\
                    fn f(i: u32) { if (i < arrayLength(&y)) { y[i] = y[i ^ 1u] + bitcast<vec4<u32>>(x[i].wzyx + e[i][1] * s[i]); } }";
        let got = paired(text);
        let lines: Vec<&str> = got.lines().collect();
        assert_eq!(lines[1], "@group(0) @binding(0) var<storage, read> x: array<vec2<u64>>;");
        assert_eq!(lines[2], "@group(0) @binding(1) var<storage, read> e: array<vec4<u64>>;");
        assert_eq!(lines[3], "@group(0) @binding(2) var<storage, read> s: array<f32>;");
        assert_eq!(lines[4], "@group(0) @binding(3) var<storage, read_write> y: array<vec2<u64>>;");
        assert_eq!(
            lines[5],
            "fn f(i: u32) { if (i < arrayLength(&y)) { \
             y[i] = g_pairs(g_words(y[i ^ 1u]) + bitcast<vec4<u32>>(g_floats(x[i]).wzyx + g_eight(e[i])[1] * s[i])); } }"
        );
        assert!(got.ends_with(PAIRS));
    }

    #[test]
    fn what_does_more_than_load_and_store_stays_as_it_is() {
        for statement in [
            "y[i].x = 1.0;",
            "y[i][j] = 1.0;",
            "y[i] += v;",
            "y[i]=v;",
            "y[y[0].x] *= v;",
            "let p = &y[i];",
            "let p = &y;",
            "y[i].x += 1.0;",
        ] {
            let text = format!("@group(0) @binding(0) var<storage, read_write> y: array<vec4<f32>>;\nfn f(i: u32) {{ {statement} }}");
            assert_eq!(paired(&text), text);
        }
        let second = "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;\nfn f(x: vec4<f32>) -> f32 { return x[0]; }";
        assert_eq!(paired(second), second);
        let compared =
            "@group(0) @binding(0) var<storage, read_write> y: array<vec4<f32>>;\nfn f(i: u32) { if (y[i].x == 1.0) { y[i] = v; } }";
        assert!(paired(compared).contains("if (g_floats(y[i]).x == 1.0) { y[i] = g_pairs(bitcast<vec4<u32>>(v)); }"));
    }

    #[test]
    #[should_panic(expected = "with a second `x`")]
    fn a_second_meaning_is_refused() {
        halved("@group(0) @binding(0) var<storage, read> x: array<f32>;\nfn f(x: vec4<f32>) -> f32 { return x[0]; }", 0);
    }
}
