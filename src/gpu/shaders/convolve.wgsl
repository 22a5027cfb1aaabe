// A causal convolution over the tokens of a sequence, for each channel alone. Tokens before the first one count as zero.
//
// Shapes    x and y n × channels, in sequences of t; weights channels × kernel.
// Bindings  0 shape, 1 x, 2 weights, 3 y
// Workgroup 64 threads, one value each.

struct Shape {
    values: u32,
    channels: u32,
    kernel: u32,
    length: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
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
    let channel = at % shape.channels;
    let token = at / shape.channels % shape.length;
    let last = channel * shape.kernel + shape.kernel - 1u;
    var sum = 0.0;
    for (var back = 0u; back < min(shape.kernel, token + 1u); back++) {
        sum += weights[last - back] * x[at - back * shape.channels];
    }
    y[at] = sum;
}
