//! The networks of the benches: layers to train, and the kernels that a step of them cannot do without, from one list of units.

use super::kernel::{Kernel, Layout, Pass, Window};
use super::peaks::Peaks;
use anyhow::{Context, Result, bail};
use gradus::layers::ActivationFn::Relu;
use gradus::layers::{Activation, BatchNormalization, Conv2D, Dense, Flatten, MaxPooling2D};
use gradus::models::Sequential;
use gradus::ops::window::Padding;

/// A layer with its activation. The last is without one: the loss takes logits.
#[derive(Clone, Copy, Debug)]
enum Unit {
    /// 3×3, relu.
    Conv {
        filters: usize,
        padding: Padding,
    },
    /// 3×3 that keeps the size, without a bias; then batch normalization, relu.
    Normalized {
        filters: usize,
    },
    /// 2×2.
    Pool,
    Dense {
        units: usize,
    },
}

/// Layers for images of a shape.
#[derive(Clone, Debug)]
pub struct Network {
    pub name: String,
    /// Rows, columns, channels; rows and columns are equal.
    pub input: [usize; 3],
    pub classes: usize,
    /// Whether a step computes values again instead of keeping them.
    pub remat: bool,
    /// Whether its layers compute in f16.
    pub mixed: bool,
    units: Vec<Unit>,
}

impl Network {
    /// `M`, the MNIST model of the examples (4,738,826 parameters); `C`, the course's model for CIFAR-100 (325,956); `S`, a small one; `mlp:W`,
    /// 784 → W → W → 10; `deep:D`, D convolutions of 16 channels that keep the size; `remat:D`, the same
    /// with most of their outputs computed again for the gradient; `bn:D`, the same with batch normalization after each. `mixed:` before any
    /// of them: under the policy `mixed_float16`.
    ///
    /// # Errors
    /// For any other name.
    pub fn named(name: &str) -> Result<Network> {
        if let Some(single) = name.strip_prefix("mixed:") {
            return Ok(Network { name: name.to_string(), mixed: true, ..Network::named(single)? });
        }
        let conv = |filters| Unit::Conv { filters, padding: Padding::Valid };
        let dense = |units| Unit::Dense { units };
        let (kind, number) = name.split_once(':').unwrap_or((name, "1"));
        let number: usize = number.parse().with_context(|| format!("model {name}: the number behind the colon"))?;
        let (input, units) = match kind {
            "M" => ([28, 28, 1], vec![conv(32), conv(64), dense(128), dense(10)]),
            "C" => ([32, 32, 3], vec![conv(16), Unit::Pool, conv(32), Unit::Pool, dense(256), dense(100)]),
            "S" => ([12, 12, 1], vec![conv(8), Unit::Pool, dense(10)]),
            "mlp" => ([28, 28, 1], vec![dense(number), dense(number), dense(10)]),
            "deep" | "remat" => {
                let mut units = vec![Unit::Conv { filters: 16, padding: Padding::Same }; number];
                units.push(dense(10));
                ([16, 16, 3], units)
            }
            "bn" => {
                let mut units = vec![Unit::Normalized { filters: 16 }; number];
                units.push(dense(10));
                ([16, 16, 3], units)
            }
            _ => bail!("model {name}: there are M, C, S, mlp:WIDTH, deep:DEPTH, remat:DEPTH and bn:DEPTH, and mixed: before each"),
        };
        let classes = match units.last() {
            Some(&Unit::Dense { units }) => units,
            _ => bail!("model {name} has no output"),
        };
        Ok(Network { name: name.to_string(), input, classes, remat: kind == "remat", mixed: false, units })
    }

    /// Its layers, not built yet.
    pub fn layers(&self) -> Sequential {
        let mut model = Sequential::new().dtype_policy(if self.mixed { "mixed_float16" } else { "float32" });
        let mut flat = false;
        for (i, unit) in self.units.iter().enumerate() {
            if matches!(unit, Unit::Dense { .. }) && !flat {
                model = model.add(Flatten::new());
                flat = true;
            }
            model = match *unit {
                Unit::Conv { filters, padding } => model.add(Conv2D::new(filters, 3).padding(padding).activation(Relu)),
                Unit::Normalized { filters } => {
                    let conv = Conv2D::new(filters, 3).padding(Padding::Same).use_bias(false);
                    model.add(conv).add(BatchNormalization::new()).add(Activation::new(Relu))
                }
                Unit::Pool => model.add(MaxPooling2D::new(2)),
                Unit::Dense { units } if i + 1 < self.units.len() => model.add(Dense::new(units).activation(Relu)),
                Unit::Dense { units } => model.add(Dense::new(units)),
            };
        }
        model
    }

    /// Numbers that are trained.
    pub fn parameters(&self) -> usize {
        self.placed(1).iter().map(|placed| placed.parameters).sum()
    }

    /// The kernels of a forward pass.
    pub fn inference(&self, batch: usize) -> Vec<Kernel> {
        self.placed(batch).iter().map(|placed| placed.forward).collect()
    }

    /// The kernels of a training step that no fusion removes: biases, activations and their gradients go along with these. Normalizations are not
    /// counted, though they read their inputs more than once.
    pub fn training(&self, batch: usize) -> Vec<Kernel> {
        let placed = self.placed(batch);
        let mut kernels: Vec<Kernel> = placed.iter().map(|placed| placed.forward).collect();
        for gradient in [false, true] {
            kernels.push(Kernel::Crossentropy { gradient, batch, classes: self.classes });
        }
        for (i, placed) in placed.iter().enumerate().rev() {
            kernels.extend(placed.by_weights);
            // Nobody asks for the gradient by the images of the data set.
            kernels.extend((i > 0).then_some(placed.by_input));
        }
        kernels.push(Kernel::Adam { elements: self.parameters() });
        kernels
    }

    /// Every unit at its place, for a batch.
    fn placed(&self, batch: usize) -> Vec<Placed> {
        let [mut image, _, mut channels] = self.input;
        let conv = |image: &mut usize, channels: &mut usize, (cout, padding), others| {
            let (cin, window) = (*channels, Window { batch, image: *image, size: 3, stride: 1, padding });
            (*image, *channels) = (window.places(), cout);
            let of = |pass| Kernel::Conv { pass, window, cin, cout };
            Placed {
                forward: of(Pass::Forward),
                by_input: of(Pass::Dx),
                by_weights: Some(of(Pass::Dw)),
                parameters: 9 * cin * cout + others,
            }
        };
        let place = |unit: &Unit| match *unit {
            Unit::Conv { filters: cout, padding } => conv(&mut image, &mut channels, (cout, padding), cout),
            Unit::Normalized { filters: cout } => conv(&mut image, &mut channels, (cout, Padding::Same), 2 * cout),
            Unit::Pool => {
                let window = Window { batch, image, size: 2, stride: 2, padding: Padding::Valid };
                image = window.places();
                let of = |gradient| Kernel::MaxPool { gradient, window, channels };
                Placed { forward: of(false), by_input: of(true), by_weights: None, parameters: 0 }
            }
            Unit::Dense { units } => {
                let inputs = image * image * channels;
                (image, channels) = (1, units);
                let of = |layout, m, n, k| Kernel::Matmul { layout, m, n, k };
                Placed {
                    forward: of(Layout::Nn, batch, units, inputs),
                    by_input: of(Layout::Nt, batch, inputs, units),
                    by_weights: Some(of(Layout::Tn, inputs, units, batch)),
                    parameters: (inputs + 1) * units,
                }
            }
        };
        self.units.iter().map(place).collect()
    }
}

/// A unit's kernels, and the number of its weights.
struct Placed {
    forward: Kernel,
    by_input: Kernel,
    by_weights: Option<Kernel>,
    parameters: usize,
}

/// What a list of kernels cannot go below on a device with these peaks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Floor {
    pub flops: f64,
    pub bytes: f64,
    /// All operations at the peak.
    pub compute_ms: f64,
    /// All bytes at the bandwidth.
    pub memory_ms: f64,
    /// The larger of the two for each kernel, added up.
    pub ms: f64,
}

impl Floor {
    /// Kernels one after the other. A weight's gradient is not counted as memory traffic: Adam can take it over while it is in cache.
    pub fn of(kernels: &[Kernel], peaks: Peaks) -> Floor {
        let mut floor = Floor::default();
        for kernel in kernels {
            let gradient = match *kernel {
                Kernel::Conv { pass: Pass::Dw, window, cin, cout } => window.size * window.size * cin * cout,
                Kernel::Matmul { layout: Layout::Tn, m, n, .. } => m * n,
                Kernel::Adam { elements } => elements,
                _ => 0,
            };
            let (flops, bytes) = (kernel.flops(), kernel.bytes() - 4.0 * gradient as f64);
            let (compute, memory) = (1e3 * flops / peaks.flops, 1e3 * bytes / peaks.bandwidth);
            floor.flops += flops;
            floor.bytes += bytes;
            floor.compute_ms += compute;
            floor.memory_ms += memory;
            floor.ms += compute.max(memory);
        }
        floor
    }
}
