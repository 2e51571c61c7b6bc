// The gradient by the logits, one thread for each sample: src/ops/sparse_softmax_crossentropy.rs.

const SIZE: u32 = 64u;

struct Params {
    samples: u32,
    classes: u32,
    nan_bits: u32,
}
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(15) var<uniform> p: Params;

fn is_nan(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

// Hook: where the loss goes, if it is wanted too.
fn put_loss(sample: u32, v: f32) {}

// Hook: where the number of the largest logit goes, if it is wanted too.
fn put_best(sample: u32, v: u32) {}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let sample = (group.y * 65535u + group.x) * SIZE + lane;
    if (sample >= p.samples) {
        return;
    }
    let base = sample * p.classes;
    var best = 0u;
    var largest = logits[base];
    for (var i = 1u; i < p.classes; i++) {
        let v = logits[base + i];
        let stays = largest >= v || is_nan(largest);
        best = select(i, best, stays);
        largest = select(v, largest, stays);
    }
    put_best(sample, best);
    var sum = 0.0;
    for (var i = 0u; i < p.classes; i++) {
        sum += exp(max(logits[base + i] - largest, -104.0));
    }
    let label = labels[sample];
    let wrong = label >= p.classes || is_nan(largest);
    let value = log(sum) - (logits[base + select(label, 0u, wrong)] - largest);
    put_loss(sample, select(value, bitcast<f32>(p.nan_bits), wrong));
    let scale = select(dy[sample], bitcast<f32>(p.nan_bits), wrong);
    for (var i = 0u; i < p.classes; i++) {
        let probability = exp(max(logits[base + i] - largest, -104.0)) / sum;
        dx[base + i] = select(probability, probability - 1.0, i == label) * scale;
    }
}
