//! The device that a model runs on: the choice among what the machine has, free memory, and loading
//! the weights there.

#[cfg(any(gpu, test))]
mod auto;
mod candle;
mod check;
mod cpu;
mod error;
#[cfg(any(gpu, all(test, unix)))]
mod gpu;
mod load;
mod memory;
mod placement;
mod room;
mod survey;

pub use check::{DeviceCheck, check_devices};
pub use error::OpenError;
pub(crate) use load::load;
pub use load::{DtypeRequest, LoadNotice, LoadOptions, LoadProgress};
pub(crate) use memory::resident;
pub use memory::{Resident, free as memory_free};
pub(crate) use placement::{Loaded, choose};
pub use room::Room;
pub use survey::{DeviceReport, cuda_architectures, survey};
