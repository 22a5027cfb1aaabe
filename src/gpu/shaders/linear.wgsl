// y = x Wᵀ + b, W in the type of the checkpoint, decoded here; sums in f32.
//
// Shapes    x n × k; W m × k, or k × m where TURNED; b m values, added where `biased`; y n × m.
// Bindings  0 shape, 1 x, 2 W in 32-bit words, the lower half first, 3 b, 4 y
// Overrides TYPE: 0 F32, 1 F16, 2 BF16; TURNED
// Workgroup 16 × 16 threads, a tile of 64 × 64 of y: each thread four rows by four columns. Sixteen k at a time pass through
//           8 KiB of workgroup memory.
// Cost      2·n·m·k operations; every value of x is read m/64 times, every value of W n/64 times.

override TYPE: u32 = 0u;
override TURNED: bool = false;

const TILE = 64u;
const DEPTH = 16u;

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

// DEPTH × TILE/4: four rows of x, and four rows of W, at one k.
var<workgroup> left: array<vec4f, 256>;
var<workgroup> right: array<vec4f, 256>;

// Exact, also where f16 is subnormal, which f32 arithmetic may flush.
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

fn weight_at(output: u32, input: u32) -> f32 {
    if output >= shape.m || input >= shape.k {
        return 0.0;
    }
    if TURNED {
        return weight(input * shape.m + output);
    }
    return weight(output * shape.k + input);
}

fn x_at(token: u32, input: u32) -> f32 {
    if token < shape.n && input < shape.k {
        return x[token * shape.k + input];
    }
    return 0.0;
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

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    let outputs = TILE * group.x;
    let tokens = TILE * group.y;
    // Neighbours read neighbouring values of memory, which lie along k, or along m where W is turned.
    let along = index % 16u;
    let across = index / 16u;
    var sums0 = vec4f();
    var sums1 = vec4f();
    var sums2 = vec4f();
    var sums3 = vec4f();
    for (var first = 0u; first < shape.k; first += DEPTH) {
        let input = first + along;
        let token = tokens + 4u * across;
        left[along * 16u + across] = vec4f(
            x_at(token, input), x_at(token + 1u, input), x_at(token + 2u, input), x_at(token + 3u, input),
        );
        let place = select(vec2u(along, across), vec2u(across, along), TURNED);
        let output = outputs + 4u * place.y;
        let depth = first + place.x;
        right[place.x * 16u + place.y] = vec4f(
            weight_at(output, depth), weight_at(output + 1u, depth),
            weight_at(output + 2u, depth), weight_at(output + 3u, depth),
        );
        workgroupBarrier();
        // Sums of sums: rounding grows with the length of each.
        var part0 = vec4f();
        var part1 = vec4f();
        var part2 = vec4f();
        var part3 = vec4f();
        for (var k = 0u; k < DEPTH; k++) {
            let a = left[k * 16u + thread.y];
            let b = right[k * 16u + thread.x];
            part0 += a.x * b;
            part1 += a.y * b;
            part2 += a.z * b;
            part3 += a.w * b;
        }
        sums0 += part0;
        sums1 += part1;
        sums2 += part2;
        sums3 += part3;
        workgroupBarrier();
    }
    let token = tokens + 4u * thread.y;
    let output = outputs + 4u * thread.x;
    store(token, output, sums0);
    store(token + 1u, output, sums1);
    store(token + 2u, output, sums2);
    store(token + 3u, output, sums3);
}
