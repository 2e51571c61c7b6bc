// The kernel laid out for the input gradient, which is then a convolution: src/ops/conv2d_dx.rs.
// Turned around in rows and columns, with input and output channels exchanged.
const TAPS: u32 = 9u;
const CIN: u32 = 32u;
const COUT: u32 = 64u;

@group(0) @binding(0) var<storage, read> kernel: array<f32>;             // [TAPS, CIN, COUT]
@group(0) @binding(1) var<storage, read_write> turned: array<f32>;       // [TAPS, COUT, CIN]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (i >= TAPS * CIN * COUT) { return; }
    let tap = i / (CIN * COUT);
    let o = i / CIN % COUT;
    let c = i % CIN;
    turned[i] = kernel[((TAPS - 1u - tap) * CIN + c) * COUT + o];
}
