//! The weights on the device, packed for its kernels.

use super::device::{Address, Gpu, allocate};
use super::repeated::{BLOCK_ROWS, Block, Blocks};
use crate::executor::{DeviceError, OutOfMemory};
use crate::kernels::gpu::{KernelRules, Packed, Weights as Packing};
use crate::kernels::{Format, Rows};
use crate::qwen3::{Config, Dtype, NormWeight, Projection, Tensors};
use crate::weights::{TensorSource, WeightsError};
use rayon::prelude::*;

/// Rows of a matrix that one task packs: a multiple of the 16 that share a brick, of two gated
/// matrices 8 each.
const TASK_ROWS: usize = 128;

/// What memory is wanted for, in an error.
pub(super) const WEIGHTS: &str = "weights (choose a smaller `model.dtype`)";

/// Why a model is not on the device.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// Tensors.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The device's memory.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// A shape that the kernels are not made for.
    #[error("config.json: `{key}` is {value}: the GPU kernels are made for {rule}")]
    Shape { key: &'static str, value: usize, rule: &'static str },
}

/// A packed matrix `[outputs, inputs]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix {
    pub(super) weights: Address,
    /// Of e4m3 rows.
    pub(super) row_scales: Address,
    /// `[outputs]`, or none.
    pub(super) bias: Address,
    pub(super) packing: Packing,
    /// Of the packed weights.
    pub(super) bytes: usize,
    pub(super) inputs: usize,
    /// Gate and up together where they are one.
    pub(super) outputs: usize,
    /// Parts of the inputs that are added up one after the other.
    pub(super) splits: u32,
}

impl Matrix {
    /// Whether it is rows as they are, which the device's own library multiplies with.
    pub(super) fn is_plain(&self) -> bool {
        self.packing == Packing::RowsBf16
    }
}

/// A decoder layer.
pub(super) struct Layer {
    pub(super) input_layernorm: Address,
    pub(super) qkv: Matrix,
    /// None in families without norms of heads, like `k_norm`.
    pub(super) q_norm: Address,
    pub(super) k_norm: Address,
    pub(super) o: Matrix,
    pub(super) post_attention_layernorm: Address,
    pub(super) gate_up: Matrix,
    pub(super) down: Matrix,
}

/// All weights, and the cosines and sines of positions.
pub(super) struct Weights {
    /// Where tokens are looked up; the LM head where the two are one.
    pub(super) table: Matrix,
    pub(super) head: Matrix,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Address,
    /// `[positions, d / 2]` each.
    pub(super) cos: Address,
    pub(super) sin: Address,
}

impl Weights {
    /// Takes every tensor out of `source` and packs it, matrices in `dtype` (what would be f32 is
    /// bf16). With `fast`, matrices of bf16 without a bias stay rows where the device has a library
    /// that multiplies with them.
    pub(super) fn load(
        gpu: &mut dyn Gpu,
        config: &Config,
        source: &mut dyn TensorSource,
        dtype: Dtype,
        fast: bool,
    ) -> Result<Self, LoadError> {
        check(config)?;
        let f8 = dtype == Dtype::F8;
        // `auto` keeps what the file has: a matrix of bf16 is one here, too, and `stays_rows` asks
        // for each.
        let library = fast && matches!(dtype, Dtype::Bf16 | Dtype::Auto) && gpu.open_library()?;
        let blocks = source.is_random().then(Blocks::new);
        let mut loader = Loader { gpu, tensors: Tensors::new(source, dtype, Format::Bf16), f8, library, blocks };
        let (v, hidden) = (config.vocab_size, config.hidden_size);
        let table = loader.table("model.embed_tokens.weight", v, hidden)?;
        let layers: Result<Vec<_>, _> =
            (0..config.num_hidden_layers).map(|layer| loader.layer(config, layer)).collect();
        let layers = layers?;
        let norm = loader.vector("model.norm.weight", hidden)?;
        let head = if config.tie_word_embeddings { table } else { loader.table("lm_head.weight", v, hidden)? };
        Ok(Self { table, head, layers, norm, cos: Address::NONE, sin: Address::NONE })
    }

    /// Adds the cosines and sines of positions below `positions`; to be called once, before any
    /// step.
    pub(super) fn add_rotary(&mut self, gpu: &mut dyn Gpu, config: &Config, positions: usize) -> Result<(), LoadError> {
        let mut rotary = config.rotary();
        let last = u32::try_from(positions - 1).map_err(|_| DeviceError("there are too many positions".to_string()))?;
        rotary.reach(last);
        let (cos, sin): (Vec<_>, Vec<_>) = (0..=last).map(|position| rotary.at(position)).unzip();
        self.cos = upload(gpu, &bytes(&cos.concat()))?;
        self.sin = upload(gpu, &bytes(&sin.concat()))?;
        Ok(())
    }

    /// Whether gates are an operation of their own.
    pub(super) fn gates_apart(&self) -> bool {
        self.layers.iter().any(|layer| layer.gate_up.is_plain())
    }

    /// Every matrix that a step multiplies with.
    pub(super) fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        let layers = self.layers.iter().flat_map(|layer| [&layer.qkv, &layer.o, &layer.gate_up, &layer.down]);
        layers.chain([&self.head])
    }
}

/// What the kernels are made for.
fn check(config: &Config) -> Result<(), LoadError> {
    let refuse = |key, value, rule| Err(LoadError::Shape { key, value, rule });
    let (hidden, mlp) = (config.hidden_size, config.intermediate_size);
    if ![64, 128].contains(&config.head_dim) {
        return refuse("head_dim", config.head_dim, "64 and 128");
    }
    if config.group() > 16 {
        return refuse("num_attention_heads", config.num_attention_heads, "at most 16 times as many as K/V heads");
    }
    if hidden % 8 != 0 || hidden > 8192 {
        return refuse("hidden_size", hidden, "multiples of 8 up to 8192");
    }
    if mlp % 8 != 0 {
        return refuse("intermediate_size", mlp, "multiples of 8");
    }
    Ok(())
}

/// What a block of random weights is drawn as.
#[derive(Clone, Copy)]
enum Drawn<'a> {
    /// A matrix of the layers, or two that are gated.
    Matrices(&'a [&'a str]),
    Table(&'a str),
}

/// Takes tensors to the device.
struct Loader<'a> {
    gpu: &'a mut dyn Gpu,
    tensors: Tensors<'a>,
    /// Whether all but the token tables become 8-bit floats.
    f8: bool,
    /// Whether rows of bf16 stay as they are.
    library: bool,
    /// Where the weights are random: a matrix is a block of a few rows, repeated.
    blocks: Option<Blocks>,
}

impl Loader<'_> {
    fn layer(&mut self, config: &Config, layer: usize) -> Result<Layer, LoadError> {
        let table = config.layer();
        let qkv = self.projection(config, layer, &table.qkv_proj)?;
        let o = self.projection(config, layer, &table.o_proj)?;
        let gate_up = self.gated(config, layer, &table.gate_up_proj)?;
        let down = self.projection(config, layer, &table.down_proj)?;
        Ok(Layer {
            input_layernorm: self.norm(config, layer, &table.input_layernorm)?,
            qkv,
            q_norm: self.head_norm(config, layer, table.q_norm.as_ref())?,
            k_norm: self.head_norm(config, layer, table.k_norm.as_ref())?,
            o,
            post_attention_layernorm: self.norm(config, layer, &table.post_attention_layernorm)?,
            gate_up,
            down,
        })
    }

    fn norm(&mut self, config: &Config, layer: usize, weight: &NormWeight) -> Result<Address, LoadError> {
        let (name, size) = weight.weight(config, layer);
        self.vector(&name, size)
    }

    /// The norm of heads, or none in families that have none.
    fn head_norm(&mut self, config: &Config, layer: usize, weight: Option<&NormWeight>) -> Result<Address, LoadError> {
        weight.map_or(Ok(Address::NONE), |weight| self.norm(config, layer, weight))
    }

    fn vector(&mut self, name: &str, size: usize) -> Result<Address, LoadError> {
        let numbers = self.tensors.vector(name, size)?;
        upload(self.gpu, &bytes(&numbers))
    }

    /// Matrices of one width and format, one below the other.
    fn projection(&mut self, config: &Config, layer: usize, projection: &Projection) -> Result<Matrix, LoadError> {
        if self.blocks.is_some() {
            let bias = self.tensors.bias(config, layer, projection)?;
            let (first, _) = &projection.weights(config, layer)[0];
            let shape = (projection.inputs.of(config), projection.outputs(config));
            return self.repeated(Drawn::Matrices(&[first]), shape, bias);
        }
        let (parts, bias) = self.tensors.projection(config, layer, projection)?;
        if bias.is_none() && self.stays_rows(&parts[0]) {
            let rows: Vec<&[u8]> = parts.iter().map(Rows::bytes).collect();
            return self.keep_rows(&rows.concat(), parts[0].inputs());
        }
        let mut packed = PackedRows::default();
        for part in &parts {
            assert!(packed.bytes.is_empty() || parts[0].outputs().is_multiple_of(16), "heads are whole bricks");
            packed.extend(pack(self.gpu.rules(), self.packing(part), part, None)?);
        }
        let outputs = parts.iter().map(Rows::outputs).sum();
        self.keep(self.packing(&parts[0]), (parts[0].inputs(), outputs), &packed, bias)
    }

    /// A token table.
    fn table(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Matrix, LoadError> {
        if self.blocks.is_some() {
            return self.repeated(Drawn::Table(name), (inputs, outputs), None);
        }
        let rows = self.tensors.table(name, outputs, inputs)?;
        if self.stays_rows(&rows) {
            return self.keep_rows(rows.bytes(), rows.inputs());
        }
        let packing = packing(rows.format());
        let packed = pack(self.gpu.rules(), packing, &rows, None)?;
        self.keep(packing, (rows.inputs(), rows.outputs()), &packed, None)
    }

    /// Two matrices of which the product is silu(gate) · up.
    fn gated(&mut self, config: &Config, layer: usize, projection: &Projection) -> Result<Matrix, LoadError> {
        if self.blocks.is_some() {
            let weights = projection.weights(config, layer);
            let names: Vec<&str> = weights.iter().map(|(name, _)| name.as_str()).collect();
            let shape = (projection.inputs.of(config), projection.outputs(config));
            return self.repeated(Drawn::Matrices(&names), shape, None);
        }
        let (rows, _) = self.tensors.projection(config, layer, projection)?;
        let (gate, up) = (&rows[0], &rows[1]);
        if self.stays_rows(gate) {
            return self.keep_rows(&[gate.bytes(), up.bytes()].concat(), gate.inputs());
        }
        let packing = self.packing(gate);
        let packed = pack(self.gpu.rules(), packing, gate, Some(up))?;
        self.keep(packing, (gate.inputs(), 2 * gate.outputs()), &packed, None)
    }

    /// A matrix of random weights: a packed block, repeated.
    fn repeated(
        &mut self,
        drawn: Drawn,
        (inputs, outputs): (usize, usize),
        bias: Option<Vec<f32>>,
    ) -> Result<Matrix, LoadError> {
        let (format, f8, gated) = match drawn {
            Drawn::Matrices(names) => (self.tensors.format(names), self.f8, names.len() > 1),
            Drawn::Table(name) => (self.tensors.table_format(name), false, false),
        };
        let plain = bias.is_none() && self.library && format == Format::Bf16;
        let packing = match format {
            _ if plain => Packing::RowsBf16,
            _ if f8 => Packing::F8,
            format => packing(format),
        };
        let key = (packing, inputs, gated);
        let known = self.blocks.as_ref().and_then(|blocks| blocks.get(&key).copied());
        let block = match known {
            Some(block) => block,
            None => {
                let rows = match drawn {
                    Drawn::Matrices(names) => {
                        let parts: Vec<_> = names.iter().map(|name| (*name, BLOCK_ROWS)).collect();
                        self.tensors.matrices(&parts, inputs)?
                    }
                    Drawn::Table(name) => vec![self.tensors.table(name, BLOCK_ROWS, inputs)?],
                };
                let packed = if plain {
                    PackedRows { bytes: rows[0].bytes().to_vec(), scales: Vec::new() }
                } else {
                    pack(self.gpu.rules(), packing, &rows[0], rows.get(1))?
                };
                let block = Block::upload(self.gpu, &packed)?;
                self.blocks.get_or_insert_default().insert(key, block);
                block
            }
        };
        let rules = self.gpu.rules();
        let (bytes, splits) = if plain {
            (outputs * Format::Bf16.row_bytes(inputs), 1)
        } else {
            let splits = rules.linear_splits(packing, inputs, outputs, self.gpu.facts().multiprocessors);
            (rules.packed_bytes(packing, inputs, outputs), splits)
        };
        let weights = block.weights(self.gpu, bytes)?;
        let row_scales = block.scales(self.gpu, 4 * scaled(packing, outputs))?;
        let bias = bias.map_or(Ok(Address::NONE), |bias| upload(self.gpu, &self::bytes(&bias)))?;
        Ok(Matrix { weights, row_scales, bias, packing, bytes, inputs, outputs, splits })
    }

    fn stays_rows(&self, rows: &Rows) -> bool {
        self.library && rows.format() == Format::Bf16
    }

    /// Rows of bf16 as they are.
    fn keep_rows(&mut self, rows: &[u8], inputs: usize) -> Result<Matrix, LoadError> {
        let bytes = rows.len();
        let (weights, none) = (upload(self.gpu, rows)?, Address::NONE);
        let outputs = bytes / Format::Bf16.row_bytes(inputs);
        // The library divides its work itself.
        let splits = 1;
        Ok(Matrix { weights, row_scales: none, bias: none, packing: Packing::RowsBf16, bytes, inputs, outputs, splits })
    }

    fn packing(&self, rows: &Rows) -> Packing {
        if self.f8 { Packing::F8 } else { packing(rows.format()) }
    }

    fn keep(
        &mut self,
        packing: Packing,
        (inputs, outputs): (usize, usize),
        packed: &PackedRows,
        bias: Option<Vec<f32>>,
    ) -> Result<Matrix, LoadError> {
        let processors = self.gpu.facts().multiprocessors;
        let splits = self.gpu.rules().linear_splits(packing, inputs, outputs, processors);
        let mut numbers = |numbers: &[f32]| match numbers {
            [] => Ok(Address::NONE),
            numbers => upload(self.gpu, &bytes(numbers)),
        };
        let (row_scales, bias) = (numbers(&packed.scales)?, numbers(&bias.unwrap_or_default())?);
        let weights = upload(self.gpu, &packed.bytes)?;
        Ok(Matrix { weights, row_scales, bias, packing, bytes: packed.bytes.len(), inputs, outputs, splits })
    }
}

/// A matrix as the kernels want it.
#[derive(Default)]
pub(super) struct PackedRows {
    pub(super) bytes: Vec<u8>,
    /// The scales of e4m3 rows, one each.
    pub(super) scales: Vec<f32>,
}

impl PackedRows {
    /// Rows below those that are there.
    fn extend(&mut self, rows: Self) {
        self.bytes.extend(rows.bytes);
        self.scales.extend(rows.scales);
    }
}

fn packing(format: Format) -> Packing {
    match format {
        Format::F32 | Format::F16 => unreachable!("the loader asks for bf16 in place of other floats"),
        Format::Bf16 => Packing::Bf16,
        Format::Q8_0 => Packing::Q8_0,
        Format::Q4K => Packing::Q4K,
    }
}

/// Scales of a packed matrix.
pub(super) fn scaled(packing: Packing, outputs: usize) -> usize {
    if packing == Packing::F8 { outputs.next_multiple_of(16) } else { 0 }
}

/// The rows as the kernels want them, on all cores.
pub(super) fn pack(
    rules: &dyn KernelRules,
    packing: Packing,
    rows: &Rows,
    up: Option<&Rows>,
) -> Result<PackedRows, DeviceError> {
    let (inputs, outputs) = (rows.inputs(), rows.outputs());
    let row_bytes = rows.format().row_bytes(inputs);
    let both = if up.is_some() { 2 } else { 1 };
    let packed_bytes = |rows: usize| rules.packed_bytes(packing, inputs, both * rows);
    let scaled = |rows: usize| scaled(packing, both * rows);
    let mut packed = PackedRows { bytes: vec![0; packed_bytes(outputs)], scales: vec![0.0; scaled(outputs)] };
    let mut scales: Vec<&mut [f32]> = packed.scales.chunks_mut(scaled(TASK_ROWS).max(1)).collect();
    scales.resize_with(outputs.div_ceil(TASK_ROWS), Default::default);
    let tasks = packed.bytes.par_chunks_mut(packed_bytes(TASK_ROWS)).zip(scales).enumerate();
    let results: Vec<Result<(), String>> = tasks
        .map(|(task, (to, scales))| {
            let range = task * TASK_ROWS..outputs.min((task + 1) * TASK_ROWS);
            let bytes = range.start * row_bytes..range.end * row_bytes;
            let up = up.map(|up| &up.bytes()[bytes.clone()]);
            let to = Packed { bytes: to, scales };
            rules.pack(packing, range.len(), inputs, &rows.bytes()[bytes.clone()], up, to)
        })
        .collect();
    match results.into_iter().find_map(Result::err) {
        Some(why) => Err(DeviceError(format!("a matrix of {inputs} inputs cannot be packed: {why}"))),
        None => Ok(packed),
    }
}

fn upload(gpu: &mut dyn Gpu, bytes: &[u8]) -> Result<Address, LoadError> {
    let address = allocate(gpu, WEIGHTS, bytes.len())?;
    gpu.write(address, bytes)?;
    Ok(address)
}

pub(super) fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}
