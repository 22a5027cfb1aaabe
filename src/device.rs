//! Where the exact Gram matrix is computed: on the CPU, or on a GPU with the CPU behind it. The integers are the same.

use crate::report::Warning;
use crate::verify::gram::{Gram, Gridded};

#[cfg(feature = "gpu")]
use crate::gpu::{Gpu, GpuError, gram::GramKernel};

/// The CPU, or a GPU until it fails once.
#[derive(Debug)]
pub struct Device {
    #[cfg(feature = "gpu")]
    gpu: Option<(Gpu, GramKernel)>,
    /// Why the CPU went on without the GPU. Held while the GPU computes: one thread at a time uses it.
    #[cfg(feature = "gpu")]
    fault: futures_util::lock::Mutex<Option<GpuError>>,
}

impl Device {
    /// The CPU alone.
    pub fn cpu() -> Self {
        Self {
            #[cfg(feature = "gpu")]
            gpu: None,
            #[cfg(feature = "gpu")]
            fault: futures_util::lock::Mutex::new(None),
        }
    }

    /// The fastest GPU there is; an error where there is none.
    #[cfg(feature = "gpu")]
    pub async fn gpu() -> Result<Self, GpuError> {
        let gpu = Gpu::open().await?;
        let kernel = GramKernel::new(&gpu)?;
        Ok(Self { gpu: Some((gpu, kernel)), ..Self::cpu() })
    }

    /// The GPU's name, or "cpu".
    pub fn name(&self) -> &str {
        #[cfg(feature = "gpu")]
        if let Some((gpu, _)) = &self.gpu {
            return gpu.adapter();
        }
        "cpu"
    }

    /// The exact Gram matrix: on the GPU until it fails once, then on the CPU.
    pub async fn gram(&self, gridded: &Gridded) -> Gram {
        #[cfg(feature = "gpu")]
        if let Some((_, kernel)) = &self.gpu {
            let mut fault = self.fault.lock().await;
            if fault.is_none() {
                match kernel.gram(gridded).await {
                    Ok(gram) => return gram,
                    Err(error) => *fault = Some(error),
                }
            }
        }
        gridded.gram()
    }

    /// That the GPU failed on the way, if it did.
    pub async fn warning(&self) -> Option<Warning> {
        #[cfg(feature = "gpu")]
        if let Some(error) = &*self.fault.lock().await {
            return Some(Warning {
                code: "gpu_failed".to_owned(),
                message: format!("{error}. The measurement went on on the CPU, with the same numbers"),
                r#where: self.name().to_owned(),
            });
        }
        None
    }
}
