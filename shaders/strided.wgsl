// Reads a tensor along other strides, for transpose, slice and flip — meaning, CPU kernel, launch: src/ops/strided.rs
const RANK: u32 = 3u;
struct Params {
    count: array<vec4<u32>, 2>,  // of the output, outermost first
    stride: array<vec4<u32>, 2>, // in the input
    elements: u32,
    start: u32,
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
    var rest = i;
    var source = p.start;
    // The outermost axis needs no division, and the others one each: it is what costs here.
    for (var axis = RANK - 1u; axis > 0u; axis -= 1u) {
        let count = p.count[axis / 4u][axis % 4u];
        let outer = rest / count;
        source += (rest - outer * count) * p.stride[axis / 4u][axis % 4u];
        rest = outer;
    }
    y[i] = x[source + rest * p.stride[0][0]];
}
