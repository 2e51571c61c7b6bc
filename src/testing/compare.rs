//! Comparisons in which doubt fails.

/// Whether two lists are equal within `absolute + relative·|want|`, and of one length. A NaN or an infinity on either side is not close, unless
/// both are the same infinity.
///
/// # Errors
/// Words for the worst difference.
pub fn close(got: &[f64], want: &[f64], absolute: f64, relative: f64) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} values, expected {}", got.len(), want.len()));
    }
    let mut worst: Option<(f64, usize)> = None;
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        let allowed = absolute + relative * w.abs();
        let distance = (g - w).abs();
        let fine = (distance.is_finite() && distance <= allowed) || (g.is_infinite() && g == w);
        if !fine {
            let excess = if (g - w).is_nan() { f64::INFINITY } else { (g - w).abs() / allowed.max(f64::MIN_POSITIVE) };
            if worst.is_none_or(|(e, _)| excess > e) {
                worst = Some((excess, i));
            }
        }
    }
    match worst {
        None => Ok(()),
        Some((_, i)) => Err(format!("element {i} is {:e}, expected {:e} (± {absolute:e} ± {relative:e} relative)", got[i], want[i])),
    }
}

/// Whether two lists are the same bit by bit.
///
/// # Errors
/// Words for the first difference.
pub fn same_bits(a: &[f64], b: &[f64]) -> Result<(), String> {
    if a.len() != b.len() {
        return Err(format!("{} values against {}", a.len(), b.len()));
    }
    match a.iter().zip(b).position(|(x, y)| x.to_bits() != y.to_bits()) {
        None => Ok(()),
        Some(i) => Err(format!("element {i} is {:e} in one run and {:e} in the other", a[i], b[i])),
    }
}
