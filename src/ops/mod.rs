//! Operations: one file per op, from formula to tests. Its shader, where it has one, is `shaders/` and the same stem.

pub mod pointwise;
