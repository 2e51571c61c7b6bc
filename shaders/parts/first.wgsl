// A matrix of any lengths as the first factor of a product: src/ops/gemm.rs.
@group(0) @binding(0) var<storage, read> a: array<f32>;

fn row_a(base: u32, m: u32) -> Place {
    if (TURN_A == 1u) { return Place(base, m, 0u); }
    return Place(base + m * p.k, 0u, 0u);
}
fn column_a(k: u32) -> Place { return Place(0u, k, 0u); }

// What lies beyond the last row or column never counts: there, the last one's value is read.
fn vector_a(row: Place, column: Place) -> vec4<f32> {
    if (TURN_A == 1u) {
        let at = row.at + column.down * p.m + min(row.down + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.m - 1u));
        return vec4<f32>(a[at.x], a[at.y], a[at.z], a[at.w]);
    }
    let at = row.at + min(column.down + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.k - 1u));
    return vec4<f32>(a[at.x], a[at.y], a[at.z], a[at.w]);
}
