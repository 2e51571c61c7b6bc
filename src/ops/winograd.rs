//! Convolutions by kernels of 3 × 3 cells with less than half the multiplications, by Winograd's algorithm F(2×2, 3×3):
//!
//! `y = Aᵀ[(G·g·Gᵀ) ⊙ (Bᵀ·d·B)]A` for each square of 2 × 2 outputs, the 4 × 4 source cells `d` under it, and the kernel `g`, summed over
//! channels before the last transform (A. Lavin, S. Gray: Fast Algorithms for Convolutional Neural Networks, 2015). So there are 16 products of
//! matrices `[squares, channels]·[channels, filters]` where there were 36. The transforms only add, subtract and halve, so that little accuracy
//! is lost.
//!
//! The gradient by the images is such a convolution again. That by the kernel is `Gᵀ[Σ (A·∂y·Aᵀ) ⊙ (Bᵀ·d·B)]G`, summed over all squares.

use super::columns::{Geometry, add, add_rows};
use super::window::Axis;
use super::winograd_transforms::{Images, Neighbours, OutputGradient, Source, Transformed};
use crate::device::cpu::Real;
use crate::device::cpu::gemm::with_scratch;
use crate::device::cpu::tile::{Factors, MOST_LANES, Offsets, Tiles};
use crate::record::op::Epilogue;
use rayon::prelude::*;
use std::ops::Range;

/// Numbers of a square of products.
const SQUARE: usize = 16;
/// The cell of the second row and column, where the transform only adds.
const TOTAL: usize = 5;
/// Elements of the output that a task computes: with its source they stay in a core's second-level cache.
const BLOCK: usize = 48 * 1024;
/// Elements of the transformed squares that are multiplied together for a kernel's gradient.
const SUMMED: usize = 192 * 1024;
/// Numbers in a kernel's cell. From `SMALL_KERNEL` on direct sums take longer; one of `LARGE_KERNEL` is fetched for several tiles of squares
/// at a time; `LARGEST_KERNEL` does not stay in any cache.
const SMALL_KERNEL: usize = 1 << 10;
const LARGE_KERNEL: usize = 1 << 14;
const LARGEST_KERNEL: usize = 1 << 16;
/// The least rows and columns of an output: squares reach over the edges of smaller ones.
const LEAST: usize = 4;
/// Numbers that are transformed faster than another thread wakes up.
const SMALL: usize = 4096;
/// Parts of the sum over all squares, and the most elements that they fill.
const PARTS: usize = 16;
const PART_MEMORY: usize = 4 << 20;

/// `G`: what a square of the transformed kernel is of the kernel's cells, along each axis.
const KERNEL: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

/// A convolution of a source `[images, rows, columns, channels]` to `[images, rows', columns', filters]`.
pub(super) struct Winograd {
    images: usize,
    source: Images,
    output: Images,
    /// In the kernel: from one channel of the source to the next, and from one filter to the next.
    steps: [usize; 2],
    /// Whether the kernel is turned around.
    turned: bool,
}

impl Winograd {
    /// Images to outputs, if that is a convolution for this algorithm.
    pub fn forward(g: &Geometry) -> Option<Winograd> {
        let fits = |axis: &Axis| axis.window == 3 && axis.stride == 1 && axis.dilation == 1 && axis.output >= LEAST;
        let whole = |channels: usize| channels > 0 && channels.is_multiple_of(MOST_LANES);
        if g.images == 0 || ![&g.rows, &g.columns].into_iter().all(fits) || ![g.cin, g.cout].into_iter().all(whole) {
            return None;
        }
        if !(SMALL_KERNEL..=LARGEST_KERNEL).contains(&(g.cin * g.cout)) {
            return None;
        }
        let [input, output, front] = [|a: &Axis| a.input, |a: &Axis| a.output, |a: &Axis| a.front].map(|of| [of(&g.rows), of(&g.columns)]);
        let squares = output.map(|places| places.div_ceil(2));
        Some(Winograd {
            images: g.images,
            source: Images { size: input, channels: g.cin, squares, front },
            output: Images { size: output, channels: g.cout, squares, front: [0, 0] },
            steps: [g.cout, 1],
            turned: false,
        })
    }

    /// Gradients by the outputs to gradients by the images, likewise.
    pub fn backward(g: &Geometry) -> Option<Winograd> {
        let Winograd { images, source, output, .. } = Winograd::forward(g)?;
        let squares = source.size.map(|places| places.div_ceil(2));
        Some(Winograd {
            images,
            source: Images { squares, front: source.front.map(|front| 2 - front), ..output },
            output: Images { squares, front: [0, 0], ..source },
            steps: [1, g.cout],
            turned: true,
        })
    }

    /// Computes `y` from the source and the convolution's kernel `[3, 3, cin, cout]`; `then` is given every task's part of it.
    pub fn run<T: Real>(&self, source: &[T], kernel: &[T], y: &mut [T], then: Epilogue) {
        let (tiles, rows) = (Tiles::<T>::here(), self.output.squares[0]);
        let (channels, filters, image) = (self.source.channels, self.output.channels, self.output.image());
        // A task takes some images, or some rows of one.
        let images = (BLOCK / image).min(self.images.div_ceil(PARTS)).max(1);
        let band = if image <= BLOCK { rows } else { rows.div_ceil(rows.div_ceil((BLOCK / (2 * self.output.line())).max(1))) };
        let band = band.min(rows.div_ceil(PARTS.div_ceil(self.images)));
        let group = if channels * filters > LARGE_KERNEL { 4 * tiles.rows } else { tiles.rows };
        let panels = (0..tiles.panels(filters)).map(|panel| tiles.panel(panel, filters));
        let panels: Vec<Panel> = panels.map(|filters| Panel { offsets: Offsets::of(0..channels, filters.len()), filters }).collect();
        with_scratch(SQUARE * channels * filters, |weights: &mut [T]| {
            self.transform_kernel(&panels, kernel, weights);
            let task = Task { of: self, tiles, group, panels: &panels, source, weights };
            y.par_chunks_mut(images * image).enumerate().for_each(|(i, y)| {
                let held = i * images..i * images + y.len() / image;
                let chunk = if band == rows { y.len() } else { 2 * band * self.output.line() };
                y.par_chunks_mut(chunk).enumerate().for_each(|(j, y)| {
                    task.run(held.clone(), j * band..((j + 1) * band).min(rows), y);
                    then.apply(i * images * image + j * chunk, y);
                });
            });
        });
    }

    /// `G·g·Gᵀ`: for each cell of a square the panels, each with a row for every channel.
    fn transform_kernel<T: Real>(&self, panels: &[Panel], kernel: &[T], weights: &mut [T]) {
        let ([by_channel, by_filter], channels) = (self.steps, self.source.channels);
        let size = channels * self.output.channels;
        let cell = |(cell, weights): (usize, &mut [T])| {
            weights.fill(T::default());
            for (tap, factor) in taps(cell) {
                let kernel = &kernel[if self.turned { 8 - tap } else { tap } * size..][..size];
                for Panel { filters, .. } in panels {
                    let rows = weights[filters.start * channels..filters.end * channels].chunks_exact_mut(filters.len());
                    for (channel, row) in rows.enumerate() {
                        let from = kernel[channel * by_channel + filters.start * by_filter..].iter().step_by(by_filter);
                        row.iter_mut().zip(from).for_each(|(to, from)| *to += T::of(factor) * *from);
                    }
                }
            }
        };
        match size < SMALL {
            true => weights.chunks_exact_mut(size).enumerate().for_each(cell),
            false => weights.par_chunks_exact_mut(size).enumerate().for_each(cell),
        }
    }

    /// The gradient by the kernel, from the images and the gradient by the outputs; and that by the bias, unless there is no room for it.
    /// For a convolution made by [`Winograd::forward`].
    pub fn kernel_gradient<T: Real>(&self, x: &[T], dy: &[T], dkernel: &mut [T], dbias: &mut [T], then: Epilogue) {
        let (size, rows) = (self.source.channels * self.output.channels, self.images * self.output.squares[0]);
        let parts = (PART_MEMORY / (SQUARE * size)).min(PARTS).min(rows).max(1);
        let length = SQUARE * size + dbias.len();
        with_scratch(parts * length, |sums: &mut [T]| {
            sums.par_chunks_exact_mut(length).enumerate().for_each(|(i, sum)| {
                let (products, pixels) = sum.split_at_mut(SQUARE * size);
                self.sum_products(x, dy, i * rows / parts..(i + 1) * rows / parts, products, pixels);
            });
            let (total, others) = sums.split_at_mut(length);
            total.par_chunks_mut(SMALL).enumerate().for_each(|(i, total)| {
                others.chunks_exact(length).for_each(|part| add(total, &part[i * SMALL..]));
            });
            let (total, pixels) = total.split_at(SQUARE * size);
            dbias.copy_from_slice(pixels);
            dkernel.par_chunks_exact_mut(size).enumerate().for_each(|(tap, dkernel)| {
                dkernel.fill(T::default());
                for (cell, total) in total.chunks_exact(size).enumerate() {
                    if let Some((_, factor)) = taps(cell).find(|(own, _)| *own == tap) {
                        dkernel.iter_mut().zip(total).for_each(|(to, from)| *to += T::of(factor) * *from);
                    }
                }
                then.apply(tap * size, dkernel);
            });
        });
    }

    /// For each cell of a square the matrix `[channels, filters]` of products summed over the squares of rows `rows`, counted through all images;
    /// and the sums of the gradients by these outputs, unless there is no room for them.
    fn sum_products<T: Real>(&self, x: &[T], dy: &[T], rows: Range<usize>, sum: &mut [T], pixels: &mut [T]) {
        let (tiles, [own, columns]) = (Tiles::<T>::here(), self.output.squares);
        let (channels, filters) = (self.source.channels, self.output.channels);
        let most = (SUMMED / (SQUARE * (channels + filters))).max(1);
        let offsets = Offsets::of((0..most).map(|square| square * channels), filters);
        let all = rows.len() * columns;
        for start in (0..all).step_by(most) {
            let range = start..(start + most).min(all);
            let count = range.len();
            with_scratch(SQUARE * count * (channels + filters), |scratch: &mut [T]| {
                let (a, b) = scratch.split_at_mut(SQUARE * count * channels);
                let mut done = 0;
                for at in self.output.neighbours(|row| ((rows.start + row) / own, (rows.start + row) % own), range) {
                    let to = Transformed { data: &mut a[done * channels..], cell: count * channels, next: channels };
                    self.source.gather::<Source, T, 4>(tiles.arch, x, &at, to);
                    let to = Transformed { data: &mut b[done * filters..], cell: count * filters, next: filters };
                    self.output.gather::<OutputGradient, T, 2>(tiles.arch, dy, &at, to);
                    done += at.columns.len();
                }
                // `A·∂y·Aᵀ` has, in this cell, the sum of the square's outputs.
                add_rows(&b[TOTAL * count * filters..][..count * filters], pixels, start > 0);
                for (cell, sum) in sum.chunks_exact_mut(channels * filters).enumerate() {
                    let (a, b) = (&a[cell * count * channels..], &b[cell * count * filters..]);
                    for panel in (0..tiles.panels(filters)).map(|panel| tiles.panel(panel, filters)) {
                        for own in tiles.cut(channels) {
                            let factors = Factors { a: &a[own.start..], a_row: 1, b: &b[panel.start..], offsets: offsets.range(0..count) };
                            tiles.sum(own.len(), panel.len(), factors, &mut sum[own.start * filters + panel.start..], filters, start > 0);
                        }
                    }
                }
            });
        }
    }
}

/// The cells of the kernel that are in a cell of its transformed square, and how much of each.
fn taps(cell: usize) -> impl Iterator<Item = (usize, f64)> {
    (0..9).map(move |tap| (tap, KERNEL[cell / 4][tap / 3] * KERNEL[cell % 4][tap % 3])).filter(|(_, factor)| *factor != 0.0)
}

/// Filters that are multiplied together.
struct Panel {
    filters: Range<usize>,
    /// From one channel to the next: of a square, and of the panel's rows.
    offsets: Offsets,
}

/// What a task computes with.
struct Task<'a, T> {
    of: &'a Winograd,
    tiles: Tiles<T>,
    /// The most squares that are multiplied together.
    group: usize,
    panels: &'a [Panel],
    source: &'a [T],
    weights: &'a [T],
}

impl<T: Real> Task<'_, T> {
    /// Rows `rows` of the squares of some images, whose outputs, or those of the rows, are `y`.
    fn run(&self, images: Range<usize>, rows: Range<usize>, y: &mut [T]) {
        let all = images.len() * rows.len() * self.of.output.squares[1];
        let groups = all.div_ceil(self.group);
        for group in 0..groups {
            let range = group * all / groups..(group + 1) * all / groups;
            let place = |row: usize| (images.start + row / rows.len(), rows.start + row % rows.len());
            let squares: Vec<Neighbours> = self.of.output.neighbours(place, range.clone()).collect();
            self.group(&squares, range.len(), [images.start, rows.start], y);
        }
    }

    /// `count` squares. `y` begins with row `first[1]` of the squares of image `first[0]`.
    fn group(&self, squares: &[Neighbours], count: usize, first: [usize; 2], y: &mut [T]) {
        let (source, output, arch) = (self.of.source, self.of.output, self.tiles.arch);
        let (channels, filters, widest) = (source.channels, output.channels, self.tiles.panel(0, output.channels).len());
        with_scratch(SQUARE * count * (channels + widest), |scratch: &mut [T]| {
            let (a, c) = scratch.split_at_mut(SQUARE * count * channels);
            let mut done = 0;
            for at in squares {
                let to = Transformed { data: &mut a[done * channels..], cell: count * channels, next: channels };
                source.gather::<Source, T, 4>(arch, self.source, at, to);
                done += at.columns.len();
            }
            for panel in self.panels {
                let width = panel.filters.len();
                for cell in 0..SQUARE {
                    let (a, c) = (&a[cell * count * channels..], &mut c[cell * count * width..]);
                    let weights = &self.weights[(cell * filters + panel.filters.start) * channels..];
                    for own in self.tiles.cut(count) {
                        let a = &a[own.start * channels..];
                        let factors = Factors { a, a_row: channels, b: weights, offsets: panel.offsets.range(0..channels) };
                        self.tiles.sum(own.len(), width, factors, &mut c[own.start * width..], width, false);
                    }
                }
                let mut done = 0;
                for at in squares {
                    let from = Transformed { data: &c[done * width..], cell: count * width, next: width };
                    let image = &mut y[(at.image - first[0]) * output.image()..];
                    output.scatter(arch, from, at, panel.filters.clone(), (first[1], image));
                    done += at.columns.len();
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::columns::Conv2dParams;
    use crate::ops::conv2d_dw::backward;
    use crate::ops::correlate::Correlation;
    use crate::ops::random::host;
    use crate::ops::window::Padding;
    use crate::shape::Shape;

    fn geometry(x: [usize; 4], filters: usize, padding: Padding) -> Geometry {
        let kernel = Shape::from([3, 3, x[3], filters]);
        Geometry::new("t", &Shape::from(x), &kernel, &Conv2dParams { padding, ..Conv2dParams::default() }).unwrap()
    }

    fn numbers<T: Real>(shape: &Shape, seed: u64) -> Vec<T> {
        (0..shape.elements()).map(|i| T::of(f64::from(host::uniform(seed, 0, i as u64)) - 0.5)).collect()
    }

    /// The sums without transforms, which are checked against the definition, agree to rounding.
    fn agrees<T: Real>(g: &Geometry, tolerance: f64) {
        let (x, kernel, dy) = (numbers::<T>(&g.x_shape(), 1), numbers::<T>(&g.kernel_shape(), 2), numbers::<T>(&g.y_shape(), 3));
        let nan = |like: &[T]| vec![T::nan(); like.len()];
        let close = |what: &str, got: Vec<T>, want: Vec<T>| {
            let size = want.iter().fold(0.0, |a: f64, b| a.max(b.as_f64().abs()));
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                assert!(
                    (got.as_f64() - want.as_f64()).abs() <= tolerance * size,
                    "{what} {i} of {g:?}: {got:?}, expected {want:?} of {size}"
                );
            }
        };
        let (mut got, mut want) = (nan(&dy), nan(&dy));
        Winograd::forward(g).unwrap().run(&x, &kernel, &mut got, Epilogue::default());
        Correlation::forward(g).run(&x, &kernel, &mut want, Epilogue::default());
        close("y", got, want);
        let (mut got, mut want) = (nan(&x), nan(&x));
        Winograd::backward(g).unwrap().run(&dy, &kernel, &mut got, Epilogue::default());
        Correlation::backward(g).run(&dy, &kernel, &mut want, Epilogue::default());
        close("dx", got, want);
        let (mut got, mut want) = (nan(&kernel), nan(&kernel));
        let bias = vec![T::nan(); g.cout];
        let (mut got_bias, mut want_bias) = (bias.clone(), bias);
        Winograd::forward(g).unwrap().kernel_gradient(&x, &dy, &mut got, &mut got_bias, Epilogue::default());
        backward(g, &x, &dy, &mut want, &mut want_bias, Epilogue::default());
        close("dkernel", got.clone(), want);
        close("dbias", got_bias, want_bias);
        let mut alone = nan(&kernel);
        Winograd::forward(g).unwrap().kernel_gradient(&x, &dy, &mut alone, &mut [], Epilogue::default());
        assert_eq!(alone, got);
    }

    #[test]
    fn it_agrees_with_plain_sums() {
        use Padding::{Same, Valid};
        // Odd and even sizes; several images in a task; bands of one image; kernels that are fetched for many squares.
        for (x, filters, padding) in [
            ([2, 7, 9, 32], 48, Same),
            ([3, 6, 6, 64], 16, Valid),
            ([40, 4, 5, 16], 64, Same),
            ([1, 41, 30, 32], 32, Valid),
            ([2, 9, 12, 144], 128, Same),
        ] {
            agrees::<f64>(&geometry(x, filters, padding), 1e-13);
            agrees::<f32>(&geometry(x, filters, padding), 3e-6);
        }
    }

    /// By the largest error in f32, in parts of the largest sum. What the transforms lose, the shorter sums gain: here 4.5e-7, plain sums 8.5e-7.
    #[test]
    fn it_rounds_no_more_than_plain_sums() {
        let g = geometry([2, 26, 26, 64], 64, Padding::Valid);
        let (x, kernel) = (numbers::<f64>(&g.x_shape(), 1), numbers::<f64>(&g.kernel_shape(), 2));
        let mut exact = vec![0.0f64; g.y_shape().elements()];
        Correlation::forward(&g).run(&x, &kernel, &mut exact, Epilogue::default());
        let [x, kernel] = [x, kernel].map(|values| values.iter().map(|v| *v as f32).collect::<Vec<f32>>());
        let size = exact.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        let error = |y: &[f32]| y.iter().zip(&exact).map(|(y, exact)| (f64::from(*y) - exact).abs()).fold(0.0, f64::max) / size;
        let (mut fast, mut plain) = (vec![f32::NAN; exact.len()], vec![f32::NAN; exact.len()]);
        Winograd::forward(&g).unwrap().run(&x, &kernel, &mut fast, Epilogue::default());
        Correlation::forward(&g).run(&x, &kernel, &mut plain, Epilogue::default());
        let (fast, plain) = (error(&fast), error(&plain));
        assert!(fast <= 1.5 * plain && fast < 1e-6, "{fast:e} and {plain:e}");
    }

    #[test]
    fn it_is_for_kernels_of_nine_cells_and_whole_vectors_of_channels() {
        let takes = |x, filters, padding| Winograd::forward(&geometry(x, filters, padding)).is_some();
        assert!(takes([1, 6, 6, 32], 32, Padding::Valid));
        assert!(!takes([0, 6, 6, 32], 32, Padding::Valid), "no images");
        assert!(!takes([1, 5, 6, 32], 32, Padding::Valid), "an output smaller than two squares");
        assert!(!takes([1, 6, 6, 40], 32, Padding::Valid) && !takes([1, 6, 6, 32], 33, Padding::Valid), "parts of vectors");
        assert!(
            !takes([1, 6, 6, 16], 32, Padding::Valid) && !takes([1, 6, 6, 512], 512, Padding::Valid),
            "kernels too small and too large"
        );
        let params = Conv2dParams { strides: [2, 1], ..Conv2dParams::default() };
        let strided = Geometry::new("t", &Shape::from([1, 9, 9, 32]), &Shape::from([3, 3, 32, 32]), &params).unwrap();
        assert!(Winograd::forward(&strided).is_none() && Winograd::backward(&strided).is_none());
    }
}
