// Sum, mean, maximum or minimum over one axis: its op, CPU kernel and tests are in src/ops/reduce.rs.
// One thread for each of [outer, splits, inner]: it combines elements `splits` apart, so that neighbours read neighbours.

const SIZE: u32 = 64u;
const START: u32 = 0u;

struct Params {
    threads: u32,
    length: u32,
    inner: u32,
    splits: u32,
    divisor: u32,
}
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(1) @binding(0) var<uniform> p: Params;

fn is_nan(bits: u32) -> bool {
    return (bits & 0x7fffffffu) > 0x7f800000u;
}

// Hook: the words are floats or whole numbers.
fn combine(v: u32, w: u32) -> u32 {
    return bitcast<u32>(bitcast<f32>(v) + bitcast<f32>(w));
}

// Hook: what becomes of the result.
fn finish(v: u32) -> u32 {
    return v;
}

// Hook: where a result goes.
fn put(i: u32, v: u32) {
    y[i] = v;
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let thread = (group.y * 65535u + group.x) * SIZE + lane;
    if (thread >= p.threads) {
        return;
    }
    let row = p.splits * p.inner;
    let outer = thread / row;
    let within = thread % row;
    let base = outer * p.length * p.inner;
    var sum = START;
    for (var at = within; at < p.length * p.inner; at += row) {
        sum = combine(sum, x[base + at]);
    }
    put(thread, finish(sum));
}
