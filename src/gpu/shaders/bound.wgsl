// x · multiplier, in place: clamped between `low` and `high` if these differ, and softened to cap · tanh(x/cap) if the cap is above 0.
//
// Bindings  0 shape, 1 x
// Workgroup 64 threads, one value each.

struct Shape {
    values: u32,
    multiplier: f32,
    low: f32,
    high: f32,
    cap: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;

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
    var value = x[at] * shape.multiplier;
    if shape.low < shape.high {
        value = clamp(value, shape.low, shape.high);
    }
    if shape.cap > 0.0 {
        value = shape.cap * hyperbolic_tangent(value / shape.cap);
    }
    x[at] = value;
}
