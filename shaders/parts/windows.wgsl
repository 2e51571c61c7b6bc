// The windows of images as the first factor of a product, for any number of channels. Its ops: src/ops/conv2d.rs and its gradients. A pixel of
// the output is a row and a cell of the window, tap and channel, is a column; or the other way round, where TURN_A is 1.
const H: u32 = 28u;
const W: u32 = 28u;
const CIN: u32 = 1u;
const OH: u32 = 26u;
const OW: u32 = 26u;
const COUT: u32 = 32u;
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

@group(0) @binding(0) var<storage, read> x: array<f32>;  // [N, H, W, CIN]

const DEPTH: u32 = KH * KW * CIN;

// Where a pixel's window begins: its image, and row and column, where numbers below zero wrap around.
fn pixel(i: u32) -> Place { return Place(i / (OH * OW), i / OW % OH * SY - FRONT_Y, i % OW * SX - FRONT_X); }

fn cell(pixel: Place, i: u32) -> f32 {
    let tap = min(i, DEPTH - 1u) / CIN;
    let channel = min(i, DEPTH - 1u) % CIN;
    let down = pixel.down + tap / KW * DY;
    let right = pixel.right + tap % KW * DX;
    if (PADDED == 0u) { return x[((pixel.at * H + down) * W + right) * CIN + channel]; }
    var inside = down < H * UP_Y && right < W * UP_X;
    if (UP_Y * UP_X > 1u) { inside = inside && down % UP_Y == 0u && right % UP_X == 0u; }
    let at = ((pixel.at * H + down / UP_Y) * W + right / UP_X) * CIN + channel;
    return select(0.0, x[select(0u, at, inside)], inside);
}

fn window(pixel: Place, first: u32) -> vec4<f32> {
    return vec4<f32>(cell(pixel, first), cell(pixel, first + 1u), cell(pixel, first + 2u), cell(pixel, first + 3u));
}

fn row_a(base: u32, m: u32) -> Place {
    if (TURN_A == 1u) { return Place(m, 0u, 0u); }
    return pixel(m);
}

fn column_a(k: u32) -> Place {
    if (TURN_A == 1u) { return pixel(k); }
    return Place(k, 0u, 0u);
}

fn vector_a(row: Place, column: Place) -> vec4<f32> {
    if (TURN_A == 1u) { return window(column, row.at); }
    return window(row, column.at);
}
