//! How packed weights lie in memory for the kernels. A panel is two vectors of outputs wide, and
//! the weights of neighbouring outputs lie side by side. A panel that is cut into blocks has, per
//! block of inputs:
//!
//! - Q8_0, 32 inputs: an f16 scale per output; then, for every four inputs, four int8 weights per
//!   output, plus 128 for sets that multiply unsigned weights.
//! - bf16, 32 inputs, for sets that multiply pairs of inputs: for every two inputs, the pair of
//!   weights per output.
//! - Q4_K, 256 inputs: two f16 factors per output; then, for each part of 32 inputs, a scale byte
//!   and a minimum byte per output and 16 bytes of nibbles: input i of the part in the lower
//!   nibble, input i + 16 in the upper one.

use super::int8_rows::BLOCK;
use super::matrix::Buffer;
use super::rows::{Q4Block, Q8Block};
use super::{Format, Rows};

/// The number of parts of 32 inputs in a block of Q4_K.
pub(in crate::kernels) const Q4_PARTS: usize = 8;

/// The layout of a panel of quantized weights.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::kernels) enum PartLayout {
    Q8_0,
    Q4K,
}

impl PartLayout {
    /// Returns the bytes of a panel of `width` outputs and `blocks` blocks of 32 inputs.
    pub(in crate::kernels) fn panel_bytes(self, blocks: usize, width: usize) -> usize {
        match self {
            Self::Q8_0 => blocks * (2 + BLOCK) * width,
            Self::Q4K => blocks / Q4_PARTS * (4 + Q4_PARTS * (2 + BLOCK / 2)) * width,
        }
    }
}

/// Packed weights.
pub(in crate::kernels) struct Panels {
    format: Format,
    /// Whether the weights are bf16 in pairs of inputs.
    in_pairs: bool,
    /// What is added to int8 weights of Q8_0, modulo 256.
    offset: u8,
    /// The number of blocks of 32 inputs; for pairs and quantized formats only.
    blocks: usize,
    width: usize,
    inputs: usize,
    bytes: Buffer,
}

impl Panels {
    /// Returns room for `columns` outputs in panels of `width` outputs, all bytes zero. `in_pairs`
    /// says whether bf16 weights lie in pairs of inputs, `has_offset` whether weights of Q8_0 are
    /// unsigned, with 128 added.
    pub(in crate::kernels) fn zeros(
        (format, inputs): (Format, usize),
        columns: usize,
        width: usize,
        (in_pairs, has_offset): (bool, bool),
    ) -> Self {
        let in_pairs = in_pairs && format == Format::Bf16;
        let block = if in_pairs { BLOCK } else { format.block() };
        let blocks = inputs.div_ceil(block) * block / BLOCK;
        let offset = if has_offset && format == Format::Q8_0 { 128 } else { 0 };
        let mut panels = Self { format, in_pairs, offset, blocks, width, inputs, bytes: Buffer::default() };
        let size = panels.panel_bytes();
        panels.bytes = Buffer::zeros(columns.div_ceil(width) * size.div_ceil(size_of::<f32>()));
        panels
    }

    /// Returns the function that writes one output's weights, a row of a matrix in the panels'
    /// format, into a panel's bytes.
    pub(in crate::kernels) fn writer(&self) -> impl Fn(&Rows, usize, &mut [u8], usize) + Sync + use<> {
        let (format, in_pairs, offset, width) = (self.format, self.in_pairs, self.offset, self.width);
        move |rows, row, to, lane| match format {
            Format::Bf16 if in_pairs => put_pairs(rows.row(row), to, width, lane),
            Format::F32 => put::<4>(rows.row(row), to, width, lane),
            Format::F16 | Format::Bf16 => put::<2>(rows.row(row), to, width, lane),
            Format::Q8_0 => put_q8_0(rows.row(row), to, width, lane, offset),
            Format::Q4K => put_q4_k(rows.row(row), to, width, lane),
        }
    }

    /// Returns the panels' memory, to be written.
    pub(in crate::kernels) fn as_mut_floats(&mut self) -> &mut [f32] {
        self.bytes.as_mut_slice()
    }

    /// Returns the number of outputs per panel.
    pub(in crate::kernels) fn width(&self) -> usize {
        self.width
    }

    /// Returns the bytes of a panel.
    pub(in crate::kernels) fn panel_bytes(&self) -> usize {
        match self.format {
            Format::Bf16 if self.in_pairs => self.blocks * BLOCK * self.width * 2,
            Format::F32 | Format::F16 | Format::Bf16 => self.inputs * self.width * self.format.block_bytes(),
            Format::Q8_0 => PartLayout::Q8_0.panel_bytes(self.blocks, self.width),
            Format::Q4K => PartLayout::Q4K.panel_bytes(self.blocks, self.width),
        }
    }

    /// Returns the number format.
    pub(in crate::kernels) fn format(&self) -> Format {
        self.format
    }

    /// Returns the number of blocks of 32 inputs.
    pub(in crate::kernels) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Returns all panels as bytes.
    pub(in crate::kernels) fn bytes(&self) -> &[u8] {
        self.bytes.as_bytes()
    }

    /// Returns the number of weights, padding included.
    pub(in crate::kernels) fn weights(&self) -> usize {
        self.bytes().len() / self.panel_bytes().max(1) * self.width * self.inputs
    }

    /// Copies the weights of packed column `column` to `to`.
    pub(in crate::kernels) fn copy_column(&self, column: usize, to: &mut [f32]) {
        let (size, width, lane) = (self.panel_bytes(), self.width, column % self.width);
        let panel = &self.bytes()[column / width * size..][..size];
        match self.format {
            Format::F32 => {
                for (value, bytes) in to.iter_mut().zip(panel.chunks_exact(4 * width)) {
                    *value = f32::from_le_bytes(bytes[4 * lane..][..4].try_into().expect("four bytes"));
                }
            }
            Format::F16 => {
                for (value, numbers) in to.iter_mut().zip(panel.chunks_exact(2 * width)) {
                    *value = half_at(numbers, lane);
                }
            }
            Format::Bf16 if self.in_pairs => {
                for (input, value) in to.iter_mut().enumerate() {
                    *value = bf16_at(panel, index_in_pairs(width, lane, input));
                }
            }
            Format::Bf16 => {
                for (value, bytes) in to.iter_mut().zip(panel.chunks_exact(2 * width)) {
                    *value = bf16_at(bytes, lane);
                }
            }
            Format::Q8_0 => {
                for (values, part) in to.chunks_mut(BLOCK).zip(panel.chunks_exact((2 + BLOCK) * width)) {
                    let scale = half_at(part, lane);
                    for (i, value) in values.iter_mut().enumerate() {
                        let byte = part[2 * width + i / 4 * 4 * width + 4 * lane + i % 4];
                        *value = scale * f32::from(byte.wrapping_sub(self.offset).cast_signed());
                    }
                }
            }
            Format::Q4K => {
                let groups = panel.chunks_exact((4 + Q4_PARTS * (2 + BLOCK / 2)) * width);
                for (values, group) in to.chunks_mut(Q4_PARTS * BLOCK).zip(groups) {
                    let (d, d_min) = (half_at(group, lane), half_at(group, width + lane));
                    let parts = group[4 * width..].chunks_exact((2 + BLOCK / 2) * width);
                    for (values, part) in values.chunks_mut(BLOCK).zip(parts) {
                        let (scale, minimum) = (d * f32::from(part[lane]), d_min * f32::from(part[width + lane]));
                        for (i, value) in values.iter_mut().enumerate() {
                            let (at, upper) = (i % (BLOCK / 2), i >= BLOCK / 2);
                            let byte = part[2 * width + at / 4 * 4 * width + 4 * lane + at % 4];
                            let nibble = if upper { byte >> 4 } else { byte & 15 };
                            *value = scale * f32::from(nibble) - minimum;
                        }
                    }
                }
            }
        }
    }
}

fn half_at(bytes: &[u8], index: usize) -> f32 {
    half::f16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]).to_f32()
}

fn bf16_at(bytes: &[u8], index: usize) -> f32 {
    half::bf16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]).to_f32()
}

/// Returns the index of one lane's input in a panel of pairs, counted in numbers.
fn index_in_pairs(width: usize, lane: usize, input: usize) -> usize {
    input / 2 * 2 * width + 2 * lane + input % 2
}

fn put_pairs(row: &[u8], to: &mut [u8], width: usize, lane: usize) {
    for (input, number) in row.as_chunks::<2>().0.iter().enumerate() {
        to[2 * index_in_pairs(width, lane, input)..][..2].copy_from_slice(number);
    }
}

/// Writes a row of numbers of N bytes each into one lane of a panel.
fn put<const N: usize>(row: &[u8], to: &mut [u8], width: usize, lane: usize) {
    for (number, to) in row.as_chunks::<N>().0.iter().zip(to.chunks_exact_mut(N * width)) {
        to[N * lane..][..N].copy_from_slice(number);
    }
}

fn put_q8_0(row: &[u8], to: &mut [u8], width: usize, lane: usize, offset: u8) {
    for (block, to) in row.as_chunks::<34>().0.iter().zip(to.chunks_exact_mut((2 + BLOCK) * width)) {
        let block = Q8Block(block);
        let (scales, quads) = to.split_at_mut(2 * width);
        scales[2 * lane..][..2].copy_from_slice(&block.scale_bits().to_le_bytes());
        for (weights, quad) in block.weights().as_chunks::<4>().0.iter().zip(quads.chunks_exact_mut(4 * width)) {
            quad[4 * lane..][..4].copy_from_slice(&weights.map(|weight| weight.cast_unsigned().wrapping_add(offset)));
        }
    }
}

fn put_q4_k(row: &[u8], to: &mut [u8], width: usize, lane: usize) {
    let groups = to.chunks_exact_mut((4 + Q4_PARTS * (2 + BLOCK / 2)) * width);
    for (block, group) in row.as_chunks::<144>().0.iter().zip(groups) {
        let block = Q4Block(block);
        let (factors, parts) = group.split_at_mut(4 * width);
        let (d, d_min) = block.factor_bits();
        factors[2 * lane..][..2].copy_from_slice(&d.to_le_bytes());
        factors[2 * (width + lane)..][..2].copy_from_slice(&d_min.to_le_bytes());
        for (part, to) in parts.chunks_exact_mut((2 + BLOCK / 2) * width).enumerate() {
            (to[lane], to[width + lane]) = block.scale_and_minimum(part);
            let weights = block.weights(part);
            for (i, quad) in to[2 * width..].chunks_exact_mut(4 * width).enumerate() {
                for j in 0..4 {
                    quad[4 * lane + j] = weights[4 * i + j] | weights[BLOCK / 2 + 4 * i + j] << 4;
                }
            }
        }
    }
}
