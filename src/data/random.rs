//! Random numbers for drawing: `+ - * /` only, so the same on every platform.

/// The generator SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
pub(super) struct Random(u64);

impl Random {
    /// The numbers of image `index` in the split `which`.
    pub fn stream(seed: u64, which: u64, index: u64) -> Random {
        Random(mix(mix(mix(seed).wrapping_add(which)).wrapping_add(index)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform in `low..high`.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.next() >> 40) as f32 / (1 << 24) as f32)
    }

    /// Three numbers that are uniform in `0..1`, as quickly as one.
    pub fn uniform3(&mut self) -> [f32; 3] {
        let bits = self.next();
        [0, 21, 42].map(|at| ((bits >> at) & 0x1f_ffff) as f32 / (1 << 21) as f32)
    }

    /// Uniform in `0..n`, for an `n` so far below 2⁶⁴ that the bias does not matter.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Puts the items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// Nearly normal with mean 0 and deviation 1: the sum of four uniform numbers, which needs no logarithm.
    pub fn bell(&mut self) -> f32 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|i| (bits >> (16 * i)) & 0xffff).sum();
        // A sum of four uniform numbers in 0..1 has mean 2 and variance 1/3.
        (sum as f32 / 65536.0 - 2.0) * 1.732_050_8
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The cubic from 0 to 1 that is level at both ends.
pub(super) fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}
