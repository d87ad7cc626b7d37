//! The GPU as the executor sees it.
//!
//! Work is encoded into a command buffer that is open until something is launched or fetched.
//! Command buffers of one queue run in the order of their commits, and what one wrote the next one
//! sees. A copy to memory that a step under way may still read goes through a buffer of its own, in
//! its turn; where nothing is under way, the CPU writes it itself.

use super::kernels::{Kernels, Prepared};
use super::memory::{Buffer, Device, Memory, contents};
use crate::executor::DeviceError;
use crate::executor::gpu::device::{Address, Facts, Fetch, Gpu, Graph, MOST_FETCHES};
use crate::kernels::gpu::metal::MetalRules;
use crate::kernels::gpu::{KernelRules, Launch};
use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::ProtocolObject;
use objc2_metal::{
    MTLBlitCommandEncoder, MTLBuffer, MTLCommandBuffer, MTLCommandBufferStatus, MTLCommandEncoder, MTLCommandQueue,
    MTLCreateSystemDefaultDevice, MTLDevice, MTLGPUFamily,
};
use std::collections::VecDeque;
use std::ptr;

type Commands = Retained<ProtocolObject<dyn MTLCommandBuffer>>;

/// The largest copy that is staged rather than waited for: the inputs of a step are smaller.
const STAGED_BYTES: usize = 1 << 20;

/// What sizes of copies by the GPU are multiples of.
const COPY_UNIT: usize = 4;

/// Device, kernels, and what is under way.
pub(crate) struct MetalGpu {
    device: Device,
    queue: Retained<ProtocolObject<dyn MTLCommandQueue>>,
    kernels: Kernels,
    rules: MetalRules,
    memory: Memory,
    /// Encoded and not committed.
    open: Option<Commands>,
    /// Committed and not known to have ended, in order; Metal itself lets 64 be so.
    under_way: VecDeque<Commands>,
    graphs: Vec<Prepared>,
    /// Copies that nobody has collected yet.
    fetched: Vec<Fetched>,
    fetches: usize,
}

// SAFETY: Metal's objects may go from thread to thread; one thread at a time has the device,
// because all methods that encode take `&mut self`.
unsafe impl Send for MetalGpu {}

/// A copy to the host, and what it is part of.
struct Fetched {
    number: usize,
    buffer: Buffer,
    commands: Commands,
}

/// What a device is, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MetalDevice {
    pub(crate) name: String,
    /// What Metal recommends to use at most.
    pub(crate) memory_bytes: usize,
    pub(crate) free_bytes: usize,
}

// Without this framework no program finds a device.
#[link(name = "CoreGraphics", kind = "framework")]
unsafe extern "C" {}

impl MetalGpu {
    /// Opens the machine's GPU and compiles the kernels for it.
    ///
    /// # Errors
    /// No device, one that the kernels are not made for, or kernels that it does not compile.
    pub(crate) fn open() -> Result<Self, DeviceError> {
        autoreleasepool(|_| {
            let device = MTLCreateSystemDefaultDevice();
            let device = device.ok_or_else(|| DeviceError("there is no Metal device on this machine".to_string()))?;
            if !device.supportsFamily(MTLGPUFamily::Apple7) || !device.supportsFamily(MTLGPUFamily::Metal3) {
                let rule = "the Metal kernels are made for Apple's M1 and later with macOS 13 and later";
                return Err(DeviceError(format!("{}: {rule}", device.name())));
            }
            let queue = device.newCommandQueue();
            let queue = queue.ok_or_else(|| DeviceError("the Metal device gives no command queue".to_string()))?;
            Ok(Self {
                kernels: Kernels::compile(&device)?,
                memory: Memory::new(device.clone()),
                device,
                queue,
                rules: MetalRules,
                open: None,
                under_way: VecDeque::new(),
                graphs: Vec::new(),
                fetched: Vec::new(),
                fetches: 0,
            })
        })
    }

    /// What it is.
    pub(crate) fn describe(&self) -> MetalDevice {
        autoreleasepool(|_| MetalDevice {
            name: self.device.name().to_string(),
            memory_bytes: self.device.recommendedMaxWorkingSetSize() as usize,
            free_bytes: self.free_bytes(),
        })
    }

    /// What is encoded into at the moment.
    fn commands(&mut self) -> Result<Commands, DeviceError> {
        if self.open.is_none() {
            self.open = self.queue.commandBuffer();
        }
        self.open.clone().ok_or_else(|| DeviceError("the Metal device takes no commands".to_string()))
    }

    fn encode_copy(&mut self, from: (&Buffer, usize), to: (&Buffer, usize), bytes: usize) -> Result<(), DeviceError> {
        let encoder = self.commands()?.blitCommandEncoder();
        let encoder = encoder.ok_or_else(|| DeviceError("the Metal device takes no copies".to_string()))?;
        // SAFETY: both places were found inside of their buffers.
        unsafe {
            encoder.copyFromBuffer_sourceOffset_toBuffer_destinationOffset_size(from.0, from.1, to.0, to.1, bytes);
        }
        encoder.endEncoding();
        Ok(())
    }

    fn start(&mut self, prepared: &Prepared) -> Result<(), DeviceError> {
        let encoder = self.commands()?.computeCommandEncoder();
        let encoder = encoder.ok_or_else(|| DeviceError("the Metal device takes no launches".to_string()))?;
        self.kernels.encode(&encoder, prepared, &self.memory);
        self.commit();
        Ok(())
    }

    /// Sends what is encoded on its way; `None` if nothing is.
    fn commit(&mut self) -> Option<Commands> {
        let commands = self.open.take()?;
        commands.commit();
        self.under_way.push_back(commands.clone());
        Some(commands)
    }

    /// Forgets what has ended.
    fn settle(&mut self) -> Result<(), DeviceError> {
        while let Some(first) = self.under_way.front() {
            match first.status() {
                MTLCommandBufferStatus::Completed => self.under_way.pop_front(),
                MTLCommandBufferStatus::Error => return Err(failed(first)),
                _ => return Ok(()),
            };
        }
        Ok(())
    }

    /// Waits for everything that was asked for.
    fn finish(&mut self) -> Result<(), DeviceError> {
        self.commit();
        for commands in &self.under_way {
            commands.waitUntilCompleted();
        }
        self.settle()
    }
}

fn failed(commands: &ProtocolObject<dyn MTLCommandBuffer>) -> DeviceError {
    let why = commands.error().map(|error| error.localizedDescription().to_string());
    DeviceError(format!(
        "the Metal device failed during a step: {}",
        why.unwrap_or_else(|| "it gives no reason".to_string())
    ))
}

impl Gpu for MetalGpu {
    fn open_library(&mut self) -> Result<bool, DeviceError> {
        Ok(false)
    }

    fn rules(&self) -> &dyn KernelRules {
        &self.rules
    }

    /// Metal does not say how many cores there are, and no rule of its kernels asks.
    fn facts(&self) -> Facts {
        Facts { multiprocessors: 1, shared_limit: self.device.maxThreadgroupMemoryLength() as u32 }
    }

    /// The best of a few copies of half a GiB within the device, each of which reads and writes
    /// every byte.
    fn read_bandwidth(&mut self) -> Result<f64, DeviceError> {
        const BYTES: usize = 512 << 20;
        autoreleasepool(|_| {
            let (from, to) = (self.memory.buffer(BYTES)?, self.memory.buffer(BYTES)?);
            let mut best = 0f64;
            for _ in 0..12 {
                self.encode_copy((&from, 0), (&to, 0), BYTES)?;
                let commands = self.commit().expect("the copy was encoded");
                self.finish()?;
                best = best.max(2.0 * BYTES as f64 / (commands.GPUEndTime() - commands.GPUStartTime()));
            }
            Ok(best)
        })
    }

    fn free_bytes(&self) -> usize {
        self.memory.free_bytes()
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, DeviceError> {
        autoreleasepool(|_| self.memory.allocate(bytes))
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), DeviceError> {
        autoreleasepool(|_| {
            self.settle()?;
            let idle = self.open.is_none() && self.under_way.is_empty();
            if !idle && (1..=STAGED_BYTES).contains(&bytes.len()) && bytes.len().is_multiple_of(COPY_UNIT) {
                let staged = self.memory.buffer(bytes.len())?;
                // SAFETY: the buffer is new and has room.
                unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), contents(&staged), bytes.len()) };
                let (target, offset) = self.memory.find(to, bytes.len());
                return self.encode_copy((&staged, 0), (&target, offset), bytes.len());
            }
            self.finish()?;
            // SAFETY: `contents` has found so many bytes, and the GPU uses none of them.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.memory.contents(to, bytes.len()), bytes.len()) };
            Ok(())
        })
    }

    fn copy(&mut self, from: Address, to: Address, bytes: usize) -> Result<(), DeviceError> {
        autoreleasepool(|_| {
            let ((source, at), (target, offset)) = (self.memory.find(from, bytes), self.memory.find(to, bytes));
            self.encode_copy((&source, at), (&target, offset), bytes)
        })
    }

    fn fetch(&mut self, from: Address, bytes: usize) -> Result<Fetch, DeviceError> {
        assert!(self.fetched.len() < MOST_FETCHES, "somebody forgets to collect");
        autoreleasepool(|_| {
            let buffer = self.memory.buffer(bytes)?;
            let (source, at) = self.memory.find(from, bytes);
            self.encode_copy((&source, at), (&buffer, 0), bytes)?;
            let commands = self.commit().expect("the copy was encoded");
            self.fetches += 1;
            self.fetched.push(Fetched { number: self.fetches, buffer, commands });
            Ok(Fetch(self.fetches))
        })
    }

    fn collect(&mut self, fetch: Fetch, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let at = self.fetched.iter().position(|fetched| fetched.number == fetch.0).expect("a copy that was started");
        let fetched = self.fetched.remove(at);
        autoreleasepool(|_| {
            fetched.commands.waitUntilCompleted();
            if fetched.commands.status() == MTLCommandBufferStatus::Error {
                return Err(failed(&fetched.commands));
            }
            self.settle()?;
            assert!(bytes.len() <= fetched.buffer.length(), "as many bytes as were asked for");
            // SAFETY: the copy has ended, and its buffer has so many bytes.
            unsafe { ptr::copy_nonoverlapping(contents(&fetched.buffer), bytes.as_mut_ptr(), bytes.len()) };
            Ok(())
        })
    }

    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), DeviceError> {
        autoreleasepool(|_| self.finish())?;
        // SAFETY: `contents` has found so many bytes, and nothing is under way.
        unsafe { ptr::copy_nonoverlapping(self.memory.contents(from, bytes.len()), bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn launch(&mut self, launches: &[Launch]) -> Result<(), DeviceError> {
        autoreleasepool(|_| {
            let prepared = self.kernels.prepare(launches, &self.memory)?;
            self.start(&prepared)
        })
    }

    fn wait(&mut self) -> Result<(), DeviceError> {
        autoreleasepool(|_| self.finish())
    }

    /// The list with its arguments in place; it is encoded anew each time.
    fn capture(&mut self, launches: &[Launch]) -> Result<Graph, DeviceError> {
        let prepared = autoreleasepool(|_| self.kernels.prepare(launches, &self.memory))?;
        self.graphs.push(prepared);
        Ok(Graph(self.graphs.len() - 1))
    }

    fn replay(&mut self, graph: Graph) -> Result<(), DeviceError> {
        let prepared = self.graphs[graph.0].clone();
        autoreleasepool(|_| self.start(&prepared))
    }

    #[cfg(test)]
    fn time(&mut self, graph: Graph) -> Result<f64, DeviceError> {
        self.wait()?;
        let start = std::time::Instant::now();
        self.replay(graph)?;
        self.wait()?;
        Ok(start.elapsed().as_secs_f64())
    }
}

impl Drop for MetalGpu {
    fn drop(&mut self) {
        // What is under way ends before its memory goes; nobody is left to be told of a failure.
        let _ = autoreleasepool(|_| self.finish());
    }
}
