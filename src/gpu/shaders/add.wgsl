// y += multiplier · part, value by value.
//
// Bindings  0 shape, 1 part, 2 y
// Workgroup 64 threads, one value each.

struct Shape {
    values: u32,
    multiplier: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> part: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = element(group, groups, thread);
    if at < shape.values {
        y[at] += shape.multiplier * part[at];
    }
}
