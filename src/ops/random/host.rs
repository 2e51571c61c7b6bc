//! The generator on the host: the same bits as the draws on a device, for initializers and shuffling.
//!
//! Bits: Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011), which needs nothing
//! but additions, rotations and exclusive ors. A number is a function of (seed, stream, index) and of nothing else.
//!
//! Normals: the transform of Box and Muller, `√(-2 ln u)·(cos 2πv, sin 2πv)`, in whole numbers from the logarithm to the product, because no two
//! devices agree on `log`, `cos` and `sqrt`. `shaders/random.wgsl` takes the same steps. The result is within 3e-7 of the formula's.
//!
//! "Qf" says that a whole number `n` stands for `n·2^-f`.

/// Draw number `stream` of a seed: as many numbers as one likes, by index below 2^33.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    key: [u32; 2],
    draw: u32,
}

impl Stream {
    /// The stream that draw number `stream` of [`SeedGenerator`](super::SeedGenerator) takes its numbers from.
    pub fn new(seed: u64, stream: u64) -> Stream {
        let ([seed_low, seed_high], [low, high]) = (words(seed), words(stream));
        Stream { key: [seed_low, seed_high ^ high], draw: low }
    }

    /// 64 random bits.
    pub fn block(&self, block: u32) -> [u32; 2] {
        let ([low], [high]) = self.blocks([block]);
        [low, high]
    }

    /// The low and the high words of several blocks at once, which keeps a vector unit busy.
    pub(super) fn blocks<const N: usize>(&self, blocks: [u32; N]) -> ([u32; N], [u32; N]) {
        threefry(self.key, blocks, [self.draw; N])
    }

    fn block_of(&self, index: u64) -> ([u32; 2], usize) {
        let block = u32::try_from(index / 2).expect("a stream has 2^33 numbers");
        (self.block(block), (index % 2) as usize)
    }

    /// 32 random bits.
    pub fn bits(&self, index: u64) -> u32 {
        let (block, half) = self.block_of(index);
        block[half]
    }

    /// Uniform in `[0, 1)`: a multiple of 2^-24.
    pub fn uniform(&self, index: u64) -> f32 {
        uniform_of(self.bits(index))
    }

    /// Normal with mean 0 and deviation 1. At most 6.67 from the mean.
    pub fn normal(&self, index: u64) -> f32 {
        let (block, half) = self.block_of(index);
        normals_of(block)[half]
    }
}

/// 32 random bits: see [`Stream::bits`].
pub fn bits(seed: u64, stream: u64, index: u64) -> u32 {
    Stream::new(seed, stream).bits(index)
}

/// Uniform in `[0, 1)`: see [`Stream::uniform`].
pub fn uniform(seed: u64, stream: u64, index: u64) -> f32 {
    Stream::new(seed, stream).uniform(index)
}

/// Normal with mean 0 and deviation 1: see [`Stream::normal`].
pub fn normal(seed: u64, stream: u64, index: u64) -> f32 {
    Stream::new(seed, stream).normal(index)
}

/// The numbers `0..n` in a random order (Fisher and Yates).
///
/// # Panics
/// If `n` does not fit 32 bits.
pub fn permutation(n: usize, seed: u64, stream: u64) -> Vec<u32> {
    let count = u32::try_from(n).expect("a permutation of at most 2^32 - 1 numbers");
    let stream = Stream::new(seed, stream);
    let mut order: Vec<u32> = (0..count).collect();
    for last in (1..count).rev() {
        let [low, high] = stream.block(last);
        let bits = u64::from(high) << 32 | u64::from(low);
        // A fraction of 64 bits of last + 1: no choice is favoured by more than one part in 2^32.
        let chosen = (u128::from(bits) * u128::from(last + 1)) >> 64;
        order.swap(last as usize, chosen as usize);
    }
    order
}

/// The low and the high half.
pub(super) fn words(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

/// Threefry-2x32-20 of N counters.
pub(super) fn threefry<const N: usize>(key: [u32; 2], low: [u32; N], high: [u32; N]) -> ([u32; N], [u32; N]) {
    let [first, second] = key;
    let third = 0x1bd1_1bda ^ first ^ second;
    let x = low.map(|x| x.wrapping_add(first));
    let y = high.map(|y| y.wrapping_add(second));
    let (x, y) = four_rounds(x, y, [13, 15, 26, 6], second, third.wrapping_add(1));
    let (x, y) = four_rounds(x, y, [17, 29, 16, 24], third, first.wrapping_add(2));
    let (x, y) = four_rounds(x, y, [13, 15, 26, 6], first, second.wrapping_add(3));
    let (x, y) = four_rounds(x, y, [17, 29, 16, 24], second, third.wrapping_add(4));
    four_rounds(x, y, [13, 15, 26, 6], third, first.wrapping_add(5))
}

/// Always inlined: only with constant rotations do the lanes become vectors.
#[inline(always)]
fn four_rounds<const N: usize>(mut x: [u32; N], mut y: [u32; N], rotations: [u32; 4], to_x: u32, to_y: u32) -> ([u32; N], [u32; N]) {
    for rotation in rotations {
        for (x, y) in x.iter_mut().zip(&mut y) {
            *x = x.wrapping_add(*y);
            *y = y.rotate_left(rotation) ^ *x;
        }
    }
    (x.map(|x| x.wrapping_add(to_x)), y.map(|y| y.wrapping_add(to_y)))
}

pub(super) fn uniform_of(bits: u32) -> f32 {
    (bits >> 8).cast_signed() as f32 * (1.0 / 16_777_216.0)
}

/// Both normals of a block: the first word gives the radius, the second the angle.
pub(super) fn normals_of([first, second]: [u32; 2]) -> [f32; 2] {
    let radius = radius(first);
    // Q31, in quarter turns, between the ends: neither 0 nor 1 is ever met.
    let angle = 2 * (second & 0x3fff_ffff) + 1;
    let cos = (high(radius << 3, quarter_cosine(angle))).cast_signed();
    let sin = (high(radius << 3, quarter_cosine((1 << 31) - angle))).cast_signed();
    let [x, y] = match second >> 30 {
        0 => [cos, sin],
        1 => [-sin, cos],
        2 => [-cos, -sin],
        _ => [sin, -cos],
    };
    [to_float(x), to_float(y)]
}

/// The upper half of a product.
fn high(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

/// `√(-2 ln u)` as Q26, for `u` = an odd multiple of 2^-32. With `u = m·2^-e`, `½ ≤ m < 1`: `-ln u = e·ln 2 + w·g(w)`, `w = 1 - m`.
fn radius(bits: u32) -> u32 {
    /// 2 ln 2 as Q52.
    const TWO_LN_2: u64 = 6_243_314_768_165_359;
    let odd = bits | 1;
    let e = odd.leading_zeros();
    let w = (odd << e).wrapping_neg();
    let squared = ((u64::from(w) * u64::from(log_ratio(w))) >> 9) + u64::from(e) * TWO_LN_2;
    square_root(squared)
}

/// The root of a number below 2^58, rounded down. The float's root is never too small, and too large by at most one.
fn square_root(squared: u64) -> u32 {
    let root = (squared.cast_signed() as f64).sqrt() as u32;
    root - u32::from(u64::from(root) * u64::from(root) > squared)
}

/// `g(w) = -ln(1 - w)/w` as Q30 for `w` in `(0, ½]` as Q32: a Chebyshev fit of degree 9, off by less than 7e-9.
fn log_ratio(w: u32) -> u32 {
    let mut g = 1_861_451_654;
    for c in [2_640_290_212, 2_104_395_003, 633_602_920, 365_873_738] {
        g = c - high(w, g);
    }
    for c in [188_378_095, 270_536_548, 357_830_006, 536_872_199, 1_073_741_821] {
        g = c + high(w, g);
    }
    g
}

/// `cos(π/2·t)` as Q31 for `t` in `(0, 1)` as Q31: a Chebyshev fit of degree 5 in `t²`, off by less than 3e-9.
fn quarter_cosine(t: u32) -> u32 {
    let square = high(t << 1, t << 1);
    let mut cosine = 51_162;
    for c in [1_970_795, 44_802_279, 544_750_721, 2_649_351_724] {
        cosine = c - high(square, cosine);
    }
    (1 << 31) - high(square, cosine).min(1 << 31)
}

/// A Q28 rounded to the 24 bits that a float holds, and then exactly converted.
fn to_float(value: i32) -> f32 {
    let magnitude = value.unsigned_abs();
    let excess = 8_u32.saturating_sub(magnitude.leading_zeros());
    let rounded = (magnitude + ((1 << excess) >> 1)) >> excess;
    let signed = if value < 0 { -rounded.cast_signed() } else { rounded.cast_signed() };
    signed as f32 * f32::from_bits((127 - 28 + excess) << 23)
}
