// y = γ ⊙ x + β of every row, with γ if `scaled` and β if `shifted`.
//
// Shapes    x and y n·d values; γ and β d.
// Bindings  0 shape, 1 x, 2 γ, 3 β, 4 y
// Workgroup 64 threads, one value each.

struct Shape {
    values: u32,
    width: u32,
    scaled: u32,
    shifted: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read> shift: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

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
    let channel = at % shape.width;
    var value = x[at];
    if shape.scaled != 0u {
        value *= scale[channel];
    }
    if shape.shifted != 0u {
        value += shift[channel];
    }
    y[at] = value;
}
