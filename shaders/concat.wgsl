// Writes some inputs into their part of a concatenation — meaning, gradient, CPU kernel, tests: src/ops/concat.rs
const INPUTS: u32 = 1u;
struct Params {
    elements: u32, // of these inputs
    width: u32,    // of their rows, which go from the axis on, side by side
    out_row: u32,  // of the output
    offset: u32,   // of these inputs in an output row
    ends: array<vec4<u32>, 2>, // where each input's row ends among them
}
@group(0) @binding(0) var<storage, read> x0: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(15) var<uniform> p: Params;

// Hook: element i of an input, of which there may be more.
fn element(input: u32, i: u32) -> u32 { return x0[i]; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (i >= p.elements) {
        return;
    }
    let outer = i / p.width;
    let column = i - outer * p.width;
    var input = 0u;
    var begin = 0u;
    var end = p.ends[0].x;
    while (column >= end && input + 1u < INPUTS) {
        input += 1u;
        begin = end;
        end = p.ends[input / 4u][input % 4u];
    }
    y[outer * p.out_row + p.offset + column] = element(input, outer * (end - begin) + column - begin);
}
