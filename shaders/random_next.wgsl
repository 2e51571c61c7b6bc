// Counts a seed generator's draws — its op: src/ops/random.rs
@group(0) @binding(0) var<storage, read_write> next: array<u32>; // seed low and high, draw low and high

// Hook: the state before, where it is not the same memory.
fn before(i: u32) -> u32 { return next[i]; }

@compute @workgroup_size(1)
fn main() {
    let low = before(2u) + 1u;
    next[3] = before(3u) + select(0u, 1u, low == 0u);
    next[2] = low;
    next[1] = before(1u);
    next[0] = before(0u);
}
