// y = softmax(cap(q kᵀ · scale) + bias) v of every head, over the keys that a query may see, with an online softmax: scores
// are never in memory (Dao et al., FlashAttention, 2022). With SINKS, a further score of each head takes part that has no value.
//
// Shapes    q and y n × heads·h in sequences of t; k and v n/t/sharing·s × key_heads·h in sequences of s, each of which as many
//           sequences of queries have in common. bias: a slope a head, or 2t − 1 values a head by distance (s is t), or s values a head
//           by key, or t × s a head by query and key, or disentangled positions: a row's number for each of 2t − 1 distances, then rows
//           of 2·heads·h values, the keys of a position and its queries (s is t).
// Bindings  0 shape, 1 q, 2 k, 3 v, 4 bias, 5 y, 6 sinks: a value a head
// Overrides BIAS: 0 none, 1 slopes, 2 by distance, 3 by key, 4 by query and key, 5 disentangled positions; SINKS
// Workgroup 64 threads, 32 queries of one head of one sequence, and 256 channels of its values; 32 keys at a time: scores of four
//           queries and four keys a thread, then four queries by four channels of y, up to eight times. 4.5 KiB of workgroup memory.
// Cost      4·h operations a query and key. Scores of heads wider than 256 are computed once for every 256 channels.

override BIAS: u32 = 0u;
override SINKS: bool = false;

const QUERIES = 32u;
const KEYS = 32u;
const LOWEST = -3.0e38;
// Channels of the values of a workgroup, in pieces of 32.
const CHANNELS = 256u;
const PIECES = 8u;

struct Shape {
    heads: u32,
    key_heads: u32,
    width: u32,
    length: u32,
    keys: u32,
    sharing: u32,
    causal: u32,
    // 0 if none.
    window: u32,
    scale: f32,
    // 0 if none.
    cap: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> k: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read> sinks: array<f32>;

// A row of keys for each query, four values in each vector.
var<workgroup> weights: array<vec4f, 256>;
var<workgroup> most: array<f32, 32>;
var<workgroup> sums: array<f32, 32>;
var<workgroup> shrink: array<f32, 32>;

fn seen(query: u32, key: u32) -> bool {
    if key >= shape.keys || query >= shape.length || (shape.causal != 0u && key > query) {
        return false;
    }
    if shape.window == 0u {
        return true;
    }
    if shape.causal != 0u {
        return query - key < shape.window;
    }
    return max(query, key) - min(query, key) <= shape.window / 2u;
}

fn score(product: f32, head: u32, query: u32, key: u32) -> f32 {
    if !seen(query, key) {
        return LOWEST;
    }
    var value = product * shape.scale;
    if shape.cap > 0.0 {
        value = shape.cap * hyperbolic_tangent(value / shape.cap);
    }
    if BIAS == 1u {
        value += bias[head] * (f32(key) - f32(query));
    }
    if BIAS == 2u {
        value += bias[head * (2u * shape.length - 1u) + key + shape.length - 1u - query];
    }
    if BIAS == 3u {
        value += bias[head * shape.keys + key];
    }
    if BIAS == 4u {
        value += bias[(head * shape.length + query) * shape.keys + key];
    }
    return value;
}

// Four channels of a head. Channels beyond the last are 0.
fn within(values: vec4f, channel: u32) -> vec4f {
    return select(vec4f(), values, vec4u(channel) + vec4u(0u, 1u, 2u, 3u) < vec4u(shape.width));
}

// Rows beyond the sequence repeat its last row. Their results are never used.
fn of_length(token: u32) -> u32 {
    return min(token, shape.length - 1u);
}

fn of_key(token: u32) -> u32 {
    return min(token, shape.keys - 1u);
}

fn of_q(first: u32, token: u32, channel: u32) -> vec4f {
    let at = first + of_length(token) * shape.heads * shape.width + channel;
    return within(vec4f(q[at], q[at + 1u], q[at + 2u], q[at + 3u]), channel);
}

fn of_k(first: u32, token: u32, channel: u32) -> vec4f {
    let at = first + of_key(token) * shape.key_heads * shape.width + channel;
    return within(vec4f(k[at], k[at + 1u], k[at + 2u], k[at + 3u]), channel);
}

fn of_v(first: u32, token: u32, channel: u32) -> vec4f {
    let at = first + of_key(token) * shape.key_heads * shape.width + channel;
    return vec4f(v[at], v[at + 1u], v[at + 2u], v[at + 3u]);
}

// Four channels of the key of a position, or of its query, from `at` on.
fn of_position(at: u32, channel: u32) -> vec4f {
    return within(vec4f(bias[at], bias[at + 1u], bias[at + 2u], bias[at + 3u]), channel);
}

// Products of four queries with the keys of positions, and of four keys with their queries. A column for each query.
fn with_positions(head: u32, query: u32, key: u32, four_queries: mat4x4f, four_keys: mat4x4f, channel: u32) -> mat4x4f {
    var queries = four_queries;
    var keys = four_keys;
    var sums: array<f32, 16>;
    let distances = 2u * shape.length - 1u;
    // Seven distances, beginning with that of the first key from the last query.
    for (var step = 0u; step < 7u; step++) {
        let distance = i32(key + step + shape.length) - i32(query) - 4;
        let row = u32(bias[clamp(distance, 0, i32(distances) - 1)]);
        let at = distances + (2u * row * shape.heads + head) * shape.width + channel;
        let position_key = of_position(at, channel);
        let position_query = of_position(at + shape.heads * shape.width, channel);
        for (var one = select(0u, 3u - step, step < 3u); one < min(4u, 7u - step); one++) {
            let other = one + step - 3u;
            sums[4u * one + other] = dot(queries[one], position_key) + dot(keys[other], position_query);
        }
    }
    return mat4x4f(
        sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7],
        sums[8], sums[9], sums[10], sums[11], sums[12], sums[13], sums[14], sums[15],
    );
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) thread: u32,
) {
    let h = shape.width;
    // Workgroups of the same queries have other channels of the values.
    let spans = (h + CHANNELS - 1u) / CHANNELS;
    let first = group.x / spans * QUERIES;
    let span = group.x % spans * CHANNELS;
    let head = group.y;
    let token = group.z * shape.length;
    let of_queries = (token * shape.heads + head) * h;
    let first_key = group.z / shape.sharing * shape.keys;
    let of_keys = (first_key * shape.key_heads + head / (shape.heads / shape.key_heads)) * h;
    // This thread has four of the 32 queries, and four of the 32 keys or of each 32 channels.
    let own = 4u * (thread / 8u);
    let across = 4u * (thread % 8u);
    // One column for each query.
    var values: array<mat4x4f, 8>;
    if thread < QUERIES {
        most[thread] = LOWEST;
        sums[thread] = 0.0;
        if SINKS {
            most[thread] = sinks[head];
            sums[thread] = 1.0;
        }
    }
    let last = min(first + QUERIES, shape.length) - 1u;
    var begin = 0u;
    var end = shape.keys;
    if shape.causal != 0u {
        end = last + 1u;
    }
    if shape.window != 0u {
        let reach = select(shape.window / 2u, shape.window, shape.causal != 0u);
        begin = select(0u, first - reach, first > reach) / KEYS * KEYS;
        if shape.causal == 0u {
            end = min(end, last + reach + 1u);
        }
    }
    for (var start = begin; start < end; start += KEYS) {
        let query = first + own;
        let key = start + across;
        var products = mat4x4f();
        for (var channel = 0u; channel < h; channel += 4u) {
            let four_queries = mat4x4f(
                of_q(of_queries, query, channel), of_q(of_queries, query + 1u, channel),
                of_q(of_queries, query + 2u, channel), of_q(of_queries, query + 3u, channel),
            );
            let four_keys = mat4x4f(
                of_k(of_keys, key, channel), of_k(of_keys, key + 1u, channel),
                of_k(of_keys, key + 2u, channel), of_k(of_keys, key + 3u, channel),
            );
            products += transpose(four_keys) * four_queries;
            if BIAS == 5u {
                products += with_positions(head, query, key, four_queries, four_keys, channel);
            }
        }
        for (var one = 0u; one < 4u; one++) {
            let row = products[one];
            weights[((own + one) * KEYS + across) / 4u] = vec4f(
                score(row.x, head, query + one, key), score(row.y, head, query + one, key + 1u),
                score(row.z, head, query + one, key + 2u), score(row.w, head, query + one, key + 3u),
            );
        }
        workgroupBarrier();
        if thread < QUERIES {
            var highest = vec4f(most[thread]);
            for (var keys = 0u; keys < KEYS / 4u; keys++) {
                highest = max(highest, weights[thread * KEYS / 4u + keys]);
            }
            let high = max(max(highest.x, highest.y), max(highest.z, highest.w));
            let smaller = exp(most[thread] - high);
            var sum = vec4f();
            for (var keys = 0u; keys < KEYS / 4u; keys++) {
                let value = weights[thread * KEYS / 4u + keys];
                let weight = select(vec4f(), exp(value - high), value > vec4f(LOWEST));
                weights[thread * KEYS / 4u + keys] = weight;
                sum += weight;
            }
            most[thread] = high;
            sums[thread] = sums[thread] * smaller + dot(sum, vec4f(1.0));
            shrink[thread] = smaller;
        }
        workgroupBarrier();
        for (var part = 0u; part < PIECES && span + 32u * part + across < h; part++) {
            let channel = span + 32u * part + across;
            var value = values[part];
            value[0] *= shrink[own];
            value[1] *= shrink[own + 1u];
            value[2] *= shrink[own + 2u];
            value[3] *= shrink[own + 3u];
            for (var keys = 0u; keys < KEYS; keys += 4u) {
                let four_values = mat4x4f(
                    of_v(of_keys, start + keys, channel), of_v(of_keys, start + keys + 1u, channel),
                    of_v(of_keys, start + keys + 2u, channel), of_v(of_keys, start + keys + 3u, channel),
                );
                let at = (own * KEYS + keys) / 4u;
                value += four_values * mat4x4f(
                    weights[at], weights[at + KEYS / 4u], weights[at + KEYS / 2u], weights[at + 3u * KEYS / 4u],
                );
            }
            values[part] = value;
        }
        workgroupBarrier();
    }
    for (var part = 0u; part < PIECES && span + 32u * part + across < h; part++) {
        for (var one = 0u; one < 4u; one++) {
            let query = first + own + one;
            let value = values[part][one] / sums[own + one];
            for (var column = 0u; column < 4u; column++) {
                let channel = span + 32u * part + across + column;
                if query < shape.length && channel < h {
                    y[of_queries + query * shape.heads * h + channel] = value[column];
                }
            }
        }
    }
}
