// y = x Wᵀ + b with sums in f32. Appended to linear_map.wgsl.
//
// Workgroup 16 × 16 threads, a tile of 64 × 64 of y: each thread four rows by four columns. Sixteen k at a time pass through
//           8.5 KiB of workgroup memory.
// Cost      2·n·m·k operations; every value of x is read m/64 times, every value of W n/64 times.

const TILE = 64u;
const DEPTH = 16u;
// TILE/4 and one more, so that neighbours who write at different k do not wait for each other.
const ROW = 17u;

// Four rows of x, and four rows of W, at one k.
var<workgroup> left: array<vec4f, 272>;
var<workgroup> right: array<vec4f, 272>;

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

// One column for each row of x.
fn multiply(k: u32, thread: vec3u, sums: ptr<function, mat4x4f>) {
    let a = left[k * ROW + thread.y];
    let b = right[k * ROW + thread.x];
    *sums += mat4x4f(a.x * b, a.y * b, a.z * b, a.w * b);
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
    @builtin(local_invocation_index) index: u32,
) {
    let outputs = TILE * group.x;
    let tokens = TILE * group.y;
    // Neighbouring threads read neighbouring values, which lie along k, or along m if W is TURNED.
    let along = index % 16u;
    let across = index / 16u;
    var sums = mat4x4f();
    for (var first = 0u; first < shape.k; first += DEPTH) {
        let input = first + along;
        let token = tokens + 4u * across;
        left[along * ROW + across] = vec4f(
            x_at(token, input), x_at(token + 1u, input), x_at(token + 2u, input), x_at(token + 3u, input),
        );
        let place = select(vec2u(along, across), vec2u(across, along), TURNED);
        let output = outputs + 4u * place.y;
        let depth = first + place.x;
        right[place.x * ROW + place.y] = vec4f(
            weight_at(output, depth), weight_at(output + 1u, depth),
            weight_at(output + 2u, depth), weight_at(output + 3u, depth),
        );
        workgroupBarrier();
        // Sums of short sums, because rounding grows with the length of a sum. The loop is unrolled: its bookkeeping took more than a
        // quarter of the time on an H200.
        var part = mat4x4f();
        multiply(0u, thread, &part);
        multiply(1u, thread, &part);
        multiply(2u, thread, &part);
        multiply(3u, thread, &part);
        multiply(4u, thread, &part);
        multiply(5u, thread, &part);
        multiply(6u, thread, &part);
        multiply(7u, thread, &part);
        multiply(8u, thread, &part);
        multiply(9u, thread, &part);
        multiply(10u, thread, &part);
        multiply(11u, thread, &part);
        multiply(12u, thread, &part);
        multiply(13u, thread, &part);
        multiply(14u, thread, &part);
        multiply(15u, thread, &part);
        sums += part;
        workgroupBarrier();
    }
    let token = tokens + 4u * thread.y;
    let output = outputs + 4u * thread.x;
    store(token, output, sums[0]);
    store(token + 1u, output, sums[1]);
    store(token + 2u, output, sums[2]);
    store(token + 3u, output, sums[3]);
}
