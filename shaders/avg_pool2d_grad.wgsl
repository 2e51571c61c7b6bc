// The gradient of the mean under a window: src/ops/avg_pool2d.rs. Each cell gathers from the windows that lie over it.
const H: u32 = 24u;
const W: u32 = 24u;
const C: u32 = 64u;
const OH: u32 = 12u;
const OW: u32 = 12u;
const KH: u32 = 2u;
const KW: u32 = 2u;
const SY: u32 = 2u;
const SX: u32 = 2u;
const FRONT_Y: u32 = 0u;
const FRONT_X: u32 = 0u;

struct Params { elements: u32 }
@group(0) @binding(15) var<uniform> p: Params;
@group(0) @binding(0) var<storage, read> dy: array<f32>;            // [N, OH, OW, C]
@group(0) @binding(1) var<storage, read_write> y: array<f32>;      // [N, H, W, C]

// The real cells under the window at a place of one axis.
fn cells(at: u32, stride: u32, window: u32, input: u32, front: u32) -> u32 {
    let first = select(0u, front - at * stride, front > at * stride);
    return min(window, input + front - at * stride) - first;
}

// Hook: what becomes of a result.
fn put(i: u32, v: f32) { y[i] = v; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (i >= p.elements) { return; }
    let channel = i % C;
    let ix = i / C % W;
    let iy = i / (C * W) % H;
    let image = i / (C * W * H);
    // The places whose window lies over this cell; with strides above the window there may be none.
    let least_y = select(0u, (iy + FRONT_Y - KH) / SY + 1u, iy + FRONT_Y >= KH);
    let least_x = select(0u, (ix + FRONT_X - KW) / SX + 1u, ix + FRONT_X >= KW);
    let end_y = min((iy + FRONT_Y) / SY + 1u, OH);
    let end_x = min((ix + FRONT_X) / SX + 1u, OW);
    var sum = 0.0;
    for (var oy = least_y; oy < end_y; oy++) {
        let rows = cells(oy, SY, KH, H, FRONT_Y);
        for (var ox = least_x; ox < end_x; ox++) {
            sum += dy[((image * OH + oy) * OW + ox) * C + channel] / f32(rows * cells(ox, SX, KW, W, FRONT_X));
        }
    }
    put(i, sum);
}
