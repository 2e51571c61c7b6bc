// Sum, mean, maximum or minimum over one axis: its op, CPU kernel and tests are in src/ops/reduce.rs.
// One thread for each of [outer, splits, inner]: it combines elements `splits` apart, so that neighbours read neighbours.

const SIZE: u32 = 64u;
const START: u32 = 0u;
const VALUES: u32 = 1u;  // that a thread reduces side by side

// Part: what one thread computes.
alias Cells = f32;
alias Bits = u32;
alias Truths = bool;
// End of part.

struct Params {
    threads: u32,
    length: u32,
    inner: u32,  // counted in Bits
    splits: u32,
    divisor: u32,
}
@group(0) @binding(0) var<storage, read> x: array<Bits>;
@group(0) @binding(1) var<storage, read_write> y: array<Bits>;
@group(0) @binding(15) var<uniform> p: Params;

fn is_nan(bits: Bits) -> Truths {
    return (bits & Bits(0x7fffffffu)) > Bits(0x7f800000u);
}

// Hook: the words are floats or whole numbers.
fn combine(v: Bits, w: Bits) -> Bits {
    return bitcast<Bits>(bitcast<Cells>(v) + bitcast<Cells>(w));
}

alias Values = array<Bits, VALUES>;

// Hook: what is reduced.
fn load(i: u32) -> Values {
    return Values(x[i]);
}

// Hook: what becomes of the result.
fn finish(v: Bits) -> Bits {
    return v;
}

// Hook: where a result goes.
fn put(i: u32, v: Bits) {
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
    var sums: Values;
    for (var k = 0u; k < VALUES; k++) {
        sums[k] = Bits(START);
    }
    for (var at = within; at < p.length * p.inner; at += row) {
        var values = load(base + at);
        for (var k = 0u; k < VALUES; k++) {
            sums[k] = combine(sums[k], values[k]);
        }
    }
    for (var k = 0u; k < VALUES; k++) {
        put(k * p.threads + thread, finish(sums[k]));
    }
}
