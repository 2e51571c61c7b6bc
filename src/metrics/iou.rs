//! Intersection over union, for segmentation: of the places that are of a class or are said to be, how many are both.

use super::{Direction, Metric};
use crate::error::{Error, Result};
use crate::losses::settings::settings;
use crate::losses::{EPSILON, as_float};
use crate::ops::pointwise::map1;
use crate::shape::{DType, Shape};
use crate::tensor::Tensor;

settings! {
    /// The mean over the target classes of `both / (label + prediction - both)`, counted over all places. Classes that appear nowhere do not
    /// count. Labels and predictions are class numbers of one shape `[n, …]`, or wider by an axis of classes; other numbers are left out.
    IoU("io_u", num_classes: usize, target_class_ids: Vec<usize>) {
        /// A label that is left out. Default: none.
        ignore_class(into): Option<i64> = None,
        /// Whether labels are class numbers, not one value per class. Default: yes.
        sparse_y_true: bool = true,
        /// Whether predictions are class numbers, not one value per class. Default: yes.
        sparse_y_pred: bool = true,
        /// The axis of classes, where there is one; negative counts from the back. Default: the last.
        axis: isize = -1,
    }
}

settings! {
    /// [`IoU`] of all classes.
    MeanIoU("mean_io_u", num_classes: usize) {
        /// A label that is left out. Default: none.
        ignore_class(into): Option<i64> = None,
        /// Whether labels are class numbers, not one value per class. Default: yes.
        sparse_y_true: bool = true,
        /// Whether predictions are class numbers, not one value per class. Default: yes.
        sparse_y_pred: bool = true,
        /// The axis of classes, where there is one; negative counts from the back. Default: the last.
        axis: isize = -1,
    }
}

settings! {
    /// [`IoU`] of one-hot labels.
    OneHotIoU("one_hot_io_u", num_classes: usize, target_class_ids: Vec<usize>) {
        /// A label that is left out. Default: none.
        ignore_class(into): Option<i64> = None,
        /// Whether predictions are class numbers, not one value per class. Default: no.
        sparse_y_pred: bool = false,
        /// The axis of classes; negative counts from the back. Default: the last.
        axis: isize = -1,
    }
}

settings! {
    /// [`IoU`] of all classes of one-hot labels.
    OneHotMeanIoU("one_hot_mean_io_u", num_classes: usize) {
        /// A label that is left out. Default: none.
        ignore_class(into): Option<i64> = None,
        /// Whether predictions are class numbers, not one value per class. Default: no.
        sparse_y_pred: bool = false,
        /// The axis of classes; negative counts from the back. Default: the last.
        axis: isize = -1,
    }
}

settings! {
    /// [`IoU`] of the classes 0 and 1, for predictions that are of class 1 where they are **at least** the threshold.
    BinaryIoU("binary_io_u") {
        /// Default: both.
        target_class_ids(into): Vec<usize> = vec![0, 1],
        /// The least prediction of class 1. Default: 0.5.
        threshold: f64 = 0.5,
    }
}

/// What all of them count and report.
struct Counted<'a> {
    name: &'a str,
    classes: usize,
    targets: Vec<usize>,
    ignore: Option<i64>,
    sparse_y_true: bool,
    sparse_y_pred: bool,
    axis: isize,
    threshold: Option<f64>,
}

macro_rules! metric_of_counted {
    ($type:ident, $counted:expr) => {
        impl Metric for $type {
            fn name(&self) -> &str {
                &self.name
            }
            fn size(&self, _y_pred: &Shape) -> usize {
                let counted: fn(&$type) -> Counted<'_> = $counted;
                counted(self).classes.pow(2)
            }
            fn update(&self, y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
                let counted: fn(&$type) -> Counted<'_> = $counted;
                counted(self).update(y_true, y_pred, weights)
            }
            fn result(&self, sums: &[f64]) -> f64 {
                let counted: fn(&$type) -> Counted<'_> = $counted;
                counted(self).result(sums)
            }
            fn direction(&self) -> Option<Direction> {
                Some(Direction::Max)
            }
        }
    };
}

metric_of_counted!(IoU, |m| Counted {
    name: &m.name,
    classes: m.num_classes,
    targets: m.target_class_ids.clone(),
    ignore: m.ignore_class,
    sparse_y_true: m.sparse_y_true,
    sparse_y_pred: m.sparse_y_pred,
    axis: m.axis,
    threshold: None,
});

metric_of_counted!(MeanIoU, |m| Counted {
    name: &m.name,
    classes: m.num_classes,
    targets: (0..m.num_classes).collect(),
    ignore: m.ignore_class,
    sparse_y_true: m.sparse_y_true,
    sparse_y_pred: m.sparse_y_pred,
    axis: m.axis,
    threshold: None,
});

metric_of_counted!(OneHotIoU, |m| Counted {
    name: &m.name,
    classes: m.num_classes,
    targets: m.target_class_ids.clone(),
    ignore: m.ignore_class,
    sparse_y_true: false,
    sparse_y_pred: m.sparse_y_pred,
    axis: m.axis,
    threshold: None,
});

metric_of_counted!(OneHotMeanIoU, |m| Counted {
    name: &m.name,
    classes: m.num_classes,
    targets: (0..m.num_classes).collect(),
    ignore: m.ignore_class,
    sparse_y_true: false,
    sparse_y_pred: m.sparse_y_pred,
    axis: m.axis,
    threshold: None,
});

metric_of_counted!(BinaryIoU, |m| Counted {
    name: &m.name,
    classes: 2,
    targets: m.target_class_ids.clone(),
    ignore: None,
    sparse_y_true: true,
    sparse_y_pred: true,
    axis: -1,
    threshold: Some(m.threshold),
});

impl Counted<'_> {
    /// How often each class (row) is said to be each class (column), `[classes * classes]`.
    fn update(&self, y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
        if let Some(target) = self.targets.iter().find(|target| **target >= self.classes) {
            return Err(Error::argument(format!("{}: target_class_ids", self.name), format!("classes below {}", self.classes), target));
        }
        let t = if self.sparse_y_true { as_float(y_true, DType::F32)? } else { self.largest(y_true)? };
        let p = if self.sparse_y_pred { as_float(y_pred, DType::F32)? } else { self.largest(y_pred)? };
        if t.shape().elements() != p.shape().elements() || t.shape().first() != p.shape().first() {
            return Err(Error::shape(self.name, format!("as many labels as predictions {}", p.shape()), t.shape()));
        }
        let n = weights.shape().elements();
        let rows = [n, t.shape().elements() / n.max(1)];
        let (t, p, weights) = (t.reshape(rows)?, p.reshape(rows)?, weights.reshape([n, 1])?);
        let p = match self.threshold {
            Some(threshold) => map1(&[&p], |e| e[0].ge(&e[0].number(threshold)).cast(DType::F32))?,
            None => p,
        };
        let weights = match self.ignore {
            Some(class) => map1(&[&t, &weights], |e| e[0].eq(&e[0].number(class as f64)).select(&e[1].number(0.0), &e[1]))?,
            None => weights.broadcast_to(rows)?,
        };
        let numbers: Vec<f32> = (0..self.classes).map(|class| class as f32).collect();
        let numbers = Tensor::new(t.device(), [1, self.classes], &numbers)?;
        let column = |x: &Tensor| x.reshape([rows[0] * rows[1], 1]);
        let hot = map1(&[&column(&t)?, &numbers, &column(&weights)?], |e| e[0].floor().eq(&e[1]).select(&e[2], &e[2].number(0.0)))?;
        let said = map1(&[&column(&p)?, &numbers], |e| e[0].floor().eq(&e[1]).cast(DType::F32))?;
        hot.matmul_with(&said, true, false)?.reshape([self.classes * self.classes])
    }

    fn largest(&self, values: &Tensor) -> Result<Tensor> {
        as_float(values, DType::F32)?.argmax(self.axis)?.cast(DType::F32)
    }

    fn result(&self, sums: &[f64]) -> f64 {
        let classes = self.classes;
        let shares = self.targets.iter().filter_map(|&class| {
            let both = sums[class * classes + class];
            let labels: f64 = sums[class * classes..][..classes].iter().sum();
            let said: f64 = sums[class..].iter().step_by(classes).sum();
            let either = labels + said - both;
            (either > 1e-9).then(|| both / (either + EPSILON))
        });
        let shares: Vec<f64> = shares.collect();
        shares.iter().sum::<f64>() / (shares.len() as f64 + EPSILON)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::value;
    use super::*;
    use crate::device::Device;

    #[test]
    fn by_hand() -> Result<()> {
        let cpu = Device::cpu();
        let y_true = Tensor::new(&cpu, [4], &[0u8, 0, 1, 1])?;
        let said = Tensor::new(&cpu, [4], &[0.0f32, 1.0, 0.0, 1.0])?;
        let of = |metric: &dyn Metric, y_true: &Tensor, y_pred: &Tensor| value(metric, &[(y_true, y_pred, &[1.0, 1.0, 1.0, 3.0])]);
        let close = |got: f64, want: f64| assert!((got - want).abs() <= 1e-6, "{got} instead of {want}");
        close(of(&MeanIoU::new(2), &y_true, &said)?, (1.0 / 3.0 + 3.0 / 5.0) / 2.0);
        close(of(&MeanIoU::new(9), &y_true, &said)?, (1.0 / 3.0 + 3.0 / 5.0) / 2.0);
        close(of(&IoU::new(2, vec![1]), &y_true, &said)?, 3.0 / 5.0);
        close(of(&IoU::new(2, vec![1]).ignore_class(0), &y_true, &said)?, 3.0 / 4.0);
        let probabilities = Tensor::new(&cpu, [4], &[0.1f32, 0.5, 0.4, 0.9])?;
        close(of(&BinaryIoU::new(), &y_true, &probabilities)?, (1.0 / 3.0 + 3.0 / 5.0) / 2.0);
        let hot = y_true.cast(DType::U32)?.one_hot(2)?;
        let scores = Tensor::new(&cpu, [4, 2], &[0.9f32, 0.1, 0.2, 0.8, 0.7, 0.3, 0.4, 0.6])?;
        close(of(&OneHotIoU::new(2, vec![0]), &hot, &scores)?, 1.0 / 3.0);
        close(of(&OneHotMeanIoU::new(2), &hot, &scores)?, (1.0 / 3.0 + 3.0 / 5.0) / 2.0);
        assert!(of(&IoU::new(2, vec![2]), &y_true, &said).is_err());
        Ok(())
    }
}
