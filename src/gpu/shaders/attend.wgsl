// y = softmax(cap(q kᵀ · scale) + bias) v of every head, over the keys that a query may see, with an online softmax: scores
// are never in memory (Dao et al., FlashAttention, 2022).
//
// Shapes    q and y n × heads·h, k and v n × key_heads·h, in sequences of t; h ≤ 256. bias: a slope a head, or 2t − 1 values
//           a head by distance.
// Bindings  0 shape, 1 q, 2 k, 3 v, 4 bias, 5 y
// Overrides BIAS: 0 none, 1 slopes, 2 by distance
// Workgroup 64 threads, sixteen queries of one head of one sequence; sixteen keys at a time: four scores a thread, then
//           h/4 values of y.
// Cost      4·h operations a query and key.

override BIAS: u32 = 0u;

const QUERIES = 16u;
const KEYS = 16u;
const THREADS = 64u;
const LOWEST = -3.0e38;

struct Shape {
    heads: u32,
    key_heads: u32,
    width: u32,
    length: u32,
    causal: u32,
    // 0: none.
    window: u32,
    scale: f32,
    // 0: none.
    cap: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> k: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

var<workgroup> weights: array<f32, 256>;
var<workgroup> most: array<f32, 16>;
var<workgroup> sums: array<f32, 16>;
var<workgroup> shrink: array<f32, 16>;

fn seen(query: u32, key: u32) -> bool {
    if key >= shape.length || query >= shape.length || (shape.causal != 0u && key > query) {
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
    return value;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) thread: u32,
) {
    let h = shape.width;
    let first = group.x * QUERIES;
    let head = group.y;
    let token = group.z * shape.length;
    let key_head = head / (shape.heads / shape.key_heads);
    var values: array<f32, 64>;
    if thread < QUERIES {
        most[thread] = LOWEST;
        sums[thread] = 0.0;
    }
    let last = min(first + QUERIES, shape.length) - 1u;
    var begin = 0u;
    var end = shape.length;
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
        for (var at = thread; at < QUERIES * KEYS; at += THREADS) {
            let query = first + at / KEYS;
            let key = start + at % KEYS;
            var value = LOWEST;
            if seen(query, key) {
                var product = 0.0;
                let of_query = ((token + query) * shape.heads + head) * h;
                let of_key = ((token + key) * shape.key_heads + key_head) * h;
                for (var channel = 0u; channel < h; channel++) {
                    product += q[of_query + channel] * k[of_key + channel];
                }
                value = score(product, head, query, key);
            }
            weights[at] = value;
        }
        workgroupBarrier();
        if thread < QUERIES {
            var highest = most[thread];
            for (var key = 0u; key < KEYS; key++) {
                highest = max(highest, weights[thread * KEYS + key]);
            }
            let smaller = exp(most[thread] - highest);
            var sum = sums[thread] * smaller;
            for (var key = 0u; key < KEYS; key++) {
                let value = weights[thread * KEYS + key];
                let weight = select(0.0, exp(value - highest), value > LOWEST);
                weights[thread * KEYS + key] = weight;
                sum += weight;
            }
            most[thread] = highest;
            sums[thread] = sum;
            shrink[thread] = smaller;
        }
        workgroupBarrier();
        var own = 0u;
        for (var at = thread; at < QUERIES * h; at += THREADS) {
            let query = at / h;
            var value = values[own] * shrink[query];
            for (var key = 0u; key < KEYS; key++) {
                // Beyond the sequence, or the buffer, weights are 0.
                let row = min(start + key, shape.length - 1u);
                value += weights[query * KEYS + key] * v[((token + row) * shape.key_heads + key_head) * h + at % h];
            }
            values[own] = value;
            own++;
        }
        workgroupBarrier();
    }
    var own = 0u;
    for (var at = thread; at < QUERIES * h; at += THREADS) {
        let query = first + at / h;
        if query < shape.length {
            y[((token + query) * shape.heads + head) * h + at % h] = values[own] / sums[at / h];
        }
        own++;
    }
}
