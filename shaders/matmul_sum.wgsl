// Second pass of a matrix product whose k was cut into sections (src/ops/matmul.rs): adds their planes in order.

const SIZE: u32 = 64u;

struct Params {
    count: u32,
    sections: u32,
}
@group(0) @binding(0) var<storage, read> planes: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> p: Params;

// Hook: what becomes of a result.
fn put(i: u32, v: f32) {
    y[i] = v;
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * SIZE + lane;
    if (i >= p.count) {
        return;
    }
    var sum = 0.0;
    for (var section = 0u; section < p.sections; section++) {
        sum += planes[section * p.count + i];
    }
    put(i, sum);
}
