//! A device of candle: opening it, its name, and its free memory.

use crate::executor::DeviceError;
use candle_core::Device;

/// The version of candle that is built in. Results depend on it.
pub(crate) const CANDLE_VERSION: &str = "0.11.1";

/// An open device.
pub(crate) struct CandleDevice {
    tensors: Device,
    name: String,
    /// The vendor's name of a GPU, and what else its results depend on.
    kernels: String,
}

impl CandleDevice {
    /// Opens the CPU. Products compute on rayon's threads.
    pub(crate) fn cpu() -> Self {
        Self { tensors: Device::Cpu, name: "cpu".to_string(), kernels: format!("candle {CANDLE_VERSION}") }
    }

    /// Opens an NVIDIA GPU, with a stream of its own.
    ///
    /// # Errors
    /// There is no driver or no such device.
    #[cfg(feature = "candle-cuda")]
    pub(crate) fn cuda(number: usize) -> Result<Self, DeviceError> {
        let tensors = Device::new_cuda_with_stream(number)?;
        let Device::Cuda(device) = &tensors else { unreachable!("it was opened as one") };
        // SAFETY: no tensor exists yet, and all of them are used on this one stream, by one thread
        // at a time.
        unsafe { device.disable_event_tracking() };
        let name = device.cuda_stream().context().name().map_err(|error| DeviceError(error.to_string()))?;
        let kernels = format!("candle {CANDLE_VERSION} on {name}");
        Ok(Self { tensors, name: format!("cuda:{number}"), kernels })
    }

    /// Opens the machine's Apple GPU.
    ///
    /// # Errors
    /// There is no such device.
    #[cfg(metal)]
    pub(crate) fn metal() -> Result<Self, DeviceError> {
        let tensors = Device::new_metal(0)?;
        Ok(Self { tensors, name: "metal".to_string(), kernels: format!("candle {CANDLE_VERSION}") })
    }

    /// Returns the device's name, such as `cpu` or `cuda:0`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns what computes, as text for people.
    pub(crate) fn kernels(&self) -> &str {
        &self.kernels
    }

    /// Returns where tensors are made.
    pub(super) fn tensors(&self) -> &Device {
        &self.tensors
    }

    /// Returns the device's free memory in bytes; `None` for the CPU.
    ///
    /// # Errors
    /// The device failed.
    pub(crate) fn free_bytes(&self) -> Result<Option<usize>, DeviceError> {
        match &self.tensors {
            Device::Cpu => Ok(None),
            #[cfg(feature = "candle-cuda")]
            Device::Cuda(device) => {
                let free = device.cuda_stream().context().mem_get_info();
                free.map(|(free, _)| Some(free)).map_err(|error| DeviceError(error.to_string()))
            }
            #[cfg(metal)]
            Device::Metal(device) => {
                let device = device.metal_device();
                let all = device.recommended_max_working_set_size();
                Ok(Some(all.saturating_sub(device.current_allocated_size())))
            }
            _ => unreachable!("this build opens no other device"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_lock_file() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
        for name in ["candle-core", "candle-nn"] {
            let entry = format!("name = \"{name}\"\nversion = \"{CANDLE_VERSION}\"\n");
            assert!(lock.contains(&entry), "CANDLE_VERSION is not that of {name} in Cargo.lock");
        }
    }
}
