// α = e^(−rate · softplus(x + bias)) of every token and head, in place.
//
// Shapes    x n × heads; rates and biases heads.
// Bindings  0 shape, 1 rates, 2 biases, 3 x
// Workgroup 64 threads, one value each.

struct Shape {
    values: u32,
    heads: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> rates: array<f32>;
@group(0) @binding(2) var<storage, read> biases: array<f32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

// ln(1 + eˣ), as the greater of x and 0, plus ln(1 + e^−|x|) = 2 artanh(e/(2 + e)) by its series: `log` may be off by 5e-7.
fn softplus(x: f32) -> f32 {
    let e = exp(max(-abs(x), -80.0));
    let s = e / (2.0 + e);
    let square = s * s;
    let series = 1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0 + square * (1.0 / 9.0
        + square * (1.0 / 11.0 + square * (1.0 / 13.0 + square * (1.0 / 15.0)))))));
    return max(x, 0.0) + 2.0 * s * series;
}

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
    let head = at % shape.heads;
    x[at] = exp(max(-rates[head] * softplus(x[at] + biases[head]), -87.0));
}
