// Labels as rows of zeros with one 1 — meaning, CPU kernel, tests: src/ops/one_hot.rs
const DEPTH: u32 = 10u;
struct Params {
    elements: u32, // of the output
}
@group(0) @binding(0) var<storage, read> labels: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [labels, DEPTH]
@group(0) @binding(15) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (i >= p.elements) {
        return;
    }
    y[i] = select(0.0, 1.0, labels[i / DEPTH] == i % DEPTH);
}
