// Whether tensors hold neither NaN nor infinity, in parts — meaning, CPU kernel, tests: src/ops/all_finite.rs
const INPUTS: u32 = 1u;
struct Params {
    lengths: array<vec4<u32>, 2>, // of the inputs
}
@group(0) @binding(0) var<storage, read> x0: array<u32>;       // floats, as bits
@group(0) @binding(1) var<storage, read_write> y: array<u32>;  // a part for each workgroup: 1 if all it saw is finite, else 0
@group(0) @binding(15) var<uniform> p: Params;

// Hook: element i of an input, of which there may be more.
fn element(input: u32, i: u32) -> u32 { return x0[i]; }

var<workgroup> finite: atomic<u32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    if (lane == 0u) {
        atomicStore(&finite, 1u);
    }
    workgroupBarrier();
    var good = true;
    for (var input = 0u; input < INPUTS; input += 1u) {
        let length = p.lengths[input / 4u][input % 4u];
        for (var i = group.x * 256u + lane; i < length; i += groups.x * 256u) {
            good &= (element(input, i) & 0x7fffffffu) < 0x7f800000u;
        }
    }
    if (!good) {
        atomicStore(&finite, 0u);
    }
    workgroupBarrier();
    if (lane == 0u) {
        y[group.x] = atomicLoad(&finite);
    }
}
