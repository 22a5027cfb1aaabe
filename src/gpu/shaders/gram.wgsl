// The Gram matrix of integers in four balanced base-256 digits, k = Σ 256^p d_p, as seven planes by weight:
//
//     plane_w[i, j] = Σ over tokens of Σ_{p+q=w} d_p[i]·d_q[j],     G[i, j] = Σ_w 256^w plane_w[i, j]  (on the CPU)
//
// Shapes    n tokens in quads = ⌈n/4⌉ groups of four, zeros after the last; d channels; tiles of 32 × 32 entries, only
//           those that touch the upper triangle, only those of this dispatch.
// Bindings  0 shape    d and quads
//           1 digits   quads × d: the four digits of a channel (x the lowest), each packed over four tokens
//           2 tiles    the row and column of every workgroup's tile, in tiles
//           3 planes   out: tile × 7 × 32 × 32; entries beyond d are zero
// Workgroup 16 × 16 threads, one tile: thread (x, y) has the entries at rows y, y + 16 and columns x, x + 16. Eight quads
//           at a time pass through 8 KiB of workgroup memory.
// Cost      16 dot4 an entry and quad, 2·n·d² in all on the upper triangle; one word from workgroup memory for every four.
// Bound     |plane_3| ≤ 4·128²·n < 2³¹ for n < 32,768: no sum overflows.
//
// `dot4` comes from dot4_packed.wgsl or dot4_extract.wgsl.

const TILE = 32u;
const HALF = 16u;
const DEPTH = 8u;
const WEIGHTS = 7u;

struct Shape {
    channels: u32,
    quads: u32,
}

// Sums by weight: 0 … 3, and 4 … 6.
struct Planes {
    low: vec4i,
    high: vec3i,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> digits: array<vec4u>;
@group(0) @binding(2) var<storage, read> tiles: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> planes: array<i32>;

// DEPTH × TILE each: the quads of this step, for the tile's row channels and for its column channels.
var<workgroup> left: array<vec4u, 256>;
var<workgroup> right: array<vec4u, 256>;

fn load(quad: u32, channel: u32) -> vec4u {
    if quad < shape.quads && channel < shape.channels {
        return digits[quad * shape.channels + channel];
    }
    return vec4u(0u);
}

fn add(sum: Planes, a: vec4u, b: vec4u) -> Planes {
    let low = vec4i(
        dot4(a.x, b.x),
        dot4(a.x, b.y) + dot4(a.y, b.x),
        dot4(a.x, b.z) + dot4(a.y, b.y) + dot4(a.z, b.x),
        dot4(a.x, b.w) + dot4(a.y, b.z) + dot4(a.z, b.y) + dot4(a.w, b.x),
    );
    let high = vec3i(
        dot4(a.y, b.w) + dot4(a.z, b.z) + dot4(a.w, b.y),
        dot4(a.z, b.w) + dot4(a.w, b.z),
        dot4(a.w, b.w),
    );
    return Planes(sum.low + low, sum.high + high);
}

fn store(sum: Planes, tile: u32, row: u32, column: u32) {
    let stride = TILE * TILE;
    let at = tile * WEIGHTS * stride + row * TILE + column;
    planes[at] = sum.low.x;
    planes[at + stride] = sum.low.y;
    planes[at + 2u * stride] = sum.low.z;
    planes[at + 3u * stride] = sum.low.w;
    planes[at + 4u * stride] = sum.high.x;
    planes[at + 5u * stride] = sum.high.y;
    planes[at + 6u * stride] = sum.high.z;
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    let origin = TILE * tiles[group.x];
    let x = thread.x;
    let y = thread.y;
    var s00 = Planes();
    var s01 = Planes();
    var s10 = Planes();
    var s11 = Planes();
    for (var first = 0u; first < shape.quads; first += DEPTH) {
        // 256 threads load 8 quads × 32 channels, one each.
        left[index] = load(first + index / TILE, origin.x + index % TILE);
        right[index] = load(first + index / TILE, origin.y + index % TILE);
        workgroupBarrier();
        for (var row = 0u; row < DEPTH * TILE; row += TILE) {
            let a0 = left[row + y];
            let a1 = left[row + y + HALF];
            let b0 = right[row + x];
            let b1 = right[row + x + HALF];
            s00 = add(s00, a0, b0);
            s01 = add(s01, a0, b1);
            s10 = add(s10, a1, b0);
            s11 = add(s11, a1, b1);
        }
        workgroupBarrier();
    }
    store(s00, group.x, y, x);
    store(s01, group.x, y, x + HALF);
    store(s10, group.x, y + HALF, x);
    store(s11, group.x, y + HALF, x + HALF);
}
