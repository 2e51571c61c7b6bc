// Uniform, normal and 0-or-1 draws with the same bits as on the CPU — its op: src/ops/random.rs, the formulas: src/ops/random/host.rs
struct Params {
    elements: u32, // of the output
    any: u32,      // for bernoulli: 0 if nothing is kept,
    limit: u32,    //   else the largest bits that are
}
@group(0) @binding(0) var<storage, read> state: array<u32>;   // seed low and high, draw low and high
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(15) var<uniform> p: Params;

// Hook: what becomes of a block of 64 bits.
fn draw(block: vec2<u32>) -> vec2<f32> { return normals(block); }

fn turn(x: vec2<u32>, rotation: u32) -> vec2<u32> {
    let sum = x.x + x.y;
    return vec2<u32>(sum, ((x.y << rotation) | (x.y >> (32u - rotation))) ^ sum);
}

fn threefry(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
    let third = 0x1bd11bdau ^ key.x ^ key.y;
    var x = counter + key;
    x = turn(turn(turn(turn(x, 13u), 15u), 26u), 6u) + vec2<u32>(key.y, third + 1u);
    x = turn(turn(turn(turn(x, 17u), 29u), 16u), 24u) + vec2<u32>(third, key.x + 2u);
    x = turn(turn(turn(turn(x, 13u), 15u), 26u), 6u) + vec2<u32>(key.x, key.y + 3u);
    x = turn(turn(turn(turn(x, 17u), 29u), 16u), 24u) + vec2<u32>(key.y, third + 4u);
    x = turn(turn(turn(turn(x, 13u), 15u), 26u), 6u) + vec2<u32>(third, key.x + 5u);
    return x;
}

// Low and high half of a product, from products of 16-bit halves.
fn product(a: u32, b: u32) -> vec2<u32> {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
    return vec2<u32>((other << 16u) | (low & 0xffffu), (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u));
}

fn high(a: u32, b: u32) -> u32 {
    return product(a, b).y;
}

fn log_ratio(w: u32) -> u32 {
    var g = 1861451654u;
    g = 2640290212u - high(w, g);
    g = 2104395003u - high(w, g);
    g = 633602920u - high(w, g);
    g = 365873738u - high(w, g);
    g = 188378095u + high(w, g);
    g = 270536548u + high(w, g);
    g = 357830006u + high(w, g);
    g = 536872199u + high(w, g);
    return 1073741821u + high(w, g);
}

// Digit by digit; the number is below 2^58.
fn square_root(low: u32, high: u32) -> u32 {
    var digits = vec2<u32>(low << 6u, (high << 6u) | (low >> 26u));
    var rest = 0u;
    var root = 0u;
    for (var i = 0u; i < 29u; i += 1u) {
        rest = (rest << 2u) | (digits.y >> 30u);
        digits = vec2<u32>(digits.x << 2u, (digits.y << 2u) | (digits.x >> 30u));
        let trial = (root << 2u) | 1u;
        let fits = rest >= trial;
        rest -= select(0u, trial, fits);
        root = (root << 1u) | select(0u, 1u, fits);
    }
    return root;
}

fn radius(bits: u32) -> u32 {
    let odd = bits | 1u;
    let e = countLeadingZeros(odd);
    let w = 0u - (odd << e);
    let tail = product(w, log_ratio(w));
    let turns = product(e, 4277811695u); // 2 ln 2 as Q52, its low word; below, its high word
    let low = ((tail.x >> 9u) | (tail.y << 23u)) + turns.x;
    let carry = select(0u, 1u, low < turns.x);
    return square_root(low, (tail.y >> 9u) + turns.y + e * 1453634u + carry);
}

fn quarter_cosine(t: u32) -> u32 {
    let square = high(t << 1u, t << 1u);
    var cosine = 51162u;
    cosine = 1970795u - high(square, cosine);
    cosine = 44802279u - high(square, cosine);
    cosine = 544750721u - high(square, cosine);
    cosine = 2649351724u - high(square, cosine);
    return 0x80000000u - min(high(square, cosine), 0x80000000u);
}

fn to_float(magnitude: u32, negative: bool) -> f32 {
    let zeros = countLeadingZeros(magnitude);
    let excess = select(0u, 8u - zeros, zeros < 8u);
    let rounded = i32((magnitude + ((1u << excess) >> 1u)) >> excess);
    return f32(select(rounded, -rounded, negative)) * bitcast<f32>((99u + excess) << 23u);
}

fn normals(block: vec2<u32>) -> vec2<f32> {
    let r = radius(block.x) << 3u;
    let angle = 2u * (block.y & 0x3fffffffu) + 1u;
    let cosine = high(r, quarter_cosine(angle));
    let sine = high(r, quarter_cosine(0x80000000u - angle));
    let quarter = block.y >> 30u;
    let turned = (quarter & 1u) == 1u;
    let x = to_float(select(cosine, sine, turned), quarter == 1u || quarter == 2u);
    let y = to_float(select(sine, cosine, turned), quarter >= 2u);
    return vec2<f32>(x, y);
}

fn uniforms(block: vec2<u32>) -> vec2<f32> {
    return vec2<f32>(block >> vec2<u32>(8u)) * (1.0 / 16777216.0);
}

fn bernoullis(block: vec2<u32>) -> vec2<f32> {
    let kept = (block <= vec2<u32>(p.limit)) & vec2<bool>(p.any != 0u);
    return select(vec2<f32>(0.0), vec2<f32>(1.0), kept);
}

// Hook: what becomes of a draw.
fn put(i: u32, v: f32) {
    y[i] = v;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (2u * i >= p.elements) {
        return;
    }
    let pair = draw(threefry(vec2<u32>(state[0], state[1] ^ state[3]), vec2<u32>(i, state[2])));
    put(2u * i, pair.x);
    if (2u * i + 1u < p.elements) {
        put(2u * i + 1u, pair.y);
    }
}
