//! The numbers in the blocks of formats that have no kernels. Layouts and the order of roundings
//! are GGML's, as the Python package `gguf` has them too: `tests/golden/make_blocks.py` makes the
//! golden file from it.

use half::f16;

/// Numbers of a small block.
const SMALL: usize = 32;
/// Numbers of a large block.
const LARGE: usize = 256;

/// The 16 values of IQ4_NL and IQ4_XS.
const NON_LINEAR: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Returns number `i` of 32 nibbles in 16 bytes: the lower ones come first.
fn nibble(bytes: &[u8], i: usize) -> u8 {
    if i < 16 { bytes[i] & 15 } else { bytes[i - 16] >> 4 }
}

/// Returns number `i` of 32 numbers of five bits: four bits in nibbles, the fifth in 32 bits before
/// them.
fn five_bits(bytes: &[u8], i: usize) -> u8 {
    nibble(&bytes[4..], i) | (bytes[i / 8] >> (i % 8) & 1) << 4
}

/// Q4_0: a factor and nibbles around 8.
pub(super) fn q4_0(block: &[u8; 18]) -> [f32; SMALL] {
    let d = half_at(block, 0);
    std::array::from_fn(|i| d * f32::from(nibble(&block[2..], i).cast_signed() - 8))
}

/// Q4_1: a factor, a minimum and nibbles.
pub(super) fn q4_1(block: &[u8; 20]) -> [f32; SMALL] {
    let (d, minimum) = (half_at(block, 0), half_at(block, 2));
    std::array::from_fn(|i| d * f32::from(nibble(&block[4..], i)) + minimum)
}

/// Q5_0: a factor and five bits around 16.
pub(super) fn q5_0(block: &[u8; 22]) -> [f32; SMALL] {
    let d = half_at(block, 0);
    std::array::from_fn(|i| d * f32::from(five_bits(&block[2..], i).cast_signed() - 16))
}

/// Q5_1: a factor, a minimum and five bits.
pub(super) fn q5_1(block: &[u8; 24]) -> [f32; SMALL] {
    let (d, minimum) = (half_at(block, 0), half_at(block, 2));
    std::array::from_fn(|i| d * f32::from(five_bits(&block[4..], i)) + minimum)
}

/// IQ4_NL: a factor and nibbles that choose among 16 values.
pub(super) fn iq4_nl(block: &[u8; 18]) -> [f32; SMALL] {
    let d = half_at(block, 0);
    std::array::from_fn(|i| d * f32::from(NON_LINEAR[usize::from(nibble(&block[2..], i))]))
}

/// Returns number `i` of 256 numbers of two bits: each half of the block packs its numbers `l`, `l
/// + 32`, `l + 64` and `l + 96` (`l < 32`) into the same byte.
fn two_bits(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3
}

/// Q2_K: 16 bytes of a scale and a minimum of four bits each, 256 numbers of two bits, two factors.
pub(super) fn q2_k(block: &[u8; 84]) -> [f32; LARGE] {
    let (d, d_min) = (half_at(block, 80), half_at(block, 82));
    std::array::from_fn(|i| {
        let scales = block[i / 16];
        d * f32::from(scales & 15) * f32::from(two_bits(&block[16..], i)) - d_min * f32::from(scales >> 4)
    })
}

/// Q3_K: 256 third bits (number `i` in bit `i / 32` of byte `i % 32`), 256 numbers of two bits, 16
/// scales of six bits, one factor.
pub(super) fn q3_k(block: &[u8; 110]) -> [f32; LARGE] {
    let (d, packed) = (half_at(block, 108), &block[96..108]);
    // Four lower bits of scale `k` in eight bytes, two upper bits in the four bytes after them.
    let scales: [i8; 16] = std::array::from_fn(|k| {
        let low = if k < 8 { packed[k] & 15 } else { packed[k - 8] >> 4 };
        let high = packed[8 + k % 4] >> (k / 4 * 2) & 3;
        (low | high << 4).cast_signed() - 32
    });
    std::array::from_fn(|i| {
        let third = block[i % 32] >> (i / 32) & 1;
        let number = (two_bits(&block[32..], i) | third << 2).cast_signed() - 4;
        d * f32::from(scales[i / 16]) * f32::from(number)
    })
}

/// Q5_K: two factors, eight pairs of a scale and a minimum of six bits each, 256 fifth bits (number
/// `i` in bit `i / 32` of byte `i % 32`), 256 nibbles.
pub(super) fn q5_k(block: &[u8; 176]) -> [f32; LARGE] {
    let (d, d_min, packed) = (half_at(block, 0), half_at(block, 2), &block[4..16]);
    let pairs: [(f32, f32); 8] = std::array::from_fn(|part| {
        // The first four are whole in the lower bits of a byte; the others are split in two.
        let (scale, minimum) = if part < 4 {
            (packed[part] & 63, packed[part + 4] & 63)
        } else {
            let low = packed[part + 4];
            (low & 15 | packed[part - 4] >> 6 << 4, low >> 4 | packed[part] >> 6 << 4)
        };
        (d * f32::from(scale), d_min * f32::from(minimum))
    });
    std::array::from_fn(|i| {
        let (part, l) = (i / 32, i % 32);
        let byte = block[48 + part / 2 * 32 + l];
        let low = if part % 2 == 0 { byte & 15 } else { byte >> 4 };
        let number = low | (block[16 + l] >> part & 1) << 4;
        pairs[part].0 * f32::from(number) - pairs[part].1
    })
}

/// Q6_K: the lower four bits of 256 numbers (128 bytes), the upper two (64 bytes), 16 signed
/// scales, one factor. Each half of the block packs its numbers `l`, `l + 32`, `l + 64` and `l +
/// 96` (`l < 32`) into the same byte of the upper bits.
pub(super) fn q6_k(block: &[u8; 210]) -> [f32; LARGE] {
    let factor = half_at(block, 208);
    std::array::from_fn(|i| {
        let (half, quarter, l) = (i / 128, i % 128 / 32, i % 32);
        let low = block[half * 64 + quarter % 2 * 32 + l] >> (quarter / 2 * 4) & 15;
        let high = block[128 + half * 32 + l] >> (quarter * 2) & 3;
        let scale = block[192 + i / 16].cast_signed();
        factor * f32::from(scale) * f32::from((low | high << 4).cast_signed() - 32)
    })
}

/// IQ4_XS: one factor, eight scales of six bits (the upper two bits of all in 16 bits, the lower
/// four in nibbles), 256 nibbles that choose among 16 values.
pub(super) fn iq4_xs(block: &[u8; 136]) -> [f32; LARGE] {
    let d = half_at(block, 0);
    let high = u16::from_le_bytes([block[2], block[3]]);
    let scales: [f32; 8] = std::array::from_fn(|part| {
        let low = block[4 + part / 2] >> (part % 2 * 4) & 15;
        let scale = low | ((high >> (2 * part) & 3) as u8) << 4;
        d * f32::from(scale.cast_signed() - 32)
    });
    std::array::from_fn(|i| {
        let (part, l) = (i / SMALL, i % SMALL);
        scales[part] * f32::from(NON_LINEAR[usize::from(nibble(&block[8 + part * 16..], l))])
    })
}
