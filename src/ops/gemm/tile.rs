//! The tiles of `matmul.wgsl`: how the threads of a workgroup share the result, and which tile a product gets.

use super::Sections;
use crate::record::op::{Launch, Shader};

/// What one workgroup computes: `high · per` rows and `wide · per` columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tile {
    /// Threads side by side.
    wide: usize,
    /// Threads one below the other.
    high: usize,
    /// A thread computes `per × per` results.
    per: usize,
    /// Of `k`, that is read at once.
    step: usize,
    /// Whether the factors go through workgroup memory.
    shared: bool,
}

/// 128 × 128, for large products.
const LARGE: Tile = Tile { wide: 16, high: 16, per: 8, step: 16, shared: true };
/// 128 × 64, for many rows, such as the pixels of a batch, of not so many columns.
const LONG: Tile = Tile { wide: 8, high: 16, per: 8, step: 8, shared: true };
/// 64 × 64.
const MIDDLE: Tile = Tile { wide: 16, high: 16, per: 4, step: 16, shared: true };
/// 32 × 32.
const SMALL: Tile = Tile { wide: 8, high: 8, per: 4, step: 16, shared: true };
/// 16 × 64, for few rows.
const FLAT: Tile = Tile { wide: 16, high: 4, per: 4, step: 8, shared: true };
/// 64 × 16, for few columns.
const TALL: Tile = Tile { wide: 4, high: 16, per: 4, step: 8, shared: true };
/// 8 × 64 without workgroup memory or barriers, which a CPU has to imitate; its subgroups are one row of threads.
const REGISTERS: Tile = Tile { wide: 8, high: 1, per: 8, step: 4, shared: false };
/// 8 × 16 like that, for the few columns of an output layer.
const SLIM: Tile = Tile { wide: 4, high: 2, per: 4, step: 4, shared: false };

/// Sections of `k` are not cut shorter than this.
const DEPTH: usize = 128;
/// Workgroups of 256 threads that keep a card busy.
const CARD: usize = 128;
/// Threads that keep a CPU busy.
const CPU: usize = 512;
/// Sections that `k` is cut into at most when a tile is chosen for it.
const SECTIONS: usize = 32;

impl Tile {
    /// The tiles that a product `[m, n, k]` may have, the usual one first.
    pub fn all(size: [usize; 3], batch: usize, launch: &Launch) -> Vec<Tile> {
        let usual = Tile::usual(size, batch, launch);
        let others = [LARGE, LONG, MIDDLE, SMALL, FLAT, TALL].into_iter().filter(|tile| usual.shared && *tile != usual);
        std::iter::once(usual).chain(others.filter(|_| Tile::forced().is_none())).collect()
    }

    fn usual(size: [usize; 3], batch: usize, launch: &Launch) -> Tile {
        if let Some(tile) = Tile::forced() {
            return tile;
        }
        let [m, n, k] = size;
        if launch.adapter().software {
            return if n <= SLIM.columns() { SLIM } else { REGISTERS };
        }
        if m <= FLAT.rows() {
            return FLAT;
        }
        if n <= TALL.columns() {
            return TALL;
        }
        // Of a tile, at most a fifth may lie beyond the result; and there must be enough of them, with sections of `k` where they are worth it.
        let fits = |tile: Tile| 5 * m * n >= 4 * tile.tiles(m, n) * tile.rows() * tile.columns();
        let busy = |tile: Tile| tile.tiles(m, n) * batch * tile.threads() >= CARD * LARGE.threads();
        if let Some(tile) = [LARGE, LONG].into_iter().find(|&tile| fits(tile) && busy(tile)) {
            return tile;
        }
        let enough = MIDDLE.tiles(m, n) * batch * (k / DEPTH).clamp(1, SECTIONS) >= CARD;
        if fits(MIDDLE) && enough { MIDDLE } else { SMALL }
    }

    /// The tile that a test asks for.
    pub fn forced() -> Option<Tile> {
        #[cfg(test)]
        return tests::FORCED.get();
        #[cfg(not(test))]
        None
    }

    pub fn name(self) -> String {
        format!("{}x{} by {}", self.rows(), self.columns(), self.threads())
    }

    pub fn rows(self) -> usize {
        self.high * self.per
    }

    pub fn columns(self) -> usize {
        self.wide * self.per
    }

    pub fn threads(self) -> usize {
        self.wide * self.high
    }

    fn tiles(self, m: usize, n: usize) -> usize {
        m.div_ceil(self.rows()) * n.div_ceil(self.columns())
    }

    /// How `k` is cut: not at all where there are many tiles already, since the second dispatch has its price.
    pub fn sections(self, [m, n, k]: [usize; 3], batch: usize) -> Sections {
        let tiles = (self.tiles(m, n) * batch).max(1);
        let wanted = match self.shared {
            true if tiles > CARD / 2 => 1,
            true => 2 * CARD / tiles,
            false => CPU / (m.div_ceil(self.per) * n.div_ceil(self.per) * batch).max(1),
        };
        let length = Sections::of(k, wanted, DEPTH).length.next_multiple_of(self.step);
        Sections { count: k.div_ceil(length).max(1), length }
    }

    pub fn specialise(self, shader: Shader, k: usize) -> Shader {
        // Each thread loads at most one block of 4 × 4.
        assert!(!self.shared || self.step * (self.rows() + self.columns()) / 16 <= self.threads(), "{self:?}");
        let shader = shader.set_all(&[("WIDE", self.wide), ("HIGH", self.high), ("PER", self.per), ("STEP", self.step)]);
        shader.set_all(&[("SHARED", usize::from(self.shared)), ("RAGGED", usize::from(!k.is_multiple_of(self.step)))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::gpu::AdapterTraits;
    use crate::error::Result;
    use crate::ops::conv2d::{Conv2d, Conv2dParams};
    use crate::ops::conv2d_dw::Conv2dDw;
    use crate::ops::conv2d_dx::Conv2dDx;
    use crate::ops::matmul::Matmul;
    use crate::ops::window::Padding;
    use crate::record::op::{CpuArgs, GradCx, Op};
    use crate::record::record_one;
    use crate::shape::{Shape, Spec};
    use crate::tensor::Tensor;
    use crate::testing::{check, float};
    use std::cell::Cell;
    use std::sync::Arc;

    const ALL: [Tile; 8] = [LARGE, LONG, MIDDLE, SMALL, FLAT, TALL, REGISTERS, SLIM];

    thread_local! {
        pub(super) static FORCED: Cell<Option<Tile>> = const { Cell::new(None) };
    }

    /// An operation whose products have this tile, whatever their size and the adapter.
    #[derive(Debug, Clone)]
    struct Forced(Arc<dyn Op>, Tile);

    impl Op for Forced {
        fn name(&self) -> &'static str {
            self.0.name()
        }

        fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
            self.0.infer(inputs)
        }

        fn grad(&self, _: &GradCx) -> Result<Vec<Option<Tensor>>> {
            unreachable!("the checks are of values")
        }

        fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
            self.0.cpu(args)
        }

        fn gpu(&self, launch: &mut Launch) -> Result<()> {
            FORCED.set(Some(self.1));
            let done = self.0.gpu(launch);
            FORCED.set(None);
            done
        }
    }

    fn agrees(op: Arc<dyn Op>, tile: Tile, terms: usize, inputs: &[&[usize]]) {
        let forced = Forced(op, tile);
        let floats: Vec<_> = inputs.iter().map(|shape| float(*shape)).collect();
        check(&format!("{forced:?} {inputs:?}"), &floats, |x| record_one(forced.clone(), &[&x[0], &x[1]]))
            .terms(terms)
            .not_differentiable()
            .run();
    }

    /// Both sides of every border, with lengths that are read in vectors and lengths that are not, and steps of k that are full or not.
    #[test]
    fn every_tile_multiplies() {
        for tile in ALL {
            let (rows, columns) = (tile.rows(), tile.columns());
            let all = [(false, false), (false, true), (true, false), (true, true)];
            for (size, turned) in [
                ([rows - 1, columns - 1, 2 * tile.step + 3], &all[..]),
                ([rows + 4, columns + 4, 2 * tile.step + 4], &all),
                ([rows + 1, columns, 2 * tile.step], &all[..2]),
                ([1, 2, 1], &all[..1]),
            ] {
                for &(transpose_a, transpose_b) in turned {
                    let [m, n, k] = size;
                    let (a, b) = (if transpose_a { [2, k, m] } else { [2, m, k] }, if transpose_b { [2, n, k] } else { [2, k, n] });
                    agrees(Arc::new(Matmul { transpose_a, transpose_b }), tile, k, &[&a, &b]);
                }
            }
        }
    }

    #[test]
    fn every_tile_convolves() {
        let params = Conv2dParams { strides: [2, 1], padding: Padding::Same, dilation: [1, 2] };
        for tile in ALL {
            for (cin, cout) in [(3, 5), (4, 8), (8, 3)] {
                let (x, kernel, y) = ([3, 9, 11, cin], [3, 2, cin, cout], [3, 5, 11, cout]);
                agrees(Arc::new(Conv2d(params)), tile, 6 * cin, &[&x, &kernel]);
                agrees(Arc::new(Conv2dDx::of(params, &Shape::from(x))), tile, 6 * cout, &[&kernel, &y]);
                agrees(Arc::new(Conv2dDw::of(params, &Shape::from(kernel))), tile, 165, &[&x, &y]);
            }
        }
    }

    #[test]
    fn every_tile_adds_sections_of_k() {
        for tile in ALL {
            for k in [1000, 1027] {
                assert!(tile.sections([20, 24, k], 1).count > 1, "{tile:?}");
                agrees(Arc::new(Matmul { transpose_a: true, transpose_b: false }), tile, k, &[&[k, 20], &[k, 24]]);
            }
        }
    }

    #[test]
    fn sections_cover_k_once_in_whole_steps() {
        for tile in ALL {
            for size @ [_, _, k] in
                [[1, 1, 1], [128, 128, 36_864], [8, 8, 129], [5000, 64, 288], [128, 10, 1280], [7, 7, 0], [288, 64, 73_728]]
            {
                let Sections { count, length } = tile.sections(size, 1);
                assert!(length.is_multiple_of(tile.step) && count * length >= k, "{tile:?} {size:?}");
                assert!(count == 1 || (count - 1) * length < k, "{tile:?} {size:?}: an empty section");
            }
        }
    }

    #[test]
    fn shapes_and_adapter_choose() {
        let of = |size, batch, software| {
            let adapter = AdapterTraits { software, lanes: 0, pairs: false, max_binding: 128 << 20 };
            Tile::all(size, batch, &Launch::new(&[], &[], &[], adapter))[0]
        };
        for (size, batch, tile) in [
            ([4096, 4096, 4096], 1, LARGE),
            ([1024, 1024, 1024], 1, MIDDLE),
            // The layers of models for MNIST and CIFAR, batches of 128: a convolution, its kernel's gradient, dense layers.
            ([73_728, 64, 288], 1, LONG),
            ([288, 64, 73_728], 1, MIDDLE),
            ([73_728, 32, 9], 1, SMALL),
            ([115_200, 16, 27], 1, TALL),
            ([128, 128, 9216], 1, MIDDLE),
            ([128, 10, 128], 1, TALL),
            ([1, 1000, 512], 1, FLAT),
            ([100, 100, 100], 1, SMALL),
            ([64, 64, 64], 128, MIDDLE),
        ] {
            assert_eq!(of(size, batch, false), tile, "{size:?}");
            assert_eq!(of(size, batch, true), if size[1] <= 16 { SLIM } else { REGISTERS }, "{size:?}");
        }
    }
}
