// Adds every row of `part`, times its weight, to a row of y. No two rows of `part` go to the same row.
//
// Shapes    part rows × width; `to` has a row of y and the bits of a weight for each row of `part`.
// Bindings  0 shape, 1 part, 2 to, 3 y
// Workgroup 64 threads, one value of `part` each.

struct Shape {
    values: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> part: array<f32>;
@group(0) @binding(2) var<storage, read> to: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = element(group, groups, thread);
    if at >= shape.values {
        return;
    }
    let row = to[at / shape.width];
    y[row.x * shape.width + at % shape.width] += bitcast<f32>(row.y) * part[at];
}
