// Rows by number, in 32-bit words — meaning, gradient, CPU kernel, tests: src/ops/gather.rs
const ROW: u32 = 64u;
struct Params {
    words: u32,   // of the output
    rows: u32,    // of the data
    missing: u32, // what an index outside 0..rows gives, as bits: NaN, or 0 for whole numbers
}
@group(0) @binding(0) var<storage, read> data: array<u32>;    // [rows, ROW]
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>; // [indices, ROW]
@group(0) @binding(15) var<uniform> p: Params;

// Hook: what becomes of a word of the result.
fn put(i: u32, v: u32) { y[i] = v; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (i >= p.words) {
        return;
    }
    let row = indices[i / ROW];
    var word = p.missing;
    if (row < p.rows) {
        word = data[row * ROW + i % ROW];
    }
    put(i, word);
}
