// Softmax's gradient, one thread for each row: src/ops/softmax.rs.

const SIZE: u32 = 64u;

struct Params {
    rows: u32,
    length: u32,
}
@group(0) @binding(0) var<storage, read> y: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(15) var<uniform> p: Params;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (group.y * 65535u + group.x) * SIZE + lane;
    if (row >= p.rows) {
        return;
    }
    let base = row * p.length;
    var sum = 0.0;
    for (var i = 0u; i < p.length; i++) {
        sum += dy[base + i] * y[base + i];
    }
    for (var i = 0u; i < p.length; i++) {
        dx[base + i] = (dy[base + i] - sum) * y[base + i];
    }
}
