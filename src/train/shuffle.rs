//! The order of samples in an epoch: a function of the seed and the epoch alone.

/// A permutation of `0..count`.
pub(super) fn permutation(count: usize, seed: u64, epoch: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    let mut random = SplitMix(mix(seed ^ mix(epoch as u64)));
    // Fisher and Yates, from the back.
    for i in (1..order.len()).rev() {
        order.swap(i, random.below(i as u64 + 1) as usize);
    }
    order
}

/// Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `n`. The bias of the multiplication, `n / 2⁶⁴`, is beyond notice.
    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_once() {
        for count in [0, 1, 2, 1000] {
            let mut order = permutation(count, 7, 3);
            order.sort_unstable();
            assert!(order.iter().copied().eq(0..count as u32), "{count}");
        }
    }

    #[test]
    fn seeds_and_epochs_differ_and_repeat() {
        assert_eq!(permutation(100, 1, 2), permutation(100, 1, 2));
        assert_ne!(permutation(100, 1, 2), permutation(100, 2, 1));
        assert_ne!(permutation(100, 1, 2), permutation(100, 1, 3));
        assert_ne!(permutation(100, 0, 0), permutation(100, 0, 1));
    }

    /// Each sample is equally often at each place: a chi-squared test far out.
    #[test]
    fn places_are_equally_likely() {
        let (n, rounds) = (6usize, 6000);
        let mut counts = vec![0.0f64; n * n];
        for seed in 0..rounds {
            for (place, &sample) in permutation(n, seed, 0).iter().enumerate() {
                counts[place * n + sample as usize] += 1.0;
            }
        }
        let expected = rounds as f64 / n as f64;
        let chi2: f64 = counts.iter().map(|c| (c - expected).powi(2) / expected).sum();
        // 25 degrees of freedom: 60 is passed once in ten thousand.
        assert!(chi2 <= 60.0, "{chi2}");
    }
}
