//! A GPU behind NVIDIA's driver. The driver is looked for when the program runs, so that one build
//! starts on machines without it.
//!
//! Copies go through page-locked memory: one piece of it per copy under way, taken in turn, each
//! with an event that says when it can be used again. Everything is asked for on one stream.

use super::cublas::{self, Cublas};
use super::device::{Address, Facts, Fetch, Gpu, Graph, MOST_FETCH_BYTES, MOST_FETCHES};
use crate::executor::DeviceError;
use crate::kernels::gpu::cuda::Api;
use crate::kernels::gpu::{Embed, KernelRules, Launch, Type, Weights};
use cudarc::driver::sys::{CUdevice_attribute as Attribute, CUdeviceptr, CUstreamCaptureMode as CaptureMode};
use cudarc::driver::{CudaContext, CudaEvent, CudaGraph, CudaStream, DriverError, result, sys};
use std::ffi::c_void;
use std::sync::{Arc, OnceLock};

/// Pieces of page-locked memory for copies to the device.
const PIECES: usize = 4;

/// Bytes of each.
const PIECE_BYTES: usize = 4 << 20;

/// Devices of older architectures cannot run the kernels.
const LEAST_CAPABILITY: (i32, i32) = (8, 0);

/// Driver, device, and what was allocated there.
pub(crate) struct CudaGpu {
    api: &'static Api,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    facts: Facts,
    allocated: Vec<CUdeviceptr>,
    graphs: Vec<SendGraph>,
    cublas: Option<Cublas>,
    outgoing: Vec<Piece>,
    next: usize,
    incoming: Vec<Piece>,
    fetches: usize,
}

/// cudarc's graphs are not `Send` because CUDA's are not to be used by two threads at once.
struct SendGraph(CudaGraph);

// SAFETY: the graph belongs to one `CudaGpu`, whose methods that use it take `&mut self`.
unsafe impl Send for SendGraph {}

/// Page-locked memory, and the end of the copy that used it last.
struct Piece {
    memory: *mut c_void,
    used: CudaEvent,
}

// SAFETY: plain memory with one owner.
unsafe impl Send for Piece {}

/// What a device is, for people.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub(crate) struct CudaDevice {
    pub(crate) name: String,
    pub(crate) compute_capability: String,
    pub(crate) multiprocessors: u32,
    pub(crate) memory_bytes: usize,
    pub(crate) free_bytes: usize,
}

/// Returns whether the driver's library is there.
#[cfg(not(feature = "candle-cuda"))]
fn has_driver() -> bool {
    // SAFETY: it only looks for the library.
    unsafe { sys::is_culib_present() }
}

/// With candle's kernels the program is linked to the driver's library, and would not have started
/// without it.
#[cfg(feature = "candle-cuda")]
fn has_driver() -> bool {
    true
}

/// How many devices there are.
///
/// # Errors
/// No driver, or one that does not start.
pub(crate) fn count() -> Result<usize, DeviceError> {
    if !has_driver() {
        return Err(DeviceError("there is no NVIDIA driver (libcuda.so.1) on this machine".to_string()));
    }
    // The egress lock takes the rights of the helper by which the driver's library would make
    // device files.
    let starting = |error| {
        let DeviceError(why) = failed("NVIDIA's driver does not start", error);
        DeviceError(format!(
            "{why} (if there is a GPU: is /dev/nvidia-uvm there? `nvidia-modprobe -u -c 0` makes it, as root)"
        ))
    };
    let count = CudaContext::device_count().map_err(starting)?;
    usize::try_from(count).map_err(|_| DeviceError("NVIDIA's driver counts no devices".to_string()))
}

/// The version of CUDA that the driver knows, as `12.8`.
pub(crate) fn driver_version() -> Option<String> {
    count().ok()?;
    let mut version = 0;
    // SAFETY: the driver is there, and writes one number.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().ok()?;
    Some(format!("{}.{}", version / 1000, version % 1000 / 10))
}

impl CudaGpu {
    /// Opens device `ordinal`.
    ///
    /// # Errors
    /// No driver, no such device, or one that the kernels are not made for.
    pub(crate) fn open(ordinal: usize) -> Result<Self, DeviceError> {
        let devices = count()?;
        if ordinal >= devices {
            return Err(DeviceError(format!("there is no CUDA device {ordinal}: this machine has {devices}")));
        }
        let opening = |error| failed(&format!("CUDA device {ordinal} cannot be opened"), error);
        let context = CudaContext::new(ordinal).map_err(opening)?;
        let (major, minor) = context.compute_capability().map_err(opening)?;
        if (major, minor) < LEAST_CAPABILITY {
            return Err(DeviceError(format!(
                "CUDA device {ordinal} has compute capability {major}.{minor}; the kernels are made for 8.0 and later"
            )));
        }
        // SAFETY: all memory is used on one stream, so nobody needs events between uses.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(opening)?;
        let number = |attribute| context.attribute(attribute).map(|value| value as u32).map_err(opening);
        let facts = Facts {
            multiprocessors: number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            shared_limit: number(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        };
        let piece = |bytes| Piece::new(&context, bytes).map_err(opening);
        let outgoing = (0..PIECES).map(|_| piece(PIECE_BYTES)).collect::<Result<_, _>>()?;
        let incoming = (0..MOST_FETCHES).map(|_| piece(MOST_FETCH_BYTES)).collect::<Result<_, _>>()?;
        let (allocated, graphs, cublas) = (Vec::new(), Vec::new(), None);
        let api = linked()?;
        let mut gpu =
            Self { api, context, stream, facts, allocated, graphs, cublas, outgoing, next: 0, incoming, fetches: 0 };
        let driver = driver_version().unwrap_or_default();
        gpu.try_kernel().map_err(|DeviceError(error)| {
            DeviceError(format!(
                "CUDA device {ordinal} (capability {major}.{minor}, driver for CUDA {driver}) does not run this \
                 build's kernels: {error}"
            ))
        })?;
        Ok(gpu)
    }

    /// Runs the smallest kernel: that shows whether this build has code for the device, and the
    /// driver a runtime of its age.
    fn try_kernel(&mut self) -> Result<(), DeviceError> {
        const HIDDEN: usize = 8;
        let (table, tokens, out) = (self.allocate(4096)?, self.allocate(4)?, self.allocate(4 * HIDDEN)?);
        let embed = Launch::Embed(Embed {
            table: table.get(),
            row_scales: std::ptr::null(),
            tokens: tokens.get(),
            out: out.get_mut(),
            rows: 1,
            hidden: HIDDEN as u32,
            vocabulary: 1,
            format: Weights::Bf16,
            out_type: Type::F32,
        });
        self.launch(&[embed])?;
        self.read(out, &mut [0; 4 * HIDDEN])?;
        self.free_down_to(self.allocated.len() - 3)
    }

    /// Gives back what was allocated after the first `count` pieces; nothing that uses it is under
    /// way.
    fn free_down_to(&mut self, count: usize) -> Result<(), DeviceError> {
        for pointer in self.allocated.drain(count..) {
            // SAFETY: it comes from `malloc_sync`, and nobody has its address any more.
            unsafe { result::free_sync(pointer) }.map_err(|error| failed("memory cannot be given back", error))?;
        }
        Ok(())
    }

    /// Bytes per second of copies of `bytes` within the device, which reads and writes every byte:
    /// the best of a few.
    fn copy_bandwidth(&mut self, bytes: usize) -> Result<f64, DeviceError> {
        let (from, to) = (self.allocate(bytes)?, self.allocate(bytes)?);
        let measuring = |error| failed("the bandwidth cannot be measured", error);
        let timed = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
        let event = || self.context.new_event(timed).map_err(measuring);
        let (begin, end) = (event()?, event()?);
        let mut best = 0f64;
        for _ in 0..12 {
            begin.record(&self.stream).map_err(measuring)?;
            self.copy(from, to, bytes)?;
            end.record(&self.stream).map_err(measuring)?;
            let seconds = f64::from(begin.elapsed_ms(&end).map_err(measuring)?) / 1e3;
            best = best.max(2.0 * bytes as f64 / seconds);
        }
        Ok(best)
    }

    /// What it is.
    ///
    /// # Errors
    /// The driver does not say.
    pub(crate) fn describe(&self) -> Result<CudaDevice, DeviceError> {
        let asking = |error| failed("the device does not say what it is", error);
        let (major, minor) = self.context.compute_capability().map_err(asking)?;
        Ok(CudaDevice {
            name: self.context.name().map_err(asking)?,
            compute_capability: format!("{major}.{minor}"),
            multiprocessors: self.facts.multiprocessors,
            memory_bytes: self.context.total_mem().map_err(asking)?,
            free_bytes: self.free_bytes(),
        })
    }

    fn bind(&self) -> Result<(), DeviceError> {
        self.context.bind_to_thread().map_err(|error| failed("the device was lost", error))
    }

    fn start(&self, launches: &[Launch]) -> Result<(), DeviceError> {
        for launch in launches {
            if let Launch::Gemm(gemm) = launch {
                let cublas = self.cublas.as_ref().expect("the library was opened before it was asked for");
                // SAFETY: the executor's addresses are those of this device's memory.
                unsafe { cublas.start(gemm) }?;
                continue;
            }
            // SAFETY: the executor's addresses are those of this device's memory.
            let code = unsafe { self.api.start(launch, self.stream.cu_stream().cast()) };
            if code != 0 {
                return Err(DeviceError(format!("{}: {}", launch.name(), self.api.meaning(code))));
            }
        }
        Ok(())
    }
}

/// The kernels that are part of the program.
fn linked() -> Result<&'static Api, DeviceError> {
    static API: OnceLock<Result<Api, String>> = OnceLock::new();
    API.get_or_init(Api::linked).as_ref().map_err(|error| DeviceError(error.clone()))
}

fn failed(what: &str, error: DriverError) -> DeviceError {
    let text =
        error.error_string().map_or_else(|_| format!("{:?}", error.0), |text| text.to_string_lossy().into_owned());
    DeviceError(format!("{what}: {text}"))
}

impl Piece {
    fn new(context: &Arc<CudaContext>, bytes: usize) -> Result<Self, DriverError> {
        let used = context.new_event(None)?;
        // SAFETY: freed once, when the piece is dropped.
        let memory = unsafe { result::malloc_host(bytes, 0) }?;
        Ok(Self { memory, used })
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // The copy that used it has ended, or the device is gone; nobody is left to be told.
        let _ = self.used.synchronize();
        // SAFETY: it comes from `malloc_host`.
        let _ = unsafe { result::free_host(self.memory) };
    }
}

impl Gpu for CudaGpu {
    fn rules(&self) -> &dyn KernelRules {
        self.api
    }

    fn facts(&self) -> Facts {
        self.facts
    }

    fn read_bandwidth(&mut self) -> Result<f64, DeviceError> {
        let before = self.allocated.len();
        let found = self.copy_bandwidth(512 << 20);
        // Also when it failed: a device that is short of memory needs this.
        self.free_down_to(before)?;
        found
    }

    fn free_bytes(&self) -> usize {
        self.context.mem_get_info().map_or(0, |(free, _)| free)
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, DeviceError> {
        self.bind()?;
        // SAFETY: zeroed before anybody sees it, freed once, when the device is dropped.
        let pointer = unsafe { result::malloc_sync(bytes.max(1)) }.map_err(|error| failed("no memory", error))?;
        self.allocated.push(pointer);
        // SAFETY: of just so many bytes.
        unsafe { result::memset_d8_async(pointer, 0, bytes.max(1), self.stream.cu_stream()) }
            .map_err(|error| failed("memory cannot be cleared", error))?;
        Ok(Address(pointer as usize))
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), DeviceError> {
        self.bind()?;
        let writing = |error| failed("a copy to the device failed", error);
        for (index, part) in bytes.chunks(PIECE_BYTES).enumerate() {
            let piece = &self.outgoing[self.next];
            self.next = (self.next + 1) % PIECES;
            piece.used.synchronize().map_err(writing)?;
            // SAFETY: the piece is large enough, and no copy uses it any more.
            let staged = unsafe {
                piece.memory.copy_from_nonoverlapping(part.as_ptr().cast(), part.len());
                std::slice::from_raw_parts(piece.memory.cast::<u8>(), part.len())
            };
            let pointer = to.plus(index * PIECE_BYTES).0 as CUdeviceptr;
            // SAFETY: the caller's memory has room; the piece stays as it is until its event.
            unsafe { result::memcpy_htod_async(pointer, staged, self.stream.cu_stream()) }.map_err(writing)?;
            piece.used.record(&self.stream).map_err(writing)?;
        }
        Ok(())
    }

    fn copy(&mut self, from: Address, to: Address, bytes: usize) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: both are the caller's memory, of so many bytes.
        unsafe { result::memcpy_dtod_async(to.0 as CUdeviceptr, from.0 as CUdeviceptr, bytes, self.stream.cu_stream()) }
            .map_err(|error| failed("a copy within the device failed", error))
    }

    fn fetch(&mut self, from: Address, bytes: usize) -> Result<Fetch, DeviceError> {
        assert!(bytes <= MOST_FETCH_BYTES, "tokens and answers of a step");
        self.bind()?;
        let fetching = |error| failed("a copy from the device failed", error);
        let number = self.fetches;
        let piece = &self.incoming[number % MOST_FETCHES];
        // SAFETY: the piece is large enough, and whoever used it last has collected it.
        let to = unsafe { std::slice::from_raw_parts_mut(piece.memory.cast::<u8>(), bytes) };
        // SAFETY: the caller's memory is of so many bytes.
        unsafe { result::memcpy_dtoh_async(to, from.0 as CUdeviceptr, self.stream.cu_stream()) }.map_err(fetching)?;
        piece.used.record(&self.stream).map_err(fetching)?;
        self.fetches += 1;
        Ok(Fetch(number))
    }

    fn collect(&mut self, fetch: Fetch, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let piece = &self.incoming[fetch.0 % MOST_FETCHES];
        piece.used.synchronize().map_err(|error| failed("the device failed during a step", error))?;
        // SAFETY: the copy has ended.
        bytes.copy_from_slice(unsafe { std::slice::from_raw_parts(piece.memory.cast::<u8>(), bytes.len()) });
        Ok(())
    }

    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.bind()?;
        let reading = |error| failed("the device failed during a step", error);
        for (index, part) in bytes.chunks_mut(PIECE_BYTES).enumerate() {
            // Through page-locked memory, as copies to the device: the driver's own way for other
            // memory is several times slower.
            let piece = &self.outgoing[self.next];
            self.next = (self.next + 1) % PIECES;
            piece.used.synchronize().map_err(reading)?;
            // SAFETY: the piece is large enough, and no copy uses it any more.
            let staged = unsafe { std::slice::from_raw_parts_mut(piece.memory.cast::<u8>(), part.len()) };
            let pointer = from.plus(index * PIECE_BYTES).0 as CUdeviceptr;
            // SAFETY: the caller's memory is of so many bytes; the piece stays until the stream has
            // come to the end of the copy.
            unsafe { result::memcpy_dtoh_async(staged, pointer, self.stream.cu_stream()) }.map_err(reading)?;
            self.stream.synchronize().map_err(reading)?;
            part.copy_from_slice(staged);
        }
        Ok(())
    }

    fn open_library(&mut self) -> Result<bool, DeviceError> {
        if self.cublas.is_none() && cublas::is_there() {
            self.bind()?;
            let workspace = self.allocate(cublas::WORKSPACE_BYTES)?;
            self.cublas = Some(Cublas::open(&self.stream, workspace)?);
        }
        Ok(self.cublas.is_some())
    }

    fn launch(&mut self, launches: &[Launch]) -> Result<(), DeviceError> {
        self.bind()?;
        self.start(launches)
    }

    fn wait(&mut self) -> Result<(), DeviceError> {
        self.bind()?;
        self.stream.synchronize().map_err(|error| failed("the device failed", error))
    }

    fn capture(&mut self, launches: &[Launch]) -> Result<Graph, DeviceError> {
        self.bind()?;
        let capturing = |error| failed("a step cannot be captured", error);
        self.stream.begin_capture(CaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).map_err(capturing)?;
        let started = self.start(launches);
        // Also after a launch that failed, or the stream would stay in capture.
        let graph = self.stream.end_capture(sys::CUgraphInstantiate_flags(0));
        started?;
        let graph = graph.map_err(capturing)?;
        let graph = graph.ok_or_else(|| DeviceError("a step cannot be captured: nothing was launched".to_string()))?;
        graph.upload().map_err(capturing)?;
        self.graphs.push(SendGraph(graph));
        Ok(Graph(self.graphs.len() - 1))
    }

    fn replay(&mut self, graph: Graph) -> Result<(), DeviceError> {
        self.bind()?;
        self.graphs[graph.0].0.launch().map_err(|error| failed("a captured step failed", error))
    }

    #[cfg(test)]
    fn time(&mut self, graph: Graph) -> Result<f64, DeviceError> {
        let timing = |error| failed("a launch cannot be timed", error);
        let event = || self.context.new_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT)).map_err(timing);
        let (begin, end) = (event()?, event()?);
        begin.record(&self.stream).map_err(timing)?;
        self.replay(graph)?;
        end.record(&self.stream).map_err(timing)?;
        Ok(f64::from(begin.elapsed_ms(&end).map_err(timing)?) / 1e3)
    }
}

impl Drop for CudaGpu {
    fn drop(&mut self) {
        // What is under way ends before its memory goes; a device that is gone has nothing to free,
        // and nobody is left to be told. An error of before is told to the first who asks, in place
        // of binding.
        let _ = self.bind();
        let _ = self.bind();
        let _ = self.stream.synchronize();
        self.graphs.clear();
        self.cublas = None;
        for &pointer in &self.allocated {
            // SAFETY: it comes from `malloc_sync`, and nothing uses it any more.
            let _ = unsafe { result::free_sync(pointer) };
        }
    }
}
