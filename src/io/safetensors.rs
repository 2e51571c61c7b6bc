//! The container: from bytes to named numbers, and back.

use super::Fault;
use super::header::{self, Described, quoted};
use crate::shape::{DType, Shape, Spec};
use crate::suggest;
use std::collections::HashSet;
use std::ops::Range;

// The format is little-endian, and numbers are copied as they lie in memory.
const _: () = assert!(cfg!(target_endian = "little"), "files of weights need a little-endian machine");

/// Longer headers are refused, as the format's own readers do: a damaged length must not take all memory.
const LONGEST_HEADER: u64 = 100_000_000;
/// The bytes that hold the header's length.
const LENGTH: usize = 8;

/// A file that was read and checked.
#[derive(Debug, PartialEq)]
pub(super) struct Contents {
    pub metadata: Vec<(String, String)>,
    pub tensors: Vec<Entry>,
}

/// A tensor of a file.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub name: String,
    /// Where in the file its description begins.
    pub at: usize,
    pub spec: Spec,
    /// Where in the file its numbers are.
    pub data: Range<usize>,
}

/// What is in a file of these bytes: every length fits, no name comes twice, and every byte of data belongs to one tensor.
pub(super) fn decode(file: &[u8]) -> Result<Contents, Fault> {
    let Some((length, rest)) = file.split_first_chunk::<LENGTH>() else {
        return Err(Fault::new(0, format!("expected {LENGTH} bytes with the header's length, the file has {}", file.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > LONGEST_HEADER {
        return Err(Fault::new(0, format!("a header of {length} bytes is longer than {LONGEST_HEADER}; is this a safetensors file?")));
    }
    let length = length as usize;
    let Some(text) = rest.get(..length) else {
        return Err(Fault::new(file.len(), format!("the file ends within its header of {length} bytes; it was cut off")));
    };
    let header = header::parse(text, LENGTH)?;
    let start = LENGTH + length;
    let mut names = HashSet::new();
    if let Some(twice) = header.tensors.iter().find(|t| !names.insert(t.name.as_str())) {
        return Err(Fault::new(twice.at, format!("{:?} comes twice", twice.name)));
    }
    let tensors = header.tensors.iter().map(|t| entry(t, start, file.len())).collect::<Result<Vec<_>, _>>()?;
    covers(&tensors, start..file.len())?;
    Ok(Contents { metadata: header.metadata, tensors })
}

fn entry(described: &Described, start: usize, end: usize) -> Result<Entry, Fault> {
    let Described { name, at, dtype, shape, data_offsets: [first, last] } = described;
    let fault = |message: String| Fault::new(*at, format!("{name:?}: {message}"));
    let dtype = suggest::find("dtype", dtype, &DTYPES.map(|(text, dtype)| (text, dtype))).map_err(|e| fault(e.to_string()))?;
    let elements = shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length));
    let bytes = elements.and_then(|elements| elements.checked_mul(dtype.size()));
    if bytes.is_none() || last.checked_sub(*first) != bytes {
        let bytes = bytes.map_or("more bytes than there can be".into(), |bytes| format!("{bytes} bytes"));
        return Err(fault(format!("{dtype}{shape:?} needs {bytes}, its data_offsets are {first} and {last}")));
    }
    let place = |offset: &usize| start.checked_add(*offset).filter(|place| *place <= end);
    let (Some(from), Some(to)) = (place(first), place(last)) else {
        return Err(fault(format!("its data end at {last}, the file's at {}; it was cut off", end - start)));
    };
    Ok(Entry { name: name.clone(), at: *at, spec: Spec::new(Shape::from(shape.as_slice()), dtype), data: from..to })
}

/// Checks that the tensors lie side by side and fill the data.
fn covers(tensors: &[Entry], data: Range<usize>) -> Result<(), Fault> {
    let mut places: Vec<&Entry> = tensors.iter().collect();
    places.sort_by_key(|t| (t.data.start, t.data.end));
    let mut at = data.start;
    for tensor in places {
        if tensor.data.start != at {
            let what = if tensor.data.start < at { "overlap with those of another tensor" } else { "leave a gap before them" };
            return Err(Fault::new(tensor.at, format!("{:?}: its data, from byte {}, {what}", tensor.name, tensor.data.start)));
        }
        at = tensor.data.end;
    }
    if at != data.end { Err(Fault::new(at, format!("{} bytes after the last tensor", data.end - at))) } else { Ok(()) }
}

/// All that comes before the numbers of these tensors, which must follow in this order.
pub(super) fn encode_header(metadata: &[(&str, &str)], tensors: &[(String, Spec)]) -> Vec<u8> {
    let texts: Vec<String> = metadata.iter().map(|(key, value)| format!("{}:{}", quoted(key), quoted(value))).collect();
    let mut members = vec![format!("\"__metadata__\":{{{}}}", texts.join(","))];
    let mut at = 0;
    for (name, spec) in tensors {
        let dtype = DTYPES.iter().find(|(_, dtype)| *dtype == spec.dtype).map_or("", |(text, _)| text).to_uppercase();
        let end = at + spec.bytes();
        let shape = format!("{:?}", &spec.shape[..]).replace(' ', "");
        members.push(format!("{}:{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{at},{end}]}}", quoted(name)));
        at = end;
    }
    let mut json = format!("{{{}}}", members.join(","));
    // Spaces at the end are allowed, and bring the numbers to a multiple of their size.
    json.push_str(&" ".repeat(json.len().next_multiple_of(LENGTH) - json.len()));
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat()
}

/// The types that the format and this crate both have, in small letters.
const DTYPES: [(&str, DType); 6] =
    [("f16", DType::F16), ("f32", DType::F32), ("f64", DType::F64), ("u32", DType::U32), ("i32", DType::I32), ("u8", DType::U8)];

#[cfg(test)]
mod tests {
    use super::*;

    fn file(json: &str, data: &[u8]) -> Vec<u8> {
        [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), data].concat()
    }

    /// Written by hand from the format's description.
    const TWO: &str =
        concat!(r#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},"#, r#""a":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]}}"#);

    #[test]
    fn reads_a_file_in_its_order() {
        let bytes = file(TWO, &[1, 2, 3, 4, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        let contents = decode(&bytes).expect("valid");
        let [b, a] = &contents.tensors[..] else { panic!("two: {contents:?}") };
        assert_eq!((b.name.as_str(), &b.spec), ("b", &Spec::new([2], DType::F32)));
        assert_eq!((a.name.as_str(), &a.spec, &bytes[a.data.clone()]), ("a", &Spec::new([2, 2], DType::U8), &[1, 2, 3, 4][..]));
        assert_eq!(bytemuck::pod_collect_to_vec::<u8, f32>(&bytes[b.data.clone()]), [1.0, -2.0]);
    }

    #[test]
    fn damage_is_named() {
        let data = [0u8; 12];
        let says = |bytes: &[u8], offset: u64, message: &str| {
            let fault = decode(bytes).expect_err(message);
            assert!(fault.message.contains(message) && fault.offset == offset, "{fault:?} instead of {offset}: {message}");
        };
        let good = file(TWO, &data);
        says(&[1, 2, 3], 0, "expected 8 bytes");
        says(&good[..40], 40, "the file ends within its header");
        says(&good[..good.len() - 1], 9, "\"b\": its data end at 12, the file's at 11; it was cut off");
        says(&[&good[..], &[0][..]].concat(), good.len() as u64, "1 bytes after the last tensor");
        says(b"\x89HDF\r\n\x1a\n\0\0\0\0", 0, "is this a safetensors file?");
        says(&file(&TWO.replace("F32", "BF16"), &data), 9, "\"b\": dtype: expected one of f16, f32");
        says(&file(&TWO.replace("[2]", "[3]"), &data), 9, "f32[3] needs 12 bytes, its data_offsets are 4 and 12");
        says(&file(&TWO.replace("[2,2]", "[4294967296,4294967296,2]"), &data), 63, "needs more bytes than there can be");
        says(&file(&TWO.replace("[4,12]", "[12,4]"), &data), 9, "its data_offsets are 12 and 4");
        says(&file(&TWO.replace("\"a\"", "\"b\""), &data), 63, "\"b\" comes twice");
        says(&file(&TWO.replace("[4,12]", "[3,11]"), &data), 9, "overlap");
        says(&file(&TWO.replace("[4,12]", "[5,13]"), &[0; 13]), 9, "leave a gap");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let specs = [("x/\"y\"".to_string(), Spec::new([3], DType::U8)), ("s".to_string(), Spec::new([], DType::U32))];
        let mut bytes = encode_header(&[("gradus", "1")], &specs);
        assert_eq!(bytes.len() % 8, 0);
        bytes.extend([0; 7]);
        let contents = decode(&bytes).expect("valid");
        assert_eq!(contents.metadata, [("gradus".to_string(), "1".to_string())]);
        let read: Vec<(String, Spec)> = contents.tensors.into_iter().map(|t| (t.name, t.spec)).collect();
        assert_eq!(read, specs);
    }
}
