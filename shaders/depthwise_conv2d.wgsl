// Depthwise convolution; its op, CPU kernel and tests: src/ops/depthwise_conv2d.rs.
const H: u32 = 24u;
const W: u32 = 24u;
const C: u32 = 64u;
const OH: u32 = 22u;
const OW: u32 = 22u;
const KH: u32 = 3u;
const KW: u32 = 3u;
const SY: u32 = 1u;
const SX: u32 = 1u;
const DY: u32 = 1u;
const DX: u32 = 1u;
const FRONT_Y: u32 = 0u;
const FRONT_X: u32 = 0u;

struct Params { elements: u32 }
@group(0) @binding(15) var<uniform> p: Params;
@group(0) @binding(0) var<storage, read> x: array<f32>;             // [N, H, W, C]
@group(0) @binding(1) var<storage, read> kernel: array<f32>;        // [KH, KW, C]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;       // [N, OH, OW, C]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (i >= p.elements) { return; }
    let channel = i % C;
    let ox = i / C % OW;
    let oy = i / (C * OW) % OH;
    let image = i / (C * OW * OH);
    var sum = 0.0;
    // A cell in front of the image wraps around to a number past its end.
    for (var ky = 0u; ky < KH; ky++) {
        let iy = oy * SY + ky * DY - FRONT_Y;
        if (iy >= H) { continue; }
        let row = (image * H + iy) * W;
        for (var kx = 0u; kx < KW; kx++) {
            let ix = ox * SX + kx * DX - FRONT_X;
            if (ix >= W) { continue; }
            sum += x[(row + ix) * C + channel] * kernel[(ky * KW + kx) * C + channel];
        }
    }
    y[i] = sum;
}
