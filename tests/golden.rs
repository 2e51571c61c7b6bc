//! Gradus against the numbers of Keras, TensorFlow and PyTorch in `golden/`, see the README there.

#[path = "golden/compare.rs"]
mod compare;
#[path = "golden/constructors.rs"]
mod constructors;
#[path = "golden/expressions.rs"]
mod expressions;
#[path = "golden/formulas.rs"]
mod formulas;
#[path = "golden/keras_layers.rs"]
mod keras_layers;
#[path = "golden/layers.rs"]
mod layers;
#[path = "golden/losses.rs"]
mod losses;
#[path = "golden/metrics.rs"]
mod metrics;
#[path = "golden/mixed.rs"]
mod mixed;
#[path = "golden/model_trainings.rs"]
mod model_trainings;
#[path = "golden/models.rs"]
mod models;
#[path = "golden/ops.rs"]
mod ops;
#[path = "golden/optimizer_cases.rs"]
mod optimizer_cases;
#[path = "golden/optimizers.rs"]
mod optimizers;
#[path = "golden/pieces.rs"]
mod pieces;
#[path = "golden/reader.rs"]
mod reader;
#[path = "golden/skipped.rs"]
mod skipped;
#[path = "golden/trainings.rs"]
mod trainings;
#[path = "golden/weighted_losses.rs"]
mod weighted_losses;
