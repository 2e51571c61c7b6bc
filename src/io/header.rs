//! The header of a safetensors file: the JSON of this one form and no other, so that no file can make the reader do anything unexpected.
//!
//! `{"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}`

use super::Fault;

/// A header as it stands, before it is compared with the data that follow it.
#[derive(Debug, PartialEq, Default)]
pub(super) struct Header {
    /// Texts about the file.
    pub metadata: Vec<(String, String)>,
    pub tensors: Vec<Described>,
}

/// What a header says of a tensor.
#[derive(Debug, PartialEq)]
pub(super) struct Described {
    pub name: String,
    /// Where in the file its description begins.
    pub at: usize,
    pub dtype: String,
    pub shape: Vec<usize>,
    /// First byte and the one after the last, counted from the end of the header.
    pub data_offsets: [usize; 2],
}

const METADATA: &str = "__metadata__";

/// Reads a header that begins at byte `start` of its file.
pub(super) fn parse(bytes: &[u8], start: usize) -> Result<Header, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|e| Fault::new(start + e.valid_up_to(), "the header is not UTF-8"))?;
    let mut scan = Scan { text, at: 0, start };
    let mut header = Header::default();
    let mut metadata_seen = false;
    scan.object(|scan, name, at| {
        if name == METADATA {
            if std::mem::replace(&mut metadata_seen, true) {
                return Err(Fault::new(at, format!("{METADATA} comes twice")));
            }
            return scan.object(|scan, key, _| {
                let value = scan.string()?;
                header.metadata.push((key, value));
                Ok(())
            });
        }
        header.tensors.push(scan.tensor(name, at)?);
        Ok(())
    })?;
    scan.space();
    match scan.peek() {
        None => Ok(header),
        Some(_) => Err(scan.wrong("nothing more after the header's last }")),
    }
}

/// A JSON text for a string.
pub(super) fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c < ' ' => json.push_str(&format!("\\u{:04x}", c as u32)),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

/// A place in a text.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// Where in the file the text begins.
    start: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// What was wanted here and what there is.
    fn wrong(&self, wanted: &str) -> Fault {
        let found = self.peek().map_or("the end of the header".to_string(), |c| format!("{c:?}"));
        Fault::new(self.start + self.at, format!("expected {wanted}, found {found}"))
    }

    /// Steps over this character, after spaces, if it is there.
    fn takes(&mut self, c: char) -> bool {
        self.space();
        let is = self.peek() == Some(c);
        if is {
            self.at += c.len_utf8();
        }
        is
    }

    fn wants(&mut self, c: char) -> Result<(), Fault> {
        if self.takes(c) { Ok(()) } else { Err(self.wrong(&format!("{c:?}"))) }
    }

    /// What stands between two brackets, separated by commas.
    fn list(&mut self, [open, close]: [char; 2], mut item: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        self.wants(open)?;
        if self.takes(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.takes(close) {
                return Ok(());
            }
            self.wants(',')?;
        }
    }

    /// An object; `member` gets each key and where it stands, and reads the value.
    fn object(&mut self, mut member: impl FnMut(&mut Self, String, usize) -> Result<(), Fault>) -> Result<(), Fault> {
        self.list(['{', '}'], |scan| {
            scan.space();
            let at = scan.start + scan.at;
            let key = scan.string()?;
            scan.wants(':')?;
            member(scan, key, at)
        })
    }

    fn tensor(&mut self, name: String, at: usize) -> Result<Described, Fault> {
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        self.object(|scan, key, at| {
            let twice = match key.as_str() {
                "dtype" => dtype.replace(scan.string()?).is_some(),
                "shape" => shape.replace(scan.numbers()?).is_some(),
                "data_offsets" => offsets.replace(scan.numbers()?).is_some(),
                _ => return Err(Fault::new(at, format!("{name:?}: expected dtype, shape or data_offsets, found {key:?}"))),
            };
            if twice { Err(Fault::new(at, format!("{name:?}: {key} comes twice"))) } else { Ok(()) }
        })?;
        let missing = |what: &str| Fault::new(at, format!("{name:?} has no {what}"));
        let dtype = dtype.ok_or_else(|| missing("dtype"))?;
        let shape = shape.ok_or_else(|| missing("shape"))?;
        let offsets = offsets.ok_or_else(|| missing("data_offsets"))?;
        let found = offsets.len();
        let data_offsets = offsets.try_into().map_err(|_| Fault::new(at, format!("{name:?}: expected 2 data_offsets, found {found}")))?;
        Ok(Described { name, at, dtype, shape, data_offsets })
    }

    fn numbers(&mut self) -> Result<Vec<usize>, Fault> {
        let mut numbers = Vec::new();
        self.list(['[', ']'], |scan| {
            numbers.push(scan.number()?);
            Ok(())
        })?;
        Ok(numbers)
    }

    fn number(&mut self) -> Result<usize, Fault> {
        self.space();
        let rest = &self.text[self.at..];
        let digits = &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())];
        // JSON has no 007.
        let well_formed = digits == "0" || !digits.is_empty() && !digits.starts_with('0');
        let number = digits.parse().ok().filter(|_| well_formed);
        let number = number.ok_or_else(|| self.wrong("a whole number that fits the machine"))?;
        self.at += digits.len();
        Ok(number)
    }

    fn string(&mut self) -> Result<String, Fault> {
        self.wants('"')?;
        let mut string = String::new();
        loop {
            let c = self.peek().filter(|c| *c >= ' ').ok_or_else(|| self.wrong("the end of a string"))?;
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(string),
                '\\' => string.push(self.escaped()?),
                c => string.push(c),
            }
        }
    }

    /// The character that an escape stands for; the backslash was read.
    fn escaped(&mut self) -> Result<char, Fault> {
        let c = self.peek().ok_or_else(|| self.wrong("an escape"))?;
        let simple = match c {
            '"' | '\\' | '/' => Some(c),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => None,
            _ => return Err(self.wrong("an escape")),
        };
        self.at += 1;
        match simple {
            Some(c) => Ok(c),
            None => self.unicode(),
        }
    }

    /// The character of `\u` and four digits, or of two such that belong together.
    fn unicode(&mut self) -> Result<char, Fault> {
        let first = self.four_digits()?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        if !(0xd800..0xdc00).contains(&first) || !self.text[self.at..].starts_with("\\u") {
            return Err(self.wrong("the second half of a \\u pair"));
        }
        self.at += 2;
        let second = self.four_digits()?;
        let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
        let c = low.and_then(|low| char::from_u32(0x10000 + ((first - 0xd800) << 10) + low));
        c.ok_or_else(|| self.wrong("the second half of a \\u pair before it"))
    }

    fn four_digits(&mut self) -> Result<u32, Fault> {
        let digits = self.text[self.at..].get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let number = number.ok_or_else(|| self.wrong("four hexadecimal digits"))?;
        self.at += 4;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_format_allows() {
        let text = " {\"__metadata__\" : {\"by\":\"\\u00e9\\ud83d\\ude00\\n\"},\n\"a/b\":{\"shape\":[],\"data_offsets\":[0,4],\"dtype\":\"F32\"}, \
                    \"é\":{\"dtype\":\"U8\",\"shape\":[2, 0,10],\"data_offsets\":[4,4]}}   ";
        let header = parse(text.as_bytes(), 8).expect("valid");
        assert_eq!(header.metadata, [("by".to_string(), "é😀\n".to_string())]);
        let [a, b] = &header.tensors[..] else { panic!("two: {header:?}") };
        assert_eq!((a.name.as_str(), a.dtype.as_str(), &a.shape[..], a.data_offsets), ("a/b", "F32", &[][..], [0, 4]));
        assert_eq!((b.name.as_str(), &b.shape[..], b.data_offsets), ("é", &[2, 0, 10][..], [4, 4]));
        assert_eq!(a.at, 8 + text.find("\"a/b\"").expect("there"));
        assert_eq!(parse(b"{}", 8), Ok(Header::default()));
    }

    #[test]
    fn refuses_everything_else_and_says_where() {
        for (text, offset, message) in [
            ("", 8, "expected '{', found the end of the header"),
            ("[]", 8, "expected '{', found '['"),
            ("{\"a\"", 12, "expected ':', found the end of the header"),
            ("{\"a\":{}}", 9, "\"a\" has no dtype"),
            ("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 28, "\"a\": dtype comes twice"),
            ("{\"a\":{\"kind\":1}}", 14, "\"a\": expected dtype, shape or data_offsets, found \"kind\""),
            ("{\"a\":{\"shape\":[1,]}}", 25, "expected a whole number that fits the machine, found ']'"),
            ("{\"a\":{\"shape\":[-1]}}", 23, "expected a whole number that fits the machine, found '-'"),
            ("{\"a\":{\"shape\":[01]}}", 23, "expected a whole number that fits the machine, found '0'"),
            ("{\"a\":{\"shape\":[1.5]}}", 24, "expected ',', found '.'"),
            ("{\"a\":{\"shape\":[99999999999999999999]}}", 23, "expected a whole number that fits the machine, found '9'"),
            ("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0]}}", 9, "\"a\": expected 2 data_offsets, found 1"),
            ("{\"a\nb\":1}", 11, "expected the end of a string, found '\\n'"),
            ("{\"\\x\":1}", 11, "expected an escape, found 'x'"),
            ("{\"\\ud800x\":1}", 16, "expected the second half of a \\u pair, found 'x'"),
            ("{\"\\u00g0\":1}", 12, "expected four hexadecimal digits, found '0'"),
            ("{} {}", 11, "expected nothing more after the header's last }, found '{'"),
            ("{\"__metadata__\":{\"a\":1}}", 29, "expected '\"', found '1'"),
            ("{\"__metadata__\":{},\"__metadata__\":{}}", 27, "__metadata__ comes twice"),
        ] {
            assert_eq!(parse(text.as_bytes(), 8), Err(Fault { offset, message: message.into() }), "{text}");
        }
        assert_eq!(parse(b"{\"\xff\":1}", 8), Err(Fault { offset: 10, message: "the header is not UTF-8".into() }));
    }

    /// Whatever is cut off or changed, the answer is a header or a fault inside the text, never a panic.
    #[test]
    fn survives_cuts_and_changes() {
        let text =
            "{\"__metadata__\":{\"a\":\"\\ud83d\\ude00é\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}".as_bytes();
        for end in 0..text.len() {
            let fault = parse(&text[..end], 8).expect_err("cut off");
            assert!((8..=8 + end as u64).contains(&fault.offset), "{fault:?} for {end} bytes");
        }
        for at in 0..text.len() {
            for byte in [0, b'"', b'\\', b'{', b'9', 0xc3, 0xff] {
                let mut changed = text.to_vec();
                changed[at] = byte;
                if let Err(fault) = parse(&changed, 0) {
                    assert!(fault.offset <= text.len() as u64, "{fault:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_quoted_is_read_again() {
        let text = "a\"\\/\n\u{1}é😀\u{7f}";
        let json = format!("{{\"__metadata__\":{{{}:{}}}}}", quoted(text), quoted(text));
        assert_eq!(parse(json.as_bytes(), 0).expect("valid").metadata, [(text.to_string(), text.to_string())]);
    }
}
