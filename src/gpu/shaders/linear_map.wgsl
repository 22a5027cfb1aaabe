// Code shared by the shaders of y = x Wᵀ + b. W has the type of the checkpoint and is decoded here.
//
// Shapes    x n × k; W m × k, or k × m where TURNED; b m values, added where `biased`; y n × m.
// Bindings  0 shape, 1 x, 2 W in 32-bit words, the lower half first, 3 b, 4 y
// Overrides TYPE: 0 F32, 1 F16, 2 BF16; TURNED

override TYPE: u32 = 0u;
override TURNED: bool = false;

struct Shape {
    n: u32,
    k: u32,
    m: u32,
    biased: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<u32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// Exact, even if the f16 is subnormal: f32 arithmetic may flush subnormals.
fn from_f16(half: u32) -> f32 {
    let magnitude = half & 0x7fffu;
    var value = bitcast<f32>((magnitude << 13u) + (select(112u, 224u, magnitude >= 0x7c00u) << 23u));
    if magnitude < 0x400u {
        value = f32(magnitude) * 5.9604644775390625e-8;
    }
    return select(value, -value, (half & 0x8000u) != 0u);
}

fn weight(at: u32) -> f32 {
    if TYPE == 0u {
        return bitcast<f32>(weights[at]);
    }
    let half = (weights[at >> 1u] >> (16u * (at & 1u))) & 0xffffu;
    if TYPE == 1u {
        return from_f16(half);
    }
    return bitcast<f32>(half << 16u);
}

fn store(token: u32, output: u32, sums: vec4f) {
    for (var column = 0u; column < 4u; column++) {
        if token < shape.n && output + column < shape.m {
            var sum = sums[column];
            if shape.biased != 0u {
                sum += bias[output + column];
            }
            y[token * shape.m + output + column] = sum;
        }
    }
}
