// The gradient of the maximum under windows that do not overlap: src/ops/max_pool2d.rs. The image is cut into blocks as large as the strides; a
// thread finds the winner of the window in its block, and writes the whole block.
const H: u32 = 24u;
const W: u32 = 24u;
const C: u32 = 64u;  // counted in Cells
const OH: u32 = 12u;
const OW: u32 = 12u;
const KH: u32 = 2u;
const KW: u32 = 2u;
const SY: u32 = 2u;
const SX: u32 = 2u;
const FRONT_Y: u32 = 0u;
const FRONT_X: u32 = 0u;

// Part: what one thread computes.
alias Cells = f32;
alias Bits = u32;
alias Truths = bool;
// End of part.

// Blocks of an image: at its end, they may have no window.
const ROWS: u32 = (H + FRONT_Y + SY - 1u) / SY;
const COLUMNS: u32 = (W + FRONT_X + SX - 1u) / SX;
// No cell of a block has this number.
const NONE: u32 = 0xffffffffu;

struct Params { images: u32 }
@group(0) @binding(15) var<uniform> p: Params;
@group(0) @binding(0) var<storage, read> x: array<Cells>;             // [N, H, W, C]
@group(0) @binding(1) var<storage, read> dy: array<Cells>;            // [N, OH, OW, C]
@group(0) @binding(2) var<storage, read_write> y: array<Cells>;       // [N, H, W, C]

fn is_nan(v: Cells) -> Truths { return (bitcast<Bits>(v) & Bits(0x7fffffffu)) > Bits(0x7f800000u); }

// Whether a later cell takes the window from the best so far: a NaN wins over numbers.
fn beats(cell: Cells, best: Cells) -> Truths { return (cell > best) | (is_nan(cell) & !is_nan(best)); }

// Hook: what becomes of a result.
fn put(i: u32, v: Cells) { y[i] = v; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    let channel = i % C;
    let ox = i / C % COLUMNS;
    let oy = i / (C * COLUMNS) % ROWS;
    let image = i / (C * COLUMNS * ROWS);
    if (image >= p.images) { return; }
    // Rows and columns above and left of the image wrap around to large numbers.
    let top = oy * SY - FRONT_Y;
    let left = ox * SX - FRONT_X;
    var best = Cells();
    var winner = Bits(NONE);
    var gradient = Cells();
    if (oy < OH && ox < OW) {
        gradient = dy[((image * OH + oy) * OW + ox) * C + channel];
        for (var ky = 0u; ky < KH; ky++) {
            for (var kx = 0u; kx < KW; kx++) {
                if (top + ky >= H || left + kx >= W) { continue; }
                let cell = x[((image * H + top + ky) * W + left + kx) * C + channel];
                let wins = beats(cell, best) | (winner == Bits(NONE));
                best = select(best, cell, wins);
                winner = select(winner, Bits(ky * SX + kx), wins);
            }
        }
    }
    for (var number = 0u; number < SY * SX; number++) {
        let row = top + number / SX;
        let column = left + number % SX;
        if (row >= H || column >= W) { continue; }
        put(((image * H + row) * W + column) * C + channel, select(Cells(), gradient, winner == Bits(number)));
    }
}
