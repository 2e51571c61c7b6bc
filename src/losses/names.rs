//! Losses by Keras's names.

use super::labels::are_classes;
use super::*;
use crate::suggest;

type Make = fn() -> Box<dyn Loss>;

fn make<L: Loss + Default + 'static>() -> Box<dyn Loss> {
    Box::new(L::default())
}

/// The loss of a Keras name, with its defaults: `"sparse_categorical_crossentropy"`, `"MeanSquaredError"`, `"mse"`, … Case does not matter.
/// `"crossentropy"` and `"ce"` choose among the three crossentropies by the shapes of labels and predictions.
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) with the nearest name.
pub fn from_name(name: &str) -> Result<Box<dyn Loss>> {
    let known: [(&str, Make); 31] = [
        ("mean_squared_error", make::<MeanSquaredError>),
        ("mse", make::<MeanSquaredError>),
        ("mean_absolute_error", make::<MeanAbsoluteError>),
        ("mae", make::<MeanAbsoluteError>),
        ("mean_absolute_percentage_error", make::<MeanAbsolutePercentageError>),
        ("mape", make::<MeanAbsolutePercentageError>),
        ("mean_squared_logarithmic_error", make::<MeanSquaredLogarithmicError>),
        ("msle", make::<MeanSquaredLogarithmicError>),
        ("huber", make::<Huber>),
        ("log_cosh", make::<LogCosh>),
        ("binary_crossentropy", make::<BinaryCrossentropy>),
        ("bce", make::<BinaryCrossentropy>),
        ("binary_focal_crossentropy", make::<BinaryFocalCrossentropy>),
        ("categorical_crossentropy", make::<CategoricalCrossentropy>),
        ("categorical_focal_crossentropy", make::<CategoricalFocalCrossentropy>),
        ("categorical_generalized_cross_entropy", make::<CategoricalGeneralizedCrossEntropy>),
        ("sparse_categorical_crossentropy", make::<SparseCategoricalCrossentropy>),
        ("crossentropy", make::<ByShape>),
        ("ce", make::<ByShape>),
        ("kl_divergence", make::<KLDivergence>),
        ("kld", make::<KLDivergence>),
        ("poisson", make::<Poisson>),
        ("hinge", make::<Hinge>),
        ("squared_hinge", make::<SquaredHinge>),
        ("categorical_hinge", make::<CategoricalHinge>),
        ("cosine_similarity", make::<CosineSimilarity>),
        ("dice", make::<Dice>),
        ("tversky", make::<Tversky>),
        ("circle", make::<Circle>),
        ("ctc", make::<CTC>),
        ("huber_loss", make::<Huber>),
    ];
    Ok(find("loss", name, &known)?())
}

/// The entry of a Keras name in either of its spellings: `mean_squared_error` or `MeanSquaredError`.
pub(crate) fn find<T: Clone>(what: &str, name: &str, known: &[(&str, T)]) -> Result<T> {
    let plain = |name: &str| name.trim().to_lowercase().replace('_', "");
    match known.iter().find(|(entry, _)| plain(entry) == plain(name)) {
        Some((_, found)) => Ok(found.clone()),
        None => suggest::find(what, name, known),
    }
}

/// The crossentropy that labels and predictions of these shapes need.
#[derive(Default)]
struct ByShape {
    binary: BinaryCrossentropy,
    sparse: SparseCategoricalCrossentropy,
    dense: CategoricalCrossentropy,
}

impl ByShape {
    fn of(&self, y_true: &Shape, y_pred: &Shape) -> &dyn Loss {
        if y_pred.last() == Some(&1) {
            &self.binary
        } else if are_classes(y_true, y_pred) {
            &self.sparse
        } else {
            &self.dense
        }
    }
}

impl Loss for ByShape {
    fn name(&self) -> &str {
        "crossentropy"
    }

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        self.of(&y_true.shape, y_pred).check(y_true, y_pred)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.of(y_true.shape(), y_pred.shape()).call(y_true, y_pred)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::tensor;
    use super::*;

    #[test]
    fn both_spellings_and_slips() {
        for (name, want) in [
            ("MSE", "mean_squared_error"),
            ("MeanSquaredError", "mean_squared_error"),
            ("KLDivergence", "kl_divergence"),
            ("huber", "huber_loss"),
            ("CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy"),
        ] {
            assert_eq!(from_name(name).expect("known").name(), want);
        }
        assert!(from_name("sparse_categorical_crossentropy").expect("known").takes_classes());
        let text = from_name("sparse_categorical_crosentropy").err().expect("a slip").to_string();
        assert!(text.ends_with("did you mean \"sparse_categorical_crossentropy\"?"), "{text}");
    }

    #[test]
    fn crossentropy_looks_at_the_shapes() -> Result<()> {
        let loss = from_name("ce")?;
        let y_pred = tensor([2, 2], &[0.25, 0.75, 0.5, 0.5])?.softmax()?;
        let classes = loss.call(&tensor([2], &[1.0, 0.0])?, &y_pred)?.to_vec::<f32>()?;
        assert_eq!(classes, loss.call(&tensor([2, 2], &[0.0, 1.0, 1.0, 0.0])?, &y_pred)?.to_vec::<f32>()?);
        assert_eq!(loss.call(&tensor([2], &[1.0, 0.0])?, &tensor([2, 1], &[0.5, 0.5])?)?.shape()[..], [2]);
        Ok(())
    }
}
