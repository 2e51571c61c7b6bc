//! Metrics of a model: what `evaluate` reports does not depend on the batches, nor on rows that fill the last one.

use gradus::layers::ActivationFn::Sigmoid;
use gradus::layers::Dense;
use gradus::losses::BinaryCrossentropy;
use gradus::metrics::{self, MeanIoU, MeanMetric, Metric};
use gradus::models::Sequential;
use gradus::optimizers::SGD;
use gradus::train::{Evaluate, Evaluation};
use gradus::{Device, Result, testing};
use ndarray::Array2;

const NAMES: [&str; 9] = ["accuracy", "AUC", "precision", "recall", "true_positives", "f1_score", "mae", "cosine_similarity", "r2_score"];

fn metrics() -> Result<Vec<Box<dyn Metric>>> {
    let mut all = NAMES.iter().map(|name| metrics::from_name(name)).collect::<Result<Vec<_>>>()?;
    all.push(Box::new(MeanIoU::new(2).sparse_y_true(false).sparse_y_pred(false)));
    all.push(Box::new(MeanMetric::new("own", |y_true, y_pred| y_pred.sub(y_true)?.abs()?.max(&[-1], false))));
    Ok(all)
}

fn evaluate(device: &Device, batch_size: usize) -> Result<Evaluation> {
    let x = Array2::from_shape_fn((22, 3), |(i, j)| (1.7 * (3 * i + j) as f32).sin());
    let y = Array2::from_shape_fn((22, 2), |(i, j)| f32::from(u8::from(x[[i, j]] + 0.5 * x[[i, 2]] > 0.0)));
    let mut model = Sequential::new().add(Dense::new(2).activation(Sigmoid)).on_device(device).seed(3);
    model.build([3])?;
    model.compile(SGD::new(0.1), BinaryCrossentropy::new(), metrics()?)?;
    model.evaluate_with((&x, &y), Evaluate { batch_size, ..Evaluate::default() })
}

#[test]
fn batches_do_not_matter() -> Result<()> {
    let devices = [Some(Device::cpu()), testing::gpu("metrics of batches")];
    for device in devices.iter().flatten() {
        let whole = evaluate(device, 22)?;
        assert_eq!(whole.metrics.len(), NAMES.len() + 2);
        assert!(whole.metrics.iter().all(|(_, value)| value.is_finite()), "{whole}");
        for batch_size in [1, 5, 32] {
            let parts = evaluate(device, batch_size)?;
            for ((name, a), (_, b)) in whole.metrics.iter().zip(&parts.metrics) {
                assert!((a - b).abs() <= 1e-5, "{name} on {device}: {a} at once, {b} in batches of {batch_size}");
            }
        }
    }
    Ok(())
}
