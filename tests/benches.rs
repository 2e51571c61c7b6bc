//! What the benches count and draw: their figures are believed, so their arithmetic is checked here.

#[path = "../benches/common/mod.rs"]
mod common;

use common::bars::{Bar, Bars};
use common::job::Mode;
use common::kernel::{Kernel, Layout};
use common::line::Line;
use common::network::{Floor, Network};
use common::peaks::Peaks;
use common::peer::Peer;
use common::plot::{Figure, Mark, Panel, Scale, Series};
use common::table::{Table, number, thousands};
use common::turns::{self, Ratios};
use gradus::Device;

#[test]
fn a_line_goes_through_points_on_it() {
    let points: Vec<(f64, f64)> = [1.0, 2.0, 64.0, 1024.0].map(|x| (x, 3.0 + 0.5 * x)).to_vec();
    let line = Line::through(&points).expect("a line");
    assert!((line.start - 3.0).abs() < 1e-9 && (line.slope - 0.5).abs() < 1e-12, "{line:?}");
    assert!(line.largest_deviation(&points) < 1e-12);
}

#[test]
fn a_line_has_the_least_relative_squares() {
    let points = [(1.0, 2.1), (2.0, 2.9), (4.0, 5.3), (64.0, 60.0)];
    let squares = |line: Line| points.iter().map(|&(x, y)| ((y - line.at(x)) / y).powi(2)).sum::<f64>();
    let best = Line::through(&points).expect("a line");
    for (start, slope) in [(0.001, 0.0), (-0.001, 0.0), (0.0, 0.0001), (0.0, -0.0001)] {
        let other = Line { start: best.start + start, slope: best.slope + slope };
        assert!(squares(other) > squares(best), "{other:?} is better than {best:?}");
    }
    // The deviation is of the measured from the line.
    let flat = Line { start: 2.0, slope: 0.0 };
    assert!((flat.largest_deviation(&[(1.0, 2.0), (9.0, 1.5)]) - 0.25).abs() < 1e-12);
    assert!(flat.largest_deviation(&[(1.0, f64::NAN)]).is_nan(), "a NaN must show");
    for bad in [&[(1.0, 2.0)][..], &[(1.0, 2.0), (1.0, 3.0)], &[(1.0, 2.0), (2.0, f64::NAN)], &[(1.0, 2.0), (2.0, 0.0)]] {
        assert_eq!(Line::through(bad), None, "{bad:?}");
    }
}

#[test]
fn networks_have_the_weights_and_operations_that_they_should() -> anyhow::Result<()> {
    for (name, parameters) in [("M", 4_738_826), ("C", 325_956), ("mlp:32", 784 * 32 + 32 + 32 * 32 + 32 + 330)] {
        let network = Network::named(name)?;
        assert_eq!(network.parameters(), parameters, "{name}");
        let mut model = network.layers().on_device(&Device::cpu());
        model.build(network.input)?;
        assert_eq!(model.count_params(), parameters, "{name}");
    }
    let mut deep = Network::named("deep:3")?.layers().on_device(&Device::cpu());
    deep.build([16, 16, 3])?;
    assert_eq!(deep.count_params(), Network::named("deep:3")?.parameters());
    let mut normalized = Network::named("bn:2")?.layers().on_device(&Device::cpu());
    normalized.build([16, 16, 3])?;
    // Two moving statistics of each of 16 channels are not trained.
    assert_eq!(normalized.count_params() - 2 * 2 * 16, Network::named("bn:2")?.parameters());
    // Three products of each layer, but no gradient by the images: counted by hand.
    let by_hand = |forward: [f64; 4]| 2.0 * (3.0 * forward.iter().sum::<f64>() - forward[0]);
    let m = by_hand([26. * 26. * 32. * 9., 24. * 24. * 64. * 288., 36_864. * 128., 1_280.]);
    let c = by_hand([30. * 30. * 16. * 27., 13. * 13. * 32. * 144., 1_152. * 256., 25_600.]);
    for (name, per_sample) in [("M", m), ("C", c)] {
        let kernels = Network::named(name)?.training(7);
        let products = kernels.iter().filter(|k| matches!(k, Kernel::Conv { .. } | Kernel::Matmul { .. }));
        assert_eq!(products.map(Kernel::flops).sum::<f64>(), 7.0 * per_sample, "{name}");
    }
    for bad in ["X", "mlp:wide", "deep:"] {
        assert!(Network::named(bad).is_err(), "{bad}");
    }
    Ok(())
}

#[test]
fn a_floor_takes_the_longer_of_operations_and_bytes() {
    let peaks = Peaks { flops: 100e9, bandwidth: 10e9 };
    // 2·1000³ operations at 100 GFLOP/s; 12 MB at 10 GB/s take less.
    let product = Kernel::Matmul { layout: Layout::Nn, m: 1000, n: 1000, k: 1000 };
    // Weight, two moments read and written: 24 bytes each, the gradient in cache.
    let adam = Kernel::Adam { elements: 1_000_000 };
    let floor = Floor::of(&[product, adam], peaks);
    assert!((floor.ms - (20.0 + 2.4)).abs() < 1e-9, "{floor:?}");
    assert!((floor.memory_ms - (1.2 + 2.4)).abs() < 1e-9 && (floor.compute_ms - 20.12).abs() < 1e-9, "{floor:?}");
}

#[test]
fn every_kernel_of_the_networks_runs_alone() -> anyhow::Result<()> {
    let device = Device::cpu();
    for name in ["M", "C"] {
        for kernel in Network::named(name)?.training(2) {
            let loaded = kernel.load(&device)?;
            loaded.call()?;
            let (dispatches, what) = (loaded.dispatches(), format!("{} {}", kernel.name(), kernel.size()));
            // The forward pass that a gradient was recorded with must not run; Adam also counts the step.
            assert!(dispatches == 1 || matches!(kernel, Kernel::Adam { .. }) && dispatches <= 2, "{what}: {dispatches} kernel runs");
        }
    }
    Ok(())
}

#[test]
fn turns_go_back_and_forth() -> anyhow::Result<()> {
    let mut order = Vec::new();
    let results = turns::take(3, 2, |i| {
        order.push(i);
        Ok(10 * i + order.len())
    })?;
    assert_eq!(order, [0, 1, 2, 2, 1, 0]);
    assert_eq!(results, [[1, 6], [12, 15], [23, 24]]);
    let ratios = Ratios::of(&[2.0, 9.0, 4.0], &[1.0, 3.0, 8.0]);
    assert_eq!(ratios, Ratios { median: 2.0, least: 0.5, most: 3.0 });
    Ok(())
}

#[test]
fn peers_come_from_the_environment() -> anyhow::Result<()> {
    let set = |key: &str, value: &str| (key.to_string(), value.to_string());
    let environment = [
        set("GRADUS_PEER_KERAS", "python k.py"),
        set("GRADUS_PEER_BURN_WGPU", "@llvmpipe burn wgpu {mode} {model} {batch} 6 2"),
        set("GRADUS_PEER_OWN", "own"),
        set("GRADUS_PEER_TORCH", " "),
        set("PATH", "/bin"),
    ];
    let peers = Peer::all(environment.into_iter());
    let names: Vec<(&str, &str, bool)> = peers.iter().map(|p| (p.name.as_str(), p.device.as_str(), p.command.is_some())).collect();
    let expected = [
        ("keras", "cpu", true),
        ("torch", "cpu", false),
        ("burn-flex", "cpu", false),
        ("burn-wgpu", "llvmpipe", true),
        ("own", "cpu", true),
    ];
    assert_eq!(names, expected);
    assert_eq!(peers[0].text(Mode::Predict, "M", 32)?, "python k.py infer M 32");
    assert_eq!(peers[3].text(Mode::Train, "C", 128)?, "burn wgpu train C 128 6 2");
    assert!(peers[1].text(Mode::Train, "M", 32).is_err_and(|e| e.to_string().contains("GRADUS_PEER_TORCH")));
    Ok(())
}

#[test]
fn tables_are_aligned_markdown() {
    let mut table = Table::new(&["name", "ms"]);
    table.row(vec!["a × b".into(), "12.0".into()]);
    table.row(vec!["c".into(), "-".into()]);
    assert_eq!(table.text(), "| name  |   ms |\n| ----- | ---: |\n| a × b | 12.0 |\n| c     |    - |\n");
    let numbers = [1234.5, 99.96, 12.34, 9.996, 1.0, 0.01234, 0.0].map(|v| number(Some(v)));
    assert_eq!(numbers, ["1,234", "100", "12.3", "10.0", "1.00", "0.012", "0.00"]);
    assert_eq!((number(None), number(Some(f64::NAN))), ("-".into(), "-".into()));
    assert_eq!([-1234567.0, 999.0, 1000.0].map(thousands), ["-1,234,567", "999", "1,000"]);
}

/// Every tag that is opened is closed, and no place is NaN.
fn check_svg(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap_or_else(|| panic!("a tag without an end: {tag}"));
        let name = tag.trim_start_matches('/').split_whitespace().next().unwrap_or("");
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) => assert_eq!(open.pop(), Some(name), "{tag}"),
            (false, false) => open.push(name),
            (false, true) => {}
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn plots_are_well_formed() {
    let points = vec![(1.0, 0.5), (32.0, 9.0), (1024.0, 200.0)];
    for scale in [Scale::Linear, Scale::Log, Scale::Fours] {
        let series = |points: &[(f64, f64)]| vec![Series::curve(1.0, 1024.0, |x| x), Series::new("a < b & c", Mark::Dots, points.to_vec())];
        let panels = vec![
            Panel::new("one", ("batch", scale), ("ms", scale), series(&points)),
            Panel::new("empty", ("batch", scale), ("ms", scale), Vec::new()),
        ];
        let svg = Figure { title: "t".into(), subtitle: String::new(), panels }.svg();
        check_svg(&svg);
        // One in the legend, three points.
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(svg.contains("a &lt; b &amp; c") && svg.contains("prefers-color-scheme:dark"));
    }
    let bar = |value: f64| Bar { group: "keras".into(), name: "train M 32".into(), value, range: (value - 0.1, value + 0.1) };
    let bars = Bars { title: "t".into(), subtitle: String::new(), reference: 1.0, bars: vec![bar(0.8), bar(1.4)] };
    check_svg(&bars.svg());
    check_svg(&Bars { bars: Vec::new(), ..bars }.svg());
}
