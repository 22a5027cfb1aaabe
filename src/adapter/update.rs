//! What one module of an adapter adds to its weight: its shape, from the catalogue alone, and then its waste.

use super::Adapter;
use super::parts::{Module, VERA_A, VERA_B};
use crate::checkpoint::Tensor;
use crate::checkpoint::adapter_names::{Factor, Method};
use crate::kernel::adapter::{Matrix, Update, Waste, waste};
use crate::kernel::direction::Kernel;
use crate::source::ByteSource;

/// Largest factor that is read, in values: as f64, it takes half a gigabyte.
const MAX_VALUES: u64 = 1 << 26;

/// Inputs, outputs and rank of a ΔW, as far as its factors show them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// d. VeRA's A is as wide as the widest module.
    pub(super) inputs: Option<u64>,
    /// m.
    pub(super) outputs: Option<u64>,
    /// The rows of LoRA's A, or the largest rank that ΔW can have.
    pub(super) rank: u64,
    /// The tensor that `inputs` comes from.
    pub(super) reads: usize,
    /// The tensor that `outputs` comes from.
    pub(super) writes: Option<usize>,
}

/// Rows and columns of a matrix of the catalogue.
fn matrix(tensors: &[Tensor], index: usize) -> Result<(u64, u64), String> {
    let tensor = &tensors[index];
    match tensor.shape[..] {
        // MLX's `lora_a` is d × r and its `lora_b` r × m. With `.weight` they are those of a linear map.
        [columns, rows] if is_of_mlx(tensor) => Ok((rows, columns)),
        [rows, columns] => Ok((rows, columns)),
        _ => Err(format!(
            "`{}` has {} dimensions, as of a convolution; only linear maps are measured",
            tensor.name,
            tensor.shape.len()
        )),
    }
}

fn is_of_mlx(tensor: &Tensor) -> bool {
    tensor.name.ends_with(".lora_a") || tensor.name.ends_with(".lora_b")
}

/// The shape of a module's ΔW, or why it is not that of a linear map.
pub(super) fn shape(tensors: &[Tensor], module: &Module, method: Method) -> Result<Shape, String> {
    let need = |factor: Factor, name: &str| module.factor(factor).ok_or(format!("its {name} is not there"));
    let convolution = "it is factored as a convolution is; only linear maps are measured";
    if module.factor(Factor::Tucker).is_some() || module.factor(Factor::Mid).is_some() {
        return Err(convolution.to_owned());
    }
    match method {
        Method::Loha => {
            let (reads, writes) = (need(Factor::Hada1B, "hada_w1_b")?, need(Factor::Hada1A, "hada_w1_a")?);
            let ((first, inputs), (outputs, _)) = (matrix(tensors, reads)?, matrix(tensors, writes)?);
            let (second, _) = matrix(tensors, need(Factor::Hada2B, "hada_w2_b")?)?;
            let rank = first.saturating_mul(second).min(inputs).min(outputs);
            Ok(Shape { inputs: Some(inputs), outputs: Some(outputs), rank, reads, writes: Some(writes) })
        }
        Method::Lokr => {
            let side = |whole: Factor, left: Factor, right: Factor, name: &str| match module.factor(whole) {
                Some(whole) => {
                    matrix(tensors, whole).map(|(rows, columns)| (rows, columns, rows.min(columns), whole))
                }
                None => {
                    let (left, right) = (need(left, name)?, need(right, name)?);
                    let ((rows, _), (rank, columns)) = (matrix(tensors, left)?, matrix(tensors, right)?);
                    Ok((rows, columns, rank.min(rows).min(columns), right))
                }
            };
            let first = side(Factor::Kron1, Factor::Kron1A, Factor::Kron1B, "lokr_w1")?;
            let second = side(Factor::Kron2, Factor::Kron2A, Factor::Kron2B, "lokr_w2")?;
            Ok(Shape {
                inputs: Some(first.1.saturating_mul(second.1)),
                outputs: Some(first.0.saturating_mul(second.0)),
                rank: first.2.saturating_mul(second.2),
                reads: second.3,
                writes: Some(second.3),
            })
        }
        Method::Vera => {
            let (reads, writes) =
                (need(Factor::VeraRank, "vera_lambda_d")?, need(Factor::VeraRows, "vera_lambda_b")?);
            let (rank, outputs) = (tensors[reads].elements(), tensors[writes].elements());
            Ok(Shape { inputs: None, outputs: Some(outputs), rank, reads, writes: Some(writes) })
        }
        Method::Difference => {
            let reads = need(Factor::Difference, "ΔW")?;
            let (rows, columns) = matrix(tensors, reads)?;
            // Stored as the base stores its weight: `transposed` decides which of them are the inputs.
            Ok(Shape {
                inputs: Some(columns),
                outputs: Some(rows),
                rank: rows.min(columns),
                reads,
                writes: Some(reads),
            })
        }
        _ => {
            let reads = need(Factor::A, "A")?;
            let (rank, inputs) = matrix(tensors, reads)?;
            let writes = module.factor(Factor::B).filter(|b| tensors[*b].shape.len() == 2);
            let outputs = writes.map(|b| matrix(tensors, b)).transpose()?.map(|(rows, _)| rows);
            Ok(Shape { inputs: Some(inputs), outputs, rank, reads, writes })
        }
    }
}

/// Reads factors and measures them. VeRA's shared matrices are read once.
pub(super) struct Weighing<'a, S> {
    adapter: &'a Adapter<S>,
    shared: Option<(Matrix, Matrix)>,
}

impl<'a, S: ByteSource> Weighing<'a, S> {
    pub(super) fn new(adapter: &'a Adapter<S>) -> Self {
        Self { adapter, shared: None }
    }

    /// The waste of a module on `kernel`, a site of `width` channels, or why it has none. `transposed` if ΔW is stored as inputs ×
    /// outputs.
    pub(super) async fn waste(
        &mut self,
        module: &Module,
        method: Method,
        kernel: &Kernel,
        width: usize,
        transposed: bool,
    ) -> Result<Waste, String> {
        let factor =
            |factor: Factor| module.factor(factor).ok_or("one of its factors is not there".to_owned());
        let unfit = || "its factors do not fit each other".to_owned();
        let update = match method {
            Method::Loha => {
                let first = [
                    self.matrix(factor(Factor::Hada1A)?).await?,
                    self.matrix(factor(Factor::Hada1B)?).await?,
                ];
                let second = [
                    self.matrix(factor(Factor::Hada2A)?).await?,
                    self.matrix(factor(Factor::Hada2B)?).await?,
                ];
                Update::hadamard(first, second)
            }
            Method::Lokr => {
                let first = self.side(module, [Factor::Kron1, Factor::Kron1A, Factor::Kron1B]).await?;
                let second = self.side(module, [Factor::Kron2, Factor::Kron2A, Factor::Kron2B]).await?;
                Update::kronecker(first, second)
            }
            Method::Vera => {
                let rank = self.values(factor(Factor::VeraRank)?).await?;
                let rows = self.values(factor(Factor::VeraRows)?).await?;
                let (a, b) = self.shared().await?;
                let part =
                    |matrix: &Matrix, rows, columns| matrix.part(0..rows, 0..columns).ok_or_else(unfit);
                let right = part(a, rank.len(), width)?.with_rows_times(&rank).ok_or_else(unfit)?;
                let left = part(b, rows.len(), rank.len())?.with_rows_times(&rows).ok_or_else(unfit)?;
                Update::product(left, right)
            }
            Method::AdaLora if module.factor(Factor::Diagonal).is_some() => {
                let diagonal = self.values(factor(Factor::Diagonal)?).await?;
                let a =
                    self.matrix(factor(Factor::A)?).await?.with_rows_times(&diagonal).ok_or_else(unfit)?;
                Update::product(self.matrix(factor(Factor::B)?).await?, a)
            }
            _ => {
                let whole =
                    factor(if method == Method::Difference { Factor::Difference } else { Factor::A })?;
                let matrix = self.matrix(whole).await?;
                let matrix = if transposed { matrix.transposed() } else { matrix };
                let waste =
                    waste(matrix.values(), matrix.columns(), kernel).filter(|waste| waste.energy.is_finite());
                return waste.ok_or_else(|| no_energy(&self.tensor(whole).name, matrix.values()));
            }
        };
        let update = update.ok_or_else(unfit)?;
        if update.columns() != width {
            return Err(unfit());
        }
        let waste = update.waste(kernel).filter(|waste| waste.energy.is_finite());
        waste.ok_or_else(|| "its ΔW is all zero or not finite, so no part of it can be wasted".to_owned())
    }

    fn tensor(&self, index: usize) -> &'a Tensor {
        &self.adapter.checkpoint.tensors[index]
    }

    async fn side(&self, module: &Module, factors: [Factor; 3]) -> Result<[Option<Matrix>; 2], String> {
        let [whole, left, right] = factors.map(|factor| module.factor(factor));
        Ok(match (whole, left, right) {
            (Some(whole), ..) => [Some(self.matrix(whole).await?), None],
            (None, Some(left), Some(right)) => {
                [Some(self.matrix(left).await?), Some(self.matrix(right).await?)]
            }
            _ => [None, None],
        })
    }

    async fn shared(&mut self) -> Result<&(Matrix, Matrix), String> {
        if self.shared.is_none() {
            let find = |name: &str| {
                let absent = "the file lacks VeRA's shared matrices, and ΔW needs them; save the adapter with save_projection=True";
                self.adapter.parts.shared.get(name).copied().ok_or_else(|| absent.to_owned())
            };
            let (a, b) = (self.matrix(find(VERA_A)?).await?, self.matrix(find(VERA_B)?).await?);
            self.shared = Some((a, b));
        }
        self.shared.as_ref().ok_or_else(String::new)
    }

    async fn matrix(&self, index: usize) -> Result<Matrix, String> {
        let tensor = self.tensor(index);
        let [rows, columns] = tensor.shape[..] else {
            return Err(format!("tensor `{}` is not a matrix", tensor.name));
        };
        let matrix = Matrix::new(rows as usize, columns as usize, self.values(index).await?)
            .ok_or_else(|| format!("tensor `{}` does not have {rows} × {columns} values", tensor.name))?;
        Ok(if is_of_mlx(tensor) { matrix.transposed() } else { matrix })
    }

    async fn values(&self, index: usize) -> Result<Vec<f64>, String> {
        let tensor = self.tensor(index);
        if tensor.elements() > MAX_VALUES {
            return Err(format!(
                "tensor `{}` has {} values, more than Gammascope reads of a factor ({MAX_VALUES})",
                tensor.name,
                tensor.elements()
            ));
        }
        let read = self.adapter.checkpoint.read_weights(tensor.shard, tensor.range.clone()).await;
        let bytes = read.map_err(|error| format!("tensor `{}`: {error}", tensor.name))?;
        tensor
            .dtype
            .decode(&tensor.in_order(bytes))
            .map_err(|error| format!("tensor `{}`: {error}", tensor.name))
    }
}

fn no_energy(name: &str, values: &[f64]) -> String {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => format!("tensor `{name}`: value [{index}] is {}", values[index]),
        None if values.iter().all(|value| *value == 0.0) => {
            format!("tensor `{name}` is all zero, so no part of it can be wasted")
        }
        None => format!("tensor `{name}` has values whose squares do not fit f64"),
    }
}
