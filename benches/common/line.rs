//! The straight line through measured points.

/// `y = start + slope·x`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Line {
    pub start: f64,
    pub slope: f64,
}

impl Line {
    /// The line with the least squares of relative deviations, `Σ ((y − start − slope·x) / y)²`: a step of a millisecond counts as much as
    /// one of a second. `None` for fewer than two different `x`, or a `y` that is not above zero.
    pub fn through(points: &[(f64, f64)]) -> Option<Line> {
        if points.iter().any(|&(x, y)| !(x.is_finite() && y.is_finite() && y > 0.0)) {
            return None;
        }
        let sum = |f: fn(f64, f64) -> f64| points.iter().map(|&(x, y)| f(x, y) / (y * y)).sum::<f64>();
        let (one, x, y) = (sum(|_, _| 1.0), sum(|x, _| x), sum(|_, y| y));
        let (mean_x, mean_y) = (x / one, y / one);
        let spread: f64 = points.iter().map(|&(x, y)| (x - mean_x).powi(2) / (y * y)).sum();
        let together: f64 = points.iter().map(|&(x, y)| (x - mean_x) * (y - mean_y) / (y * y)).sum();
        let slope = together / spread;
        (spread > 0.0 && slope.is_finite()).then_some(Line { start: mean_y - slope * mean_x, slope })
    }

    pub fn at(&self, x: f64) -> f64 {
        self.start + self.slope * x
    }

    /// `measured / line − 1`.
    pub fn deviation(&self, (x, y): (f64, f64)) -> f64 {
        y / self.at(x) - 1.0
    }

    /// The largest deviation in size; NaN if any is.
    pub fn largest_deviation(&self, points: &[(f64, f64)]) -> f64 {
        let deviations = points.iter().map(|&p| self.deviation(p).abs());
        deviations.fold(0.0, |largest, d| if d.is_nan() || largest.is_nan() { f64::NAN } else { d.max(largest) })
    }
}
