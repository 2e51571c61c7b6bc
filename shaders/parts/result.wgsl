// A matrix of any lengths as the result of a product: src/ops/gemm.rs.
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// Hook: what becomes of a result.
fn put(i: u32, v: f32) { y[i] = v; }

fn write(row: u32, n: u32, v: vec4<f32>) {
    var t = v;
    for (var i = n; i < min(n + 4u, p.n); i++) {
        put(row + i, t.x);
        t = t.yzww;
    }
}
