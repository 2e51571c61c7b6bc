// Crossentropy of softmax with whole-number labels, one thread for each sample: src/ops/sparse_softmax_crossentropy.rs.

const SIZE: u32 = 64u;

struct Params {
    samples: u32,
    classes: u32,
    nan_bits: u32,
}
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(15) var<uniform> p: Params;

fn is_nan(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let sample = (group.y * 65535u + group.x) * SIZE + lane;
    if (sample >= p.samples) {
        return;
    }
    let base = sample * p.classes;
    var largest = logits[base];
    for (var i = 1u; i < p.classes; i++) {
        let v = logits[base + i];
        largest = select(v, largest, largest >= v || is_nan(largest));
    }
    var sum = 0.0;
    for (var i = 0u; i < p.classes; i++) {
        sum += exp(max(logits[base + i] - largest, -104.0));
    }
    // A label below zero is a large one here.
    let label = labels[sample];
    let known = label < p.classes;
    let value = log(sum) - (logits[base + select(0u, label, known)] - largest);
    loss[sample] = select(bitcast<f32>(p.nan_bits), value, known && !is_nan(largest));
}
