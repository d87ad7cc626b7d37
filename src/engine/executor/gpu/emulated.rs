//! A device without a GPU: memory of the host, the emulated kernels, and a record of what was asked
//! for.

use super::device::{Address, Facts, Fetch, Gpu, Graph, MOST_FETCHES};
use super::weights::LoadError;
use super::{GpuExecutor, GpuOptions};
use crate::executor::DeviceError;
use crate::kernels::gpu::suite::Kernels;
use crate::kernels::gpu::{KernelRules, Launch, cuda, metal, multiply};
use crate::qwen3::testing::RandomTensors;
use crate::qwen3::{Config, Dtype};
use std::ptr;
use std::sync::{Arc, Mutex};

/// What was asked for, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    Allocate(usize),
    Write(usize),
    Launch(Vec<&'static str>),
    /// How many launches, and the rows of the first.
    Capture(usize, u32),
    Replay(usize),
    Copy(usize),
    Fetch(usize),
    Collect(usize),
    Read(usize),
    Wait,
}

/// The record, shared with the test.
pub(crate) type Record = Arc<Mutex<Vec<Asked>>>;

/// What steps of tests may be.
pub(crate) const OPTIONS: GpuOptions = GpuOptions {
    block_tokens: 16,
    blocks: 64,
    fewer_blocks_do: false,
    step_tokens: 48,
    max_running: 16,
    models_to_open: 1,
    fast: false,
};

/// Of the device, unless a test says otherwise: few, as the models of tests are small.
pub(super) const MULTIPROCESSORS: u32 = 6;

/// Whose kernels a device runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Cuda,
    Metal,
}

impl Kind {
    pub(super) fn kernels(self) -> Option<&'static dyn Kernels> {
        match self {
            Self::Cuda => cuda::kernels().map(|kernels| kernels as &dyn Kernels),
            Self::Metal => metal::emulation::kernels().map(|kernels| kernels as &dyn Kernels),
        }
    }
}

/// A small random model on a device with `free` bytes; `None` where the kernels cannot be compiled.
pub(super) fn load(
    kind: Kind,
    config: &Config,
    dtype: Dtype,
    options: GpuOptions,
    free: usize,
) -> Option<(Result<GpuExecutor, LoadError>, Record)> {
    let (gpu, record) = EmulatedGpu::new(kind, free)?;
    Some((GpuExecutor::load(Box::new(gpu), config, &mut RandomTensors::new(), dtype, options), record))
}

/// The same with room enough.
pub(crate) fn executor(kind: Kind, config: &Config, dtype: Dtype) -> Option<(GpuExecutor, Record)> {
    roomy(kind, config, dtype, OPTIONS)
}

/// The same with options.
pub(super) fn roomy(kind: Kind, config: &Config, dtype: Dtype, options: GpuOptions) -> Option<(GpuExecutor, Record)> {
    load(kind, config, dtype, options, usize::MAX)
        .map(|(executor, record)| (executor.expect("a model that fits"), record))
}

/// The same on a device that can capture nothing, as one is whose memory is full.
pub(super) fn without_graphs(kind: Kind, config: &Config, dtype: Dtype) -> Option<(GpuExecutor, Record)> {
    let (mut gpu, record) = EmulatedGpu::new(kind, usize::MAX)?;
    gpu.captures = false;
    let executor = GpuExecutor::load(Box::new(gpu), config, &mut RandomTensors::new(), dtype, OPTIONS);
    Some((executor.expect("a model that fits"), record))
}

/// The device alone, with `free` bytes; `None` where the kernels cannot be compiled.
pub(crate) fn gpu(free: usize) -> Option<Box<dyn Gpu>> {
    gpu_of(free, MULTIPROCESSORS)
}

/// The same with more or fewer multiprocessors.
pub(crate) fn gpu_of(free: usize, multiprocessors: u32) -> Option<Box<dyn Gpu>> {
    let (gpu, _) = EmulatedGpu::new(Kind::Cuda, free)?;
    Some(Box::new(EmulatedGpu { multiprocessors, ..gpu }))
}

/// The device.
pub(super) struct EmulatedGpu {
    kernels: &'static dyn Kernels,
    has_library: bool,
    multiprocessors: u32,
    /// Whether it takes captures.
    captures: bool,
    memory: Vec<Vec<u128>>,
    free: usize,
    graphs: Vec<Vec<Launch>>,
    /// Copies that nobody has collected yet, by number.
    fetched: Vec<(usize, Vec<u8>)>,
    fetches: usize,
    record: Record,
}

impl EmulatedGpu {
    pub(super) fn new(kind: Kind, free: usize) -> Option<(Self, Record)> {
        let record = Record::default();
        let gpu = Self {
            kernels: kind.kernels()?,
            has_library: kind == Kind::Cuda,
            multiprocessors: MULTIPROCESSORS,
            captures: true,
            memory: Vec::new(),
            free,
            graphs: Vec::new(),
            fetched: Vec::new(),
            fetches: 0,
            record: record.clone(),
        };
        Some((gpu, record))
    }

    fn note(&self, asked: Asked) {
        self.record.lock().expect("no test panics while it holds the record").push(asked);
    }

    fn start(&self, launches: &[Launch]) -> Result<(), DeviceError> {
        for launch in launches {
            if let Launch::Gemm(gemm) = launch {
                assert!(self.has_library, "nobody asks for what is not there");
                // SAFETY: the executor's addresses are those of this device's memory.
                unsafe { multiply(gemm) };
                continue;
            }
            self.kernels.start(launch).map_err(|why| DeviceError(format!("{}: {why}", launch.name())))?;
        }
        Ok(())
    }

    /// Whether `bytes` from `address` on lie in one allocation.
    fn owns(&self, address: Address, bytes: usize) -> bool {
        self.memory.iter().any(|memory| {
            let first = memory.as_ptr().expose_provenance();
            address.0 >= first && address.0 + bytes <= first + size_of_val(memory.as_slice())
        })
    }
}

impl Gpu for EmulatedGpu {
    fn rules(&self) -> &dyn KernelRules {
        self.kernels.rules()
    }

    fn facts(&self) -> Facts {
        Facts { multiprocessors: self.multiprocessors, shared_limit: 99 * 1024 }
    }

    fn read_bandwidth(&mut self) -> Result<f64, DeviceError> {
        Err(DeviceError("an emulated device has no speed".to_string()))
    }

    fn free_bytes(&self) -> usize {
        self.free
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, DeviceError> {
        self.free = self.free.checked_sub(bytes).ok_or_else(|| DeviceError("out of memory".to_string()))?;
        let mut memory = vec![0u128; bytes.div_ceil(16).max(1)];
        let address = Address(memory.as_mut_ptr().expose_provenance());
        self.memory.push(memory);
        self.note(Asked::Allocate(bytes));
        Ok(address)
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), DeviceError> {
        assert!(self.owns(to, bytes.len()), "a write beyond an allocation");
        // SAFETY: checked above.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.get_mut(), bytes.len()) };
        self.note(Asked::Write(bytes.len()));
        Ok(())
    }

    fn copy(&mut self, from: Address, to: Address, bytes: usize) -> Result<(), DeviceError> {
        assert!(self.owns(from, bytes) && self.owns(to, bytes), "a copy beyond an allocation");
        // SAFETY: checked above.
        unsafe { ptr::copy(from.get::<u8>(), to.get_mut(), bytes) };
        self.note(Asked::Copy(bytes));
        Ok(())
    }

    fn fetch(&mut self, from: Address, bytes: usize) -> Result<Fetch, DeviceError> {
        assert!(self.owns(from, bytes), "a copy beyond an allocation");
        assert!(self.fetched.len() < MOST_FETCHES, "somebody forgets to collect");
        // SAFETY: checked above.
        let copy = unsafe { std::slice::from_raw_parts(from.get::<u8>(), bytes) }.to_vec();
        self.note(Asked::Fetch(bytes));
        self.fetches += 1;
        self.fetched.push((self.fetches, copy));
        Ok(Fetch(self.fetches))
    }

    fn collect(&mut self, fetch: Fetch, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let at = self.fetched.iter().position(|(number, _)| *number == fetch.0).expect("a copy that was started");
        bytes.copy_from_slice(&self.fetched.remove(at).1);
        self.note(Asked::Collect(bytes.len()));
        Ok(())
    }

    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), DeviceError> {
        assert!(self.owns(from, bytes.len()), "a read beyond an allocation");
        // SAFETY: checked above.
        unsafe { ptr::copy_nonoverlapping(from.get(), bytes.as_mut_ptr(), bytes.len()) };
        self.note(Asked::Read(bytes.len()));
        Ok(())
    }

    fn open_library(&mut self) -> Result<bool, DeviceError> {
        Ok(self.has_library)
    }

    fn launch(&mut self, launches: &[Launch]) -> Result<(), DeviceError> {
        self.note(Asked::Launch(launches.iter().map(Launch::name).collect()));
        self.start(launches)
    }

    fn wait(&mut self) -> Result<(), DeviceError> {
        self.note(Asked::Wait);
        Ok(())
    }

    fn capture(&mut self, launches: &[Launch]) -> Result<Graph, DeviceError> {
        let rows = if let Some(Launch::Embed(embed)) = launches.first() { embed.rows } else { 0 };
        self.note(Asked::Capture(launches.len(), rows));
        if !self.captures {
            return Err(DeviceError("there is no memory for a graph".to_string()));
        }
        self.graphs.push(launches.to_vec());
        Ok(Graph(self.graphs.len() - 1))
    }

    fn replay(&mut self, graph: Graph) -> Result<(), DeviceError> {
        self.note(Asked::Replay(graph.0));
        self.start(&self.graphs[graph.0])
    }

    fn time(&mut self, graph: Graph) -> Result<f64, DeviceError> {
        let start = std::time::Instant::now();
        self.replay(graph)?;
        Ok(start.elapsed().as_secs_f64().max(1e-9))
    }
}
