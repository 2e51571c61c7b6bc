// The gradient of the maximum under windows that overlap: src/ops/max_pool2d.rs. Each cell gathers from the windows that it wins.
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

struct Params { elements: u32 }
@group(0) @binding(15) var<uniform> p: Params;
@group(0) @binding(0) var<storage, read> x: array<Cells>;             // [N, H, W, C]
@group(0) @binding(1) var<storage, read> dy: array<Cells>;            // [N, OH, OW, C]
@group(0) @binding(2) var<storage, read_write> y: array<Cells>;       // [N, H, W, C]

fn is_nan(v: Cells) -> Truths { return (bitcast<Bits>(v) & Bits(0x7fffffffu)) > Bits(0x7f800000u); }

// Whether a later cell takes the window from the best so far: a NaN wins over numbers.
fn beats(cell: Cells, best: Cells) -> Truths { return (cell > best) | (is_nan(cell) & !is_nan(best)); }

// Whether the cell at (iy, ix) is the winner of the window at (oy, ox): it beats every cell before it, and none after it beats it.
fn wins(cell: Cells, image: u32, iy: u32, ix: u32, oy: u32, ox: u32, channel: u32) -> Truths {
    var lost = Truths(false);
    for (var ky = 0u; ky < KH; ky++) {
        let row = oy * SY + ky - FRONT_Y;
        if (row >= H) { continue; }
        for (var kx = 0u; kx < KW; kx++) {
            let column = ox * SX + kx - FRONT_X;
            if (column >= W || (row == iy && column == ix)) { continue; }
            let other = x[((image * H + row) * W + column) * C + channel];
            let before = row < iy || (row == iy && column < ix);
            lost = lost | select(beats(other, cell), !beats(cell, other), before);
        }
    }
    return !lost;
}

// Hook: what becomes of a result.
fn put(i: u32, v: Cells) { y[i] = v; }

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
    let cell = x[i];
    var sum = Cells();
    for (var oy = least_y; oy < end_y; oy++) {
        for (var ox = least_x; ox < end_x; ox++) {
            let share = dy[((image * OH + oy) * OW + ox) * C + channel];
            sum += select(Cells(), share, wins(cell, image, iy, ix, oy, ox, channel));
        }
    }
    put(i, sum);
}
