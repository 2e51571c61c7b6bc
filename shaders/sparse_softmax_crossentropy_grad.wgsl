// The gradient of a crossentropy with class numbers: src/ops/sparse_softmax_crossentropy.rs. A thread computes a row.

struct Params { rows: u32, nan: u32 }

const CLASSES: u32 = 10u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(1) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (group.y * 65535u + group.x) * 64u + lane;
    if (row >= p.rows) { return; }
    let label = labels[row];
    let first = row * CLASSES;
    var top = x[first];
    for (var c = 1u; c < CLASSES; c++) {
        top = max(top, x[first + c]);
    }
    var total = 0.0;
    for (var c = 0u; c < CLASSES; c++) {
        total += exp(x[first + c] - top);
    }
    let scale = select(dy[row] / total, bitcast<f32>(p.nan), label >= CLASSES);
    for (var c = 0u; c < CLASSES; c++) {
        let hot = select(0.0, dy[row], c == label);
        dx[first + c] = exp(x[first + c] - top) * scale - hot;
    }
}
