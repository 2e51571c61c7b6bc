//! Gradus against the numbers of Keras, TensorFlow and PyTorch in `golden/`, see the README there.

#[path = "golden/compare.rs"]
mod compare;
#[path = "golden/formulas.rs"]
mod formulas;
#[path = "golden/layers.rs"]
mod layers;
#[path = "golden/losses.rs"]
mod losses;
#[path = "golden/ops.rs"]
mod ops;
#[path = "golden/optimizers.rs"]
mod optimizers;
#[path = "golden/reader.rs"]
mod reader;
#[path = "golden/skipped.rs"]
mod skipped;
#[path = "golden/trainings.rs"]
mod trainings;
