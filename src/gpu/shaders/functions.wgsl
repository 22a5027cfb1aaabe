// Functions that WGSL lacks, or that it allows to have a greater error than f32's rounding.

// erfc by a Chebyshev fit (Press et al., Numerical Recipes, §6.2), with a relative error below 1.2e-7.
fn erfc(x: f32) -> f32 {
    let z = abs(x);
    let t = 1.0 / (1.0 + 0.5 * z);
    let fit = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
        + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
    let tail = t * exp(fit - z * z);
    return select(2.0 - tail, tail, x >= 0.0);
}

// Uses the series near 0, because 1 − 2/(e²ˣ + 1) cancels digits there.
fn hyperbolic_tangent(x: f32) -> f32 {
    let z = abs(x);
    if z < 0.25 {
        let s = x * x;
        return x * (1.0 + s * (-1.0 / 3.0 + s * (2.0 / 15.0 + s * (-17.0 / 315.0 + s * (62.0 / 2835.0)))));
    }
    let far = 1.0 - 2.0 / (exp(2.0 * min(z, 20.0)) + 1.0);
    return select(-far, far, x > 0.0);
}

// Avoids the overflow of e⁻ˣ.
fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(min(-x, 80.0)));
}
