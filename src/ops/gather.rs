//! Rows of a tensor by number: `y[i…, c…] = data[indices[i…], c…]`: an embedding's lookup, and how a batch is fetched from a data set.
//!
//! Gradient: `dx[r, c…] = Σ dy[i…, c…]` over the positions whose index is `r`, added in order of position. Its own gradient is a gather.

use super::strided::{TASK, with_element, word};
use crate::device::cpu::{Element, Real};
use crate::error::{Error, Result};
use crate::record::op::{Buffer, CpuArgs, Epilogue, GradCx, Launch, Op, Shader, float_dtype};
use crate::record::record_one;
use crate::shape::{DType, Shape, Spec};
use crate::tensor::Tensor;
use crate::with_real;
use rayon::prelude::*;

impl Tensor {
    /// The rows that `indices` (u32, any shape) name: data `[rows, …]`, indices `[i…]`, result `[i…, …]`. Data of any type; on a GPU not f64.
    ///
    /// An index outside `0..rows` is an error when the value is read from the CPU. A GPU cannot stop a program halfway: there the row is NaN
    /// for f32 and 0 for whole numbers.
    ///
    /// # Errors
    /// [`Error::Shape`] for data without axes; [`Error::DType`] for indices that are not u32; [`Error::Argument`] when it runs, as above.
    #[track_caller]
    pub fn gather(&self, indices: &Tensor) -> Result<Tensor> {
        record_one(Gather, &[self, indices])
    }
}

#[derive(Debug, Clone)]
struct Gather;

/// Elements of one row.
fn row_of(data: &Shape) -> usize {
    data[1..].iter().product()
}

fn gathered(data: &Shape, indices: &Shape) -> Vec<usize> {
    indices.iter().chain(&data[1..]).copied().collect()
}

fn check_indices(op: &str, indices: &Spec) -> Result<()> {
    if indices.dtype != DType::U32 { Err(Error::dtype(op, "u32 indices", indices.dtype)) } else { Ok(()) }
}

fn check_range(indices: &[u32], rows: usize) -> Result<()> {
    match indices.iter().position(|&index| index as usize >= rows) {
        Some(at) => Err(Error::argument(format!("gather: index at position {at}"), format!("0..{rows}"), indices[at])),
        None => Ok(()),
    }
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let (data, indices) = (&inputs[0], &inputs[1]);
        check_indices("gather", indices)?;
        if data.shape.rank() == 0 {
            return Err(Error::shape("gather", "data with rows: at least one axis", &data.shape));
        }
        Ok(vec![Spec::new(gathered(&data.shape, &indices.shape), data.dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let data = cx.inputs[0].shape().clone();
        Ok(vec![cx.when(0, || record_one(GatherGrad { data }, &[cx.dy(), &cx.inputs[1]]))?, None])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let data = args.input_shape(0);
        let indices = args.input::<u32>(1);
        check_range(indices, data[0])?;
        let then = args.epilogue();
        with_element!(args.input_spec(0).dtype, T => gather(row_of(data), args.input::<T>(0), indices, args.output::<T>(0), then));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64("gather")?;
        let dtype = launch.input(0).dtype;
        let (row, rows) = (row_of(launch.input_shape(0)), launch.input_shape(0)[0]);
        let elements = launch.output_shape(0).elements();
        let buffers = [Buffer::Input(0), Buffer::Input(1), Buffer::Output(0)];
        if dtype == DType::U8 && !row.is_multiple_of(4) {
            let shader = Shader::new("gather_bytes", include_str!("../../shaders/gather_bytes.wgsl")).set("ROW", row);
            launch.threads(shader, &buffers, &[word(elements), word(rows)], elements.div_ceil(4), 64);
            return Ok(());
        }
        // Rows of u8 that are whole words move as words.
        let per_word = if dtype == DType::U8 { 4 } else { 1 };
        let missing = if dtype.is_float() { f32::NAN.to_bits() } else { 0 };
        let words = elements / per_word;
        let shader = Shader::new("gather", include_str!("../../shaders/gather.wgsl")).set("ROW", (row / per_word).max(1));
        launch.threads(shader, &buffers, &[word(words), word(rows), missing], words, 64);
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

fn gather<T: Element>(row: usize, data: &[T], indices: &[u32], y: &mut [T], then: Epilogue) {
    if row == 0 {
        return;
    }
    let rows_per_task = (TASK / row).max(1);
    let tasks = y.par_chunks_mut(rows_per_task * row).zip(indices.par_chunks(rows_per_task)).enumerate();
    tasks.for_each(|(task, (y, indices))| {
        for (y, &index) in y.chunks_exact_mut(row).zip(indices) {
            y.copy_from_slice(&data[index as usize * row..][..row]);
        }
        then.apply(task * rows_per_task * row, y);
    });
}

/// `[dy, indices]` to the gradient by the data, which had shape `data`.
#[derive(Debug, Clone)]
struct GatherGrad {
    data: Shape,
}

impl Op for GatherGrad {
    fn name(&self) -> &'static str {
        "gather_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let (dy, indices) = (&inputs[0], &inputs[1]);
        check_indices("gather_grad", indices)?;
        let dtype = float_dtype("gather_grad", &inputs[..1])?;
        let want = Shape::from(gathered(&self.data, &indices.shape));
        if dy.shape != want {
            return Err(Error::shape("gather_grad", want.to_string(), &dy.shape));
        }
        Ok(vec![Spec::new(self.data.clone(), dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![cx.when(0, || cx.dy().gather(&cx.inputs[1]))?, None])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let indices = args.input::<u32>(1);
        check_range(indices, self.data[0])?;
        with_real!(args.input_spec(0).dtype, T => scatter_add(row_of(&self.data), args.input::<T>(0), indices, args.output::<T>(0)));
        Ok(())
    }

    /// First, who follows whom: for every row the first position that names it, for every position the next one with the same index. Then each
    /// element of the result walks its row's list, which costs no more than the additions.
    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64("gather_grad")?;
        let (row, rows) = (row_of(&self.data), self.data[0]);
        let positions = launch.input_shape(1).elements();
        let links = launch.scratch((rows + positions).max(1));
        let params = [word(rows), word(positions)];
        let shader = Shader::new("gather_links", include_str!("../../shaders/gather_links.wgsl"));
        launch.threads(shader, &[Buffer::Input(1), links], &params, rows + positions, 64);
        let shader = Shader::new("gather_grad", include_str!("../../shaders/gather_grad.wgsl")).set("ROW", row.max(1));
        launch.threads(shader, &[Buffer::Input(0), links, Buffer::Output(0)], &params, rows * row, 64);
        Ok(())
    }
}

/// `dx[index] += dy` in order of position. Each task owns a run of rows of `dx` and passes over all indices.
fn scatter_add<T: Real>(row: usize, dy: &[T], indices: &[u32], dx: &mut [T]) {
    /// Tasks; each costs one pass over the indices.
    const TASKS: usize = 32;
    dx.fill(T::zero());
    if dx.is_empty() {
        return;
    }
    let rows_per_task = (dx.len() / row).div_ceil(TASKS);
    dx.par_chunks_mut(rows_per_task * row).enumerate().for_each(|(task, dx)| {
        for (position, &index) in indices.iter().enumerate() {
            let own = (index as usize).wrapping_sub(task * rows_per_task);
            if own < dx.len() / row {
                let dx = &mut dx[own * row..][..row];
                dx.iter_mut().zip(&dy[position * row..][..row]).for_each(|(dx, &dy)| *dx += dy);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::record::GradientTape;
    use crate::testing::{check, float, gpu, index};

    #[test]
    fn rows_and_gradients() {
        for (data, indices) in [(vec![7, 3], vec![12]), (vec![5], vec![2, 3]), (vec![4, 2, 2], vec![]), (vec![1, 4], vec![9])] {
            let (rows, row) = (data[0], data[1..].iter().product::<usize>());
            check(&format!("gather {indices:?} from {data:?}"), &[float(data), index(indices, rows as u32)], |x| x[0].gather(&x[1]))
                .reference(|x| x[1].iter().flat_map(|i| x[0][*i as usize * row..][..row].to_vec()).collect())
                .terms(12)
                .run();
        }
    }

    #[test]
    fn rows_of_every_type() {
        fn rows<T: Element>(data: [T; 6]) {
            let device = if T::DTYPE == DType::F64 { None } else { gpu("gather of every type") };
            for device in [Some(Device::cpu()), device].iter().flatten() {
                let indices = Tensor::new(device, [2, 2], &[2u32, 0, 1, 2]).unwrap();
                let y = Tensor::new(device, [3, 2], &data).unwrap().gather(&indices).unwrap();
                assert_eq!(&y.shape()[..], [2, 2, 2]);
                let [a, b, c, d, e, f] = data;
                assert_eq!(y.to_vec::<T>().unwrap(), [e, f, a, b, c, d, e, f]);
            }
        }
        rows([1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
        rows([1.0f64, 2.0, 3.0, 4.0, 5.0, 6.0]);
        rows([1u32, 2, 3, 4, 5, 6]);
        rows([1i32, -2, 3, 4, 5, 6]);
        rows([1u8, 2, 3, 4, 5, 255]);
    }

    #[test]
    fn bytes_of_any_width() {
        let Some(gpu) = gpu("gather of bytes") else { return };
        let rows = 9;
        for row in [1, 2, 3, 4, 5, 7, 8, 28] {
            let data: Vec<u8> = (0..rows * row).map(|i| (i * 37 % 251) as u8).collect();
            for positions in [1usize, 2, 3, 5, 64] {
                let indices: Vec<u32> = (0..positions).map(|p| (p * 5 % rows) as u32).collect();
                let y = Tensor::new(&gpu, [rows, row], &data).unwrap().gather(&Tensor::new(&gpu, [positions], &indices).unwrap()).unwrap();
                let want: Vec<u8> = indices.iter().flat_map(|&i| data[i as usize * row..][..row].to_vec()).collect();
                assert_eq!(y.to_vec::<u8>().unwrap(), want, "{positions} rows of {row}");
            }
        }
    }

    #[test]
    fn an_index_outside_shows_on_a_gpu() {
        let Some(gpu) = gpu("gather outside the data") else { return };
        let indices = Tensor::new(&gpu, [3], &[1u32, 2, u32::MAX]).unwrap();
        let y = Tensor::new(&gpu, [2, 1], &[5f32, 6.0]).unwrap().gather(&indices).unwrap().to_vec::<f32>().unwrap();
        assert!(y.len() == 3 && y[0] == 6.0 && y[1].is_nan() && y[2].is_nan(), "{y:?}");
        let y = Tensor::new(&gpu, [2, 1], &[5i32, 6]).unwrap().gather(&indices).unwrap();
        assert_eq!(y.to_vec::<i32>().unwrap(), [6, 0, 0]);
        let y = Tensor::new(&gpu, [2, 3], &[5u8; 6]).unwrap().gather(&indices).unwrap();
        assert_eq!(y.to_vec::<u8>().unwrap(), [5, 5, 5, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn an_index_outside_is_named() {
        let cpu = Device::cpu();
        let data = Tensor::new(&cpu, [3, 2], &[0f32; 6]).unwrap();
        let y = data.gather(&Tensor::new(&cpu, [3], &[0u32, 3, 1]).unwrap()).unwrap();
        let error = y.to_vec::<f32>().unwrap_err().to_string();
        assert!(error.contains("position 1") && error.contains("0..3"), "{error}");
        assert!(data.gather(&data).is_err());
    }

    #[test]
    fn the_gradient_adds_what_rows_got() {
        let cpu = Device::cpu();
        let (rows, row, positions) = (101, 3, 500);
        let data = Tensor::new(&cpu, [rows, row], &vec![1.0f64; rows * row]).unwrap();
        let numbers: Vec<u32> = (0..positions).map(|p| (p * p % 97) as u32).collect();
        let weights: Vec<f64> = (0..positions * row).map(|i| (i % 13) as f64 - 4.5).collect();
        let mut expected = vec![0.0; rows * row];
        for (p, &r) in numbers.iter().enumerate() {
            for c in 0..row {
                expected[r as usize * row + c] += weights[p * row + c];
            }
        }
        let tape = GradientTape::new();
        tape.watch(&data);
        let y = data.gather(&Tensor::new(&cpu, [positions], &numbers).unwrap()).unwrap();
        let loss = y.mul(&Tensor::new(&cpu, [positions, row], &weights).unwrap()).unwrap();
        let gradient = tape.gradient(&loss, [&data]).unwrap();
        assert_eq!(gradient.get(0).unwrap().to_vec::<f64>().unwrap(), expected);
    }

    #[test]
    fn nothing_gathered_is_nothing() {
        for device in [Some(Device::cpu()), gpu("gather of nothing")].iter().flatten() {
            let data = Tensor::new(device, [3, 2], &[0f32; 6]).unwrap();
            let tape = GradientTape::new();
            tape.watch(&data);
            let y = data.gather(&Tensor::new::<u32>(device, [0], &[]).unwrap()).unwrap();
            assert!(y.to_vec::<f32>().unwrap().is_empty());
            assert_eq!(tape.gradient(&y, [&data]).unwrap().get(0).unwrap().to_vec::<f32>().unwrap(), [0.0; 6]);
        }
    }
}
