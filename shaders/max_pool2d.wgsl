// The maximum under a window; its op, gradient, CPU kernel and tests: src/ops/max_pool2d.rs.
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
@group(0) @binding(1) var<storage, read_write> y: array<Cells>;       // [N, OH, OW, C]

fn is_nan(v: Cells) -> Truths { return (bitcast<Bits>(v) & Bits(0x7fffffffu)) > Bits(0x7f800000u); }

// Whether a later cell takes the window from the best so far: a NaN wins over numbers.
fn beats(cell: Cells, best: Cells) -> Truths { return (cell > best) | (is_nan(cell) & !is_nan(best)); }

// Hook: what becomes of a result.
fn put(i: u32, v: Cells) { y[i] = v; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (i >= p.elements) { return; }
    let channel = i % C;
    let ox = i / C % OW;
    let oy = i / (C * OW) % OH;
    let image = i / (C * OW * OH);
    // The real cells under the window, counted from the window's first cell.
    let first_y = select(0u, FRONT_Y - oy * SY, FRONT_Y > oy * SY);
    let first_x = select(0u, FRONT_X - ox * SX, FRONT_X > ox * SX);
    let end_y = min(KH, H + FRONT_Y - oy * SY);
    let end_x = min(KW, W + FRONT_X - ox * SX);
    var best = Cells();
    for (var ky = first_y; ky < end_y; ky++) {
        let row = (image * H + oy * SY + ky - FRONT_Y) * W;
        for (var kx = first_x; kx < end_x; kx++) {
            let cell = x[(row + ox * SX + kx - FRONT_X) * C + channel];
            let first = ky == first_y && kx == first_x;
            best = select(best, cell, beats(cell, best) | Truths(first));
        }
    }
    put(i, best);
}
