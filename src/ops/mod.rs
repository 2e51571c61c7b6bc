//! Operations: one file per op, from formula to tests. Its shader, where it has one, is in `shaders/`, under the same stem.

pub mod argmax;
pub mod concat;
pub mod gather;
pub mod one_hot;
pub mod pad;
pub mod pointwise;
pub mod random;
pub mod reduce;
pub mod reshape;
pub mod slice;
mod strided;
pub mod transpose;
