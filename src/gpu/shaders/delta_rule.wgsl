// The gated delta rule (Yang, Kautz and Hatamizadeh, 2025): every head has a state S, which begins as zero. Each token, in order:
// S ← α S, S ← S + k (β (v − Sᵀ k))ᵀ, y = Sᵀ q.
//
// Shapes    q and k n × key_heads·key_width, v and y n × heads·value_width, alpha and beta n × heads, in sequences of t;
//           key_width ≤ 128.
// Bindings  0 shape, 1 q, 2 k, 3 v, 4 alpha, 5 beta, 6 y
// Workgroup 64 threads, one column of S each, in registers: 64 channels of the values of one head of one sequence. Queries and keys
//           of eight tokens at a time, in 8 KiB of workgroup memory.
// Cost      4·key_width operations a token and channel.

const TOKENS = 8u;
// Vectors of four channels of the widest key.
const VECTORS = 32u;
const THREADS = 64u;

struct Shape {
    heads: u32,
    key_heads: u32,
    key_width: u32,
    value_width: u32,
    length: u32,
    query_scale: f32,
    key_scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> k: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> alpha: array<f32>;
@group(0) @binding(5) var<storage, read> beta: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

// Token after token. Channels beyond the last are 0.
var<workgroup> queries: array<vec4f, 256>;
var<workgroup> keys: array<vec4f, 256>;

// Four channels, from `channel` on, of the vector that begins at `first`. Channels beyond the last repeat the last, and are then 0.
fn four_places(first: u32, channel: u32) -> vec4u {
    return vec4u(first) + min(vec4u(channel) + vec4u(0u, 1u, 2u, 3u), vec4u(shape.key_width - 1u));
}

fn within(channel: u32) -> vec4<bool> {
    return vec4u(channel) + vec4u(0u, 1u, 2u, 3u) < vec4u(shape.key_width);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) thread: u32,
) {
    let channel = group.x * THREADS + thread;
    let head = group.y;
    let key_head = head / (shape.heads / shape.key_heads);
    let start = group.z * shape.length;
    var state: array<vec4f, 32>;
    for (var at = 0u; at < VECTORS; at++) {
        state[at] = vec4f();
    }
    for (var begin = 0u; begin < shape.length; begin += TOKENS) {
        let tokens = min(TOKENS, shape.length - begin);
        workgroupBarrier();
        for (var at = thread; at < tokens * VECTORS; at += THREADS) {
            let first = ((start + begin + at / VECTORS) * shape.key_heads + key_head) * shape.key_width;
            let place = at % VECTORS * 4u;
            let places = four_places(first, place);
            let query = vec4f(q[places.x], q[places.y], q[places.z], q[places.w]);
            let key = vec4f(k[places.x], k[places.y], k[places.z], k[places.w]);
            queries[at] = select(vec4f(), query * shape.query_scale, within(place));
            keys[at] = select(vec4f(), key * shape.key_scale, within(place));
        }
        workgroupBarrier();
        if channel < shape.value_width {
            for (var token = 0u; token < tokens; token++) {
                let row = (start + begin + token) * shape.heads + head;
                let first = token * VECTORS;
                let kept = alpha[row];
                var known = vec4f();
                for (var at = 0u; at < VECTORS; at++) {
                    state[at] *= kept;
                    known += state[at] * keys[first + at];
                }
                let answer = known.x + known.y + known.z + known.w;
                let value = row * shape.value_width + channel;
                let delta = beta[row] * (v[value] - answer);
                var asked = vec4f();
                for (var at = 0u; at < VECTORS; at++) {
                    state[at] += keys[first + at] * delta;
                    asked += state[at] * queries[first + at];
                }
                y[value] = asked.x + asked.y + asked.z + asked.w;
            }
        }
    }
}
