// Adds up what every row was given, in order of position: the gradient of gather — src/ops/gather.rs
const ROW: u32 = 64u;
struct Params {
    rows: u32,      // of the data
    positions: u32, // of the indices
}
@group(0) @binding(0) var<storage, read> dy: array<f32>;       // [positions, ROW]
@group(0) @binding(1) var<storage, read> links: array<u32>;    // from gather_links.wgsl
@group(0) @binding(2) var<storage, read_write> dx: array<f32>; // [rows, ROW]
@group(0) @binding(15) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (i >= p.rows * ROW) {
        return;
    }
    var sum = 0.0;
    var position = links[i / ROW];
    while (position < p.positions) {
        sum += dy[position * ROW + i % ROW];
        position = links[p.rows + position];
    }
    dx[i] = sum;
}
