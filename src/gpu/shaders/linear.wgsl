// y = x Wᵀ + b, sums in f32, behind linear_map.wgsl.
//
// Workgroup 16 × 16 threads, a tile of 64 × 64 of y: each thread four rows by four columns. Sixteen k at a time pass through
//           8 KiB of workgroup memory.
// Cost      2·n·m·k operations; every value of x is read m/64 times, every value of W n/64 times.

const TILE = 64u;
const DEPTH = 16u;

// DEPTH × TILE/4: four rows of x, and four rows of W, at one k.
var<workgroup> left: array<vec4f, 256>;
var<workgroup> right: array<vec4f, 256>;

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
