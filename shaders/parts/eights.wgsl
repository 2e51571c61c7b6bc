// The second factor of a product of 64 columns, where its rows are whole eights: a load of eight costs little more than one of four. When it is
// taken: src/ops/gemm.rs.
@group(0) @binding(1) var<storage, read> b: array<mat2x4<f32>>;

fn columns_b(base: u32, k: u32, n: u32, lane: u32) -> Columns {
    let row = p.n / 8u;
    let at = subgroupShuffle((base + min(n, p.n - 8u)) / 8u + k * row, lane);
    var next = vec3<u32>(1u, 2u, 3u);
    if (RAGGED == 1u) { next = min(next, vec3<u32>(p.k - 1u - k)); }
    let r = b[at];
    let s = b[at + next.x * row];
    let t = b[at + next.y * row];
    let u = b[at + next.z * row];
    let left = mat4x4<f32>(r[0], s[0], t[0], u[0]);
    let right = mat4x4<f32>(r[1], s[1], t[1], u[1]);
    if (RAGGED == 0u) { return Columns(left, right); }
    return Columns(transpose(before(transpose(left), k, p.k)), transpose(before(transpose(right), k, p.k)));
}

fn right_b(columns: Columns, base: u32, k: u32, n: u32, lane: u32) -> mat4x4<f32> { return columns.right; }
