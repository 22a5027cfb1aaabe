// Columns `first` to `first + width` of every row of `whole` values.
//
// Bindings  0 shape, 1 x, 2 y
// Workgroup 64 threads, one value of y each.

struct Shape {
    values: u32,
    first: u32,
    width: u32,
    whole: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = element(group, groups, thread);
    if at < shape.values {
        y[at] = x[at / shape.width * shape.whole + shape.first + at % shape.width];
    }
}
