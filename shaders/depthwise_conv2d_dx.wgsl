// The gradient of a depthwise convolution by its images: src/ops/depthwise_conv2d_dx.rs. Each cell gathers from the windows that lie over it.
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
@group(0) @binding(0) var<storage, read> kernel: array<f32>;        // [KH, KW, C]
@group(0) @binding(1) var<storage, read> dy: array<f32>;            // [N, OH, OW, C]
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;      // [N, H, W, C]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (i >= p.elements) { return; }
    let channel = i % C;
    let ix = i / C % W;
    let iy = i / (C * W) % H;
    let image = i / (C * W * H);
    var sum = 0.0;
    // The place of the window whose tap lies on this cell, if there is one; a place before the first wraps around to one past the last.
    for (var ky = 0u; ky < KH; ky++) {
        let down = iy + FRONT_Y - ky * DY;
        if (down > (OH - 1u) * SY || down % SY != 0u) { continue; }
        let row = (image * OH + down / SY) * OW;
        for (var kx = 0u; kx < KW; kx++) {
            let right = ix + FRONT_X - kx * DX;
            if (right > (OW - 1u) * SX || right % SX != 0u) { continue; }
            sum += dy[(row + right / SX) * C + channel] * kernel[(ky * KW + kx) * C + channel];
        }
    }
    dx[i] = sum;
}
