// Second pass of a sum that was cut into sections: adds their planes in order. src/ops/gemm.rs.
const SIZE: u32 = 64u;

// Part: what one thread computes.
alias Cells = f32;
// End of part.

struct Params { elements: u32, planes: u32 }
@group(0) @binding(15) var<uniform> p: Params;
@group(0) @binding(0) var<storage, read> parts: array<Cells>;           // [planes, elements]
@group(0) @binding(1) var<storage, read_write> y: array<Cells>;            // [elements]

// Hook: what becomes of a result.
fn put(i: u32, v: Cells) { y[i] = v; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * SIZE + lane;
    if (i >= p.elements) { return; }
    var sum = Cells();
    for (var plane = 0u; plane < p.planes; plane++) {
        sum += parts[plane * p.elements + i];
    }
    put(i, sum);
}
