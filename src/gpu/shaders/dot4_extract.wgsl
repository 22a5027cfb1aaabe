// Sum of the products of four pairs of i8, for languages without dot4I8Packed.

fn bytes(a: u32) -> vec4i {
    let s = bitcast<i32>(a);
    return vec4i(extractBits(s, 0u, 8u), extractBits(s, 8u, 8u), extractBits(s, 16u, 8u), extractBits(s, 24u, 8u));
}

fn dot4(a: u32, b: u32) -> i32 {
    return dot(bytes(a), bytes(b));
}
