// The kernel gradient of a convolution where both numbers of channels are multiples of four; else shaders/conv2d_dw.wgsl. Its op and
// tests: src/ops/conv2d_dw.rs.
// Each thread sums 8 cells (tap and input channel) x 8 output channels in registers, over the output rows of one part.
const H: u32 = 26u;
const W: u32 = 26u;
const CIN: u32 = 32u;
const OH: u32 = 24u;
const OW: u32 = 24u;
const COUT: u32 = 64u;
const KH: u32 = 3u;
const KW: u32 = 3u;
const SY: u32 = 1u;
const SX: u32 = 1u;
const DY: u32 = 1u;
const DX: u32 = 1u;
const FRONT_Y: u32 = 0u;
const FRONT_X: u32 = 0u;
// 1 if the window reaches over the border anywhere.
const PADDED: u32 = 1u;
const SIZE: u32 = 64u;

// Output rows of the whole batch, rows of one part, parts.
struct Params { rows: u32, part: u32, parts: u32 }
@group(1) @binding(0) var<uniform> p: Params;
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;           // [N, H, W, CIN / 4]
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;          // [N, OH, OW, COUT / 4]
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;  // [parts, KH, KW, CIN, COUT / 4]

const DEPTH: u32 = KH * KW * CIN;
const CELL_TILES: u32 = (DEPTH + 7u) / 8u;
const CHANNEL_TILES: u32 = (COUT + 7u) / 8u;

// Four cells of the window, of one tap: their shift along rows and columns, where numbers below zero wrap around, and their channel.
struct Four { down: u32, right: u32, channel: u32 }

fn four(first: u32) -> Four {
    let cell = min(first, DEPTH - 4u);
    let tap = cell / CIN;
    return Four(tap / KW * DY - FRONT_Y, tap % KW * DX - FRONT_X, cell % CIN / 4u);
}

// The four cells of x at an output column, from where their rows begin.
fn load(at: Four, begin: u32, inside: bool, column: u32) -> vec4<f32> {
    let ix = column + at.right;
    let i = begin + ix * (CIN / 4u);
    if (PADDED == 1u) {
        let whole = inside && ix < W;
        return select(vec4<f32>(0.0), x[select(0u, i, whole)], whole);
    }
    return x[i];
}

// Hook: what becomes of a result, where there is only one part.
fn put(i: u32, v: vec4<f32>) { y[i] = v; }

fn store(part: u32, cell: u32, channel: u32, v: vec4<f32>) {
    if (cell < DEPTH && channel < COUT) { put(((part * DEPTH + cell) * COUT + channel) / 4u, v); }
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let thread = (group.y * 65535u + group.x) * SIZE + lane;
    let part = thread / (CELL_TILES * CHANNEL_TILES);
    if (part >= p.parts) { return; }
    let cell = thread / CHANNEL_TILES % CELL_TILES * 8u;
    let channel = thread % CHANNEL_TILES * 8u;
    // In a tile that holds only four channels, the other four repeat them and are not stored.
    let other = select(0u, 1u, channel + 4u < COUT);
    let a = four(cell);
    let b = four(cell + 4u);
    var a0 = vec4<f32>(0.0); var a1 = vec4<f32>(0.0); var a2 = vec4<f32>(0.0); var a3 = vec4<f32>(0.0);
    var a4 = vec4<f32>(0.0); var a5 = vec4<f32>(0.0); var a6 = vec4<f32>(0.0); var a7 = vec4<f32>(0.0);
    var b0 = vec4<f32>(0.0); var b1 = vec4<f32>(0.0); var b2 = vec4<f32>(0.0); var b3 = vec4<f32>(0.0);
    var b4 = vec4<f32>(0.0); var b5 = vec4<f32>(0.0); var b6 = vec4<f32>(0.0); var b7 = vec4<f32>(0.0);
    let end = min((part + 1u) * p.part, p.rows);
    for (var row = part * p.part; row < end; row++) {
        let image = row / OH;
        let down_a = row % OH * SY + a.down;
        let down_b = row % OH * SY + b.down;
        let inside_a = down_a < H;
        let inside_b = down_b < H;
        if (!inside_a && !inside_b) { continue; }
        let begin_a = (image * H + down_a) * W * (CIN / 4u) + a.channel;
        let begin_b = (image * H + down_b) * W * (CIN / 4u) + b.channel;
        var at = (row * OW * COUT + channel) / 4u;
        for (var ox = 0u; ox < OW; ox++) {
            let d0 = dy[at];
            let d1 = dy[at + other];
            let xa = load(a, begin_a, inside_a, ox * SX);
            let xb = load(b, begin_b, inside_b, ox * SX);
            a0 += xa.x * d0; a1 += xa.y * d0; a2 += xa.z * d0; a3 += xa.w * d0;
            a4 += xb.x * d0; a5 += xb.y * d0; a6 += xb.z * d0; a7 += xb.w * d0;
            b0 += xa.x * d1; b1 += xa.y * d1; b2 += xa.z * d1; b3 += xa.w * d1;
            b4 += xb.x * d1; b5 += xb.y * d1; b6 += xb.z * d1; b7 += xb.w * d1;
            at += COUT / 4u;
        }
    }
    store(part, cell, channel, a0); store(part, cell, channel + 4u, b0);
    store(part, cell + 1u, channel, a1); store(part, cell + 1u, channel + 4u, b1);
    store(part, cell + 2u, channel, a2); store(part, cell + 2u, channel + 4u, b2);
    store(part, cell + 3u, channel, a3); store(part, cell + 3u, channel + 4u, b3);
    store(part, cell + 4u, channel, a4); store(part, cell + 4u, channel + 4u, b4);
    store(part, cell + 5u, channel, a5); store(part, cell + 5u, channel + 4u, b5);
    store(part, cell + 6u, channel, a6); store(part, cell + 6u, channel + 4u, b6);
    store(part, cell + 7u, channel, a7); store(part, cell + 7u, channel + 4u, b7);
}
