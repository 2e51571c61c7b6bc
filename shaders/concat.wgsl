// Writes one input into its part of a concatenation — meaning, gradient, CPU kernel, tests: src/ops/concat.rs
struct Params {
    elements: u32, // of this input
    row: u32,      // of this input, from the axis on
    out_row: u32,  // of the output
    offset: u32,   // of this input in an output row
}
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(15) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (i >= p.elements) {
        return;
    }
    let outer = i / p.row;
    y[outer * p.out_row + p.offset + (i - outer * p.row)] = x[i];
}
