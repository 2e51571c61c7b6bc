// Matrix product: its op, gradient, CPU kernel and tests are in src/ops/matmul.rs.
// Every thread keeps 8 × 8 results in registers, as four 4 × 4 tiles, and reads what it needs itself: no workgroup memory, no barriers. A WGSL
// matrix is made of columns; here they are the rows of a tile, so a product of tiles stands the other way round.

const WIDE: u32 = 8u; // threads side by side in a workgroup, 8 columns each
const HIGH: u32 = 8u; // threads one below the other, 8 rows each

struct Params {
    m: u32,
    n: u32,
    k: u32,
    section: u32, // of k, that one thread sums over: a multiple of 4
    tiles_n: u32,
    tiles_m: u32,
    batch: u32,
    sections: u32,
    a_step: u32, // from one matrix of the batch to the next; 0 where all share one
    b_step: u32,
}
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> p: Params;

// Hook: where element [m, k] of the first factor is, in a matrix that starts at `base`.
fn place_a(base: u32, m: u32, k: u32) -> u32 {
    return base + m * p.k + k;
}

// Hook: where element [k, n] of the second factor is.
fn place_b(base: u32, k: u32, n: u32) -> u32 {
    return base + k * p.n + n;
}

// Hook: what becomes of a result.
fn put(i: u32, v: f32) {
    y[i] = v;
}

// What lies beyond the last row or column is never written: there, any value will do, and the last one's is read.
fn load_a(base: u32, m: u32, k: u32) -> f32 {
    let at = place_a(base, min(m, p.m - 1u), k);
    return a[at / 4u][at % 4u];
}

fn load_b(base: u32, k: u32, n: u32) -> f32 {
    let at = place_b(base, k, min(n, p.n - 1u));
    return b[at / 4u][at % 4u];
}

fn row_a(base: u32, m: u32, k: u32) -> vec4<f32> {
    return vec4<f32>(load_a(base, m, k), load_a(base, m, k + 1u), load_a(base, m, k + 2u), load_a(base, m, k + 3u));
}

fn column_a(base: u32, m: u32, k: u32) -> vec4<f32> {
    return vec4<f32>(load_a(base, m, k), load_a(base, m + 1u, k), load_a(base, m + 2u, k), load_a(base, m + 3u, k));
}

fn row_b(base: u32, k: u32, n: u32) -> vec4<f32> {
    return vec4<f32>(load_b(base, k, n), load_b(base, k, n + 1u), load_b(base, k, n + 2u), load_b(base, k, n + 3u));
}

// For the two hooks below: four rows in memory from [row, column] on, in whole vectors, where rows are `length` long, a multiple of 4.
fn four_a(base: u32, row: u32, column: u32, length: u32, last: u32) -> mat4x4<f32> {
    let at = vec4<u32>(base + column) + min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(last)) * length;
    return mat4x4<f32>(a[at.x / 4u], a[at.y / 4u], a[at.z / 4u], a[at.w / 4u]);
}

fn four_b(base: u32, row: u32, column: u32, length: u32, last: u32) -> mat4x4<f32> {
    let at = vec4<u32>(base + column) + min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(last)) * length;
    return mat4x4<f32>(b[at.x / 4u], b[at.y / 4u], b[at.z / 4u], b[at.w / 4u]);
}

// Hook: rows m.. and columns k.. of the first factor.
fn tile_a(base: u32, m: u32, k: u32) -> mat4x4<f32> {
    return mat4x4<f32>(row_a(base, m, k), row_a(base, m + 1u, k), row_a(base, m + 2u, k), row_a(base, m + 3u, k));
}

// Hook: rows k.. and columns n.. of the second factor.
fn tile_b(base: u32, k: u32, n: u32) -> mat4x4<f32> {
    return mat4x4<f32>(row_b(base, k, n), row_b(base, k + 1u, n), row_b(base, k + 2u, n), row_b(base, k + 3u, n));
}

// A column of the first factor times a row of the second.
fn outer(b: vec4<f32>, a: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(b * a.x, b * a.y, b * a.z, b * a.w);
}

fn write_row(base: u32, m: u32, n: u32, v: vec4<f32>) {
    if (m >= p.m) {
        return;
    }
    let at = base + m * p.n + n;
    if (n < p.n) { put(at, v.x); }
    if (n + 1u < p.n) { put(at + 1u, v.y); }
    if (n + 2u < p.n) { put(at + 2u, v.z); }
    if (n + 3u < p.n) { put(at + 3u, v.w); }
}

fn write_tile(base: u32, m: u32, n: u32, tile: mat4x4<f32>) {
    write_row(base, m, n, tile[0]);
    write_row(base, m + 1u, n, tile[1]);
    write_row(base, m + 2u, n, tile[2]);
    write_row(base, m + 3u, n, tile[3]);
}

@compute @workgroup_size(WIDE, HIGH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) lane: vec3<u32>) {
    var number = group.y * 65535u + group.x;
    let n0 = (number % p.tiles_n) * WIDE * 8u + lane.x * 4u;
    number /= p.tiles_n;
    let m0 = (number % p.tiles_m) * HIGH * 8u + lane.y * 4u;
    number /= p.tiles_m;
    if (number >= p.batch * p.sections || m0 >= p.m || n0 >= p.n) {
        return;
    }
    let base_a = (number % p.batch) * p.a_step;
    let base_b = (number % p.batch) * p.b_step;
    let first = (number / p.batch) * p.section;
    let last = min(first + p.section, p.k);
    let m1 = m0 + HIGH * 4u;
    let n1 = n0 + WIDE * 4u;
    var y00 = mat4x4<f32>();
    var y01 = mat4x4<f32>();
    var y10 = mat4x4<f32>();
    var y11 = mat4x4<f32>();
    var k = first;
    for (; k + 4u <= last; k += 4u) {
        let a0 = tile_a(base_a, m0, k);
        let a1 = tile_a(base_a, m1, k);
        let b0 = tile_b(base_b, k, n0);
        let b1 = tile_b(base_b, k, n1);
        y00 += b0 * a0;
        y01 += b1 * a0;
        y10 += b0 * a1;
        y11 += b1 * a1;
    }
    for (; k < last; k++) {
        let a0 = column_a(base_a, m0, k);
        let a1 = column_a(base_a, m1, k);
        let b0 = row_b(base_b, k, n0);
        let b1 = row_b(base_b, k, n1);
        y00 += outer(b0, a0);
        y01 += outer(b1, a0);
        y10 += outer(b0, a1);
        y11 += outer(b1, a1);
    }
    let base = number * p.m * p.n;
    write_tile(base, m0, n0, y00);
    write_tile(base, m0, n1, y01);
    write_tile(base, m1, n0, y10);
    write_tile(base, m1, n1, y11);
}
