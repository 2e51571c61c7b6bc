//! Metrics by Keras's names.

use super::*;
use crate::losses::find;

type Make = fn(&str) -> Box<dyn Metric>;

/// The metric of a Keras name, with its defaults: `"accuracy"`, `"AUC"`, `"mae"`, … Case does not matter. Logs use the name as it is given.
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) with the nearest name.
pub fn from_name(name: &str) -> Result<Box<dyn Metric>> {
    macro_rules! table {
        ($($text:literal $type:ident),* $(,)?) => { [$(($text, (|name| Box::new($type::new().named(name))) as Make)),*] };
    }
    let known = table![
        "accuracy" Accuracy,
        "acc" Accuracy,
        "binary_accuracy" BinaryAccuracy,
        "categorical_accuracy" CategoricalAccuracy,
        "sparse_categorical_accuracy" SparseCategoricalAccuracy,
        "top_k_categorical_accuracy" TopKCategoricalAccuracy,
        "sparse_top_k_categorical_accuracy" SparseTopKCategoricalAccuracy,
        "auc" AUC,
        "precision" Precision,
        "recall" Recall,
        "true_positives" TruePositives,
        "true_negatives" TrueNegatives,
        "false_positives" FalsePositives,
        "false_negatives" FalseNegatives,
        "f1_score" F1Score,
        "fbeta_score" FBetaScore,
        "binary_io_u" BinaryIoU,
        "mean_squared_error" MeanSquaredError,
        "mse" MeanSquaredError,
        "root_mean_squared_error" RootMeanSquaredError,
        "mean_absolute_error" MeanAbsoluteError,
        "mae" MeanAbsoluteError,
        "mean_absolute_percentage_error" MeanAbsolutePercentageError,
        "mape" MeanAbsolutePercentageError,
        "mean_squared_logarithmic_error" MeanSquaredLogarithmicError,
        "msle" MeanSquaredLogarithmicError,
        "log_cosh_error" LogCoshError,
        "logcosh" LogCoshError,
        "r2_score" R2Score,
        "cosine_similarity" CosineSimilarity,
        "pearson_correlation" PearsonCorrelation,
        "concordance_correlation" ConcordanceCorrelation,
        "kl_divergence" KLDivergence,
        "kld" KLDivergence,
        "poisson" Poisson,
        "binary_crossentropy" BinaryCrossentropy,
        "bce" BinaryCrossentropy,
        "categorical_crossentropy" CategoricalCrossentropy,
        "sparse_categorical_crossentropy" SparseCategoricalCrossentropy,
        "hinge" Hinge,
        "squared_hinge" SquaredHinge,
        "categorical_hinge" CategoricalHinge,
    ];
    Ok(find("metric", name, &known)?(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_they_are_given() {
        for name in ["acc", "accuracy", "AUC", "RootMeanSquaredError", "mae", "BinaryIoU", "F1Score"] {
            assert_eq!(from_name(name).expect("known").name(), name);
        }
        let text = from_name("acuracy").err().expect("a slip").to_string();
        assert!(text.ends_with("did you mean \"accuracy\"?"), "{text}");
        assert_eq!(from_name("mse").expect("known").direction(), Some(Direction::Min));
    }
}
