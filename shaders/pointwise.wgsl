// Pointwise expressions: src/ops/pointwise. The engine adds the buffers and replaces `body` by an expression; names with g_ are its functions.

struct Params { n: u32 }
@group(0) @binding(15) var<uniform> p: Params;

fn body(i: u32) {}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * 65535u + group.x) * 64u + lane;
    if (i < p.n) {
        body(i);
    }
}

// The functions: from here on, the text also goes into other kernels, for expressions that work on their results.

fn g_is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// Beyond ±10 tanh is ±1 in f32, and some drivers overflow there.
fn g_tanh(x: f32) -> f32 {
    return select(tanh(clamp(x, -10.0, 10.0)), x, g_is_nan(x));
}

fn g_sigmoid(x: f32) -> f32 {
    return select(1.0 / (1.0 + exp(-clamp(x, -88.0, 88.0))), x, g_is_nan(x));
}

fn g_softplus(x: f32) -> f32 {
    let t = exp(-min(abs(x), 88.0));
    // log(1 + t) loses t when it is small; the series does not.
    let tail = select(log(1.0 + t), t - 0.5 * t * t, t < 1e-3);
    return select(max(x, 0.0) + tail, x, g_is_nan(x));
}

fn g_max(a: f32, b: f32) -> f32 {
    return select(b, a, a >= b || g_is_nan(a));
}

fn g_min(a: f32, b: f32) -> f32 {
    return select(b, a, a <= b || g_is_nan(a));
}

// pow is undefined for a negative base: there only whole exponents have a value.
fn g_pow(a: f32, b: f32) -> f32 {
    if (b == 0.0) { return 1.0; }
    let size = pow(abs(a), b);
    if (a >= 0.0) { return size; }
    // A NaN that no compiler sees as a constant, which WGSL forbids.
    if (floor(b) != b) { return bitcast<f32>(0x7fc00000u | (bitcast<u32>(b) & 0u)); }
    return select(size, -size, floor(b * 0.5) * 2.0 != b);
}

// Abramowitz and Stegun 7.1.5 below 2; above it the continued fraction of erfc, 7.1.14.
fn g_erf(x: f32) -> f32 {
    let a = min(abs(x), 4.5);
    var value = 1.0;
    if (a < 2.0) {
        var term = a;
        var sum = a;
        for (var n = 1u; n < 24u; n++) {
            term *= -a * a / f32(n);
            sum += term / (2.0 * f32(n) + 1.0);
        }
        value = 1.1283791670955126 * sum;
    } else {
        var tail = a;
        for (var n = 40u; n > 0u; n--) {
            tail = a + 0.5 * f32(n) / tail;
        }
        value = 1.0 - exp(-a * a) / (1.7724538509055159 * tail);
    }
    return select(select(value, -value, x < 0.0), x, g_is_nan(x));
}
