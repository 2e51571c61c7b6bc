//! Operations: one file per op, from formula to tests. Its shader, where it has one, is in `shaders/`, under the same stem.

pub mod argmax;
pub mod avg_pool2d;
mod columns;
pub mod concat;
pub mod conv2d;
mod conv2d_dw;
mod conv2d_dx;
pub mod gather;
pub mod matmul;
pub mod max_pool2d;
pub mod one_hot;
pub mod pad;
pub mod pointwise;
pub mod random;
pub mod reduce;
pub mod reshape;
pub mod slice;
pub mod softmax;
pub mod sparse_softmax_crossentropy;
mod strided;
pub mod transpose;
pub mod window;
