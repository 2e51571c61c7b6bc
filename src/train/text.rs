//! Numbers as Python writes them, for files and names that Keras's users know.

/// The shortest text that reads back as this number: `0.25`, `1e-05`, `nan`.
pub(super) fn repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_string();
    }
    let size = value.abs();
    // Rust's shortest digits are Python's; only the form differs, and from where on there is an exponent.
    if size.is_infinite() || size == 0.0 || (1e-4..1e16).contains(&size) { format!("{value:?}") } else { python(&format!("{value:e}")) }
}

/// With an exponent, and so many digits after the point: `1.0000e-04`.
pub(super) fn scientific(value: f64, digits: usize) -> String {
    python(&format!("{value:.digits$e}"))
}

/// Rust writes `1e-5` and `1e16`, Python `1e-05` and `1e+16`.
fn python(text: &str) -> String {
    match text.split_once('e').map(|(digits, exponent)| (digits, exponent.trim_start_matches('-'), exponent.starts_with('-'))) {
        Some((digits, size, negative)) => format!("{digits}e{}{size:0>2}", if negative { '-' } else { '+' }),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts were printed by Python.
    #[test]
    fn as_python_prints_them() {
        for (value, text) in [
            (0.25, "0.25"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.0001, "0.0001"),
            (0.00001234, "1.234e-05"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (9999999999999998.0, "9999999999999998.0"),
            (f64::from(0.1f32), "0.10000000149011612"),
            (5e-324, "5e-324"),
            (-1e-7, "-1e-07"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(repr(value), text);
        }
        assert_eq!([scientific(1e-4, 4), scientific(-123.456, 2), scientific(0.0, 1)], ["1.0000e-04", "-1.23e+02", "0.0e+00"]);
    }
}
