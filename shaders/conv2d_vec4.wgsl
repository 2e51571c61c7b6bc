// Convolution where both numbers of channels are multiples of four; else shaders/conv2d.wgsl. Its op and tests: src/ops/conv2d.rs.
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
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;           // [N, H, W, CIN / 4]
@group(0) @binding(1) var<storage, read> kernel: array<vec4<f32>>;      // [KH, KW, CIN, COUT / 4]
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;     // [N, OH, OW, COUT / 4]

const TILES: u32 = (COUT + 7u) / 8u;
// From one input channel's weights to the next, in vectors.
const STEP: u32 = COUT / 4u;

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
    if (PADDED == 0u) { return ((at.image * H + row) * W + column) * (CIN / 4u); }
    var inside = (row < vec4<u32>(H * UP_Y)) & (column < vec4<u32>(W * UP_X));
    if (UP_Y > 1u) { inside = inside & (row % UP_Y == vec4<u32>(0u)); }
    if (UP_X > 1u) { inside = inside & (column % UP_X == vec4<u32>(0u)); }
    return select(vec4<u32>(NOWHERE), ((at.image * H + row / UP_Y) * W + column / UP_X) * (CIN / 4u), inside);
}

fn load(at: u32, inside: bool) -> vec4<f32> {
    if (PADDED == 0u) { return x[at]; }
    return select(vec4<f32>(0.0), x[at], inside);
}

// Hook: what becomes of four results.
fn put(i: u32, v: vec4<f32>) { y[i] = v; }

fn store(pixel: u32, channel: u32, v: vec4<f32>) {
    if (pixel < p.pixels && channel < COUT) { put((pixel * COUT + channel) / 4u, v); }
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let thread = (group.y * 65535u + group.x) * SIZE + lane;
    let pixel = thread / TILES * 8u;
    let channel = thread % TILES * 8u;
    if (pixel >= p.pixels) { return; }
    // In a tile that holds only four channels, the other four repeat them and are not stored.
    let other = select(0u, 1u, channel + 4u < COUT);
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
            var tap = ((ky * KW + kx) * CIN * COUT + channel) / 4u;
            for (var c = 0u; c < CIN / 4u; c++) {
                let x0 = load(at_a.x + c, inside_a.x);
                let x1 = load(at_a.y + c, inside_a.y);
                let x2 = load(at_a.z + c, inside_a.z);
                let x3 = load(at_a.w + c, inside_a.w);
                let x4 = load(at_b.x + c, inside_b.x);
                let x5 = load(at_b.y + c, inside_b.y);
                let x6 = load(at_b.z + c, inside_b.z);
                let x7 = load(at_b.w + c, inside_b.w);
                let u0 = kernel[tap]; let v0 = kernel[tap + other];
                a0 += x0.x * u0; a1 += x1.x * u0; a2 += x2.x * u0; a3 += x3.x * u0;
                a4 += x4.x * u0; a5 += x5.x * u0; a6 += x6.x * u0; a7 += x7.x * u0;
                b0 += x0.x * v0; b1 += x1.x * v0; b2 += x2.x * v0; b3 += x3.x * v0;
                b4 += x4.x * v0; b5 += x5.x * v0; b6 += x6.x * v0; b7 += x7.x * v0;
                let u1 = kernel[tap + STEP]; let v1 = kernel[tap + STEP + other];
                a0 += x0.y * u1; a1 += x1.y * u1; a2 += x2.y * u1; a3 += x3.y * u1;
                a4 += x4.y * u1; a5 += x5.y * u1; a6 += x6.y * u1; a7 += x7.y * u1;
                b0 += x0.y * v1; b1 += x1.y * v1; b2 += x2.y * v1; b3 += x3.y * v1;
                b4 += x4.y * v1; b5 += x5.y * v1; b6 += x6.y * v1; b7 += x7.y * v1;
                let u2 = kernel[tap + 2u * STEP]; let v2 = kernel[tap + 2u * STEP + other];
                a0 += x0.z * u2; a1 += x1.z * u2; a2 += x2.z * u2; a3 += x3.z * u2;
                a4 += x4.z * u2; a5 += x5.z * u2; a6 += x6.z * u2; a7 += x7.z * u2;
                b0 += x0.z * v2; b1 += x1.z * v2; b2 += x2.z * v2; b3 += x3.z * v2;
                b4 += x4.z * v2; b5 += x5.z * v2; b6 += x6.z * v2; b7 += x7.z * v2;
                let u3 = kernel[tap + 3u * STEP]; let v3 = kernel[tap + 3u * STEP + other];
                a0 += x0.w * u3; a1 += x1.w * u3; a2 += x2.w * u3; a3 += x3.w * u3;
                a4 += x4.w * u3; a5 += x5.w * u3; a6 += x6.w * u3; a7 += x7.w * u3;
                b0 += x0.w * v3; b1 += x1.w * v3; b2 += x2.w * v3; b3 += x3.w * v3;
                b4 += x4.w * v3; b5 += x5.w * v3; b6 += x6.w * v3; b7 += x7.w * v3;
                tap += COUT;
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
