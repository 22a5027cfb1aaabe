// Index of the first NaN or infinity in x. x is read as bits, because WGSL need not keep such values.
//
// Bindings  0 shape, 1 x, 2 the index, which starts as the greatest u32
// Workgroup 64 threads, one value each.

struct Shape {
    values: u32,
}

const EXPONENT = 0x7f800000u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> first: atomic<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = element(group, groups, thread);
    if at < shape.values && (x[at] & EXPONENT) == EXPONENT {
        atomicMin(&first, at);
    }
}
