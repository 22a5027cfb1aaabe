// x̂ = (x − m)/√(mean (x − m)² + ε) of every row. m is its mean, or 0 if not CENTRED (MATH §1). If CUT, max(x − m − ε √(mean (x − m)²), 0).
//
// Shapes    x and y rows × width.
// Bindings  0 shape, 1 x, 2 y
// Overrides CENTRED, CUT
// Workgroup 64 threads, one row: every 64th value a thread, then a tree.
// Cost      three reads of x.

override CENTRED: bool = true;
override CUT: bool = false;

const THREADS = 64u;

struct Shape {
    rows: u32,
    width: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

var<workgroup> parts: array<f32, 64>;

fn sum(part: f32, thread: u32) -> f32 {
    parts[thread] = part;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if thread < half {
            parts[thread] += parts[thread + half];
        }
        workgroupBarrier();
    }
    let total = workgroupUniformLoad(&parts[0]);
    return total;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = group.y * groups.x + group.x;
    if row >= shape.rows {
        return;
    }
    let start = row * shape.width;
    var mean = 0.0;
    if CENTRED {
        var part = 0.0;
        for (var at = thread; at < shape.width; at += THREADS) {
            part += x[start + at];
        }
        mean = sum(part, thread) / f32(shape.width);
    }
    var part = 0.0;
    for (var at = thread; at < shape.width; at += THREADS) {
        let apart = x[start + at] - mean;
        part += apart * apart;
    }
    let square = sum(part, thread) / f32(shape.width);
    let inverse = 1.0 / sqrt(square + shape.epsilon);
    for (var at = thread; at < shape.width; at += THREADS) {
        if CUT {
            y[start + at] = max(x[start + at] - mean - shape.epsilon * sqrt(square), 0.0);
        } else {
            y[start + at] = (x[start + at] - mean) * inverse;
        }
    }
}
