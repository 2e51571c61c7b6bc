//! Convolution in groups of channels: the channels and the filters are cut into equal runs, and each run of filters sees one run of channels.

use super::columns::Conv2dParams;
use super::window::images;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

impl Tensor {
    /// [`Tensor::conv2d`] in `groups`: images `[batch, rows, columns, channels]`, kernel `[rows, columns, channels / groups, filters]`, output
    /// `[batch, rows', columns', filters]`, where the filters `g · filters / groups ..` see the channels `g · channels / groups ..` alone.
    ///
    /// # Errors
    /// As [`Tensor::conv2d`]; [`Error::Argument`] for groups that are zero or do not divide channels and filters.
    #[track_caller]
    pub fn grouped_conv2d(&self, kernel: &Tensor, params: Conv2dParams, groups: usize) -> Result<Tensor> {
        if groups == 1 {
            return self.conv2d(kernel, params);
        }
        let op = "grouped_conv2d";
        let [batch, height, width, channels] = images(op, self.shape())?;
        let [kh, kw, each, filters] = kernel.shape().dims(op)?;
        if groups == 0 || !channels.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
            let want = format!("a number that divides {channels} channels and {filters} filters");
            return Err(Error::argument(format!("{op}: groups"), want, groups));
        }
        if each != channels / groups {
            let want = format!("a kernel of {} channels: a {groups}th of the images' {channels}", channels / groups);
            return Err(Error::shape(op, want, kernel.shape()));
        }
        if each == 1 {
            return self.depthwise_conv2d(&kernel.reshape([kh, kw, channels, filters / groups])?, params);
        }
        let count = filters / groups;
        let parts = (0..groups).map(|group| {
            let x = self.slice(&[0..batch, 0..height, 0..width, group * each..(group + 1) * each])?;
            x.conv2d(&kernel.slice(&[0..kh, 0..kw, 0..each, group * count..(group + 1) * count])?, params)
        });
        let parts = parts.collect::<Result<Vec<_>>>()?;
        Tensor::concat(&parts.iter().collect::<Vec<_>>(), -1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::ops::window::Padding;
    use crate::testing::{check, float};

    /// The kernel of an ordinary convolution that computes the same: zeros where a filter does not look.
    fn spread(kernel: &[f64], [taps, each, filters]: [usize; 3], groups: usize) -> Vec<f64> {
        let mut all = vec![0.0; taps * each * groups * filters];
        for i in 0..kernel.len() {
            let (filter, channel, tap) = (i % filters, i / filters % each, i / (filters * each));
            let group = filter / (filters / groups);
            all[(tap * each * groups + group * each + channel) * filters + filter] = kernel[i];
        }
        all
    }

    fn run(x: [usize; 4], kernel: [usize; 4], groups: usize, params: Conv2dParams) {
        let [kh, kw, each, filters] = kernel;
        check(&format!("grouped_conv2d {x:?} {kernel:?} {groups}"), &[float(x), float(kernel)], |t| {
            t[0].grouped_conv2d(&t[1], params, groups)
        })
        .reference(|v| {
            let tensor = |shape: [usize; 4], data: &[f64]| Tensor::new(&Device::cpu(), shape, data).unwrap();
            let whole = tensor([kh, kw, each * groups, filters], &spread(&v[1], [kh * kw, each, filters], groups));
            tensor(x, &v[0]).conv2d(&whole, params).unwrap().to_vec::<f64>().unwrap()
        })
        .terms(kh * kw * each)
        .run();
    }

    #[test]
    fn a_filter_sees_the_channels_of_its_group() {
        let same = Conv2dParams { strides: [2, 1], padding: Padding::Same, dilation: [1, 1] };
        run([2, 4, 5, 4], [3, 2, 2, 6], 2, Conv2dParams::default());
        run([1, 4, 3, 6], [3, 3, 2, 3], 3, same);
        run([1, 4, 3, 3], [3, 2, 1, 6], 3, same);
        run([1, 3, 3, 2], [2, 2, 2, 3], 1, same);
    }

    #[test]
    fn groups_that_do_not_divide_are_refused() {
        let of = |shape: [usize; 4]| Tensor::zeros(&Device::cpu(), shape).unwrap();
        let message =
            |kernel, groups| of([1, 5, 5, 6]).grouped_conv2d(&of(kernel), Conv2dParams::default(), groups).unwrap_err().to_string();
        for (kernel, groups) in [([3, 3, 6, 4], 0), ([3, 3, 1, 4], 4), ([3, 3, 2, 4], 3)] {
            assert!(message(kernel, groups).contains("divides 6 channels and 4 filters"), "{}", message(kernel, groups));
        }
        assert!(message([3, 3, 6, 4], 2).contains("a kernel of 3 channels"));
    }
}
