//! The kernels of a forward pass on a GPU. Each call dispatches one of `shaders/*.wgsl`, in the order of the calls.
//!
//! Every dispatch is submitted separately. So a buffer that is reused cannot be overwritten before the work that reads it. Errors are
//! reported when values are brought back ([`GpuKernels::get`]).

use super::memory::{Held, Memory};
use super::{Gpu, GpuError};
use crate::checkpoint::dtype::TensorType;
use crate::cpu::attention::{Attention, Bias};
use crate::cpu::convolution::Causal;
use crate::cpu::delta_rule::DeltaRule;
use crate::cpu::loss::Loss;
use crate::cpu::rotary::RotaryTable;
use crate::forward::ForwardError;
use crate::forward::kernels::{Columns, Heads, Kernels, Shape};
use crate::model::operation::Activation;
use crate::model::operation::Centring;
use crate::model::operation::Layout;
use crate::model::operation::Pairing;
use safetensors::Dtype;
use std::cell::RefCell;
use std::collections::HashMap;

/// Threads of a workgroup in which each thread has one value.
const THREADS: usize = 64;
/// Bytes of a type that shaders do not read, which the CPU decodes at once.
const DECODED_AT_ONCE: usize = 1 << 20;
/// Tokens and outputs of a workgroup of `linear.wgsl`, and of `linear_in_software.wgsl`.
const TILE: [usize; 2] = [64, 64];
const TILE_IN_SOFTWARE: [usize; 2] = [128, 16];
/// Queries of a workgroup of `attend.wgsl`.
const QUERIES: usize = 32;
/// Channels of the values of a workgroup of `attend.wgsl`.
const CHANNELS: usize = 256;
/// The widest key that `delta_rule.wgsl` has registers for.
const WIDEST_KEY: usize = 128;
/// Storage buffers of `delta_rule.wgsl`, which needs the most.
const STORAGE_BUFFERS: u32 = 6;

/// A shader and its overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shader {
    Linear { kind: u32, turned: bool, in_software: bool },
    Normalise { centred: bool, cut: bool },
    ScaleAndShift,
    Rotary { interleaved: bool },
    Attend { bias: u32, sinks: bool },
    Convolve,
    Decay,
    DeltaRule,
    Activate { kind: u32, gated: bool },
    Add,
    Bound,
    FirstNotFinite,
    Columns,
    Rows,
    AddRows,
    Loss,
}

impl Shader {
    fn name(self) -> &'static str {
        match self {
            Self::Linear { .. } => "linear",
            Self::Normalise { .. } => "normalise",
            Self::ScaleAndShift => "scale_and_shift",
            Self::Rotary { .. } => "rotary",
            Self::Attend { .. } => "attend",
            Self::Convolve => "convolve",
            Self::Decay => "decay",
            Self::DeltaRule => "delta_rule",
            Self::Activate { .. } => "activate",
            Self::Add => "add",
            Self::Bound => "bound",
            Self::FirstNotFinite => "first_not_finite",
            Self::Columns => "columns",
            Self::Rows => "rows",
            Self::AddRows => "add_rows",
            Self::Loss => "loss",
        }
    }

    fn source(self) -> String {
        const ELEMENTS: &str = include_str!("shaders/elements.wgsl");
        const LINEAR_MAP: &str = include_str!("shaders/linear_map.wgsl");
        const FUNCTIONS: &str = include_str!("shaders/functions.wgsl");
        let (before, text) = match self {
            Self::Linear { in_software: false, .. } => (LINEAR_MAP, include_str!("shaders/linear.wgsl")),
            Self::Linear { in_software: true, .. } => {
                (LINEAR_MAP, include_str!("shaders/linear_in_software.wgsl"))
            }
            Self::Normalise { .. } => ("", include_str!("shaders/normalise.wgsl")),
            Self::Attend { .. } => (FUNCTIONS, include_str!("shaders/attend.wgsl")),
            Self::Loss => ("", include_str!("shaders/loss.wgsl")),
            Self::DeltaRule => ("", include_str!("shaders/delta_rule.wgsl")),
            Self::Convolve => (ELEMENTS, include_str!("shaders/convolve.wgsl")),
            Self::Decay => (ELEMENTS, include_str!("shaders/decay.wgsl")),
            Self::ScaleAndShift => (ELEMENTS, include_str!("shaders/scale_and_shift.wgsl")),
            Self::Rotary { .. } => (ELEMENTS, include_str!("shaders/rotary.wgsl")),
            Self::Activate { .. } => (ELEMENTS, include_str!("shaders/activate.wgsl")),
            Self::Add => (ELEMENTS, include_str!("shaders/add.wgsl")),
            Self::Bound => (ELEMENTS, include_str!("shaders/bound.wgsl")),
            Self::FirstNotFinite => (ELEMENTS, include_str!("shaders/first_not_finite.wgsl")),
            Self::Columns => (ELEMENTS, include_str!("shaders/columns.wgsl")),
            Self::Rows => (ELEMENTS, include_str!("shaders/rows.wgsl")),
            Self::AddRows => (ELEMENTS, include_str!("shaders/add_rows.wgsl")),
        };
        let functions = if matches!(self, Self::Activate { .. } | Self::Bound) { FUNCTIONS } else { "" };
        [functions, before, text].join("\n")
    }

    /// Values of the shader's overrides.
    fn constants(self) -> Vec<(&'static str, f64)> {
        let truth = |value: bool| f64::from(u8::from(value));
        match self {
            Self::Linear { kind, turned, .. } => vec![("TYPE", f64::from(kind)), ("TURNED", truth(turned))],
            Self::Normalise { centred, cut } => vec![("CENTRED", truth(centred)), ("CUT", truth(cut))],
            Self::Rotary { interleaved } => vec![("INTERLEAVED", truth(interleaved))],
            Self::Attend { bias, sinks } => vec![("BIAS", f64::from(bias)), ("SINKS", truth(sinks))],
            Self::Activate { kind, gated } => vec![("KIND", f64::from(kind)), ("GATED", truth(gated))],
            _ => Vec::new(),
        }
    }
}

/// f32 values in a buffer.
#[derive(Debug)]
pub struct Values {
    held: Held,
    count: usize,
}

/// A tensor in a buffer, in its own type or as f32.
#[derive(Debug)]
pub struct Weight {
    held: Held,
    kind: Stored,
    filled: u64,
}

/// The form of a weight in its buffer.
#[derive(Debug, Clone, PartialEq)]
enum Stored {
    F32,
    F16,
    Bf16,
    /// f32, decoded on the CPU from this type, which the shader does not decode.
    Decoded(TensorType),
}

/// A GPU that runs forward passes.
#[derive(Debug)]
pub struct GpuKernels {
    gpu: Gpu,
    memory: Memory,
    pipelines: RefCell<HashMap<Shader, wgpu::ComputePipeline>>,
    /// The buffer for a binding that the shader does not read.
    nothing: Held,
    /// The buffer that the last values came back in.
    back: RefCell<Option<wgpu::Buffer>>,
    /// The first request that this GPU or a shader cannot fulfil.
    refused: RefCell<Option<String>>,
}

impl GpuKernels {
    /// Opens the fastest GPU.
    pub async fn open() -> Result<Self, GpuError> {
        Self::new(&Gpu::open().await?)
    }

    /// Uses this GPU.
    pub fn new(gpu: &Gpu) -> Result<Self, GpuError> {
        let has = gpu.limits.max_storage_buffers_per_shader_stage;
        if has < STORAGE_BUFFERS {
            let (adapter, limit) = (gpu.adapter.clone(), "maxStorageBuffersPerShaderStage");
            let (has, needed) = (u64::from(has), u64::from(STORAGE_BUFFERS));
            return Err(GpuError::Limits { adapter, limit, has, needed });
        }
        let memory = Memory::new(gpu);
        let nothing = memory.take(0);
        Ok(Self {
            gpu: gpu.clone(),
            memory,
            pipelines: RefCell::default(),
            nothing,
            back: RefCell::default(),
            refused: RefCell::default(),
        })
    }

    /// Bytes of the largest buffer that this GPU allows.
    pub fn largest_buffer(&self) -> u64 {
        self.gpu.limits.max_storage_buffer_binding_size.min(self.gpu.limits.max_buffer_size)
    }

    fn refuse(&self, reason: String) {
        self.refused.borrow_mut().get_or_insert(reason);
    }

    /// Returns a buffer. If the limits do not allow it, this records the refusal and returns a small one; results computed with that are
    /// never brought back.
    fn take(&self, bytes: u64) -> Held {
        let has = self.largest_buffer();
        if bytes > has {
            self.refuse(format!(
                "`{}` allows buffers of {has} bytes, and one of {bytes} is needed: run fewer tokens, or use the CPU",
                self.gpu.adapter
            ));
            return self.memory.take(0);
        }
        self.memory.take(bytes)
    }

    fn empty(&self, count: usize) -> Values {
        Values { held: self.take(4 * count as u64), count }
    }

    fn write(&self, held: &Held, at: u64, bytes: &[u8]) {
        let Some(buffer) = held.buffer().filter(|buffer| at + bytes.len() as u64 <= buffer.size()) else {
            return;
        };
        // Writes must be whole words.
        let whole = bytes.len() / 4 * 4;
        let (words, rest) = bytes.split_at(whole);
        if !words.is_empty() {
            self.gpu.queue.write_buffer(buffer, at, words);
        }
        if !rest.is_empty() {
            let mut last = [0; 4];
            last[..rest.len()].copy_from_slice(rest);
            self.gpu.queue.write_buffer(buffer, at + whole as u64, &last);
        }
    }

    fn words(&self, words: &[u32]) -> Held {
        let held = self.take(4 * words.len() as u64);
        self.write(&held, 0, bytemuck::cast_slice(words));
        held
    }

    fn floats(&self, values: &[f32]) -> Held {
        let held = self.take(4 * values.len() as u64);
        self.write(&held, 0, bytemuck::cast_slice(values));
        held
    }

    /// Submits one shader on buffers. The shape is the first binding.
    fn run(&self, shader: Shader, shape: &[u32], buffers: &[&Held], groups: [usize; 3]) {
        let most = self.gpu.limits.max_compute_workgroups_per_dimension as usize;
        if groups.iter().any(|&groups| groups > most) {
            return self.refuse(format!(
                "`{}` allows {most} workgroups in a row, and `{}` needs {groups:?}: run fewer tokens, or use the CPU",
                self.gpu.adapter,
                shader.name()
            ));
        }
        let device = &self.gpu.device;
        let mut pipelines = self.pipelines.borrow_mut();
        let pipeline = pipelines.entry(shader).or_insert_with(|| self.pipeline(shader));
        let shape = self.words(shape);
        let bound = std::iter::once(&shape).chain(buffers.iter().copied());
        let entries: Option<Vec<_>> = (0..)
            .zip(bound)
            .map(|(binding, held)| {
                Some(wgpu::BindGroupEntry { binding, resource: held.buffer()?.as_entire_binding() })
            })
            .collect();
        let Some(entries) = entries else { return };
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(shader.name()),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let mut encoder = device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &group, &[]);
            let [x, y, z] = groups.map(|groups| groups as u32);
            pass.dispatch_workgroups(x, y, z);
        }
        self.gpu.queue.submit([encoder.finish()]);
    }

    /// Spreads workgroups over two dimensions if one dimension has too little room.
    fn spread(&self, groups: usize) -> [usize; 3] {
        let most = self.gpu.limits.max_compute_workgroups_per_dimension as usize;
        [groups.min(most), groups.div_ceil(most), 1]
    }

    fn on_values(&self, shader: Shader, count: usize, shape: &[u32], buffers: &[&Held]) {
        if count > 0 {
            self.run(shader, shape, buffers, self.spread(count.div_ceil(THREADS)));
        }
    }

    /// Runs a shader with a workgroup for each row of x.
    fn by_rows(&self, shader: Shader, x: &Values, width: usize, number: f32) -> Values {
        let y = self.empty(x.count);
        let rows = x.count / width;
        let shape = [rows as u32, width as u32, number.to_bits()];
        self.run(shader, &shape, &[&x.held, &y.held], self.spread(rows));
        y
    }

    fn pipeline(&self, shader: Shader) -> wgpu::ComputePipeline {
        let device = &self.gpu.device;
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(shader.name()),
            source: wgpu::ShaderSource::Wgsl(shader.source().into()),
        });
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(shader.name()),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &shader.constants(),
                ..Default::default()
            },
            cache: None,
        })
    }

    fn copy(&self, from: (&Held, usize), to: (&Held, usize), count: usize) {
        let (Some(source), Some(target)) = (from.0.buffer(), to.0.buffer()) else { return };
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let bytes = |values: usize| 4 * values as u64;
        encoder.copy_buffer_to_buffer(source, bytes(from.1), target, bytes(to.1), bytes(count));
        self.gpu.queue.submit([encoder.finish()]);
    }

    /// Waits for all work on a buffer, and hands its first `bytes` to `read`.
    async fn bring_back(
        &self,
        held: &Held,
        bytes: u64,
        read: impl FnOnce(&[u8]),
    ) -> Result<(), ForwardError> {
        if let Some(reason) = self.refused.borrow().clone() {
            return Err(ForwardError::Device { reason });
        }
        let Some(buffer) = held.buffer().filter(|_| bytes > 0) else { return Ok(()) };
        let device = &self.gpu.device;
        // Reuses a buffer, because allocating memory that both sides can access takes longer than the copy.
        let kept = self.back.borrow_mut().take().filter(|back| back.size() >= bytes);
        let back = kept.unwrap_or_else(|| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("back"),
                size: bytes,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        });
        let mut encoder = device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &back, 0, bytes);
        self.gpu.queue.submit([encoder.finish()]);
        let done = self.gpu.read(&back, bytes, read).await;
        // After a failure the buffer may still be mapped, so it is not kept.
        self.back.replace(done.is_ok().then_some(back));
        done.map_err(|error| ForwardError::Device { reason: error.to_string() })
    }
}

fn truth(value: bool) -> u32 {
    u32::from(value)
}

impl Kernels for GpuKernels {
    type Values = Values;
    type Weight = Weight;

    fn name(&self) -> &str {
        self.gpu.adapter()
    }

    fn put(&self, values: Vec<f32>) -> Values {
        Values { held: self.floats(&values), count: values.len() }
    }

    fn zeros(&self, count: usize) -> Values {
        let values = self.empty(count);
        if let Some(buffer) = values.held.buffer() {
            let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
            encoder.clear_buffer(buffer, 0, None);
            self.gpu.queue.submit([encoder.finish()]);
        }
        values
    }

    async fn get(&self, values: &Values) -> Result<Vec<f32>, ForwardError> {
        let mut found = Vec::with_capacity(values.count);
        let words = |bytes: &[u8]| {
            found.extend(bytes.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)));
        };
        self.bring_back(&values.held, 4 * values.count as u64, words).await?;
        Ok(found)
    }

    async fn first_not_finite(&self, values: &Values) -> Result<Option<usize>, ForwardError> {
        let first = self.words(&[u32::MAX]);
        let (count, buffers) = (values.count, [&values.held, &first]);
        self.on_values(Shader::FirstNotFinite, count, &[count as u32], &buffers);
        let mut at = u32::MAX;
        let word = |bytes: &[u8]| {
            at = bytes.as_chunks().0.first().map_or(at, |word| u32::from_le_bytes(*word));
        };
        self.bring_back(&first, 4, word).await?;
        Ok((at < u32::MAX).then_some(at as usize))
    }

    fn weight(&self, dtype: &TensorType, values: usize) -> Option<Weight> {
        dtype.decodable().ok()?;
        let (kind, size) = match dtype {
            TensorType::Known(Dtype::F32) => (Stored::F32, 4),
            TensorType::Known(Dtype::F16) => (Stored::F16, 2),
            TensorType::Known(Dtype::BF16) => (Stored::Bf16, 2),
            other => (Stored::Decoded(other.clone()), 4),
        };
        Some(Weight { held: self.take(size * values as u64), kind, filled: 0 })
    }

    fn fill(&self, weight: &mut Weight, bytes: &[u8]) {
        let mut write = |bytes: &[u8]| {
            self.write(&weight.held, weight.filled, bytes);
            weight.filled += bytes.len() as u64;
        };
        let Stored::Decoded(dtype) = &weight.kind else { return write(bytes) };
        let block = dtype.piece().map_or(1, |(_, bytes)| bytes.max(1)) as usize;
        for blocks in bytes.chunks(DECODED_AT_ONCE.div_ceil(block) * block) {
            let mut values = Vec::new();
            // The caller has already asked whether the type is decoded.
            let _ = dtype.decode_f32(blocks, &mut values);
            write(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
        }
    }

    fn part(&self, x: &Values, from: usize, count: usize) -> Values {
        let y = self.empty(count);
        self.copy((&x.held, from), (&y.held, 0), count);
        y
    }

    fn put_part(&self, y: &mut Values, at: usize, part: &Values) {
        self.copy((&part.held, 0), (&y.held, at), part.count);
    }

    fn columns(&self, x: &Values, Columns { from, width, of }: Columns) -> Values {
        let y = self.empty(x.count / of * width);
        let shape = [y.count, from, width, of].map(|size| size as u32);
        self.on_values(Shader::Columns, y.count, &shape, &[&x.held, &y.held]);
        y
    }

    fn rows(&self, x: &Values, width: usize, rows: &[u32]) -> Values {
        let y = self.empty(rows.len() * width);
        let shape = [y.count as u32, width as u32];
        self.on_values(Shader::Rows, y.count, &shape, &[&x.held, &self.words(rows), &y.held]);
        y
    }

    fn add_rows(&self, y: &mut Values, width: usize, to: &[(u32, f32)], part: &Values) {
        let words: Vec<u32> = to.iter().flat_map(|(row, weight)| [*row, weight.to_bits()]).collect();
        let shape = [part.count as u32, width as u32];
        self.on_values(Shader::AddRows, part.count, &shape, &[&part.held, &self.words(&words), &y.held]);
    }

    fn add(&self, y: &mut Values, part: &Values, multiplier: f32) {
        self.on_values(Shader::Add, y.count, &[y.count as u32, multiplier.to_bits()], &[&part.held, &y.held]);
    }

    fn clamp(&self, x: &mut Values, [low, high]: [f32; 2]) {
        let shape = [x.count as u32, 1f32.to_bits(), low.to_bits(), high.to_bits(), 0];
        self.on_values(Shader::Bound, x.count, &shape, &[&x.held]);
    }

    fn linear(&self, x: &Values, weight: &Weight, shape: Shape, bias: Option<&Values>) -> Values {
        let Shape { inputs: k, outputs: m, layout } = shape;
        let n = x.count / k;
        let y = self.empty(n * m);
        let kind = match weight.kind {
            Stored::F32 | Stored::Decoded(_) => 0,
            Stored::F16 => 1,
            Stored::Bf16 => 2,
        };
        let in_software = self.gpu.software;
        let shader = Shader::Linear { kind, turned: layout == Layout::InputOutput, in_software };
        let sizes = [n as u32, k as u32, m as u32, truth(bias.is_some())];
        let bias = bias.map_or(&self.nothing, |bias| &bias.held);
        let [tokens, outputs] = if in_software { TILE_IN_SOFTWARE } else { TILE };
        let groups = [m.div_ceil(outputs), n.div_ceil(tokens), 1];
        self.run(shader, &sizes, &[&x.held, &weight.held, bias, &y.held], groups);
        y
    }

    fn normalise(&self, centring: Centring, x: &Values, width: usize, epsilon: f32) -> Values {
        self.by_rows(Shader::Normalise { centred: centring == Centring::Mean, cut: false }, x, width, epsilon)
    }

    fn cut(&self, x: &Values, width: usize, k: f32) -> Values {
        self.by_rows(Shader::Normalise { centred: true, cut: true }, x, width, k)
    }

    fn scale_and_shift(
        &self,
        x: &Values,
        scale: Option<&Values>,
        shift: Option<&Values>,
        width: usize,
    ) -> Values {
        let y = self.empty(x.count);
        let shape = [x.count as u32, width as u32, truth(scale.is_some()), truth(shift.is_some())];
        let [scale, shift] = [scale, shift].map(|values| values.map_or(&self.nothing, |values| &values.held));
        self.on_values(Shader::ScaleAndShift, x.count, &shape, &[&x.held, scale, shift, &y.held]);
        y
    }

    fn rotary(&self, x: &mut Values, turns: &RotaryTable, heads: Heads, pairing: Pairing) {
        let Heads { count, width, length } = heads;
        let tokens = x.count / (count * width);
        let (pairs, table) = turns.table();
        let shape = [tokens, count, width, length, pairs].map(|size| size as u32);
        let shader = Shader::Rotary { interleaved: pairing == Pairing::Interleaved };
        self.on_values(shader, tokens * count * pairs, &shape, &[&self.floats(&table), &x.held]);
    }

    fn attend(&self, attention: &Attention<'_>, q: &Values, k: &Values, v: &Values) -> Values {
        let Attention { heads, key_heads, head_width, length, keys, sharing, .. } = *attention;
        let Attention { causal, window, scale, cap, bias, sinks, .. } = *attention;
        let y = self.empty(q.count);
        let (kind, bias) = match bias {
            Bias::None => (0, None),
            Bias::Alibi(slopes) => (1, Some(self.floats(slopes))),
            Bias::Relative(rows) => (2, Some(self.floats(rows))),
            Bias::Keys(rows) => (3, Some(self.floats(rows))),
            Bias::Pairs(rows) => (4, Some(self.floats(rows))),
            Bias::Disentangled(positions) => (5, Some(self.floats(&positions.packed()))),
        };
        let shape = [
            heads as u32,
            key_heads as u32,
            head_width as u32,
            length as u32,
            keys as u32,
            sharing as u32,
            truth(causal),
            window.unwrap_or(0) as u32,
            scale.to_bits(),
            cap.unwrap_or(0.0).to_bits(),
        ];
        let shader = Shader::Attend { bias: kind, sinks: sinks.is_some() };
        let sinks = sinks.map(|sinks| self.floats(sinks));
        let [bias, sinks] = [&bias, &sinks].map(|values| values.as_ref().unwrap_or(&self.nothing));
        let sequences = q.count / (length * heads * head_width);
        let groups = [length.div_ceil(QUERIES) * head_width.div_ceil(CHANNELS), heads, sequences];
        self.run(shader, &shape, &[&q.held, &k.held, &v.held, bias, &y.held, sinks], groups);
        y
    }

    fn convolve(&self, causal: Causal, x: &Values, weights: &Values) -> Values {
        let Causal { channels, kernel, length } = causal;
        let y = self.empty(x.count);
        let shape = [x.count, channels, kernel, length].map(|size| size as u32);
        self.on_values(Shader::Convolve, x.count, &shape, &[&x.held, &weights.held, &y.held]);
        y
    }

    fn decay(&self, x: &mut Values, rates: &Values, biases: &Values, heads: usize) {
        let shape = [x.count as u32, heads as u32];
        self.on_values(Shader::Decay, x.count, &shape, &[&rates.held, &biases.held, &x.held]);
    }

    fn delta_rule(&self, rule: &DeltaRule, [q, k, v, alpha, beta]: [&Values; 5]) -> Values {
        let DeltaRule { heads, key_heads, key_width, value_width, length, query_scale, key_scale } = *rule;
        let y = self.empty(v.count);
        if key_width > WIDEST_KEY {
            self.refuse(format!(
                "keys of {key_width} channels are wider than the {WIDEST_KEY} that linear attention on a GPU supports: use the CPU"
            ));
            return y;
        }
        let shape = [
            heads as u32,
            key_heads as u32,
            key_width as u32,
            value_width as u32,
            length as u32,
            query_scale.to_bits(),
            key_scale.to_bits(),
        ];
        let groups = [value_width.div_ceil(THREADS), heads, v.count / (length * heads * value_width)];
        let buffers = [&q.held, &k.held, &v.held, &alpha.held, &beta.held, &y.held];
        self.run(Shader::DeltaRule, &shape, &buffers, groups);
        y
    }

    fn activate(&self, activation: Activation, x: &mut Values) {
        let shader = Shader::Activate { kind: activation as u32, gated: false };
        self.on_values(shader, x.count, &[x.count as u32], &[&self.nothing, &x.held]);
    }

    fn gate(&self, activation: Activation, gate: &mut Values, up: &Values) {
        let shader = Shader::Activate { kind: activation as u32, gated: true };
        self.on_values(shader, gate.count, &[gate.count as u32], &[&up.held, &gate.held]);
    }

    fn logits(&self, x: &mut Values, multiplier: f32, cap: Option<f32>) {
        let shape = [x.count as u32, multiplier.to_bits(), 0, 0, cap.unwrap_or(0.0).to_bits()];
        self.on_values(Shader::Bound, x.count, &shape, &[&x.held]);
    }

    async fn loss(&self, loss: &mut Loss<'_>, logits: &Values, width: usize) -> Result<(), ForwardError> {
        let targets = loss.columns(width);
        let y = self.empty(3 * targets.len());
        let shape = [targets.len() as u32, width as u32];
        let buffers = [&logits.held, &self.words(&targets), &y.held];
        self.run(Shader::Loss, &shape, &buffers, self.spread(targets.len()));
        loss.fold(&self.get(&y).await?, width);
        Ok(())
    }
}

/// Compares every kernel with its counterpart on the CPU.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::disentangled::Positions;
    use crate::forward::kernels::Cpu;
    use half::{bf16, f16};
    use pollster::block_on;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;

    fn open() -> GpuKernels {
        block_on(GpuKernels::open()).unwrap()
    }

    fn normal(count: usize, seed: u64) -> Vec<f32> {
        let mut random = SmallRng::seed_from_u64(seed);
        (0..count).map(|_| random.sample(StandardNormal)).collect()
    }

    fn close(what: &str, found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len(), "{what}");
        let size = expected.iter().map(|value| value.abs()).fold(1e-3, f32::max);
        for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
            let apart = (found - expected).abs() / size;
            assert!(apart < 3e-6, "{what}, value {at}: {found} for {expected}");
        }
    }

    /// Compares what `run` returns on both devices.
    fn alike<Run>(gpu: &GpuKernels, what: &str, run: Run)
    where
        Run: KernelRun,
    {
        let found = block_on(run.on(gpu));
        close(what, &found, &block_on(run.on(&Cpu)));
    }

    /// A function that is generic over kernels. A closure cannot be.
    trait KernelRun {
        async fn on<K: Kernels>(&self, kernels: &K) -> Vec<f32>;
    }

    struct LinearRun {
        dtype: Dtype,
        layout: Layout,
        n: usize,
        k: usize,
        m: usize,
        biased: bool,
    }

    impl KernelRun for LinearRun {
        async fn on<K: Kernels>(&self, kernels: &K) -> Vec<f32> {
            let Self { dtype, layout, n, k, m, biased } = *self;
            let mut values = normal(k * m, 1);
            // Subnormal in f16.
            values[0] = 3e-7;
            let bytes: Vec<u8> = match dtype {
                Dtype::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
                Dtype::BF16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
                Dtype::F64 => values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect(),
                _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            };
            let mut weight = kernels.weight(&TensorType::Known(dtype), k * m).unwrap();
            let (first, second) = bytes.split_at(bytes.len() / 8 / 2 * 8);
            kernels.fill(&mut weight, first);
            kernels.fill(&mut weight, second);
            let x = kernels.put(normal(n * k, 2));
            let bias = biased.then(|| kernels.put(normal(m, 3)));
            let shape = Shape { inputs: k, outputs: m, layout };
            kernels.get(&kernels.linear(&x, &weight, shape, bias.as_ref())).await.unwrap()
        }
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn linear_maps_of_any_type_layout_and_size_are_those_of_the_cpu() {
        let mut gpu = open();
        for in_software in [false, true] {
            gpu.gpu.software = in_software;
            for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::F64] {
                for layout in [Layout::OutputInput, Layout::InputOutput] {
                    for (n, k, m) in [(1, 1, 1), (3, 5, 7), (65, 33, 130), (64, 64, 64), (130, 257, 66)] {
                        let run = LinearRun { dtype, layout, n, k, m, biased: n % 2 == 1 };
                        let what =
                            format!("{dtype:?} {layout:?} {n} × {k} × {m}, in software: {in_software}");
                        alike(&gpu, &what, run);
                    }
                }
            }
        }
    }

    struct Pointwise;

    impl KernelRun for Pointwise {
        async fn on<K: Kernels>(&self, kernels: &K) -> Vec<f32> {
            let (n, d) = (37, 24);
            let scaled = |by: f32, seed| normal(n * d, seed).iter().map(|x| x * by).collect::<Vec<_>>();
            let mut all = Vec::new();
            for centring in [Centring::Mean, Centring::None] {
                let x = kernels.put(scaled(5.0, 4));
                let normalised = kernels.normalise(centring, &x, d, 1e-5);
                let [scale, shift] = [5, 6].map(|seed| kernels.put(normal(d, seed)));
                let normalised = kernels.cut(&normalised, d, -0.7);
                let y = kernels.scale_and_shift(&normalised, Some(&scale), Some(&shift), d);
                all.push(kernels.get(&y).await.unwrap());
                all.push(kernels.get(&kernels.scale_and_shift(&x, None, Some(&shift), d)).await.unwrap());
            }
            use Activation::{Gelu, GeluQuick, GeluTanh, Relu, ReluSquared, Sigmoid, Silu, Tanh};
            for activation in [Gelu, GeluTanh, GeluQuick, Silu, Relu, ReluSquared, Tanh, Sigmoid] {
                let mut x = kernels.put(scaled(3.0, 7));
                kernels.activate(activation, &mut x);
                all.push(kernels.get(&x).await.unwrap());
                let mut gate = kernels.put(scaled(3.0, 8));
                kernels.gate(activation, &mut gate, &x);
                all.push(kernels.get(&gate).await.unwrap());
            }
            let mut x = kernels.put(scaled(2.0, 9));
            kernels.clamp(&mut x, [-1.5, 1.0]);
            kernels.add(&mut x, &kernels.put(scaled(1.0, 10)), -0.5);
            kernels.logits(&mut x, 3.0, Some(2.0));
            let columns = kernels.columns(&x, Columns { from: 3, width: 5, of: 8 });
            let rows = kernels.rows(&columns, 15, &[36, 0, 0, 7]);
            let mut y = kernels.zeros(n * 15);
            kernels.add_rows(&mut y, 15, &[(5, 0.5), (0, -2.0), (36, 1.0), (1, 3.0)], &rows);
            let part = kernels.part(&y, 15, 30);
            kernels.put_part(&mut y, 60, &part);
            all.extend([kernels.get(&x).await.unwrap(), kernels.get(&y).await.unwrap()]);
            all.concat()
        }
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn norms_activations_and_what_moves_values_are_those_of_the_cpu() {
        alike(&open(), "pointwise", Pointwise);
    }

    struct AttentionRun<'a>(Attention<'a>, Pairing);

    impl KernelRun for AttentionRun<'_> {
        async fn on<K: Kernels>(&self, kernels: &K) -> Vec<f32> {
            let Self(attention, pairing) = self;
            let Attention { heads, key_heads, head_width: width, length, keys, sharing, .. } = *attention;
            let turns = |length| RotaryTable::new(&[1.0, 0.1], length, 1.1);
            let of_keys = 2 / sharing * keys * key_heads * width;
            let mut q = kernels.put(normal(2 * length * heads * width, 11));
            let mut k = kernels.put(normal(of_keys, 12));
            let v = kernels.put(normal(of_keys, 13));
            kernels.rotary(&mut q, &turns(length), Heads { count: heads, width, length }, *pairing);
            let of_keys = Heads { count: key_heads, width, length: keys };
            kernels.rotary(&mut k, &turns(keys), of_keys, *pairing);
            kernels.get(&kernels.attend(attention, &q, &k, &v)).await.unwrap()
        }
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn attention_of_any_kind_is_that_of_the_cpu() {
        let gpu = open();
        let slopes = [0.5, 0.25, 0.125, 0.0625];
        let relative = normal(4 * (2 * 50 - 1), 14);
        let pairs = normal(4 * 50 * 50, 15);
        let sinks = normal(4, 17);
        let row_of: Vec<u32> = (0..99).map(|distance| 6 - distance / 16).collect();
        let [wide, narrow] = [36, 7].map(|width| normal(7 * 2 * 4 * width, 16));
        let [wide, narrow] = [&wide, &narrow].map(|rows| Positions { row_of: &row_of, rows });
        for (place, (length, [keys, sharing], causal, window, cap, bias, key_heads, head_width)) in [
            (1, [1, 1], true, None, None, Bias::None, 4, 5),
            (33, [33, 1], true, None, Some(2.0), Bias::None, 1, 64),
            (50, [50, 1], true, Some(20), None, Bias::Alibi(&slopes), 2, 7),
            (50, [50, 1], true, Some(1), None, Bias::None, 2, 4),
            (49, [49, 1], false, Some(9), None, Bias::None, 4, 130),
            (50, [50, 1], false, None, None, Bias::Relative(&relative), 4, 256),
            (50, [50, 1], true, Some(9), None, Bias::None, 2, 512),
            (40, [40, 1], true, None, None, Bias::None, 1, 300),
            (50, [50, 1], true, None, None, Bias::Keys(&relative), 2, 7),
            (50, [50, 1], false, None, None, Bias::Pairs(&pairs), 4, 8),
            (50, [50, 1], false, None, None, Bias::Disentangled(wide), 4, 36),
            (50, [50, 1], false, None, None, Bias::Disentangled(narrow), 4, 7),
            (37, [70, 1], false, None, None, Bias::None, 4, 64),
            (70, [3, 2], false, None, None, Bias::Keys(&relative), 2, 7),
        ]
        .into_iter()
        .enumerate()
        {
            // Products of wide heads are large, and a softmax of large scores amplifies rounding.
            let (heads, scale) = (4, 1.0 / (head_width as f32).sqrt());
            let kernel = Attention {
                heads,
                key_heads,
                head_width,
                length,
                keys,
                sharing,
                causal,
                window,
                scale,
                cap,
                bias,
                sinks: (place % 2 == 1).then_some(&sinks),
            };
            for pairing in [Pairing::Halves, Pairing::Interleaved] {
                alike(&gpu, &format!("{kernel:?}"), AttentionRun(kernel, pairing));
            }
        }
    }

    struct ConvolutionRun(Causal);

    impl KernelRun for ConvolutionRun {
        async fn on<K: Kernels>(&self, kernels: &K) -> Vec<f32> {
            let Causal { channels, kernel, length } = self.0;
            let x = kernels.put(normal(3 * length * channels, 16));
            let weights = kernels.put(normal(channels * kernel, 17));
            kernels.get(&kernels.convolve(self.0, &x, &weights)).await.unwrap()
        }
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn causal_convolutions_are_those_of_the_cpu() {
        let gpu = open();
        for (channels, kernel, length) in [(1, 1, 1), (7, 4, 2), (40, 4, 33), (3, 9, 20)] {
            let causal = Causal { channels, kernel, length };
            alike(&gpu, &format!("{causal:?}"), ConvolutionRun(causal));
        }
    }

    struct DeltaRun(DeltaRule);

    impl KernelRun for DeltaRun {
        async fn on<K: Kernels>(&self, kernels: &K) -> Vec<f32> {
            let DeltaRule { heads, key_heads, key_width, value_width, length, .. } = self.0;
            let of = |width: usize, seed| kernels.put(normal(2 * length * width, seed));
            let unit = |x| kernels.normalise(Centring::None, &x, key_width, 1e-6);
            let [q, k] = [18, 19].map(|seed| unit(of(key_heads * key_width, seed)));
            let v = of(heads * value_width, 20);
            let mut alpha = of(heads, 21);
            let rates = (0..heads).map(|head| 0.01 * 4f32.powi(head as i32)).collect();
            kernels.decay(&mut alpha, &kernels.put(rates), &kernels.put(normal(heads, 22)), heads);
            let mut beta = of(heads, 23);
            kernels.activate(Activation::Sigmoid, &mut beta);
            let y = kernels.delta_rule(&self.0, [&q, &k, &v, &alpha, &beta]);
            [kernels.get(&alpha).await.unwrap(), kernels.get(&y).await.unwrap()].concat()
        }
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn gated_delta_rules_are_those_of_the_cpu() {
        let gpu = open();
        for (heads, key_heads, key_width, value_width, length) in
            [(1, 1, 1, 1, 1), (4, 2, 6, 5, 7), (6, 6, 33, 70, 17), (4, 2, 128, 128, 65)]
        {
            let [query_scale, key_scale] = [1.0 / key_width as f32, (key_width as f32).powf(-0.5)];
            let rule = DeltaRule { heads, key_heads, key_width, value_width, length, query_scale, key_scale };
            alike(&gpu, &format!("{rule:?}"), DeltaRun(rule));
        }
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn the_first_value_that_is_not_finite_is_that_of_the_cpu() {
        let gpu = open();
        for (spoiled, expected) in [
            (vec![], None),
            (vec![(999, f32::NAN)], Some(999)),
            (vec![(0, -f32::INFINITY), (70, f32::NAN)], Some(0)),
            (vec![(500, f32::INFINITY), (501, -f32::NAN), (65, f32::INFINITY)], Some(65)),
        ] {
            let mut values = vec![f32::MAX; 1000];
            spoiled.iter().for_each(|&(at, value)| values[at] = value);
            assert_eq!(block_on(gpu.first_not_finite(&gpu.put(values.clone()))).unwrap(), expected);
            assert_eq!(block_on(Cpu.first_not_finite(&values)).unwrap(), expected);
        }
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn values_brought_back_one_after_the_other_do_not_mix() {
        let gpu = open();
        for count in [1000, 7, 0, 1001] {
            let values = normal(count, count as u64);
            assert_eq!(block_on(gpu.get(&gpu.put(values.clone()))).unwrap(), values);
        }
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn losses_of_slices_are_those_of_the_cpu() {
        let gpu = open();
        let targets: Vec<u32> = (0..70).map(|token| token * 31 % 200).collect();
        let mut losses = [Loss::new(&targets), Loss::new(&targets)];
        for (seed, width) in [(20, 130), (21, 1), (22, 69)] {
            let logits: Vec<f32> = normal(70 * width, seed).iter().map(|x| 8.0 * x).collect();
            block_on(gpu.loss(&mut losses[0], &gpu.put(logits.clone()), width)).unwrap();
            losses[1].take(&logits, width);
        }
        let [found, expected] = losses.map(|loss| loss.per_token().unwrap());
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
        }
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn what_is_beyond_a_limit_is_refused_and_never_brought_back() {
        let gpu = open();
        let rule = DeltaRule {
            heads: 1,
            key_heads: 1,
            key_width: WIDEST_KEY + 1,
            value_width: 1,
            length: 2,
            query_scale: 1.0,
            key_scale: 1.0,
        };
        let [keys, values] = [2 * (WIDEST_KEY + 1), 2].map(|count| gpu.put(normal(count, 1)));
        let rule = gpu.delta_rule(&rule, [&keys, &keys, &values, &values, &values]);
        let error = block_on(gpu.get(&rule)).unwrap_err();
        assert!(error.to_string().contains("129 channels"), "{error}");
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn a_lost_device_is_an_error_that_says_so() {
        let gpu = open();
        let x = gpu.put(vec![1.0; 64]);
        gpu.gpu.device.destroy();
        let error = block_on(gpu.get(&x)).unwrap_err();
        assert!(matches!(error, ForwardError::Device { .. }), "{error}");
    }
}
