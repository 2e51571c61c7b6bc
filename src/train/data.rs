//! Samples and labels on the host, as training takes them.

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::shape::{DType, Shape, Spec};
use ndarray::{ArrayBase, Dimension};
use std::borrow::Cow;
use std::sync::Arc;

/// Numbers of one type, the first axis of which counts samples. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Samples {
    name: Option<Arc<str>>,
    spec: Spec,
    bytes: Arc<[u8]>,
}

/// A type of numbers that data come in. What the devices do not have becomes what they have: f64 becomes f32, as in Keras, and i64 becomes i32.
pub trait Number: Copy {
    /// The type on the device.
    const DTYPE: DType;

    /// The bytes of the numbers in that type.
    ///
    /// # Errors
    /// [`Error::Argument`] for a number that the type cannot hold.
    fn bytes(numbers: &[Self]) -> Result<Vec<u8>>;
}

macro_rules! number {
    ($($rust:ty = $dtype:ident),*) => { $(
        impl Number for $rust {
            const DTYPE: DType = DType::$dtype;
            fn bytes(numbers: &[$rust]) -> Result<Vec<u8>> {
                Ok(bytemuck::cast_slice(numbers).to_vec())
            }
        }
    )* };
}
number!(f32 = F32, u32 = U32, i32 = I32, u8 = U8);

impl Number for f64 {
    const DTYPE: DType = DType::F32;
    fn bytes(numbers: &[f64]) -> Result<Vec<u8>> {
        Ok(numbers.iter().flat_map(|&x| (x as f32).to_ne_bytes()).collect())
    }
}

impl Number for i64 {
    const DTYPE: DType = DType::I32;
    fn bytes(numbers: &[i64]) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(4 * numbers.len());
        for &number in numbers {
            let small = i32::try_from(number).map_err(|_| Error::argument("data of i64", "numbers that an i32 can hold", number))?;
            bytes.extend(small.to_ne_bytes());
        }
        Ok(bytes)
    }
}

impl Samples {
    /// Numbers in row-major order.
    ///
    /// # Errors
    /// [`Error::Shape`] if their number is not the shape's, or the shape has no axis.
    pub fn new<T: Number>(shape: impl Into<Shape>, numbers: &[T]) -> Result<Samples> {
        let shape = shape.into();
        if shape.rank() == 0 {
            return Err(Error::shape("Samples::new", "a first axis that counts samples", shape));
        }
        if shape.elements() != numbers.len() {
            return Err(Error::shape("Samples::new", format!("{} numbers for shape {shape}", shape.elements()), numbers.len()));
        }
        Ok(Samples { name: None, spec: Spec::new(shape, T::DTYPE), bytes: T::bytes(numbers)?.into() })
    }

    /// The same numbers for the input or output of this name.
    #[must_use]
    pub fn named(mut self, name: impl AsRef<str>) -> Samples {
        self.name = Some(name.as_ref().into());
        self
    }

    /// The input or output that they are for, if that was said.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// How many samples.
    pub fn count(&self) -> usize {
        self.spec.shape[0]
    }

    /// Shape, with the axis of samples first, and type.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The shape of one sample.
    pub fn sample_shape(&self) -> Shape {
        Shape::from(&self.spec.shape[1..])
    }

    /// The samples of a range.
    fn range(&self, start: usize, end: usize) -> Samples {
        let size = self.sample_bytes();
        Samples {
            name: self.name.clone(),
            spec: Spec::new(self.spec.shape.with(0, end - start), self.spec.dtype),
            bytes: self.bytes[start * size..end * size].into(),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn sample_bytes(&self) -> usize {
        self.sample_shape().elements() * self.spec.dtype.size()
    }

    /// The bytes of one sample.
    pub(super) fn sample(&self, row: usize) -> &[u8] {
        &self.bytes[row * self.sample_bytes()..][..self.sample_bytes()]
    }

    /// The bytes of these samples, one after the other.
    pub(super) fn gather(&self, rows: &[u32]) -> Vec<u8> {
        rows.iter().map(|&row| self.sample(row as usize)).collect::<Vec<_>>().concat()
    }

    /// The bytes of `count` samples from `start` on. If there are fewer, the last stands for what is missing, so that one program serves all
    /// batches.
    pub(super) fn filled(&self, start: usize, count: usize) -> Cow<'_, [u8]> {
        let (size, end) = (self.sample_bytes(), self.count());
        if start + count <= end {
            return Cow::Borrowed(&self.bytes[start * size..(start + count) * size]);
        }
        let rows: Vec<u32> = (start..start + count).map(|row| row.min(end - 1) as u32).collect();
        Cow::Owned(self.gather(&rows))
    }

    /// Every number as f64.
    pub fn numbers(&self) -> Box<dyn Iterator<Item = f64> + '_> {
        fn read<'a, T: bytemuck::AnyBitPattern + Into<f64>>(bytes: &'a [u8]) -> Box<dyn Iterator<Item = f64> + 'a> {
            Box::new(bytes.chunks_exact(size_of::<T>()).map(|b| bytemuck::pod_read_unaligned::<T>(b).into()))
        }
        match self.spec.dtype {
            DType::F16 => read::<half::f16>(&self.bytes),
            DType::F32 => read::<f32>(&self.bytes),
            DType::F64 => read::<f64>(&self.bytes),
            DType::U32 => read::<u32>(&self.bytes),
            DType::I32 => read::<i32>(&self.bytes),
            DType::U8 => read::<u8>(&self.bytes),
        }
    }
}

/// What can be taken as samples: an array or a reference to one, whose first axis counts the samples, a slice of labels, or [`Samples`].
pub trait IntoSamples {
    /// The samples.
    ///
    /// # Errors
    /// As [`Samples::new`].
    fn into_samples(self) -> Result<Samples>;
}

impl IntoSamples for Samples {
    fn into_samples(self) -> Result<Samples> {
        Ok(self)
    }
}

impl IntoSamples for &Samples {
    fn into_samples(self) -> Result<Samples> {
        Ok(self.clone())
    }
}

impl<T: Number> IntoSamples for &[T] {
    fn into_samples(self) -> Result<Samples> {
        Samples::new([self.len()], self)
    }
}

impl<T: Number> IntoSamples for &Vec<T> {
    fn into_samples(self) -> Result<Samples> {
        Samples::new([self.len()], self)
    }
}

impl<T: Number, S: ndarray::Data<Elem = T>, D: Dimension> IntoSamples for &ArrayBase<S, D> {
    fn into_samples(self) -> Result<Samples> {
        match self.as_slice() {
            Some(numbers) => Samples::new(self.shape(), numbers),
            None => Samples::new(self.shape(), &self.iter().copied().collect::<Vec<T>>()),
        }
    }
}

impl IntoSamples for &Dataset {
    /// The pixels as bytes, `[n, height, width, channels]`.
    fn into_samples(self) -> Result<Samples> {
        let [height, width, channels] = self.shape;
        Samples::new([self.len(), height, width, channels], &self.images)
    }
}

/// What can be taken as the inputs or labels of a model: samples for its one input; an array or a vector of samples, for several in their
/// order; or an array of pairs of a name and samples.
#[diagnostic::on_unimplemented(
    message = "`{Self}` holds no samples",
    note = "give a reference to an array, `&x`; for several inputs or outputs an array of them, or one of pairs, `[(\"name\", &x)]`"
)]
pub trait IntoColumns {
    /// The samples for each input or output.
    ///
    /// # Errors
    /// As [`Samples::new`].
    fn into_columns(self) -> Result<Vec<Samples>>;
}

impl<S: IntoSamples> IntoColumns for S {
    fn into_columns(self) -> Result<Vec<Samples>> {
        Ok(vec![self.into_samples()?])
    }
}

impl<S: IntoSamples, const N: usize> IntoColumns for [S; N] {
    fn into_columns(self) -> Result<Vec<Samples>> {
        self.into_iter().map(IntoSamples::into_samples).collect()
    }
}

impl IntoColumns for Vec<Samples> {
    fn into_columns(self) -> Result<Vec<Samples>> {
        Ok(self)
    }
}

impl IntoColumns for &Vec<Samples> {
    fn into_columns(self) -> Result<Vec<Samples>> {
        Ok(self.clone())
    }
}

impl<S: IntoSamples, const N: usize> IntoColumns for [(&str, S); N] {
    fn into_columns(self) -> Result<Vec<Samples>> {
        self.into_iter().map(|(name, samples)| Ok(samples.into_samples()?.named(name))).collect()
    }
}

/// Samples with their labels. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Data {
    /// For each input of the model its values, `[n, …]`.
    pub x: Vec<Samples>,
    /// For each output of the model its labels, `[n, …]`.
    pub y: Vec<Samples>,
    /// How much each sample counts in the losses, `[n]` or `[n, …]`: nothing (they count alike), one for all outputs, or one for each.
    pub sample_weight: Vec<Samples>,
}

impl Data {
    /// Puts inputs and labels together: arrays of any number type, one or several.
    ///
    /// # Errors
    /// [`Error::Shape`] if their counts differ, or an array has no axis.
    pub fn new(x: impl IntoColumns, y: impl IntoColumns) -> Result<Data> {
        let (x, y) = (x.into_columns()?, y.into_columns()?);
        let Some(first) = x.first() else { return Err(Error::argument("data: inputs", "at least one", 0)) };
        for (column, what) in x.iter().map(|x| (x, "inputs")).chain(y.iter().map(|y| (y, "labels"))) {
            if column.count() != first.count() {
                let want = format!("one of the {what} for each of {} samples {}", first.count(), first.spec().shape);
                let error = Error::shape("data", want, format!("{} {what}", column.count()));
                return Err(error.hint("the first axes of all count the samples and must agree"));
            }
        }
        Ok(Data { x, y, sample_weight: Vec::new() })
    }

    /// The same data with samples that count more or less in the losses: an array `[n]`, or `[n, steps]` for outputs with an axis of steps; one
    /// for all outputs, or one for each.
    ///
    /// # Errors
    /// [`Error::Shape`] if the counts differ.
    pub fn sample_weight(mut self, weights: impl IntoColumns) -> Result<Data> {
        let weights = weights.into_columns()?;
        if let Some(wrong) = weights.iter().find(|w| w.count() != self.count()) {
            return Err(Error::shape("data: sample_weight", format!("{} weights, one for each sample", self.count()), wrong.count()));
        }
        self.sample_weight = weights;
        Ok(self)
    }

    /// How many samples.
    pub fn count(&self) -> usize {
        self.x.first().map_or(0, Samples::count)
    }

    /// The first `n` samples, or all if there are fewer.
    #[must_use]
    pub fn take(&self, n: usize) -> Data {
        self.split(n).0
    }

    /// The first `n` samples, and the others.
    pub fn split(&self, n: usize) -> (Data, Data) {
        let (n, all) = (n.min(self.count()), self.count());
        let part = |start, end| {
            let of = |columns: &[Samples]| columns.iter().map(|c| c.range(start, end)).collect();
            Data { x: of(&self.x), y: of(&self.y), sample_weight: of(&self.sample_weight) }
        };
        (part(0, n), part(n, all))
    }
}

/// What can be taken as training data: [`Data`]; inputs and labels in a pair, or with sample weights as a third; or a [`Dataset`] of images.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no training data",
    note = "give inputs and labels in a pair, `(&x, &y)`, with sample weights as a third; or a `Data`; or a `&Dataset`"
)]
pub trait IntoData {
    /// The data.
    ///
    /// # Errors
    /// As [`Data::new`].
    fn into_data(self) -> Result<Data>;
}

impl IntoData for Data {
    fn into_data(self) -> Result<Data> {
        Ok(self)
    }
}

impl IntoData for &Data {
    fn into_data(self) -> Result<Data> {
        Ok(self.clone())
    }
}

impl<X: IntoColumns, Y: IntoColumns> IntoData for (X, Y) {
    fn into_data(self) -> Result<Data> {
        Data::new(self.0, self.1)
    }
}

impl<X: IntoColumns, Y: IntoColumns, W: IntoColumns> IntoData for (X, Y, W) {
    fn into_data(self) -> Result<Data> {
        Data::new(self.0, self.1)?.sample_weight(self.2)
    }
}

impl IntoData for &Dataset {
    /// The pixels as bytes, `[n, height, width, channels]`: a [`Rescaling`](crate::layers::Rescaling) layer brings them into 0 to 1.
    fn into_data(self) -> Result<Data> {
        Data::new(self, &self.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn types_become_what_devices_have() -> Result<()> {
        let x = (&array![[1.5f64, -2.0], [0.0, 4.0]]).into_samples()?;
        assert_eq!(*x.spec(), Spec::new([2, 2], DType::F32));
        assert_eq!(x.numbers().collect::<Vec<_>>(), [1.5, -2.0, 0.0, 4.0]);
        let y = (&[3i64, -1][..]).into_samples()?;
        assert_eq!((y.spec().dtype, y.numbers().collect::<Vec<_>>()), (DType::I32, vec![3.0, -1.0]));
        assert!((&[1i64 << 40][..]).into_samples().is_err());
        Ok(())
    }

    #[test]
    fn transposed_arrays_are_read_in_their_order() -> Result<()> {
        let a = Array2::from_shape_vec((2, 3), vec![1u8, 2, 3, 4, 5, 6]).expect("six");
        let s = (&a.t()).into_samples()?;
        assert_eq!(s.spec().shape[..], [3, 2]);
        assert_eq!(s.numbers().collect::<Vec<_>>(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(s.gather(&[2, 0]), [3, 6, 1, 4]);
        Ok(())
    }

    #[test]
    fn counts_must_agree() -> Result<()> {
        let x = Samples::new([3, 2], &[0.0f32; 6])?;
        let text = Data::new(&x, &[0u8, 1][..]).expect_err("two labels for three").to_string();
        assert!(text.contains("one of the labels for each of 3 samples") && text.contains("2 labels"), "{text}");
        assert!(Samples::new([], &[1.0f32]).is_err());
        assert!(Samples::new([2], &[1.0f32]).is_err());
        let (a, b) = Data::new(&x, &[0u8, 1, 2][..])?.split(2);
        assert_eq!((a.count(), b.count(), b.y[0].bytes()), (2, 1, &[2u8][..]));
        Ok(())
    }
}
