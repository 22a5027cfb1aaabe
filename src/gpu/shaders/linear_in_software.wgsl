// y = x Wᵀ + b with sums in f32, for adapters in software. Appended to linear_map.wgsl. On such adapters a barrier costs more than it
// saves, and a read costs as much as ten multiplications. So each value that is read is used sixteen times from registers.
//
// Workgroup 8 threads, each 16 tokens by 16 outputs, in matrices of 4 × 4; four k at a time.
// Cost      2·n·m·k operations; every value of x is read m/16 times, every value of W n/16 times.

// Four rows of x, or of W, at four k from `input` on, one column for each row. Values beyond the last k are 0. Rows beyond the last
// repeat it, and their results are never stored.
fn four_of_x(token: u32, input: u32) -> mat4x4f {
    return mat4x4f(of_x(token, input), of_x(token + 1u, input), of_x(token + 2u, input), of_x(token + 3u, input));
}

fn of_x(token: u32, input: u32) -> vec4f {
    let at = min(token, shape.n - 1u) * shape.k + input;
    return within(vec4f(x[at], x[at + 1u], x[at + 2u], x[at + 3u]), input);
}

fn four_of_w(output: u32, input: u32) -> mat4x4f {
    return mat4x4f(
        of_w(output, input), of_w(output + 1u, input), of_w(output + 2u, input), of_w(output + 3u, input),
    );
}

fn of_w(output: u32, input: u32) -> vec4f {
    let row = min(output, shape.m - 1u);
    let at = select(row * shape.k + input, input * shape.m + row, TURNED);
    let next = select(1u, shape.m, TURNED);
    let values = vec4f(weight(at), weight(at + next), weight(at + 2u * next), weight(at + 3u * next));
    return within(values, input);
}

fn within(values: vec4f, input: u32) -> vec4f {
    return select(vec4f(), values, vec4u(input) + vec4u(0u, 1u, 2u, 3u) < vec4u(shape.k));
}

fn store_four(token: u32, output: u32, sums: mat4x4f) {
    store(token, output, sums[0]);
    store(token + 1u, output, sums[1]);
    store(token + 2u, output, sums[2]);
    store(token + 3u, output, sums[3]);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let token = 16u * (8u * group.y + thread);
    let output = 16u * group.x;
    // Tokens by outputs, one column for each token.
    var sums00 = mat4x4f();
    var sums01 = mat4x4f();
    var sums02 = mat4x4f();
    var sums03 = mat4x4f();
    var sums10 = mat4x4f();
    var sums11 = mat4x4f();
    var sums12 = mat4x4f();
    var sums13 = mat4x4f();
    var sums20 = mat4x4f();
    var sums21 = mat4x4f();
    var sums22 = mat4x4f();
    var sums23 = mat4x4f();
    var sums30 = mat4x4f();
    var sums31 = mat4x4f();
    var sums32 = mat4x4f();
    var sums33 = mat4x4f();
    for (var k = 0u; k < shape.k; k += 4u) {
        let x0 = four_of_x(token, k);
        let x1 = four_of_x(token + 4u, k);
        let x2 = four_of_x(token + 8u, k);
        let x3 = four_of_x(token + 12u, k);
        let w0 = transpose(four_of_w(output, k));
        sums00 += w0 * x0;
        sums10 += w0 * x1;
        sums20 += w0 * x2;
        sums30 += w0 * x3;
        let w1 = transpose(four_of_w(output + 4u, k));
        sums01 += w1 * x0;
        sums11 += w1 * x1;
        sums21 += w1 * x2;
        sums31 += w1 * x3;
        let w2 = transpose(four_of_w(output + 8u, k));
        sums02 += w2 * x0;
        sums12 += w2 * x1;
        sums22 += w2 * x2;
        sums32 += w2 * x3;
        let w3 = transpose(four_of_w(output + 12u, k));
        sums03 += w3 * x0;
        sums13 += w3 * x1;
        sums23 += w3 * x2;
        sums33 += w3 * x3;
    }
    store_four(token, output, sums00);
    store_four(token, output + 4u, sums01);
    store_four(token, output + 8u, sums02);
    store_four(token, output + 12u, sums03);
    store_four(token + 4u, output, sums10);
    store_four(token + 4u, output + 4u, sums11);
    store_four(token + 4u, output + 8u, sums12);
    store_four(token + 4u, output + 12u, sums13);
    store_four(token + 8u, output, sums20);
    store_four(token + 8u, output + 4u, sums21);
    store_four(token + 8u, output + 8u, sums22);
    store_four(token + 8u, output + 12u, sums23);
    store_four(token + 12u, output, sums30);
    store_four(token + 12u, output + 4u, sums31);
    store_four(token + 12u, output + 8u, sums32);
    store_four(token + 12u, output + 12u, sums33);
}
