//! A weight matrix on a device of candle, as floats or in GGML's blocks.

use crate::kernels::{Format, Rows};
use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{DType, Device, Module, Result, Tensor};
use std::borrow::Cow;
use std::sync::Arc;

/// A matrix `[outputs, inputs]`, with a bias if it has one. A clone shares the weights.
#[derive(Clone)]
pub(super) struct Matrix {
    weight: QMatMul,
    bias: Option<Tensor>,
    inputs: usize,
    /// The inputs of whole blocks: rows are padded with zeros.
    padded_inputs: usize,
    bytes: usize,
}

impl Matrix {
    /// Takes matrices of the same width and format to `device`, one below the other. On the CPU
    /// 16-bit floats become 32-bit ones, because candle would widen them in every product.
    pub(super) fn new(device: &Device, parts: &[Rows], bias: Option<Vec<f32>>) -> Result<Self> {
        let (format, inputs) = (parts[0].format(), parts[0].inputs());
        assert!(parts.iter().all(|part| (part.format(), part.inputs()) == (format, inputs)), "rows of one kind");
        let outputs = parts.iter().map(Rows::outputs).sum::<usize>();
        let padded_inputs = inputs.next_multiple_of(format.block());
        let bytes: Cow<'_, [u8]> = match parts {
            [only] => Cow::Borrowed(only.bytes()),
            parts => Cow::Owned(parts.iter().flat_map(|part| part.bytes()).copied().collect()),
        };
        let floats = |dtype| {
            let stored = Tensor::from_raw_buffer(&bytes, dtype, &[outputs, inputs], device)?;
            if device.is_cpu() { stored.to_dtype(DType::F32) } else { Ok(stored) }
        };
        let blocks =
            |kind| QTensor::new(QStorage::from_data(Cow::Borrowed(&bytes), device, kind)?, (outputs, padded_inputs));
        let weight = match format {
            Format::F32 => QMatMul::Tensor(floats(DType::F32)?),
            Format::F16 => QMatMul::Tensor(floats(DType::F16)?),
            Format::Bf16 => QMatMul::Tensor(floats(DType::BF16)?),
            Format::Q8_0 => QMatMul::QTensor(Arc::new(blocks(GgmlDType::Q8_0)?)),
            Format::Q4K => QMatMul::QTensor(Arc::new(blocks(GgmlDType::Q4K)?)),
        };
        let bytes = match &weight {
            QMatMul::Tensor(weight) | QMatMul::TensorF16(weight) => {
                weight.elem_count() * weight.dtype().size_in_bytes()
            }
            QMatMul::QTensor(weight) => weight.storage_size_in_bytes(),
        };
        let bias = bias.map(|bias| Tensor::from_vec(bias, outputs, device)).transpose()?;
        Ok(Self { weight, bias, inputs, padded_inputs, bytes })
    }

    /// Returns the size of the weights on the device.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Multiplies: `[rows, inputs]` in f32 to `[rows, outputs]` in f32.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = match &self.weight {
            QMatMul::Tensor(weight) | QMatMul::TensorF16(weight) => {
                self.weight.forward(&x.to_dtype(weight.dtype())?)?.to_dtype(DType::F32)?
            }
            QMatMul::QTensor(_) if self.padded_inputs > self.inputs => {
                self.weight.forward(&x.pad_with_zeros(1, 0, self.padded_inputs - self.inputs)?.contiguous()?)?
            }
            QMatMul::QTensor(_) => self.weight.forward(x)?,
        };
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }

    /// Returns the rows of the matrix that `ids` name, `[ids, inputs]` in f32.
    pub(super) fn embed(&self, ids: &Tensor) -> Result<Tensor> {
        let rows = self.weight.embedding(ids)?.to_dtype(DType::F32)?;
        if self.padded_inputs > self.inputs { rows.narrow(1, 0, self.inputs)?.contiguous() } else { Ok(rows) }
    }
}
