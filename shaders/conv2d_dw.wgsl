// The kernel gradient of a convolution; its op, CPU kernel and tests: src/ops/conv2d_dw.rs.
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
@group(0) @binding(0) var<storage, read> x: array<f32>;             // [N, H, W, CIN]
@group(0) @binding(1) var<storage, read> dy: array<f32>;            // [N, OH, OW, COUT]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;    // [parts, KH, KW, CIN, COUT]

const DEPTH: u32 = KH * KW * CIN;
const CELL_TILES: u32 = (DEPTH + 7u) / 8u;
const CHANNEL_TILES: u32 = (COUT + 7u) / 8u;

// Four cells of the window: their shift along rows and columns, where numbers below zero wrap around, and their channel.
struct Four { down: vec4<u32>, right: vec4<u32>, channel: vec4<u32> }

fn four(first: u32) -> Four {
    let cell = min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(DEPTH - 1u));
    let tap = cell / CIN;
    return Four(tap / KW * DY - FRONT_Y, tap % KW * DX - FRONT_X, cell % CIN);
}

// The four cells of x at an output column, from where their rows begin.
fn load(at: Four, begin: vec4<u32>, inside: vec4<bool>, column: u32) -> vec4<f32> {
    let ix = column + at.right;
    var i = begin + ix * CIN;
    if (PADDED == 1u) {
        let whole = inside & (ix < vec4<u32>(W));
        i = select(vec4<u32>(0u), i, whole);
        return select(vec4<f32>(0.0), vec4<f32>(x[i.x], x[i.y], x[i.z], x[i.w]), whole);
    }
    return vec4<f32>(x[i.x], x[i.y], x[i.z], x[i.w]);
}

fn gradient(at: u32) -> vec4<f32> {
    if (COUT % 4u == 0u) { return vec4<f32>(dy[at], dy[at + 1u], dy[at + 2u], dy[at + 3u]); }
    let i = min(at + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.rows * OW * COUT - 1u));
    return vec4<f32>(dy[i.x], dy[i.y], dy[i.z], dy[i.w]);
}

// Hook: what becomes of a result, where there is only one part.
fn put(i: u32, v: f32) { y[i] = v; }

fn store(part: u32, cell: u32, channel: u32, v: vec4<f32>) {
    if (cell >= DEPTH) { return; }
    let at = (part * DEPTH + cell) * COUT + channel;
    if (channel < COUT) { put(at, v.x); }
    if (channel + 1u < COUT) { put(at + 1u, v.y); }
    if (channel + 2u < COUT) { put(at + 2u, v.z); }
    if (channel + 3u < COUT) { put(at + 3u, v.w); }
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let thread = (group.y * 65535u + group.x) * SIZE + lane;
    let part = thread / (CELL_TILES * CHANNEL_TILES);
    if (part >= p.parts) { return; }
    let cell = thread / CHANNEL_TILES % CELL_TILES * 8u;
    let channel = thread % CHANNEL_TILES * 8u;
    // In a tile that holds only four channels, the other four repeat them and are not stored.
    let other = select(0u, 4u, channel + 4u < COUT);
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
        let inside_a = down_a < vec4<u32>(H);
        let inside_b = down_b < vec4<u32>(H);
        if (!any(inside_a | inside_b)) { continue; }
        let begin_a = (image * H + down_a) * W * CIN + a.channel;
        let begin_b = (image * H + down_b) * W * CIN + b.channel;
        var at = row * OW * COUT + channel;
        for (var ox = 0u; ox < OW; ox++) {
            let d0 = gradient(at);
            let d1 = gradient(at + other);
            let xa = load(a, begin_a, inside_a, ox * SX);
            let xb = load(b, begin_b, inside_b, ox * SX);
            a0 += xa.x * d0; a1 += xa.y * d0; a2 += xa.z * d0; a3 += xa.w * d0;
            a4 += xb.x * d0; a5 += xb.y * d0; a6 += xb.z * d0; a7 += xb.w * d0;
            b0 += xa.x * d1; b1 += xa.y * d1; b2 += xa.z * d1; b3 += xa.w * d1;
            b4 += xb.x * d1; b5 += xb.y * d1; b6 += xb.z * d1; b7 += xb.w * d1;
            at += COUT;
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
