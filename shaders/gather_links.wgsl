// Chains the positions that name the same row, for the gradient of gather — src/ops/gather.rs
struct Params {
    rows: u32,      // of the data
    positions: u32, // of the indices
}
@group(0) @binding(0) var<storage, read> indices: array<u32>;
// For each row the first position that names it, then for each position the next one with its index; `positions` where there is none.
@group(0) @binding(1) var<storage, read_write> links: array<u32>;
@group(0) @binding(15) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (i >= p.rows + p.positions) {
        return;
    }
    var row = i;
    var position = 0u;
    if (i >= p.rows) {
        row = indices[i - p.rows];
        position = i - p.rows + 1u;
    }
    while (position < p.positions) {
        if (indices[position] == row) {
            break;
        }
        position += 1u;
    }
    links[i] = position;
}
