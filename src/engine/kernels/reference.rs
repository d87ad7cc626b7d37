//! Every operation once more: plain, slow, in f64 and obviously right. Tests compare the kernels
//! with these functions.

/// Returns the product `[t, outputs]` of `x [t, inputs]` and `w [outputs, inputs]`.
pub(super) fn linear(x: &[f32], w: &[f32], inputs: usize) -> Vec<f64> {
    let dot = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    x.chunks_exact(inputs).flat_map(|x| w.chunks_exact(inputs).map(move |w| dot(x, w))).collect()
}

/// Returns activations after rounding to int8 with one scale per 32 numbers of a row.
pub(super) fn as_int8(x: &[f32], inputs: usize) -> Vec<f32> {
    x.chunks_exact(inputs).flat_map(|row| row.chunks(32).flat_map(as_int8_with_one_scale)).collect()
}

/// Returns numbers after rounding to int8 with one scale.
pub(super) fn as_int8_with_one_scale(x: &[f32]) -> Vec<f32> {
    let largest = x.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    // Divided as the kernels divide. Otherwise a number half-way between two int8 values might
    // become the other one.
    let (scale, inverse) = (largest / 127.0, 127.0 / largest);
    x.iter().map(|x| if scale > 0.0 { (x * inverse).round_ties_even() * scale } else { 0.0 }).collect()
}

/// Returns weights rounded to bf16, ties away from zero.
pub(super) fn as_bf16_away_from_zero(w: &[f32]) -> Vec<f32> {
    w.iter().map(|w| f32::from_bits((w.to_bits() + 0x8000) & 0xffff_0000)).collect()
}

/// Returns activations rounded to bf16.
pub(super) fn as_bf16(x: &[f32]) -> Vec<f32> {
    x.iter().map(|&x| half::bf16::from_f32(x).to_f32()).collect()
}

/// Returns weights rounded to e4m3 with one scale per row. e4m3 has three bits behind the leading
/// one, exponents from -6 on, and no number above 448.
pub(super) fn as_f8(row: &[f32]) -> Vec<f32> {
    let scale = row.iter().fold(0.0f32, |largest, x| largest.max(x.abs())) / 448.0;
    let round = |x: f32| {
        let unit = (x.abs().log2().floor().max(-6.0) - 3.0).exp2();
        (x / unit).round_ties_even() * unit
    };
    row.iter().map(|x| if scale > 0.0 { round(x / scale) * scale } else { 0.0 }).collect()
}

/// Returns `x / (1 + e^-x)`.
pub(super) fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// Returns the RMSNorm of one row.
pub(super) fn rms_norm(x: &[f32], weight: &[f32], eps: f64) -> Vec<f64> {
    let mean = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / x.len() as f64;
    x.iter().zip(weight).map(|(&x, &w)| f64::from(x) / (mean + eps).sqrt() * f64::from(w)).collect()
}

/// Returns one head rotated (RoPE) to `position`.
pub(super) fn rotate(x: &[f64], position: u32, theta: f64) -> Vec<f64> {
    let half = x.len() / 2;
    let angle = |i: usize| f64::from(position) * theta.powf(-((2 * i) as f64) / x.len() as f64);
    let turned = |i: usize| {
        let (sin, cos) = angle(i % half).sin_cos();
        if i < half { x[i] * cos - x[i + half] * sin } else { x[i] * cos + x[i - half] * sin }
    };
    (0..x.len()).map(turned).collect()
}

/// Returns the attention of one query over the keys and values `[keys, d]` that it may see.
pub(super) fn attention(q: &[f32], keys: &[Vec<f32>], values: &[Vec<f32>]) -> Vec<f64> {
    let dot = |k: &Vec<f32>| q.iter().zip(k).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let scores: Vec<f64> = keys.iter().map(|k| dot(k) / (q.len() as f64).sqrt()).collect();
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let total: f64 = weights.iter().sum();
    let sum = |i: usize| weights.iter().zip(values).map(|(w, v)| w * f64::from(v[i])).sum::<f64>() / total;
    (0..q.len()).map(sum).collect()
}
