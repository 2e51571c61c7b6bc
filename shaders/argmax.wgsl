// Where the largest element along an axis is — meaning, CPU kernel, tests: src/ops/argmax.rs
struct Params {
    elements: u32, // of the output
    length: u32,   // of the axis
    inner: u32,    // elements within one step of the axis
}
@group(0) @binding(0) var<storage, read> x: array<u32>;       // f32, as bits: [outer, length, inner]
@group(0) @binding(1) var<storage, read_write> y: array<u32>; // [outer, inner]
@group(0) @binding(15) var<uniform> p: Params;

// Ordered like the float with these bits; zeros are equal, and every NaN is above all.
fn rank(bits: u32) -> u32 {
    let magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return 0xffffffffu;
    }
    if (bits != magnitude) {
        return 0x80000000u - magnitude;
    }
    return 0x80000000u + magnitude;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (i >= p.elements) {
        return;
    }
    let first = (i / p.inner) * p.length * p.inner + i % p.inner;
    var best = 0u;
    var largest = rank(x[first]);
    for (var l = 1u; l < p.length; l += 1u) {
        let found = rank(x[first + l * p.inner]);
        if (found > largest) {
            largest = found;
            best = l;
        }
    }
    y[i] = best;
}
