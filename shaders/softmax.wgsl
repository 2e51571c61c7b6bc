// Softmax over rows, one thread for each: its op, gradient, CPU kernel and tests are in src/ops/softmax.rs.

const SIZE: u32 = 64u;

struct Params {
    rows: u32,
    length: u32,
}
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(15) var<uniform> p: Params;

fn is_nan(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

// Hook: softmax, or its logarithm. Below -104 the exponential is 0 in f32; some drivers do worse than that far down.
fn result(v: f32, largest: f32, sum: f32) -> f32 {
    return exp(max(v - largest, -104.0)) / sum;
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (group.y * 65535u + group.x) * SIZE + lane;
    if (row >= p.rows) {
        return;
    }
    let base = row * p.length;
    var largest = x[base];
    for (var i = 1u; i < p.length; i++) {
        let v = x[base + i];
        largest = select(v, largest, largest >= v || is_nan(largest));
    }
    var sum = 0.0;
    for (var i = 0u; i < p.length; i++) {
        sum += exp(max(x[base + i] - largest, -104.0));
    }
    // `max` may drop a NaN; the row's largest still has it.
    sum = select(sum, largest, is_nan(largest));
    for (var i = 0u; i < p.length; i++) {
        y[base + i] = result(x[base + i], largest, sum);
    }
}
