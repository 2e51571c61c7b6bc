//! Products as a GPU computes them: matrix products, and convolutions and their kernel gradients, which are products with the windows of images.
//!
//! What is chosen depends on shapes and on the class of the adapter alone, so that one adapter always computes the same bits (unless
//! [`Tuning`](crate::device::gpu::Tuning) asks for a measured choice):
//!
//! | adapter | product | kernel | tile of a workgroup | threads | results of each |
//! |---|---|---|---|---|---|
//! | a CPU whose subgroups are 8 threads | read in vectors, or windows; at least 9 rows and whole vectors in a row of the result | `matmul_lanes.wgsl` | 32 × 32 or 32 × 64 | 8 | 32 × 4 or 32 × 8 |
//! | any other CPU, any other product | at most 16 columns | `matmul.wgsl`, registers only | 8 × 16 | 8 | 4 × 4 |
//! | | any other | `matmul.wgsl`, registers only | 8 × 64 | 8 | 8 × 8 |
//! | a card | at most 16 rows | `matmul.wgsl` | 16 × 64 | 64 | 4 × 4 |
//! | | at most 16 columns | `matmul.wgsl` | 64 × 16 | 64 | 4 × 4 |
//! | | at least 128 tiles, nearly full | `matmul.wgsl` | 128 × 128 | 256 | 8 × 8 |
//! | | at least 256 tiles, nearly full | `matmul.wgsl` | 128 × 64 | 128 | 8 × 8 |
//! | | at least 128 tiles times sections, nearly full | `matmul.wgsl` | 64 × 64 | 256 | 4 × 4 |
//! | | any other | `matmul.wgsl` | 32 × 32 | 64 | 4 × 4 |
//!
//! Where there are few tiles, `k` is cut into sections whose sums a second dispatch adds in order. `matmul.wgsl` reads a factor in vectors where
//! its rows in memory are whole ones, and value by value where not.

mod tile;

use super::columns::Geometry;
use crate::record::op::{Buffer, Launch, Shader};
use tile::Tile;

/// `y[batch, m, n] = Σ_k a[batch, m, k] · b[batch, k, n]` of f32.
pub(super) struct Product<'g> {
    pub name: &'static str,
    /// `[m, n, k]`.
    pub size: [usize; 3],
    pub batch: usize,
    /// From one matrix of the batch to the next, in elements of each factor; 0 where all share one.
    pub steps: [usize; 2],
    /// Which factors lie transposed.
    pub turned: [bool; 2],
    /// A second factor that lies transposed may lie as `[taps, n, k / taps]`, from the last tap to the first; else 1.
    pub taps: usize,
    /// The first factor, where it is not a matrix in memory.
    pub windows: Option<Windows<'g>>,
}

/// The windows of images as a matrix: a row for each pixel of the output, a column for each cell; transposed if `turned` says so.
pub(super) struct Windows<'g> {
    pub geometry: &'g Geometry,
    /// The images count as having `up - 1` zeros between their pixels, along rows and columns.
    pub up: [usize; 2],
}

/// How many threads a subgroup has on an adapter that `matmul_lanes.wgsl` is for.
pub(super) const LANES: u32 = 8;
/// Rows and columns that one workgroup of `matmul_lanes.wgsl` computes; or twice as many columns; or twice as many rows of half the columns.
const TILE: usize = 32;
/// Workgroups that there should be at least, so that every core has work to the end.
const GROUPS: usize = 128;
/// Sections of `k` are not cut shorter than this.
const DEPTH: usize = 256;

/// A kernel for products.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kernel {
    /// `matmul_lanes.wgsl` with so many rows and columns for a workgroup.
    Lanes([usize; 2]),
    /// `matmul.wgsl`.
    Tiles(Tile),
}

impl Product<'_> {
    /// Adds the dispatches that multiply `factors` into output 0.
    pub fn launch(&self, launch: &mut Launch, factors: [Buffer; 2]) {
        let kernels = self.kernels(launch);
        let names: Vec<String> = kernels.iter().map(Kernel::name).collect();
        match kernels[launch.choose(|| self.describe(), &names)] {
            Kernel::Lanes(tile) => self.launch_lanes(launch, factors, tile),
            Kernel::Tiles(tile) => self.launch_tiles(launch, factors, tile),
        }
    }

    /// The kernels that may be taken, the usual one first.
    fn kernels(&self, launch: &Launch) -> Vec<Kernel> {
        if !self.fits_lanes(launch) {
            return Tile::all(self.size, self.batch, launch).into_iter().map(Kernel::Tiles).collect();
        }
        let [m, n, _] = self.size;
        // Half of a wide tile must not lie beyond the last column.
        let wide = n.div_ceil(TILE).is_multiple_of(2) || n > 4 * TILE;
        let narrow = (n <= TILE / 2 && m > TILE).then_some([2 * TILE, TILE / 2]);
        let tiles = [narrow, wide.then_some([TILE, 2 * TILE]), Some([TILE, TILE])];
        tiles.into_iter().flatten().map(Kernel::Lanes).collect()
    }

    /// What is computed, in a line.
    fn describe(&self) -> String {
        let ([m, n, k], Product { name, batch, steps, turned, taps, .. }) = (self.size, self);
        let [a, b] = turned.map(|turned| if turned { 'T' } else { 'N' });
        let mut text = format!("{name} {a}{b} {m}x{n} over {k}");
        if *batch > 1 {
            text += &format!(", {batch} of them {steps:?} apart");
        }
        if *taps > 1 {
            text += &format!(", {taps} taps");
        }
        if let Some(windows) = &self.windows {
            text += &format!(", windows {:?} up {:?}", windows.geometry, windows.up);
        }
        text
    }

    /// Whether `matmul_lanes.wgsl` is the kernel for this product.
    pub fn fits_lanes(&self, launch: &Launch) -> bool {
        let ([m, n, k], whole) = (self.size, |length: usize| length > 0 && length.is_multiple_of(4));
        let first = self.windows.is_some() || whole(if self.turned[0] { m } else { k });
        let second = whole(if self.turned[1] { k / self.taps } else { n });
        Tile::forced().is_none() && launch.adapter().lanes == LANES && first && second && whole(n) && m > TILE / 4
    }

    /// Whether `matmul_lanes.wgsl` reads the second factor in eights: where its rows are whole ones, and not where the first factor is a matrix
    /// that lies row by row, for which fours were faster.
    fn reads_eights(&self) -> bool {
        !self.turned[1] && self.size[1].is_multiple_of(8) && (self.turned[0] || self.windows.is_some())
    }

    /// Adds the dispatches of `matmul_lanes.wgsl`: `factors` to output 0.
    fn launch_lanes(&self, launch: &mut Launch, factors: [Buffer; 2], [rows, columns]: [usize; 2]) {
        let [m, n, k] = self.size;
        let (tiles_m, tiles_n) = (m.div_ceil(rows), n.div_ceil(columns));
        let Sections { count, length } = Sections::of(k, GROUPS / (tiles_m * tiles_n * self.batch).max(1), DEPTH);
        let to = if count == 1 { Buffer::Output(0) } else { launch.scratch(count * self.batch * m * n) };
        let params = [m, n, k, length, tiles_n, tiles_m, self.batch, count, self.steps[0], self.steps[1]].map(|v| v as u32);
        let turned = self.turned.map(usize::from);
        let shader = self.with_windows(Shader::new(self.name, include_str!("../../shaders/matmul_lanes.wgsl")));
        let shader = shader.set_all(&[("COLUMNS", columns), ("RAGGED", usize::from(!k.is_multiple_of(4)))]);
        let shader = shader.set_all(&[("TURN_A", turned[0]), ("TURN_B", turned[1])]);
        // Not for one tap: `k` in the text would make a pipeline of its own for every size of a batch.
        let shader = if self.taps == 1 { shader } else { shader.set_all(&[("TAPS", self.taps), ("DEEP", k / self.taps)]) };
        let shader = match columns == 2 * TILE && self.reads_eights() {
            true => shader.part("the second factor", include_str!("../../shaders/parts/eights.wgsl")).set("APART", 4),
            false => shader,
        };
        let threads = tiles_m * tiles_n * self.batch * count * LANES as usize;
        launch.threads(shader, &[factors[0], factors[1], to], &params, threads, LANES);
        if count > 1 {
            sum_planes(launch, to, self.batch * m * n, count);
        }
    }

    /// Adds the dispatches of `matmul.wgsl`.
    fn launch_tiles(&self, launch: &mut Launch, factors: [Buffer; 2], tile: Tile) {
        let size @ [m, n, k] = self.size;
        let Sections { count, length } = tile.sections(size, self.batch);
        let to = if count == 1 { Buffer::Output(0) } else { launch.scratch(count * self.batch * m * n) };
        let [tiles_m, tiles_n] = [m.div_ceil(tile.rows()), n.div_ceil(tile.columns())];
        let params = [m, n, k, length, tiles_n, tiles_m, self.batch, count, self.steps[0], self.steps[1]].map(|v| v as u32);
        let mut shader = self.with_windows(Shader::new(self.name, include_str!("../../shaders/matmul.wgsl")));
        let whole = |length: usize| length.is_multiple_of(4);
        if self.windows.is_none() && !whole(if self.turned[0] { m } else { k }) {
            shader = shader.part("the first factor", include_str!("../../shaders/parts/first.wgsl"));
        }
        if !whole(if self.turned[1] { k } else { n }) {
            shader = shader.part("the second factor", include_str!("../../shaders/parts/second.wgsl"));
        }
        if !whole(n) {
            shader = shader.part("the result", include_str!("../../shaders/parts/result.wgsl"));
        }
        let [turn_a, turn_b] = self.turned.map(usize::from);
        let shader = tile.specialise(shader, k).set_all(&[("TURN_A", turn_a), ("TURN_B", turn_b)]);
        let threads = tiles_m * tiles_n * self.batch * count * tile.threads();
        launch.threads(shader, &[factors[0], factors[1], to], &params, threads, tile.threads() as u32);
        if count > 1 {
            sum_planes(launch, to, self.batch * m * n, count);
        }
    }

    fn with_windows(&self, shader: Shader) -> Shader {
        // Of no cells at all, nothing is read.
        let Some(Windows { geometry: g, up }) = self.windows.as_ref().filter(|w| w.geometry.depth() > 0) else { return shader };
        let part = match g.cin.is_multiple_of(4) {
            true => include_str!("../../shaders/parts/windows_vec4.wgsl"),
            false => include_str!("../../shaders/parts/windows.wgsl"),
        };
        let padded = g.rows.padded() || g.columns.padded() || *up != [1, 1];
        let shader = shader.part("the first factor", part).set_all(&constants(g));
        shader.set_all(&[("UP_Y", up[0]), ("UP_X", up[1]), ("PADDED", usize::from(padded))])
    }
}

impl Kernel {
    /// As files of measured choices name it.
    fn name(&self) -> String {
        match self {
            Kernel::Lanes([rows, columns]) => format!("lanes {rows}x{columns}"),
            Kernel::Tiles(tile) => tile.name(),
        }
    }
}

/// A sum over `k` cut into sections.
#[derive(Debug)]
pub(super) struct Sections {
    pub count: usize,
    /// Of all but the last, which may be shorter: a multiple of 4.
    pub length: usize,
}

impl Sections {
    /// About `wanted` sections, none but the last shorter than `shortest`.
    pub fn of(k: usize, wanted: usize, shortest: usize) -> Sections {
        let wanted = wanted.min(k / shortest).max(1);
        let length = k.div_ceil(wanted).next_multiple_of(4).max(4);
        Sections { count: k.div_ceil(length).max(1), length }
    }
}

/// Adds the dispatch that adds up `planes` parts of a sum, `elements` each, in order, into output 0.
pub(super) fn sum_planes(launch: &mut Launch, parts: Buffer, elements: usize, planes: usize) {
    let software = launch.adapter().software;
    let size = if software { 8 } else { 64 };
    let shader = Shader::new("sum_planes", include_str!("../../shaders/sum_planes.wgsl")).set("SIZE", size);
    let (shader, threads) = match software && elements.is_multiple_of(4) {
        true => (in_vectors(shader), elements / 4),
        false => (shader, elements),
    };
    launch.threads(shader, &[parts, Buffer::Output(0)], &[threads as u32, planes as u32], threads, size as u32);
}

/// A shader that has a part for what a thread computes, with four neighbouring elements for a thread instead of one.
pub(super) fn in_vectors(shader: Shader) -> Shader {
    shader.part("what one thread computes", include_str!("../../shaders/parts/cells_vec4.wgsl"))
}

/// The constants of the shader parts that read windows.
fn constants(g: &Geometry) -> [(&'static str, usize); 14] {
    [
        ("H", g.rows.input),
        ("W", g.columns.input),
        ("CIN", g.cin),
        ("OH", g.rows.output),
        ("OW", g.columns.output),
        ("COUT", g.cout),
        ("KH", g.rows.window),
        ("KW", g.columns.window),
        ("SY", g.rows.stride),
        ("SX", g.columns.stride),
        ("DY", g.rows.dilation),
        ("DX", g.columns.dilation),
        ("FRONT_Y", g.rows.front),
        ("FRONT_X", g.columns.front),
    ]
}
