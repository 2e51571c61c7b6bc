// Matrix product for an adapter whose subgroups are exactly 8 threads wide and that is itself a CPU: src/ops/gemm.rs. Convolutions are such
// products too, of windows: shaders/parts.
// There, a load costs as much as sixteen operations, and no less where all threads read one place; handing a value from one thread to the others
// costs about one. So a workgroup is one subgroup, each of whose threads loads a part of the first factor that no other thread loads, and hands
// it round. It computes 32 rows by 32 or 64 columns, each thread all rows of 4 or 8 of the columns; or 64 rows by 16 columns, of which half of the
// threads compute the first 32 rows and the others the last.
// A WGSL matrix is made of columns; here they are the rows of a tile, so a product of tiles stands the other way round.

const COLUMNS: u32 = 64u;
// With 64 columns, a thread computes four and four, this far apart: 32, or 4 where eight of a row are read at once. (Where each lies in a row of
// its own, threads that read every eighth row would compete for one place in a cache.)
const APART: u32 = 32u;
const RAGGED: u32 = 1u;  // 0 if k is a multiple of 4
const TURN_A: u32 = 0u;  // 1: four values that lie together are of four rows of the first factor, 0: of one row
const TURN_B: u32 = 0u;  // 1: four values that lie together are of one column of the second factor, 0: of four columns
// A second factor that is turned may lie as [TAPS, n, DEEP], the last tap first: a convolution's kernel as the gradient by images needs it.
const TAPS: u32 = 1u;
const DEEP: u32 = 4u;

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
@group(0) @binding(15) var<uniform> p: Params;
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

// The same place. The compiler works out an index anew for every thread of a load, divisions and all, but not what was handed around.
fn held(place: Place, lane: u32) -> Place {
    return Place(subgroupShuffle(place.at, lane), subgroupShuffle(place.down, lane), subgroupShuffle(place.right, lane));
}

// What lies beyond the last row or column is never written: there, any value will do, and the last one's is read.
struct Rows { a: Place, b: Place, c: Place, d: Place }

fn rows_a(base: u32, m: u32, lane: u32) -> Rows {
    if (TURN_A == 1u) {
        let all = held(row_a(base, m), lane);
        return Rows(all, all, all, all);
    }
    let last = p.m - 1u;
    return Rows(
        held(row_a(base, min(m, last)), lane), held(row_a(base, min(m + 1u, last)), lane),
        held(row_a(base, min(m + 2u, last)), lane), held(row_a(base, min(m + 3u, last)), lane));
}

fn tile_a(rows: Rows, k: u32, lane: u32) -> mat4x4<f32> {
    if (TURN_A == 0u) {
        let column = column_a(k);
        let t = mat4x4<f32>(vector_a(rows.a, column), vector_a(rows.b, column), vector_a(rows.c, column), vector_a(rows.d, column));
        if (RAGGED == 1u) { return before(t, k, p.k); }
        return t;
    }
    let last = p.k - 1u;
    let next = select(vec3<u32>(k + 1u, k + 2u, k + 3u), min(vec3<u32>(k + 1u, k + 2u, k + 3u), vec3<u32>(last)), RAGGED == 1u);
    let t = transpose(mat4x4<f32>(
        vector_a(rows.a, held(column_a(k), lane)), vector_a(rows.a, held(column_a(next.x), lane)),
        vector_a(rows.a, held(column_a(next.y), lane)), vector_a(rows.a, held(column_a(next.z), lane))));
    if (RAGGED == 1u) { return before(t, k, p.k); }
    return t;
}

// Four rows of the columns that a thread computes: the first four, and the others if they come with them.
struct Columns { left: mat4x4<f32>, right: mat4x4<f32> }

// Part: the second factor.
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;

fn vector_b(base: u32, k: u32, n: u32, lane: u32) -> vec4<f32> {
    var at = base + k * p.n + n;
    if (TURN_B == 1u) { at = base + n * p.k + k; }
    if (TAPS > 1u) { at = ((TAPS - 1u - k / DEEP) * p.n + n) * DEEP + k % DEEP; }
    return b[subgroupShuffle(at / 4u, lane)];  // for `held`'s reason
}

fn tile_b(base: u32, k: u32, n: u32, lane: u32) -> mat4x4<f32> {
    if (TURN_B == 1u) {
        let last = p.n - 1u;
        return transpose(mat4x4<f32>(
            vector_b(base, k, min(n, last), lane), vector_b(base, k, min(n + 1u, last), lane),
            vector_b(base, k, min(n + 2u, last), lane), vector_b(base, k, min(n + 3u, last), lane)));
    }
    let column = min(n, p.n - 4u);
    var next = vec3<u32>(k + 1u, k + 2u, k + 3u);
    if (RAGGED == 1u) { next = min(next, vec3<u32>(p.k - 1u)); }
    let t = mat4x4<f32>(
        vector_b(base, k, column, lane), vector_b(base, next.x, column, lane),
        vector_b(base, next.y, column, lane), vector_b(base, next.z, column, lane));
    if (RAGGED == 1u) { return transpose(before(transpose(t), k, p.k)); }
    return t;
}

fn columns_b(base: u32, k: u32, n: u32, lane: u32) -> Columns { return Columns(tile_b(base, k, n, lane), mat4x4<f32>()); }
fn right_b(columns: Columns, base: u32, k: u32, n: u32, lane: u32) -> mat4x4<f32> { return tile_b(base, k, n + APART, lane); }
// End of part.

// Four rows of four columns. What is done with a result may be long: the loop keeps it from being repeated in the program.
fn write_tile(base: u32, m: u32, n: u32, tile: mat4x4<f32>) {
    if (n >= p.n) { return; }
    var t = tile;
    for (var row = m; row < min(m + 4u, p.m); row++) {
        put((base + row * p.n + n) / 4u, t[0]);
        t = mat4x4<f32>(t[1], t[2], t[3], t[3]);
    }
}

// The lane that holds the rows of partial result `i`.
fn source(lane: u32, i: u32) -> u32 { return select(i, (lane & 4u) + i / 2u, COLUMNS == 16u); }

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var number = group.y * 65535u + group.x;
    let n0 = (number % p.tiles_n) * COLUMNS + select(lane, lane & 3u, COLUMNS == 16u) * select(4u, 8u, COLUMNS == 64u && APART == 4u);
    number /= p.tiles_n;
    let tile_m = number % p.tiles_m;
    let m0 = select(tile_m * 32u, tile_m * 64u + (lane & 4u) * 8u, COLUMNS == 16u);
    number /= p.tiles_m;
    if (number >= p.batch * p.sections) {
        return;
    }
    let base_a = (number % p.batch) * p.a_step;
    let base_b = (number % p.batch) * p.b_step;
    let first = (number / p.batch) * p.section;
    let last = min(first + p.section, p.k);
    // With 64 rows, a thread loads eight of them.
    let own = select(tile_m * 32u + lane * 4u, tile_m * 64u + lane * 8u, COLUMNS == 16u);
    let rows = rows_a(base_a, own, lane);
    let more_rows = rows_a(base_a, own + 4u, lane);
    var y0 = mat4x4<f32>(); var y1 = mat4x4<f32>(); var y2 = mat4x4<f32>(); var y3 = mat4x4<f32>();
    var y4 = mat4x4<f32>(); var y5 = mat4x4<f32>(); var y6 = mat4x4<f32>(); var y7 = mat4x4<f32>();
    var z0 = mat4x4<f32>(); var z1 = mat4x4<f32>(); var z2 = mat4x4<f32>(); var z3 = mat4x4<f32>();
    var z4 = mat4x4<f32>(); var z5 = mat4x4<f32>(); var z6 = mat4x4<f32>(); var z7 = mat4x4<f32>();
    for (var k = first; k < last; k += 4u) {
        let even = tile_a(rows, k, lane);
        var odd = even;
        if (COLUMNS == 16u) { odd = tile_a(more_rows, k, lane); }
        let a0 = of_lane(even, source(lane, 0u)); let a1 = of_lane(odd, source(lane, 1u));
        let a2 = of_lane(even, source(lane, 2u)); let a3 = of_lane(odd, source(lane, 3u));
        let a4 = of_lane(even, source(lane, 4u)); let a5 = of_lane(odd, source(lane, 5u));
        let a6 = of_lane(even, source(lane, 6u)); let a7 = of_lane(odd, source(lane, 7u));
        let b = columns_b(base_b, k, n0, lane);
        y0 += b.left * a0; y1 += b.left * a1; y2 += b.left * a2; y3 += b.left * a3;
        y4 += b.left * a4; y5 += b.left * a5; y6 += b.left * a6; y7 += b.left * a7;
        if (COLUMNS == 64u) {
            let c = right_b(b, base_b, k, n0, lane);
            z0 += c * a0; z1 += c * a1; z2 += c * a2; z3 += c * a3;
            z4 += c * a4; z5 += c * a5; z6 += c * a6; z7 += c * a7;
        }
    }
    let base = number * p.m * p.n;
    for (var m = m0; m < m0 + 32u; m += 4u) {
        write_tile(base, m, n0, y0);
        y0 = y1; y1 = y2; y2 = y3; y3 = y4; y4 = y5; y5 = y6; y6 = y7;
        if (COLUMNS == 64u) {
            write_tile(base, m, n0 + APART, z0);
            z0 = z1; z1 = z2; z2 = z3; z3 = z4; z4 = z5; z5 = z6; z6 = z7;
        }
    }
}
