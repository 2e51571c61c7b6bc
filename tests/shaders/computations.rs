//! Computations of floats that between them reach every kernel with a gradient, in every variant.

use gradus::ops::conv2d::Conv2dParams;
use gradus::ops::window::{Padding, Pool2dParams};
use gradus::{Result, Tensor};

pub type Computation = (Vec<&'static [usize]>, Box<dyn Fn(&[Tensor]) -> Result<Tensor>>);

/// Shapes of inputs, and what is computed of them.
pub fn computations() -> Vec<Computation> {
    let mut all: Vec<Computation> = Vec::new();
    let mut add = |shapes: &[&'static [usize]], f: fn(&[Tensor]) -> Result<Tensor>| all.push((shapes.to_vec(), Box::new(f)));
    add(&[&[3, 5]], |x| x[0].tanh()?.sigmoid()?.softplus()?.erf()?.exp()?.log()?.sqrt()?.rsqrt()?.sin()?.cos()?.relu()?.abs());
    add(&[&[3, 5], &[5], &[3, 1]], |x| x[0].mul(&x[1])?.div(&x[2])?.pow(&x[1])?.maximum(&x[2])?.minimum(&x[0])?.sub(&x[1]));
    for axes in [&[0][..], &[1], &[0, 2], &[]] {
        all.push((
            vec![&[3, 4, 5]],
            Box::new(move |x| x[0].sum(axes, false)?.square()?.add(&x[0].max(axes, false)?)?.sub(&x[0].min(axes, false)?)),
        ));
    }
    let mut add = |shapes: &[&'static [usize]], f: fn(&[Tensor]) -> Result<Tensor>| all.push((shapes.to_vec(), Box::new(f)));
    add(&[&[70_000]], |x| x[0].sum_all());
    add(&[&[5, 7], &[7, 3]], |x| x[0].matmul(&x[1]));
    add(&[&[8, 128], &[128, 64]], |x| x[0].matmul(&x[1]));
    add(&[&[2, 5, 7], &[3, 7]], |x| x[0].matmul_with(&x[1], false, true));
    add(&[&[7, 5], &[7, 3]], |x| x[0].matmul_with(&x[1], true, false));
    add(&[&[4, 4096], &[4096, 4]], |x| x[0].matmul(&x[1]));
    add(&[&[2, 40, 36], &[2, 36, 48]], |x| x[0].matmul(&x[1]));
    add(&[&[36, 40], &[36, 12]], |x| x[0].matmul_with(&x[1], true, false));
    add(&[&[4, 10]], |x| x[0].softmax()?.add(&x[0].log_softmax()?));
    add(&[&[4, 10], &[4, 10]], |x| x[0].softmax_crossentropy(&x[1]));
    add(&[&[2, 3, 4]], |x| {
        Tensor::concat(&[&x[0].transpose(&[2, 0, 1])?.slice(&[0..2, 0..2, 1..3])?.pad(&[(1, 0), (0, 1), (2, 2)], 1.0)?], 0)
    });
    add(&[&[2, 3], &[2, 1]], |x| Tensor::concat(&[&x[0], &x[1], &x[0], &x[1], &x[0], &x[1], &x[0], &x[1], &x[0]], 1));
    for (kernel, params) in conv_cases() {
        all.push((vec![&[2, 9, 8, 3], kernel], Box::new(move |x| x[0].conv2d(&x[1], params))));
        all.push((
            vec![&[2, 9, 8, 8], if kernel[3] == 8 { &[3, 3, 8, 8] } else { &[1, 1, 8, 5] }],
            Box::new(move |x| x[0].conv2d(&x[1], params)),
        ));
    }
    for (shape, kernel) in [(&[2, 9, 8, 3][..], &[3, 2, 3, 1][..]), (&[20, 9, 8, 2], &[3, 3, 2, 2])] {
        for params in [Conv2dParams::default(), Conv2dParams { strides: [2, 1], padding: Padding::Same, dilation: [1, 2] }] {
            all.push((vec![shape, kernel], Box::new(move |x| x[0].depthwise_conv2d(&x[1], params))));
        }
    }
    for (size, strides, padding) in [([2, 2], [2, 2], Padding::Valid), ([3, 3], [2, 2], Padding::Same), ([3, 2], [1, 1], Padding::Valid)] {
        let params = Pool2dParams { size, strides, padding };
        for shape in [&[2, 7, 6, 3], &[2, 7, 6, 8]] {
            all.push((vec![shape], Box::new(move |x| x[0].max_pool2d(params)?.add(&x[0].avg_pool2d(params)?))));
        }
    }
    all
}

fn conv_cases() -> Vec<(&'static [usize], Conv2dParams)> {
    let mut cases = Vec::new();
    for padding in [Padding::Valid, Padding::Same] {
        for (strides, dilation) in [([1, 1], [1, 1]), ([2, 1], [1, 1]), ([1, 1], [2, 2])] {
            for kernel in [&[3, 3, 3, 8][..], &[2, 3, 3, 5]] {
                cases.push((kernel, Conv2dParams { strides, padding, dilation }));
            }
        }
    }
    cases
}
