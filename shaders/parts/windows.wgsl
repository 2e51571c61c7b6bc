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

// Where a pixel's window begins and, seen from there, where a cell is; numbers below zero wrap around. `at` counts elements of x without zeros
// between pixels.
fn pixel(i: u32) -> Place {
    let image = i / (OH * OW);
    let down = i / OW % OH * SY - FRONT_Y;
    let right = i % OW * SX - FRONT_X;
    if (UP_Y * UP_X > 1u) { return Place(image * H, down, right); }
    return Place(((image * H + down) * W + right) * CIN, down, right);
}

fn cell(number: u32) -> Place {
    let i = min(number, DEPTH - 1u);
    let down = i / CIN / KW * DY;
    let right = i / CIN % KW * DX;
    if (UP_Y * UP_X > 1u) { return Place(i % CIN, down, right); }
    return Place((down * W + right) * CIN + i % CIN, down, right);
}

fn value(pixel: Place, cell: Place) -> f32 {
    if (PADDED == 0u) { return x[pixel.at + cell.at]; }
    let down = pixel.down + cell.down;
    let right = pixel.right + cell.right;
    var inside = down < H * UP_Y && right < W * UP_X;
    var at = pixel.at + cell.at;
    if (UP_Y * UP_X > 1u) {
        inside = inside && down % UP_Y == 0u && right % UP_X == 0u;
        at = ((pixel.at + down / UP_Y) * W + right / UP_X) * CIN + cell.at;
    }
    return select(0.0, x[select(0u, at, inside)], inside);
}

fn window(pixel: Place, first: u32) -> vec4<f32> {
    return vec4<f32>(
        value(pixel, cell(first)), value(pixel, cell(first + 1u)), value(pixel, cell(first + 2u)), value(pixel, cell(first + 3u)));
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
