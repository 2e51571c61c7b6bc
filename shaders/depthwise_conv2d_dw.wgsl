// The gradient of a depthwise convolution by its kernels: src/ops/depthwise_conv2d_dw.rs.
// Each thread sums one cell of the kernels over the output rows of one part.
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

// Output rows of the whole batch, rows of one part, parts.
struct Params { rows: u32, part: u32, parts: u32 }
@group(0) @binding(15) var<uniform> p: Params;
@group(0) @binding(0) var<storage, read> x: array<f32>;             // [N, H, W, C]
@group(0) @binding(1) var<storage, read> dy: array<f32>;            // [N, OH, OW, C]
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;    // [parts, KH, KW, C]

const CELLS: u32 = KH * KW * C;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    let part = i / CELLS;
    if (part >= p.parts) { return; }
    let channel = i % C;
    let kx = i / C % KW;
    let ky = i / (C * KW) % KH;
    let end = min((part + 1u) * p.part, p.rows);
    var sum = 0.0;
    // A cell in front of the image wraps around to a number past its end.
    for (var row = part * p.part; row < end; row++) {
        let iy = row % OH * SY + ky * DY - FRONT_Y;
        if (iy >= H) { continue; }
        let begin = (row / OH * H + iy) * W;
        var line = 0.0;
        for (var ox = 0u; ox < OW; ox++) {
            let ix = ox * SX + kx * DX - FRONT_X;
            if (ix >= W) { continue; }
            line += x[(begin + ix) * C + channel] * dy[(row * OW + ox) * C + channel];
        }
        sum += line;
    }
    sums[i] = sum;
}
