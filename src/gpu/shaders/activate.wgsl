// act(x) of every value, times u if GATED, in place.
//
// Shapes    x and u as many values.
// Bindings  0 shape, 1 u, 2 x
// Overrides KIND, in the order of `Activation`; GATED
// Workgroup 64 threads, one value each.

override KIND: u32 = 0u;
override GATED: bool = false;

struct Shape {
    values: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> up: array<f32>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;

fn act(x: f32) -> f32 {
    switch KIND {
        case 0u: {
            return 0.5 * x * erfc(-0.70710678 * x);
        }
        case 1u: {
            return 0.5 * x * (1.0 + hyperbolic_tangent(0.79788456 * (x + 0.044715 * x * x * x)));
        }
        case 2u: {
            return x * sigmoid(1.702 * x);
        }
        case 3u: {
            return x * sigmoid(x);
        }
        case 4u: {
            return max(x, 0.0);
        }
        case 5u: {
            return max(x, 0.0) * max(x, 0.0);
        }
        case 6u: {
            return hyperbolic_tangent(x);
        }
        default: {
            return sigmoid(x);
        }
    }
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
    var value = act(x[at]);
    if GATED {
        value *= up[at];
    }
    x[at] = value;
}
