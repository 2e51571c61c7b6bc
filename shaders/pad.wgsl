// A tensor within a frame of one value — meaning, gradient, CPU kernel, tests: src/ops/pad.rs
const RANK: u32 = 2u;
struct Params {
    count: array<vec4<u32>, 2>,  // of the output, outermost first
    before: array<vec4<u32>, 2>,
    inside: array<vec4<u32>, 2>, // of the input
    elements: u32,
    value: u32,                  // the frame's, as bits
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
    var source = 0u;
    var stride = 1u;
    var framed = false;
    // The outermost axis needs no division, and the others one each: it is what costs here.
    for (var axis = RANK - 1u; axis > 0u; axis -= 1u) {
        let count = p.count[axis / 4u][axis % 4u];
        let inside = p.inside[axis / 4u][axis % 4u];
        let outer = rest / count;
        // Before the input's first element this wraps around, and is past its last.
        let at = rest - outer * count - p.before[axis / 4u][axis % 4u];
        framed = framed || at >= inside;
        source += at * stride;
        stride *= inside;
        rest = outer;
    }
    let first = rest - p.before[0][0];
    if (framed || first >= p.inside[0][0]) {
        y[i] = p.value;
    } else {
        y[i] = x[source + first * stride];
    }
}
