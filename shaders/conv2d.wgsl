// Convolution; its op, CPU kernel and tests: src/ops/conv2d.rs. Also the input gradient: src/ops/conv2d_dx.rs.
// Each thread computes 8 pixels x 8 channels of the output in registers.
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
// The input counts as having UP - 1 zeros between its pixels.
const UP_Y: u32 = 1u;
const UP_X: u32 = 1u;
// 1 if the window reaches over the border anywhere, or UP is above one.
const PADDED: u32 = 1u;
const SIZE: u32 = 64u;

struct Params { pixels: u32 }
@group(1) @binding(0) var<uniform> p: Params;
@group(0) @binding(0) var<storage, read> x: array<f32>;             // [N, H, W, CIN]
@group(0) @binding(1) var<storage, read> kernel: array<f32>;        // [KH, KW, CIN, COUT]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;       // [N, OH, OW, COUT]

const TILES: u32 = (COUT + 7u) / 8u;

// Four pixels of the output: their image, and the window's first cell, where numbers below zero wrap around.
struct Four { image: vec4<u32>, top: vec4<u32>, left: vec4<u32> }

fn four(first: u32) -> Four {
    let pixel = min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.pixels - 1u));
    let rest = pixel % (OH * OW);
    return Four(pixel / (OH * OW), rest / OW * SY - FRONT_Y, rest % OW * SX - FRONT_X);
}

// Where the cells under one tap of the kernel begin in x; NOWHERE for padding.
const NOWHERE: u32 = 0xffffffffu;
fn cells(at: Four, ky: u32, kx: u32) -> vec4<u32> {
    let row = at.top + ky * DY;
    let column = at.left + kx * DX;
    if (PADDED == 0u) { return ((at.image * H + row) * W + column) * CIN; }
    var inside = (row < vec4<u32>(H * UP_Y)) & (column < vec4<u32>(W * UP_X));
    if (UP_Y > 1u) { inside = inside & (row % UP_Y == vec4<u32>(0u)); }
    if (UP_X > 1u) { inside = inside & (column % UP_X == vec4<u32>(0u)); }
    return select(vec4<u32>(NOWHERE), ((at.image * H + row / UP_Y) * W + column / UP_X) * CIN, inside);
}

fn load(at: vec4<u32>, inside: vec4<bool>, c: u32) -> vec4<f32> {
    let v = vec4<f32>(x[at.x + c], x[at.y + c], x[at.z + c], x[at.w + c]);
    if (PADDED == 0u) { return v; }
    return select(vec4<f32>(0.0), v, inside);
}

fn weights(at: u32) -> vec4<f32> {
    if (COUT % 4u == 0u) { return vec4<f32>(kernel[at], kernel[at + 1u], kernel[at + 2u], kernel[at + 3u]); }
    let i = min(at + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(max(KH * KW * CIN * COUT, 1u) - 1u));
    return vec4<f32>(kernel[i.x], kernel[i.y], kernel[i.z], kernel[i.w]);
}

// Hook: what becomes of a result.
fn put(i: u32, v: f32) { y[i] = v; }

fn store(pixel: u32, channel: u32, v: vec4<f32>) {
    if (pixel >= p.pixels) { return; }
    let at = pixel * COUT + channel;
    if (channel < COUT) { put(at, v.x); }
    if (channel + 1u < COUT) { put(at + 1u, v.y); }
    if (channel + 2u < COUT) { put(at + 2u, v.z); }
    if (channel + 3u < COUT) { put(at + 3u, v.w); }
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let thread = (group.y * 65535u + group.x) * SIZE + lane;
    let pixel = thread / TILES * 8u;
    let channel = thread % TILES * 8u;
    if (pixel >= p.pixels) { return; }
    // In a tile that holds only four channels, the other four repeat them and are not stored.
    let other = select(0u, 4u, channel + 4u < COUT);
    let a = four(pixel);
    let b = four(pixel + 4u);
    var a0 = vec4<f32>(0.0); var a1 = vec4<f32>(0.0); var a2 = vec4<f32>(0.0); var a3 = vec4<f32>(0.0);
    var a4 = vec4<f32>(0.0); var a5 = vec4<f32>(0.0); var a6 = vec4<f32>(0.0); var a7 = vec4<f32>(0.0);
    var b0 = vec4<f32>(0.0); var b1 = vec4<f32>(0.0); var b2 = vec4<f32>(0.0); var b3 = vec4<f32>(0.0);
    var b4 = vec4<f32>(0.0); var b5 = vec4<f32>(0.0); var b6 = vec4<f32>(0.0); var b7 = vec4<f32>(0.0);
    for (var ky = 0u; ky < KH; ky++) {
        for (var kx = 0u; kx < KW; kx++) {
            let cells_a = cells(a, ky, kx);
            let cells_b = cells(b, ky, kx);
            let inside_a = cells_a != vec4<u32>(NOWHERE);
            let inside_b = cells_b != vec4<u32>(NOWHERE);
            if (!any(inside_a | inside_b)) { continue; }
            let at_a = select(vec4<u32>(0u), cells_a, inside_a);
            let at_b = select(vec4<u32>(0u), cells_b, inside_b);
            let tap = (ky * KW + kx) * CIN * COUT + channel;
            for (var c = 0u; c < CIN; c++) {
                let w0 = weights(tap + c * COUT);
                let w1 = weights(tap + c * COUT + other);
                let xa = load(at_a, inside_a, c);
                let xb = load(at_b, inside_b, c);
                a0 += xa.x * w0; a1 += xa.y * w0; a2 += xa.z * w0; a3 += xa.w * w0;
                a4 += xb.x * w0; a5 += xb.y * w0; a6 += xb.z * w0; a7 += xb.w * w0;
                b0 += xa.x * w1; b1 += xa.y * w1; b2 += xa.z * w1; b3 += xa.w * w1;
                b4 += xb.x * w1; b5 += xb.y * w1; b6 += xb.z * w1; b7 += xb.w * w1;
            }
        }
    }
    store(pixel, channel, a0); store(pixel, channel + 4u, b0);
    store(pixel + 1u, channel, a1); store(pixel + 1u, channel + 4u, b1);
    store(pixel + 2u, channel, a2); store(pixel + 2u, channel + 4u, b2);
    store(pixel + 3u, channel, a3); store(pixel + 3u, channel + 4u, b3);
    store(pixel + 4u, channel, a4); store(pixel + 4u, channel + 4u, b4);
    store(pixel + 5u, channel, a5); store(pixel + 5u, channel + 4u, b5);
    store(pixel + 6u, channel, a6); store(pixel + 6u, channel + 4u, b6);
    store(pixel + 7u, channel, a7); store(pixel + 7u, channel + 4u, b7);
}
