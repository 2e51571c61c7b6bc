//! A kernel as work: what it computes, at what size, how many operations and bytes that must cost, and a call that runs it alone.

use anyhow::Result;
use gradus::ops::conv2d::Conv2dParams;
use gradus::ops::pointwise::map1;
use gradus::ops::random::host;
use gradus::ops::window::{Padding, Pool2dParams};
use gradus::optimizers::{self, Optimizer};
use gradus::record::{GradientOptions, Unconnected};
use gradus::{DType, Device, Function, GradientTape, Tensor, Variable};

/// A convolution or its gradient by images or kernel: the three cost the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pass {
    Forward,
    Dx,
    Dw,
}

/// Which factor of a product is read transposed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    Nn,
    Nt,
    Tn,
}

/// A square window over square images.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Window {
    pub batch: usize,
    /// Rows, and columns, of the images.
    pub image: usize,
    pub size: usize,
    pub stride: usize,
    pub padding: Padding,
}

/// Work at a size.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kernel {
    Conv {
        pass: Pass,
        window: Window,
        cin: usize,
        cout: usize,
    },
    Matmul {
        layout: Layout,
        m: usize,
        n: usize,
        k: usize,
    },
    MaxPool {
        gradient: bool,
        window: Window,
        channels: usize,
    },
    AvgPool {
        gradient: bool,
        window: Window,
        channels: usize,
    },
    /// The sum over all rows: the gradient of a bias.
    SumRows {
        rows: usize,
        columns: usize,
    },
    Crossentropy {
        gradient: bool,
        batch: usize,
        classes: usize,
    },
    /// Adam's update of a weight of so many elements.
    Adam {
        elements: usize,
    },
    /// `relu(x + bias)`
    BiasRelu {
        rows: usize,
        columns: usize,
    },
    /// `y > 0 ? dy : 0`
    ReluMask {
        elements: usize,
    },
    /// `relu((x - mean) · scale + shift + residual)`: the end of a residual block.
    NormAddRelu {
        rows: usize,
        columns: usize,
    },
    /// Rows of u8 pixels out of a data set of 10,000, scaled to f32.
    Batch {
        batch: usize,
        pixels: usize,
    },
    /// Rows of f32 out of a table: an embedding's lookup.
    Gather {
        table: usize,
        row: usize,
        count: usize,
    },
}

use Kernel::*;

impl Window {
    /// Places along an axis.
    pub fn places(&self) -> usize {
        match self.padding {
            Padding::Valid => (self.image - self.size) / self.stride + 1,
            Padding::Same => self.image.div_ceil(self.stride),
        }
    }

    /// Pixels of the whole batch before and after.
    fn pixels(&self) -> (usize, usize) {
        (self.batch * self.image * self.image, self.batch * self.places() * self.places())
    }

    fn describe(&self) -> String {
        let mut text = format!("{0}x{0}", self.size);
        if self.stride > 1 {
            text += &format!("/{}", self.stride);
        }
        text
    }
}

impl Kernel {
    /// The name of the operation.
    pub fn name(&self) -> &'static str {
        match self {
            Conv { pass: Pass::Forward, .. } => "conv2d",
            Conv { pass: Pass::Dx, .. } => "conv2d_dx",
            Conv { pass: Pass::Dw, .. } => "conv2d_dw",
            Matmul { layout: Layout::Nn, .. } => "matmul NN",
            Matmul { layout: Layout::Nt, .. } => "matmul NT",
            Matmul { layout: Layout::Tn, .. } => "matmul TN",
            MaxPool { gradient: false, .. } => "max_pool2d",
            MaxPool { gradient: true, .. } => "max_pool2d_grad",
            AvgPool { gradient: false, .. } => "avg_pool2d",
            AvgPool { gradient: true, .. } => "avg_pool2d_grad",
            SumRows { .. } => "reduce sum",
            Crossentropy { gradient: false, .. } => "crossentropy",
            Crossentropy { gradient: true, .. } => "crossentropy_dx",
            Adam { .. } => "adam",
            BiasRelu { .. } => "bias+relu",
            ReluMask { .. } => "relu mask",
            NormAddRelu { .. } => "norm+add+relu",
            Batch { .. } => "fetch batch",
            Gather { .. } => "gather",
        }
    }

    /// Its size, in a few characters.
    pub fn size(&self) -> String {
        match *self {
            Conv { window: w, cin, cout, .. } => format!("{}x{}x{}x{cin} {} -> {cout}", w.batch, w.image, w.image, w.describe()),
            Matmul { m, n, k, .. } => format!("{m}x{n} over {k}"),
            MaxPool { window: w, channels, .. } | AvgPool { window: w, channels, .. } => {
                format!("{}x{}x{}x{channels} {}", w.batch, w.image, w.image, w.describe())
            }
            SumRows { rows, columns } | BiasRelu { rows, columns } | NormAddRelu { rows, columns } => format!("{rows}x{columns}"),
            Crossentropy { batch, classes, .. } => format!("{batch}x{classes}"),
            Adam { elements } | ReluMask { elements } => format!("{elements}"),
            Batch { batch, pixels } => format!("{batch}x{pixels}"),
            Gather { table, row, count } => format!("{count} of {table}x{row}"),
        }
    }

    /// Floating-point operations: two per multiplication of a sum of products; for the others a rough count, since bytes bind them.
    pub fn flops(&self) -> f64 {
        let count = match *self {
            Conv { window, cin, cout, .. } => 2 * window.pixels().1 * window.size * window.size * cin * cout,
            Matmul { m, n, k, .. } => 2 * m * n * k,
            MaxPool { window, channels, .. } | AvgPool { window, channels, .. } => window.pixels().1 * window.size * window.size * channels,
            SumRows { rows, columns } => rows * columns,
            Crossentropy { batch, classes, .. } => 4 * batch * classes,
            Adam { elements } => 12 * elements,
            BiasRelu { rows, columns } => 2 * rows * columns,
            ReluMask { elements } => elements,
            NormAddRelu { rows, columns } => 5 * rows * columns,
            Batch { batch, pixels } => batch * pixels,
            Gather { .. } => 0,
        };
        count as f64
    }

    /// Bytes that must move: every input read once, every output written once.
    pub fn bytes(&self) -> f64 {
        let floats = |count: usize| 4 * count;
        let count = match *self {
            Conv { window, cin, cout, .. } => {
                let (before, after) = window.pixels();
                floats(before * cin + after * cout + window.size * window.size * cin * cout)
            }
            Matmul { m, n, k, .. } => floats(m * n + m * k + k * n),
            MaxPool { gradient, window, channels } => {
                let (before, after) = window.pixels();
                // The gradient reads the images again, to find the winners.
                floats((before * if gradient { 2 } else { 1 } + after) * channels)
            }
            AvgPool { window, channels, .. } => floats((window.pixels().0 + window.pixels().1) * channels),
            SumRows { rows, columns } => floats((rows + 1) * columns),
            Crossentropy { gradient, batch, classes } => floats(batch * (classes * if gradient { 2 } else { 1 } + 2)),
            Adam { elements } => floats(7 * elements),
            BiasRelu { rows, columns } => floats((2 * rows + 1) * columns),
            ReluMask { elements } => floats(3 * elements),
            NormAddRelu { rows, columns } => floats((3 * rows + 3) * columns),
            Batch { batch, pixels } => batch * (5 * pixels + 4),
            Gather { row, count, .. } => floats(count * (2 * row + 1)),
        };
        count as f64
    }

    /// Makes its inputs and traces it.
    ///
    /// # Errors
    /// What the device reports.
    pub fn load(&self, device: &Device) -> Result<Loaded> {
        match *self {
            Conv { pass, window, cin, cout } => conv(device, pass, window, [cin, cout]),
            Matmul { layout, m, n, k } => {
                let (ta, tb) = (layout == Layout::Tn, layout == Layout::Nt);
                let (a, b) = (if ta { [k, m] } else { [m, k] }, if tb { [n, k] } else { [k, n] });
                let inputs = vec![floats(device, &a)?, floats(device, &b)?];
                Ok(Loaded::new(inputs, move |x| Ok(vec![x[0].matmul_with(&x[1], ta, tb)?])))
            }
            MaxPool { gradient, window, channels } => pool(device, gradient, window, channels, Tensor::max_pool2d),
            AvgPool { gradient, window, channels } => pool(device, gradient, window, channels, Tensor::avg_pool2d),
            SumRows { rows, columns } => Ok(Loaded::new(vec![floats(device, &[rows, columns])?], |x| Ok(vec![x[0].sum(&[0], false)?]))),
            Crossentropy { gradient, batch, classes } => {
                let labels: Vec<u32> = (0..batch).map(|i| (i * 7 % classes) as u32).collect();
                let inputs = vec![floats(device, &[batch, classes])?, Tensor::new(device, [batch], &labels)?, floats(device, &[batch])?];
                Ok(Loaded::new(inputs, move |x| match gradient {
                    false => Ok(vec![x[0].sparse_softmax_crossentropy(&x[1])?]),
                    true => pull_back(&x[0], &x[2], |logits| logits.sparse_softmax_crossentropy(&x[1])),
                }))
            }
            Adam { elements } => adam(device, elements),
            BiasRelu { rows, columns } => {
                let inputs = vec![floats(device, &[rows, columns])?, floats(device, &[columns])?];
                Ok(Loaded::new(inputs, |x| Ok(vec![map1(&[&x[0], &x[1]], |e| (&e[0] + &e[1]).relu())?])))
            }
            ReluMask { elements } => {
                let inputs = vec![floats(device, &[elements])?, floats(device, &[elements])?];
                let mask = |x: &[Tensor]| map1(&[&x[0], &x[1]], |e| e[0].gt(&e[0].number(0.0)).select(&e[1], &e[1].number(0.0)));
                Ok(Loaded::new(inputs, move |x| Ok(vec![mask(x)?])))
            }
            NormAddRelu { rows, columns } => {
                let (whole, channel) = ([rows, columns], [columns]);
                let shapes: [&[usize]; 5] = [&whole, &channel, &channel, &channel, &whole];
                let inputs = shapes.iter().map(|shape| floats(device, shape)).collect::<Result<_>>()?;
                Ok(Loaded::new(inputs, |x| Ok(vec![x[0].sub(&x[1])?.mul(&x[2])?.add(&x[3])?.add(&x[4])?.relu()?])))
            }
            Batch { batch, pixels } => {
                let data: Vec<u8> = (0..DATA_SET * pixels).map(|i| (i * 37 % 251) as u8).collect();
                let inputs = vec![Tensor::new(device, [DATA_SET, pixels], &data)?, rows(device, DATA_SET, batch)?];
                Ok(Loaded::new(inputs, |x| Ok(vec![x[0].gather(&x[1])?.cast(DType::F32)?.mul_scalar(1.0 / 255.0)?])))
            }
            Gather { table, row, count } => {
                let inputs = vec![floats(device, &[table, row])?, rows(device, table, count)?];
                Ok(Loaded::new(inputs, |x| Ok(vec![x[0].gather(&x[1])?])))
            }
        }
    }
}

/// Samples of the data set that batches are fetched from.
const DATA_SET: usize = 10_000;

/// A kernel with its inputs, alone in a traced function.
pub struct Loaded {
    inputs: Vec<Tensor>,
    function: Function<'static>,
}

impl Loaded {
    fn new(inputs: Vec<Tensor>, body: impl Fn(&[Tensor]) -> gradus::Result<Vec<Tensor>> + 'static) -> Loaded {
        Loaded { inputs, function: Function::new("kernel", body) }
    }

    /// Starts it; on a GPU it may not have run yet when this returns.
    ///
    /// # Errors
    /// What the device reports.
    pub fn call(&self) -> Result<()> {
        self.function.call(&self.inputs.iter().collect::<Vec<_>>())?;
        Ok(())
    }

    /// Kernel runs per call.
    pub fn dispatches(&self) -> usize {
        self.function.programs().iter().map(|p| p.dispatches()).sum()
    }
}

/// The gradient of `f` at `x` under the upstream gradient `dy`. The forward pass is recorded too, and dropped where nobody reads it.
fn pull_back(x: &Tensor, dy: &Tensor, f: impl FnOnce(&Tensor) -> gradus::Result<Tensor>) -> gradus::Result<Vec<Tensor>> {
    let tape = GradientTape::new();
    tape.watch(x);
    let y = f(x)?;
    let options = GradientOptions { output_gradients: Some(&[dy]), unconnected_gradients: Unconnected::None };
    Ok(vec![tape.gradient_with(&[&y], [x], options)?.get(0)?.clone()])
}

fn conv(device: &Device, pass: Pass, window: Window, [cin, cout]: [usize; 2]) -> Result<Loaded> {
    let Window { batch, image, size, stride, padding } = window;
    let params = Conv2dParams { strides: [stride; 2], padding, ..Conv2dParams::default() };
    let (x, kernel) = (floats(device, &[batch, image, image, cin])?, floats(device, &[size, size, cin, cout])?);
    let dy = floats(device, &[batch, window.places(), window.places(), cout])?;
    Ok(Loaded::new(vec![x, kernel, dy], move |x| match pass {
        Pass::Forward => Ok(vec![x[0].conv2d(&x[1], params)?]),
        Pass::Dx => pull_back(&x[0], &x[2], |images| images.conv2d(&x[1], params)),
        Pass::Dw => pull_back(&x[1], &x[2], |kernel| x[0].conv2d(kernel, params)),
    }))
}

type Pooling = fn(&Tensor, Pool2dParams) -> gradus::Result<Tensor>;

fn pool(device: &Device, gradient: bool, window: Window, channels: usize, pooling: Pooling) -> Result<Loaded> {
    let Window { batch, image, size, stride, padding } = window;
    let params = Pool2dParams { size: [size; 2], strides: [stride; 2], padding };
    let x = floats(device, &[batch, image, image, channels])?;
    let dy = floats(device, &[batch, window.places(), window.places(), channels])?;
    Ok(Loaded::new(vec![x, dy], move |x| match gradient {
        false => Ok(vec![pooling(&x[0], params)?]),
        true => pull_back(&x[0], &x[1], |images| pooling(images, params)),
    }))
}

fn adam(device: &Device, elements: usize) -> Result<Loaded> {
    let weight = Variable::new("weight", &floats(device, &[elements])?)?;
    let mut adam = optimizers::Adam::default();
    adam.build(std::slice::from_ref(&weight))?;
    let inputs = vec![floats(device, &[elements])?];
    Ok(Loaded::new(inputs, move |x| {
        adam.apply(&[(x[0].clone(), weight.clone())], None)?;
        Ok(Vec::new())
    }))
}

/// Numbers from -1 to 1, without a pattern that a pooling or a mask could follow.
pub fn floats(device: &Device, shape: &[usize]) -> Result<Tensor> {
    // Fibonacci hashing: a good generator would take longer than most kernels.
    let one = |i: u32| (i.wrapping_mul(2_654_435_769) >> 8) as f32 / (1 << 23) as f32 - 1.0;
    let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| one(i as u32)).collect();
    Ok(Tensor::new(device, shape, &values)?)
}

/// Numbers of rows, all over the table.
fn rows(device: &Device, table: usize, count: usize) -> Result<Tensor> {
    let rows: Vec<u32> = (0..count).map(|i| (host::uniform(2, 0, i as u64) * table as f32) as u32 % table as u32).collect();
    Ok(Tensor::new(device, [count], &rows)?)
}
