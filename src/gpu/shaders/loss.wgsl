// For every row of logits: the greatest, Σ e^(logit − greatest), and the logit of its target.
//
// Shapes    logits tokens × width; targets a column a token, beyond the width where it is in another slice; y three values a
//           token, the last 0 for a target elsewhere.
// Bindings  0 shape, 1 logits, 2 targets, 3 y
// Workgroup 64 threads, one token: every 64th logit a thread, then a tree.
// Cost      two reads of the logits.

const THREADS = 64u;

struct Shape {
    tokens: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) thread: u32,
) {
    let token = group.y * groups.x + group.x;
    if token >= shape.tokens {
        return;
    }
    let first = token * shape.width;
    var greatest = -3.0e38;
    for (var at = thread; at < shape.width; at += THREADS) {
        greatest = max(greatest, logits[first + at]);
    }
    parts[thread] = greatest;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if thread < half {
            parts[thread] = max(parts[thread], parts[thread + half]);
        }
        workgroupBarrier();
    }
    greatest = workgroupUniformLoad(&parts[0]);
    var sum = 0.0;
    for (var at = thread; at < shape.width; at += THREADS) {
        sum += exp(logits[first + at] - greatest);
    }
    parts[thread] = sum;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if thread < half {
            parts[thread] += parts[thread + half];
        }
        workgroupBarrier();
    }
    if thread == 0u {
        y[3u * token] = greatest;
        y[3u * token + 1u] = parts[0];
        y[3u * token + 2u] = 0.0;
        if targets[token] < shape.width {
            y[3u * token + 2u] = logits[first + targets[token]];
        }
    }
}
