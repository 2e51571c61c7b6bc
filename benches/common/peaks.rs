//! What a device reaches at best, measured by this crate itself: operations by a large matrix product; bytes by a triad or a sum over arrays that
//! no cache holds, whichever moves more.

use super::kernel::{Kernel, Layout, Loaded, floats};
use super::{is_software, median};
use anyhow::Result;
use gradus::ops::pointwise::map1;
use gradus::{Device, Function, Tensor};
use std::time::Instant;

/// Operations and bytes per second.
#[derive(Clone, Copy, Debug)]
pub struct Peaks {
    pub flops: f64,
    pub bandwidth: f64,
}

/// The two measures, ready to be taken again and again.
pub struct Gauge {
    device: Device,
    product: Kernel,
    loaded: Loaded,
    arrays: [Tensor; 2],
    triad: Function<'static>,
    sum: Function<'static>,
}

impl Gauge {
    /// A product of 1024³ on the CPU, 512³ on a software adapter, 4096³ on a card; arrays of 64 MiB, 256 MiB on a card.
    ///
    /// # Errors
    /// What the device reports.
    pub fn new(device: &Device) -> Result<Gauge> {
        let (side, elements) = match (device.is_gpu(), is_software(device)) {
            (false, _) => (1024, 16 << 20),
            (true, true) => (512, 16 << 20),
            (true, false) => (4096, 64 << 20),
        };
        let elements = elements.min((device.max_tensor_bytes() / 4) as usize);
        let product = Kernel::Matmul { layout: Layout::Nn, m: side, n: side, k: side };
        let arrays = [floats(device, &[elements])?, floats(device, &[elements])?];
        let triad = Function::new("triad", |x: &[Tensor]| Ok(vec![map1(&[&x[0], &x[1]], |e| &e[0] + 3.0 * &e[1])?]));
        let sum = Function::new("sum", |x: &[Tensor]| Ok(vec![x[0].sum_all()?]));
        Ok(Gauge { device: device.clone(), product, loaded: product.load(device)?, arrays, triad, sum })
    }

    /// What is measured, for a heading.
    pub fn describe(&self) -> String {
        let mb = self.arrays[0].spec().bytes() as f64 / 1e6;
        format!(
            "peaks by gradus itself on this device: matmul {}; the faster of y = a + 3b and a sum, {mb:.0} MB an array",
            self.product.size()
        )
    }

    /// One measure of each, after a warming call.
    ///
    /// # Errors
    /// What the device reports.
    pub fn sample(&self) -> Result<Peaks> {
        let [a, b] = &self.arrays;
        let product = timed(&self.device, 1, || self.loaded.call())?;
        let triad = timed(&self.device, 1, || Ok(self.triad.call(&[a, b]).map(|_| ())?))?;
        let sum = timed(&self.device, 1, || Ok(self.sum.call(&[a]).map(|_| ())?))?;
        let bytes = a.spec().bytes() as f64;
        Ok(Peaks { flops: self.product.flops() / product, bandwidth: (3.0 * bytes / triad).max(bytes / sum) })
    }

    /// The medians of several samples.
    ///
    /// # Errors
    /// What the device reports.
    pub fn measure(&self, samples: usize) -> Result<Peaks> {
        let samples = (0..samples).map(|_| self.sample()).collect::<Result<Vec<_>>>()?;
        Ok(Peaks::median(&samples))
    }
}

impl Peaks {
    /// The median of each.
    pub fn median(samples: &[Peaks]) -> Peaks {
        let of = |get: fn(&Peaks) -> f64| median(&samples.iter().map(get).collect::<Vec<_>>());
        Peaks { flops: of(|p| p.flops), bandwidth: of(|p| p.bandwidth) }
    }
}

/// Seconds per call of so many calls, until the device has run them; a call before them is not timed.
///
/// # Errors
/// What the calls or the device report.
pub fn timed(device: &Device, calls: usize, call: impl Fn() -> Result<()>) -> Result<f64> {
    call()?;
    device.synchronize()?;
    let start = Instant::now();
    for _ in 0..calls {
        call()?;
    }
    device.synchronize()?;
    Ok(start.elapsed().as_secs_f64() / calls as f64)
}
