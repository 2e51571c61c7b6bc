// A matrix of any lengths as the second factor of a product: src/ops/gemm.rs.
@group(0) @binding(1) var<storage, read> b: array<f32>;

// What lies beyond the last row or column never counts: there, the last one's value is read.
fn vector_b(base: u32, k: u32, n: u32) -> vec4<f32> {
    if (TURN_B == 1u) {
        let at = base + n * p.k + min(k + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.k - 1u));
        return vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]);
    }
    let at = base + k * p.n + min(n + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.n - 1u));
    return vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]);
}
