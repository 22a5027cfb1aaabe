// The peer of src/gpu/shaders/gram.wgsl: a Gram matrix in plain f32, with the same tiles, the same workgroup memory and the
// same dispatch, so that the ratio of their times is the price of exactness.
//
// Shapes    n tokens in quads = ⌈n/4⌉ groups of four; d channels; tiles of 32 × 32 entries of the upper triangle.
// Bindings  0 shape    d and quads
//           1 values   quads × d: four tokens of a channel
//           2 tiles    the row and column of every workgroup's tile, in tiles
//           3 sums     out: tile × 32 × 32

const TILE = 32u;
const HALF = 16u;
const DEPTH = 8u;

struct Shape {
    channels: u32,
    quads: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> values: array<vec4f>;
@group(0) @binding(2) var<storage, read> tiles: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

var<workgroup> left: array<vec4f, 256>;
var<workgroup> right: array<vec4f, 256>;

fn load(quad: u32, channel: u32) -> vec4f {
    if quad < shape.quads && channel < shape.channels {
        return values[quad * shape.channels + channel];
    }
    return vec4f(0.0);
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
    var sum = vec4f(0.0);
    for (var first = 0u; first < shape.quads; first += DEPTH) {
        left[index] = load(first + index / TILE, origin.x + index % TILE);
        right[index] = load(first + index / TILE, origin.y + index % TILE);
        workgroupBarrier();
        for (var row = 0u; row < DEPTH * TILE; row += TILE) {
            let a0 = left[row + y];
            let a1 = left[row + y + HALF];
            let b0 = right[row + x];
            let b1 = right[row + x + HALF];
            sum += vec4f(dot(a0, b0), dot(a0, b1), dot(a1, b0), dot(a1, b1));
        }
        workgroupBarrier();
    }
    let at = group.x * TILE * TILE + y * TILE + x;
    sums[at] = sum.x;
    sums[at + HALF] = sum.y;
    sums[at + HALF * TILE] = sum.z;
    sums[at + HALF * TILE + HALF] = sum.w;
}
