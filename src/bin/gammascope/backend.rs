//! Where the exact Gram matrix is computed: on the CPU, or on a GPU with the CPU behind it.

use crate::args::Measure;
use gammascope::report::Warning;
use gammascope::verify::gram::{Gram, Gridded};

/// The CPU alone.
#[cfg(not(feature = "gpu"))]
pub(crate) struct Backend;

#[cfg(not(feature = "gpu"))]
impl Backend {
    pub(crate) fn new(_: &Measure) -> Result<Self, String> {
        Ok(Self)
    }

    pub(crate) fn name(&self) -> &str {
        "cpu"
    }

    pub(crate) fn gram(&self, gridded: &Gridded) -> Gram {
        gridded.gram()
    }

    pub(crate) fn warning(&self) -> Option<Warning> {
        None
    }
}

#[cfg(feature = "gpu")]
pub(crate) use with_gpu::Backend;

#[cfg(feature = "gpu")]
mod with_gpu {
    use super::{Gram, Gridded, Measure, Warning};
    use crate::args::Device;
    use gammascope::gpu::gram::GramKernel;
    use gammascope::gpu::{Gpu, GpuError};
    use std::sync::{Mutex, PoisonError};

    /// A GPU, used by one thread at a time, or none.
    pub(crate) struct Backend {
        gpu: Option<Gpu>,
        /// Why the CPU went on without it.
        fault: Mutex<Option<GpuError>>,
    }

    impl Backend {
        pub(crate) fn new(options: &Measure) -> Result<Self, String> {
            let gpu = match options.device {
                Device::Cpu => None,
                Device::Gpu => Some(pollster::block_on(Gpu::open()).map_err(|error| error.to_string())?),
            };
            Ok(Self { gpu, fault: Mutex::new(None) })
        }

        pub(crate) fn name(&self) -> &str {
            self.gpu.as_ref().map_or("cpu", Gpu::adapter)
        }

        /// On the GPU until it fails once, then on the CPU: the integers are the same.
        pub(crate) fn gram(&self, gridded: &Gridded) -> Gram {
            let Some(gpu) = &self.gpu else { return gridded.gram() };
            let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
            if fault.is_none() {
                match GramKernel::new(gpu).and_then(|kernel| pollster::block_on(kernel.gram(gridded))) {
                    Ok(gram) => return gram,
                    Err(error) => *fault = Some(error),
                }
            }
            drop(fault);
            gridded.gram()
        }

        pub(crate) fn warning(&self) -> Option<Warning> {
            let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
            fault.as_ref().map(|error| Warning {
                code: "gpu_failed".to_owned(),
                message: format!("{error}. The measurement went on on the CPU, with the same numbers"),
                r#where: self.name().to_owned(),
            })
        }
    }
}
