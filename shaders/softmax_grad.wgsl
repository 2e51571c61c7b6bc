// The gradient of softmax from its output y and dy: src/ops/softmax.rs. A thread computes a row.

struct Params { rows: u32 }

const CLASSES: u32 = 10u;

@group(0) @binding(0) var<storage, read> y: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(1) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (group.y * 65535u + group.x) * 64u + lane;
    if (row >= p.rows) { return; }
    let first = row * CLASSES;
    var total = 0.0;
    for (var c = 0u; c < CLASSES; c++) {
        total += y[first + c] * dy[first + c];
    }
    for (var c = 0u; c < CLASSES; c++) {
        dx[first + c] = (dy[first + c] - total) * y[first + c];
    }
}
