// Matrix product, and convolutions as products of the windows of images (shaders/parts): src/ops/gemm.rs and its folder.
// A workgroup computes a tile of the result. Each of its threads keeps 4 × 4 or 8 × 8 results in registers; what they are sums of comes through
// workgroup memory, STEP of k at a time, or, where SHARED is 0, straight from the factors.
// Factors are read in blocks of 4 × 4, four values that lie together at a time. A WGSL matrix is made of columns; here each of them belongs to
// one k and holds four rows of the first factor, or four columns of the second.

const WIDE: u32 = 16u;   // threads side by side in a workgroup
const HIGH: u32 = 16u;   // threads one below the other
const PER: u32 = 8u;     // a thread computes PER × PER results: 4 or 8
const STEP: u32 = 16u;   // of k, that goes through workgroup memory at once: a multiple of 4
const SHARED: u32 = 1u;  // 0: no workgroup memory
const RAGGED: u32 = 1u;  // 0 if k is a multiple of STEP
const TURN_A: u32 = 0u;  // 1: four values that lie together are of four rows of the first factor, 0: of one row
const TURN_B: u32 = 0u;  // 1: four values that lie together are of one column of the second factor, 0: of four columns

struct Params {
    m: u32,
    n: u32,
    k: u32,
    section: u32, // of k, that one workgroup sums over: a multiple of STEP
    tiles_n: u32,
    tiles_m: u32,
    batch: u32,
    sections: u32,
    a_step: u32,  // from one matrix of the batch to the next; 0 where all share one
    b_step: u32,
}
@group(0) @binding(15) var<uniform> p: Params;

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

// Part: the second factor.
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;

fn vector_b(base: u32, k: u32, n: u32) -> vec4<f32> {
    if (TURN_B == 1u) { return b[(base + n * p.k + k) / 4u]; }
    return b[(base + k * p.n + min(n, p.n - 4u)) / 4u];
}
// End of part.

// Part: the result.
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

// Hook: what becomes of four results.
fn put(i: u32, v: vec4<f32>) { y[i] = v; }

fn write(row: u32, n: u32, v: vec4<f32>) {
    if (n < p.n) { put((row + n) / 4u, v); }
}
// End of part.

// What lies beyond the last row or column is never written: there, any value will do, and the last one's is read.
struct Rows { a: Place, b: Place, c: Place, d: Place }

fn rows_a(base: u32, m: u32) -> Rows {
    if (TURN_A == 1u) {
        let all = row_a(base, m);
        return Rows(all, all, all, all);
    }
    let end = p.m - 1u;
    return Rows(row_a(base, min(m, end)), row_a(base, min(m + 1u, end)), row_a(base, min(m + 2u, end)), row_a(base, min(m + 3u, end)));
}

// Nothing of a section lies at its end and beyond: zeros instead.
fn before(t: mat4x4<f32>, k: u32, last: u32) -> mat4x4<f32> {
    let inside = vec4<u32>(k, k + 1u, k + 2u, k + 3u) < vec4<u32>(last);
    let none = vec4<f32>();
    return mat4x4<f32>(select(none, t[0], inside.x), select(none, t[1], inside.y), select(none, t[2], inside.z), select(none, t[3], inside.w));
}

fn block_a(rows: Rows, k: u32, last: u32) -> mat4x4<f32> {
    if (RAGGED == 1u && k >= last) { return mat4x4<f32>(); }
    if (TURN_A == 0u) {
        let column = column_a(k);
        let t = transpose(mat4x4<f32>(
            vector_a(rows.a, column), vector_a(rows.b, column), vector_a(rows.c, column), vector_a(rows.d, column)));
        if (RAGGED == 1u) { return before(t, k, last); }
        return t;
    }
    if (RAGGED == 1u) {
        let end = last - 1u;
        let t = mat4x4<f32>(
            vector_a(rows.a, column_a(k)), vector_a(rows.a, column_a(min(k + 1u, end))),
            vector_a(rows.a, column_a(min(k + 2u, end))), vector_a(rows.a, column_a(min(k + 3u, end))));
        return before(t, k, last);
    }
    return mat4x4<f32>(
        vector_a(rows.a, column_a(k)), vector_a(rows.a, column_a(k + 1u)),
        vector_a(rows.a, column_a(k + 2u)), vector_a(rows.a, column_a(k + 3u)));
}

fn block_b(base: u32, k: u32, n: u32, last: u32) -> mat4x4<f32> {
    if (RAGGED == 1u && k >= last) { return mat4x4<f32>(); }
    if (TURN_B == 1u) {
        let end = p.n - 1u;
        let t = transpose(mat4x4<f32>(
            vector_b(base, k, min(n, end)), vector_b(base, k, min(n + 1u, end)),
            vector_b(base, k, min(n + 2u, end)), vector_b(base, k, min(n + 3u, end))));
        if (RAGGED == 1u) { return before(t, k, last); }
        return t;
    }
    if (RAGGED == 1u) {
        let end = last - 1u;
        let t = mat4x4<f32>(
            vector_b(base, k, n), vector_b(base, min(k + 1u, end), n),
            vector_b(base, min(k + 2u, end), n), vector_b(base, min(k + 3u, end), n));
        return before(t, k, last);
    }
    return mat4x4<f32>(vector_b(base, k, n), vector_b(base, k + 1u, n), vector_b(base, k + 2u, n), vector_b(base, k + 3u, n));
}

// The tiles of the factors: for each k, vectors of four rows, or columns. A place's number is turned a little from one k of a block to the
// next block's, so that threads that store blocks of the same rows do not meet in one bank of the memory.
const ROWS: u32 = HIGH * PER;
const COLUMNS: u32 = WIDE * PER;
var<workgroup> tile_a: array<vec4<f32>, SHARED * STEP * ROWS / 4u + 1u - SHARED>;
var<workgroup> tile_b: array<vec4<f32>, SHARED * STEP * COLUMNS / 4u + 1u - SHARED>;

fn slot(k: u32, i: u32, width: u32) -> u32 {
    return k * (width / 4u) + (i ^ (k / 4u * 2u % (width / 4u)));
}

// Which block of a tile a thread loads: neighbours in memory are for neighbouring threads.
struct Share { across: u32, k: u32 }

fn share(i: u32, width: u32, along_k: bool) -> Share {
    if (along_k) { return Share(i / (STEP / 4u), i % (STEP / 4u) * 4u); }
    return Share(i % (width / 4u), i / (width / 4u) * 4u);
}

const BLOCKS_A: u32 = STEP * ROWS / 16u;
const BLOCKS_B: u32 = STEP * COLUMNS / 16u;

// A column of the first factor times a row of the second: rows of the result.
fn outer(row: vec4<f32>, column: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(row * column.x, row * column.y, row * column.z, row * column.w);
}

fn product(sum: mat4x4<f32>, rows: mat4x4<f32>, columns: mat4x4<f32>) -> mat4x4<f32> {
    return sum + outer(rows[0], columns[0]) + outer(rows[1], columns[1]) + outer(rows[2], columns[2]) + outer(rows[3], columns[3]);
}

// Four rows of four columns. What is done with a result may be long: the loop keeps it from being repeated in the program.
fn write_block(base: u32, m: u32, n: u32, block: mat4x4<f32>) {
    var t = block;
    for (var row = m; row < min(m + 4u, p.m); row++) {
        write(base + row * p.n, n, t[0]);
        t = mat4x4<f32>(t[1], t[2], t[3], t[3]);
    }
}

@compute @workgroup_size(WIDE, HIGH)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) thread: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    var number = group.y * 65535u + group.x;
    let corner_n = number % p.tiles_n * COLUMNS;
    number /= p.tiles_n;
    let corner_m = number % p.tiles_m * ROWS;
    number /= p.tiles_m;
    if (number >= p.batch * p.sections) {
        return;
    }
    let base_a = number % p.batch * p.a_step;
    let base_b = number % p.batch * p.b_step;
    let first = number / p.batch * p.section;
    let last = min(first + p.section, p.k);
    let m0 = corner_m + thread.y * 4u;
    let m1 = m0 + HIGH * 4u;
    let n0 = corner_n + thread.x * 4u;
    let n1 = n0 + WIDE * 4u;
    var y00 = mat4x4<f32>();
    var y01 = mat4x4<f32>();
    var y10 = mat4x4<f32>();
    var y11 = mat4x4<f32>();
    if (SHARED == 0u) {
        let rows0 = rows_a(base_a, m0);
        let rows1 = rows_a(base_a, m1);
        for (var k = first; k < last; k += 4u) {
            let a0 = block_a(rows0, k, last);
            let b0 = block_b(base_b, k, n0, last);
            y00 = product(y00, b0, a0);
            if (PER == 8u) {
                let a1 = block_a(rows1, k, last);
                let b1 = block_b(base_b, k, n1, last);
                y01 = product(y01, b1, a0);
                y10 = product(y10, b0, a1);
                y11 = product(y11, b1, a1);
            }
        }
    } else {
        // Each thread loads at most one block of either factor, and the next one while it sums.
        let of_a = share(index, ROWS, TURN_A == 0u);
        let of_b = share(index - BLOCKS_A, COLUMNS, TURN_B == 1u);
        let loads_a = index < BLOCKS_A;
        let loads_b = !loads_a && index < BLOCKS_A + BLOCKS_B;
        let rows = rows_a(base_a, corner_m + of_a.across * 4u);
        let n = corner_n + of_b.across * 4u;
        var next = mat4x4<f32>();
        if (loads_a && first < last) { next = block_a(rows, first + of_a.k, last); }
        if (loads_b && first < last) { next = block_b(base_b, first + of_b.k, n, last); }
        for (var start = first; start < last; start += STEP) {
            if (loads_a) {
                tile_a[slot(of_a.k, of_a.across, ROWS)] = next[0];
                tile_a[slot(of_a.k + 1u, of_a.across, ROWS)] = next[1];
                tile_a[slot(of_a.k + 2u, of_a.across, ROWS)] = next[2];
                tile_a[slot(of_a.k + 3u, of_a.across, ROWS)] = next[3];
            }
            if (loads_b) {
                tile_b[slot(of_b.k, of_b.across, COLUMNS)] = next[0];
                tile_b[slot(of_b.k + 1u, of_b.across, COLUMNS)] = next[1];
                tile_b[slot(of_b.k + 2u, of_b.across, COLUMNS)] = next[2];
                tile_b[slot(of_b.k + 3u, of_b.across, COLUMNS)] = next[3];
            }
            workgroupBarrier();
            let after = start + STEP;
            if (loads_a && after < last) { next = block_a(rows, after + of_a.k, last); }
            if (loads_b && after < last) { next = block_b(base_b, after + of_b.k, n, last); }
            for (var k = 0u; k < STEP; k++) {
                let a0 = tile_a[slot(k, thread.y, ROWS)];
                let b0 = tile_b[slot(k, thread.x, COLUMNS)];
                y00 += outer(b0, a0);
                if (PER == 8u) {
                    let a1 = tile_a[slot(k, thread.y + HIGH, ROWS)];
                    let b1 = tile_b[slot(k, thread.x + WIDE, COLUMNS)];
                    y01 += outer(b1, a0);
                    y10 += outer(b0, a1);
                    y11 += outer(b1, a1);
                }
            }
            workgroupBarrier();
        }
    }
    let base = number * p.m * p.n;
    var m = m0;
    for (var half = 0u; half < PER / 4u; half++) {
        write_block(base, m, n0, y00);
        if (PER == 8u) { write_block(base, m, n1, y01); }
        y00 = y10;
        y01 = y11;
        m = m1;
    }
}
