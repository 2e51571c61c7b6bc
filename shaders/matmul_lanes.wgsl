// Matrix product for an adapter whose subgroups are exactly 8 threads wide and that is itself a CPU: src/ops/gemm.rs. Convolutions are such
// products too, of windows: shaders/parts.
// There, a load costs as much as sixteen operations, and no less where all threads read one place; handing a value from one thread to the others
// costs about one. So a workgroup is one subgroup, each of whose threads loads a part of the first factor that no other thread loads, and hands
// it round. It computes 32 rows by 32 or 64 columns, each thread all rows of 4 or 8 of the columns.
// A WGSL matrix is made of columns; here they are the rows of a tile, so a product of tiles stands the other way round.

const WIDE: u32 = 1u;    // 1: 64 columns, 0: 32
const RAGGED: u32 = 1u;  // 0 if k is a multiple of 4
const TURN_A: u32 = 0u;  // 1: four values that lie together are of four rows of the first factor, 0: of one row
const TURN_B: u32 = 0u;  // 1: four values that lie together are of one column of the second factor, 0: of four columns

struct Params {
    m: u32,
    n: u32,       // a multiple of 4
    k: u32,
    section: u32, // of k, that one workgroup sums over: a multiple of 4
    tiles_n: u32,
    tiles_m: u32,
    batch: u32,
    sections: u32,
    a_step: u32,  // from one matrix of the batch to the next; 0 where all share one
    b_step: u32,
}
@group(1) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

// Where a row or a column of the first factor is; what the numbers mean is the factor's own affair.
struct Place { at: u32, down: u32, right: u32 }

// Part: the first factor.
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;

fn row_a(base: u32, m: u32) -> Place {
    if (TURN_A == 1u) { return Place(base + min(m, p.m - 4u), 0u, 0u); }
    return Place(base + m * p.k, 0u, 0u);
}
fn column_a(k: u32) -> Place { return Place(k * select(1u, p.m, TURN_A == 1u), 0u, 0u); }
fn vector_a(row: Place, column: Place) -> vec4<f32> { return a[(row.at + column.at) / 4u]; }
// End of part.

fn vector_b(base: u32, k: u32, n: u32) -> vec4<f32> {
    return b[(base + select(k * p.n + n, n * p.k + k, TURN_B == 1u)) / 4u];
}

// Hook: what becomes of a result.
fn put(i: u32, v: vec4<f32>) { y[i] = v; }

// The four rows of `t` as `lane` holds them.
fn of_lane(t: mat4x4<f32>, lane: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        subgroupShuffle(t[0], lane), subgroupShuffle(t[1], lane), subgroupShuffle(t[2], lane), subgroupShuffle(t[3], lane));
}

// The columns of the first factor from k on that are before `last`; zero for the others.
fn before(t: mat4x4<f32>, k: u32, last: u32) -> mat4x4<f32> {
    let inside = vec4<u32>(k, k + 1u, k + 2u, k + 3u) < vec4<u32>(last);
    let none = vec4<f32>();
    return mat4x4<f32>(select(none, t[0], inside), select(none, t[1], inside), select(none, t[2], inside), select(none, t[3], inside));
}

// What lies beyond the last row or column is never written: there, any value will do, and the last one's is read.
struct Rows { a: Place, b: Place, c: Place, d: Place }

fn rows_a(base: u32, m: u32) -> Rows {
    if (TURN_A == 1u) {
        let all = row_a(base, m);
        return Rows(all, all, all, all);
    }
    let last = p.m - 1u;
    return Rows(row_a(base, min(m, last)), row_a(base, min(m + 1u, last)), row_a(base, min(m + 2u, last)), row_a(base, min(m + 3u, last)));
}

fn tile_a(rows: Rows, k: u32) -> mat4x4<f32> {
    if (TURN_A == 0u) {
        let column = column_a(k);
        let t = mat4x4<f32>(vector_a(rows.a, column), vector_a(rows.b, column), vector_a(rows.c, column), vector_a(rows.d, column));
        if (RAGGED == 1u) { return before(t, k, p.k); }
        return t;
    }
    if (RAGGED == 1u) {
        let last = p.k - 1u;
        let t = transpose(mat4x4<f32>(
            vector_a(rows.a, column_a(k)), vector_a(rows.a, column_a(min(k + 1u, last))),
            vector_a(rows.a, column_a(min(k + 2u, last))), vector_a(rows.a, column_a(min(k + 3u, last)))));
        return before(t, k, p.k);
    }
    return transpose(mat4x4<f32>(
        vector_a(rows.a, column_a(k)), vector_a(rows.a, column_a(k + 1u)),
        vector_a(rows.a, column_a(k + 2u)), vector_a(rows.a, column_a(k + 3u))));
}

fn tile_b(base: u32, k: u32, n: u32) -> mat4x4<f32> {
    if (TURN_B == 1u) {
        let last = p.n - 1u;
        return transpose(mat4x4<f32>(
            vector_b(base, k, min(n, last)), vector_b(base, k, min(n + 1u, last)),
            vector_b(base, k, min(n + 2u, last)), vector_b(base, k, min(n + 3u, last))));
    }
    let column = min(n, p.n - 4u);
    if (RAGGED == 1u) {
        let last = p.k - 1u;
        let t = mat4x4<f32>(
            vector_b(base, k, column), vector_b(base, min(k + 1u, last), column),
            vector_b(base, min(k + 2u, last), column), vector_b(base, min(k + 3u, last), column));
        return transpose(before(transpose(t), k, p.k));
    }
    return mat4x4<f32>(
        vector_b(base, k, column), vector_b(base, k + 1u, column), vector_b(base, k + 2u, column), vector_b(base, k + 3u, column));
}

// Four rows of four columns. What is done with a result may be long: the loop keeps it from being repeated in the program.
fn write_tile(base: u32, m: u32, n: u32, tile: mat4x4<f32>) {
    if (n >= p.n) { return; }
    var t = tile;
    for (var row = m; row < min(m + 4u, p.m); row++) {
        put((base + row * p.n + n) / 4u, t[0]);
        t = mat4x4<f32>(t[1], t[2], t[3], t[3]);
    }
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var number = group.y * 65535u + group.x;
    let n0 = (number % p.tiles_n) * select(32u, 64u, WIDE == 1u) + lane * 4u;
    number /= p.tiles_n;
    let m0 = (number % p.tiles_m) * 32u;
    number /= p.tiles_m;
    if (number >= p.batch * p.sections) {
        return;
    }
    let base_b = (number % p.batch) * p.b_step;
    let first = (number / p.batch) * p.section;
    let last = min(first + p.section, p.k);
    let rows = rows_a((number % p.batch) * p.a_step, m0 + lane * 4u);
    var y0 = mat4x4<f32>(); var y1 = mat4x4<f32>(); var y2 = mat4x4<f32>(); var y3 = mat4x4<f32>();
    var y4 = mat4x4<f32>(); var y5 = mat4x4<f32>(); var y6 = mat4x4<f32>(); var y7 = mat4x4<f32>();
    var z0 = mat4x4<f32>(); var z1 = mat4x4<f32>(); var z2 = mat4x4<f32>(); var z3 = mat4x4<f32>();
    var z4 = mat4x4<f32>(); var z5 = mat4x4<f32>(); var z6 = mat4x4<f32>(); var z7 = mat4x4<f32>();
    for (var k = first; k < last; k += 4u) {
        let a = tile_a(rows, k);
        let a0 = of_lane(a, 0u); let a1 = of_lane(a, 1u); let a2 = of_lane(a, 2u); let a3 = of_lane(a, 3u);
        let a4 = of_lane(a, 4u); let a5 = of_lane(a, 5u); let a6 = of_lane(a, 6u); let a7 = of_lane(a, 7u);
        let b = tile_b(base_b, k, n0);
        y0 += b * a0; y1 += b * a1; y2 += b * a2; y3 += b * a3;
        y4 += b * a4; y5 += b * a5; y6 += b * a6; y7 += b * a7;
        if (WIDE == 1u) {
            let c = tile_b(base_b, k, n0 + 32u);
            z0 += c * a0; z1 += c * a1; z2 += c * a2; z3 += c * a3;
            z4 += c * a4; z5 += c * a5; z6 += c * a6; z7 += c * a7;
        }
    }
    let base = number * p.m * p.n;
    for (var m = m0; m < m0 + 32u; m += 4u) {
        write_tile(base, m, n0, y0);
        y0 = y1; y1 = y2; y2 = y3; y3 = y4; y4 = y5; y5 = y6; y6 = y7;
        if (WIDE == 1u) {
            write_tile(base, m, n0 + 32u, z0);
            z0 = z1; z1 = z2; z2 = z3; z3 = z4; z4 = z5; z5 = z6; z6 = z7;
        }
    }
}
