//! Each kernel alone, at the sizes of models M and C, of a ResNet-18 and of an MLP: milliseconds, GFLOP/s, GB/s, and the share of the roof.
//!
//! The roof is what the crate itself reaches on the same device in the same minute, in turns with the kernel: the operations of a large matrix
//! product per second, the bytes of a large triad or sum per second. A kernel's floor is its operations at the one or its bytes at the other,
//! whichever takes longer; its share is floor over time. What fits a cache can go above 100 %. *GFLOP/CPU s* is per second of processor time, of
//! all threads together: how good a kernel is on a CPU, or on a CPU that plays a GPU, however many processors it has and whoever else uses them.
//!
//! `cargo bench --bench ops` measures all on the CPU; `-- --device NAME --only FILTER --time MS --json --plot FILE.svg` changes that. A filter
//! is a part of the line's first three cells: `"C 32"`, `conv2d_dw`. On a GPU each call is a submission of its own and its cost is in the time;
//! the first line says what a call costs that does next to nothing.

mod common;

use anyhow::{Context, Result, ensure};
use common::kernel::{Kernel, Layout, Pass, Window};
use common::network::Network;
use common::peaks::{Gauge, Peaks, timed};
use common::plot::{Figure, Mark, Panel, Scale, Series};
use common::table::{Table, number};
use common::{at_least_one, median, process_seconds, round};
use gradus::Device;
use gradus::ops::window::Padding;
use serde_json::json;
use std::path::PathBuf;

/// A kernel and where it comes from: `M 32`.
struct Case {
    from: String,
    kernel: Kernel,
}

struct Measured {
    seconds: f64,
    /// Of all processors, where the system counts them.
    processor_seconds: Option<f64>,
    peaks: Peaks,
}

struct Options {
    device: String,
    only: String,
    /// Milliseconds that each kernel is measured for at least.
    time: usize,
    json: bool,
    plot: Option<PathBuf>,
}

fn options() -> Result<Options> {
    use lexopt::prelude::*;
    let mut options = Options { device: "cpu".into(), only: String::new(), time: 100, json: false, plot: None };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("device") => options.device = args.value()?.string()?,
            Long("only") => options.only = args.value()?.string()?,
            Long("time") => options.time = at_least_one(&mut args, "--time")?,
            Long("json") => options.json = true,
            Long("plot") => options.plot = Some(args.value()?.into()),
            // What cargo adds.
            Long("bench") => {}
            Short('h') | Long("help") => common::help(include_str!("ops.rs")),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn main() -> Result<()> {
    let options = options()?;
    let device = common::device(&options.device)?;
    let cases: Vec<Case> =
        cases(device.is_gpu() && !common::is_software(&device)).into_iter().filter(|c| c.title().contains(&options.only)).collect();
    ensure!(!cases.is_empty(), "no kernel's line contains {:?}", options.only);
    let gauge = Gauge::new(&device)?;
    if !options.json {
        println!("{device}\n{}", gauge.describe());
        let idle = Kernel::ReluMask { elements: 1 }.load(&device)?;
        println!("a call that does next to nothing: {:.4} ms\n", 1e3 * timed(&device, 50, || idle.call())?);
    }
    let mut measured: Vec<Measured> = Vec::new();
    let mut peaks = vec![gauge.sample()?, gauge.sample()?];
    for case in &cases {
        // A sample of the peaks before each kernel; a kernel is held against the last few, since one alone may meet other load.
        peaks.push(gauge.sample()?);
        let (seconds, processor_seconds) = measure(&device, &case.kernel, options.time as f64).with_context(|| case.title())?;
        let result = Measured { seconds, processor_seconds, peaks: Peaks::median(&peaks[peaks.len() - 3..]) };
        if options.json {
            println!("{}", case.json(&device, &result));
        }
        measured.push(result);
    }
    if !options.json {
        print_table(&cases, &measured);
    }
    if let Some(path) = &options.plot {
        std::fs::write(path, roofline(&device, &cases, &measured).svg()).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Seconds per call: the median of at least three samples that take so many milliseconds together; and what all of them took of the processors.
fn measure(device: &Device, kernel: &Kernel, least_ms: f64) -> Result<(f64, Option<f64>)> {
    let loaded = kernel.load(device)?;
    let once = timed(device, 1, || loaded.call())?;
    // A sample lasts a tenth of the time or one call, so that the clock is no part of it.
    let calls = ((1e-4 * least_ms / once).ceil() as usize).clamp(1, 1000);
    let mut times = Vec::new();
    let before = process_seconds();
    while times.len() < 3 || times.iter().sum::<f64>() * calls as f64 * 1e3 < least_ms {
        times.push(timed(device, calls, || loaded.call())?);
    }
    // Every sample makes a call that its time leaves out.
    let all = (times.len() * (calls + 1)) as f64;
    Ok((median(&times), before.zip(process_seconds()).map(|(before, after)| (after - before) / all)))
}

impl Case {
    fn title(&self) -> String {
        format!("{} {} {}", self.from, self.kernel.name(), self.kernel.size())
    }

    /// Operations at the peak or bytes at the bandwidth, in seconds.
    fn floor(&self, peaks: Peaks) -> f64 {
        (self.kernel.flops() / peaks.flops).max(self.kernel.bytes() / peaks.bandwidth)
    }

    fn json(&self, device: &Device, measured: &Measured) -> serde_json::Value {
        let (kernel, seconds, peaks) = (&self.kernel, measured.seconds, measured.peaks);
        json!({
            "from": self.from, "kernel": kernel.name(), "size": kernel.size(), "device": device.to_string(), "ms": 1e3 * seconds,
            "gflops": round(kernel.flops() / seconds / 1e9), "gbs": round(kernel.bytes() / seconds / 1e9),
            "peak_gflops": round(peaks.flops / 1e9), "peak_gbs": round(peaks.bandwidth / 1e9), "share": round(self.floor(peaks) / seconds),
            "gflop_per_processor_second": measured.processor_seconds.map(|s| round(kernel.flops() / s / 1e9)),
        })
    }
}

fn print_table(cases: &[Case], measured: &[Measured]) {
    let mut table = Table::new(&["from", "kernel", "size", "ms", "GFLOP/s", "GFLOP/CPU s", "GB/s", "floor ms", "share %"]);
    for (case, measured) in cases.iter().zip(measured) {
        let (seconds, floor) = (measured.seconds, case.floor(measured.peaks));
        let rates = [case.kernel.flops(), case.kernel.bytes()].map(|work| number(Some(work / seconds / 1e9)));
        let [gflops, gbs] = rates;
        let (ms, floor_ms) = (number(Some(1e3 * seconds)), number(Some(1e3 * floor)));
        let share = format!("{:.0}", 100.0 * floor / seconds);
        let per_processor = number(measured.processor_seconds.map(|s| case.kernel.flops() / s / 1e9));
        table.row(vec![case.from.clone(), case.kernel.name().into(), case.kernel.size(), ms, gflops, per_processor, gbs, floor_ms, share]);
    }
    let peaks = overall(measured);
    println!("{}\npeaks: {:.1} GFLOP/s, {:.1} GB/s (medians)", table.text(), peaks.flops / 1e9, peaks.bandwidth / 1e9);
}

fn overall(measured: &[Measured]) -> Peaks {
    Peaks::median(&measured.iter().map(|m| m.peaks).collect::<Vec<_>>())
}

/// Operations per second over operations per byte, under the roof of the device.
fn roofline(device: &Device, cases: &[Case], measured: &[Measured]) -> Figure {
    let groups: [(&str, &[&str]); 3] = [("convolutions", &["conv2d"]), ("matrix products", &["matmul"]), ("the others", &[""])];
    let group = |kernel: &Kernel| groups.iter().position(|(_, names)| names.iter().any(|n| kernel.name().starts_with(n)));
    let mut series: Vec<Series> =
        groups.iter().enumerate().map(|(i, (name, _))| Series::new(*name, Mark::Dots, Vec::new()).coloured(i)).collect();
    for (case, measured) in cases.iter().zip(measured) {
        let (flops, bytes) = (case.kernel.flops(), case.kernel.bytes());
        if let Some(group) = group(&case.kernel).filter(|_| flops > 0.0) {
            series[group].points.push((flops / bytes, flops / measured.seconds / 1e9));
        }
    }
    let peaks = overall(measured);
    let ridge = peaks.flops / peaks.bandwidth;
    let roof = |x: f64| (x, (x * peaks.bandwidth).min(peaks.flops) / 1e9);
    series.insert(0, Series::new("measured roof", Mark::Reference, vec![roof(0.05), roof(ridge), roof((4.0 * ridge).max(300.0))]));
    let subtitle = format!("{device}; roof: {:.0} GFLOP/s and {:.1} GB/s", peaks.flops / 1e9, peaks.bandwidth / 1e9);
    let panel = Panel::new("", ("operations per byte", Scale::Log), ("GFLOP/s", Scale::Log), series);
    Figure { title: "Kernels under the roof".into(), subtitle, panels: vec![panel] }
}

/// All kernels, each size once; with products that only a card is fast enough for, where one is measured.
fn cases(card: bool) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |from: &str, kernels: Vec<Kernel>| {
        for kernel in kernels {
            if cases.iter().all(|c| c.kernel != kernel) {
                cases.push(Case { from: from.into(), kernel });
            }
        }
    };
    for model in ["M", "C"] {
        for batch in [32, 128] {
            let from = format!("{model} {batch}");
            let network = Network::named(model).expect("M and C are networks");
            add(&from, network.training(batch));
            add(&from, along(model, batch));
        }
    }
    add("ResNet-18, CIFAR", resnet(8, 32, 3));
    add("ResNet-18, ImageNet", resnet_stem(4));
    add("ResNet-18, ImageNet", resnet(4, 56, 64));
    add("MLP 1024", Network::named("mlp:1024").expect("a network").training(128));
    add("MLP 1024", vec![Kernel::BiasRelu { rows: 128, columns: 1024 }, Kernel::ReluMask { elements: 128 * 1024 }]);
    if card {
        let square = |size, layout| Kernel::Matmul { layout, m: size, n: size, k: size };
        add("large", [Layout::Nn, Layout::Nt, Layout::Tn].map(|layout| square(4096, layout)).to_vec());
        add("large", [512, 1024, 2048].map(|size| square(size, Layout::Nn)).to_vec());
    }
    add("embedding", vec![Kernel::Gather { table: 50_000, row: 64, count: 4096 }]);
    cases
}

/// What goes along with the kernels of a model unless it is fused into them: at its largest activation, and for the batch.
fn along(model: &str, batch: usize) -> Vec<Kernel> {
    let (rows, columns, pixels) = if model == "M" { (batch * 24 * 24, 64, 784) } else { (batch * 30 * 30, 16, 3072) };
    vec![
        Kernel::BiasRelu { rows, columns },
        Kernel::ReluMask { elements: rows * columns },
        Kernel::SumRows { rows, columns },
        Kernel::Batch { batch, pixels },
    ]
}

/// The first convolution and the pooling of a ResNet for images of 224×224.
fn resnet_stem(batch: usize) -> Vec<Kernel> {
    let window = Window { batch, image: 224, size: 7, stride: 2, padding: Padding::Same };
    let pool = Window { batch, image: 112, size: 3, stride: 2, padding: Padding::Same };
    let stem = [Pass::Forward, Pass::Dw].map(|pass| Kernel::Conv { pass, window, cin: 3, cout: 64 });
    let pools = [false, true].map(|gradient| Kernel::MaxPool { gradient, window: pool, channels: 64 });
    stem.into_iter().chain(pools).collect()
}

/// The four stages, from images of so many rows and channels: the convolution that enters a stage, its shortcut, the one inside it.
fn resnet(batch: usize, mut image: usize, mut cin: usize) -> Vec<Kernel> {
    let mut kernels = Vec::new();
    let mut convs = |image, size, stride, cin, cout| {
        let window = Window { batch, image, size, stride, padding: Padding::Same };
        kernels.extend([Pass::Forward, Pass::Dx, Pass::Dw].map(|pass| Kernel::Conv { pass, window, cin, cout }));
    };
    for cout in [64, 128, 256, 512] {
        let stride = if cout == 64 { 1 } else { 2 };
        convs(image, 3, stride, cin, cout);
        if stride == 2 {
            convs(image, 1, 2, cin, cout);
        }
        image = image.div_ceil(stride);
        convs(image, 3, 1, cout, cout);
        cin = cout;
    }
    let rows = batch * (8 * image) * (8 * image);
    kernels.extend([Kernel::NormAddRelu { rows, columns: 64 }, Kernel::SumRows { rows, columns: 64 }]);
    let window = Window { batch, image, size: image, stride: image, padding: Padding::Valid };
    kernels.extend([false, true].map(|gradient| Kernel::AvgPool { gradient, window, channels: 512 }));
    kernels.push(Kernel::Matmul { layout: Layout::Nn, m: batch, n: 1000, k: 512 });
    kernels
}
