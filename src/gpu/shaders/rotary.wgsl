// Turns pairs of channels of every head by the angle of the token's position (rotary position codes), in place.
//
// Shapes    x tokens × heads × h, positions counting from 0 every t tokens; table t × pairs cosines, then as many sines.
// Bindings  0 shape, 1 table, 2 x
// Overrides INTERLEAVED: whether 2i and 2i + 1 are a pair, else i and i + pairs
// Workgroup 64 threads, one pair each.

override INTERLEAVED: bool = false;

struct Shape {
    tokens: u32,
    heads: u32,
    width: u32,
    length: u32,
    pairs: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> table: array<f32>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = element(group, groups, thread);
    if at >= shape.tokens * shape.heads * shape.pairs {
        return;
    }
    let pair = at % shape.pairs;
    let head = at / shape.pairs;
    let entry = head / shape.heads % shape.length * shape.pairs + pair;
    let cosine = table[entry];
    let sine = table[shape.length * shape.pairs + entry];
    let places = select(vec2u(pair, pair + shape.pairs), vec2u(2u * pair, 2u * pair + 1u), INTERLEAVED);
    let first = head * shape.width + places.x;
    let second = head * shape.width + places.y;
    let a = x[first];
    let b = x[second];
    x[first] = a * cosine - b * sine;
    x[second] = b * cosine + a * sine;
}
