//! The kernels, compiled for the machine's GPU, and launches of them.

use super::memory::{Buffer, Device, Memory, contents};
use crate::engine::executor::DeviceError;
use crate::engine::kernels::gpu::Launch;
use crate::engine::kernels::gpu::metal::{Dispatch, FUNCTIONS, SIMD, arguments, source};
use objc2::rc::Retained;
use objc2::runtime::ProtocolObject;
use objc2_foundation::{NSError, NSString};
use objc2_metal::{
    MTLCommandEncoder, MTLCompileOptions, MTLComputeCommandEncoder, MTLComputePipelineState, MTLDevice, MTLLibrary,
    MTLResourceUsage, MTLSize,
};
use std::collections::HashMap;
use std::ptr;

type Pipeline = Retained<ProtocolObject<dyn MTLComputePipelineState>>;

/// Bytes from one argument struct of a list to the next; a multiple of what any GPU asks of
/// offsets.
const ARGUMENT_STRIDE: usize = 256;

/// A pipeline for every function.
pub(super) struct Kernels {
    pipelines: HashMap<&'static str, Pipeline>,
}

/// A list of launches, with its arguments in place.
#[derive(Clone)]
pub(super) struct Prepared {
    arguments: Buffer,
    dispatches: Vec<Dispatch>,
}

impl Kernels {
    /// Compiles them.
    ///
    /// # Errors
    /// What the compiler says, or a GPU that the kernels are not made for.
    pub(super) fn compile(device: &Device) -> Result<Self, DeviceError> {
        let options = MTLCompileOptions::new();
        #[expect(deprecated, reason = "its successor came with macOS 15, and 13 and 14 know no other")]
        options.setFastMathEnabled(false);
        let compiled = device.newLibraryWithSource_options_error(&NSString::from_str(&source()), Some(&options));
        let library = compiled.map_err(|error| refused("the Metal kernels do not compile", &error))?;
        let pipeline = |function: &'static str| {
            let found = library.newFunctionWithName(&NSString::from_str(function));
            let found = found.ok_or_else(|| DeviceError(format!("the Metal kernels have no {function}")))?;
            let pipeline = device.newComputePipelineStateWithFunction_error(&found);
            let pipeline = pipeline.map_err(|error| refused(function, &error))?;
            let width = pipeline.threadExecutionWidth();
            if width != SIMD {
                return Err(DeviceError(format!(
                    "the Metal kernels are made for simdgroups of {SIMD}, not of {width}"
                )));
            }
            Ok((function, pipeline))
        };
        Ok(Self { pipelines: FUNCTIONS.into_iter().map(pipeline).collect::<Result<_, _>>()? })
    }

    /// Puts the arguments of launches where the GPU reads them.
    ///
    /// # Errors
    /// A launch that its kernel refuses, or too little memory.
    pub(super) fn prepare(&self, launches: &[Launch], memory: &Memory) -> Result<Prepared, DeviceError> {
        let buffer = memory.buffer(launches.len() * ARGUMENT_STRIDE)?;
        let mut dispatches = Vec::with_capacity(launches.len());
        for launch in launches {
            let refused = |why| DeviceError(format!("{}: {why}", launch.name()));
            let Some(dispatch) = Dispatch::of(launch).map_err(refused)? else { continue };
            let most = self.pipelines[dispatch.function].maxTotalThreadsPerThreadgroup();
            if dispatch.threads > most {
                return Err(refused(format!("{} threads are wanted, the GPU has {most}", dispatch.threads)));
            }
            let (from, bytes) = arguments(launch);
            assert!(bytes <= ARGUMENT_STRIDE, "structs fit their places");
            // SAFETY: there is one place a launch, and `from` has so many bytes.
            unsafe {
                let to = contents(&buffer).add(dispatches.len() * ARGUMENT_STRIDE);
                ptr::copy_nonoverlapping(from.cast::<u8>(), to, bytes);
            }
            dispatches.push(dispatch);
        }
        Ok(Prepared { arguments: buffer, dispatches })
    }

    /// Encodes launches, one after the other, so that each sees what those before it wrote.
    pub(super) fn encode(
        &self,
        encoder: &ProtocolObject<dyn MTLComputeCommandEncoder>,
        prepared: &Prepared,
        memory: &Memory,
    ) {
        for buffer in memory.buffers() {
            let resource = ProtocolObject::from_ref(&**buffer);
            encoder.useResource_usage(resource, MTLResourceUsage::Read | MTLResourceUsage::Write);
        }
        for (index, dispatch) in prepared.dispatches.iter().enumerate() {
            encoder.setComputePipelineState(&self.pipelines[dispatch.function]);
            // SAFETY: the struct of this launch lies there, and its addresses are those of
            // `memory`.
            unsafe {
                encoder.setBuffer_offset_atIndex(Some(&prepared.arguments), index * ARGUMENT_STRIDE, 0);
                if dispatch.threadgroup_bytes > 0 {
                    encoder.setThreadgroupMemoryLength_atIndex(dispatch.threadgroup_bytes, 0);
                }
            }
            let size = |[width, height, depth]: [usize; 3]| MTLSize { width, height, depth };
            let threads = size([dispatch.threads, 1, 1]);
            encoder.dispatchThreadgroups_threadsPerThreadgroup(size(dispatch.threadgroups), threads);
        }
        encoder.endEncoding();
    }
}

fn refused(what: &str, error: &NSError) -> DeviceError {
    DeviceError(format!("{what}: {}", error.localizedDescription()))
}
