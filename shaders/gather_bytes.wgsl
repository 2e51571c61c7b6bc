// Rows of u8 by number, where rows are not whole words: one thread per word of the output — src/ops/gather.rs
const ROW: u32 = 3u;
struct Params {
    bytes: u32, // of the output
    rows: u32,  // of the data
}
@group(0) @binding(0) var<storage, read> data: array<u32>;    // [rows, ROW], 4 to a word
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>; // [indices, ROW], 4 to a word
@group(0) @binding(15) var<uniform> p: Params;

// Hook: what becomes of a word of the result.
fn put(i: u32, v: u32) { y[i] = v; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (i >= (p.bytes + 3u) / 4u) {
        return;
    }
    var packed = 0u;
    for (var k = 0u; k < 4u; k += 1u) {
        let byte = 4u * i + k;
        if (byte < p.bytes) {
            let row = indices[byte / ROW];
            if (row < p.rows) {
                let source = row * ROW + byte % ROW;
                packed |= ((data[source / 4u] >> (8u * (source % 4u))) & 255u) << (8u * k);
            }
        }
    }
    put(i, packed);
}
