//! Dispatches `shaders/gram.wgsl` over chunks of tokens and tiles, and adds up the results in 128 bits.
//!
//! An integer k of a light token is Σ 256^p dₚ with four balanced digits dₚ in −128 … 127. The kernel sums digit products by weight p +
//! q, in i32. At most four pairs share a weight and each product is at most 2¹⁴, so sums over fewer than 2¹⁵ tokens cannot overflow. The
//! limits for buffers, and the time that a system allows for a dispatch, can make the chunks smaller.

use super::timestamps::{self, Timestamps};
use super::{Gpu, GpuError};
use crate::measure::gram::{Gram, Gridded, Light};

/// Side of a tile of the result, the same as in the shader.
const TILE: usize = 32;
/// Weights p + q of four digits.
const WEIGHTS: usize = 7;
/// Bytes of a tile's seven planes.
const TILE_BYTES: usize = 4 * WEIGHTS * TILE * TILE;
/// Bytes of a channel's four tokens.
const QUAD_BYTES: usize = 16;
/// Most quads whose sums fit in i32: 4·128²·4·8191 < 2³¹.
const MOST_QUADS: usize = (1 << 15) / 4 - 1;
/// Largest useful buffer. A larger one only takes memory from others.
const MOST_BYTES: u64 = 64 << 20;
/// Tiles × quads of a dispatch: 2³⁴ dot4, tens of milliseconds on a GPU. Systems reset a GPU that computes for seconds.
const MOST_WORK: usize = 1 << 20;

/// The kernel, ready to run.
#[derive(Debug)]
pub struct GramKernel {
    gpu: Gpu,
    pipeline: wgpu::ComputePipeline,
    timestamps: Option<Timestamps>,
}

/// The size of one dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chunks {
    /// Groups of four tokens.
    quads: usize,
    /// Tiles of the result.
    tiles: usize,
}

/// Returns the digits of k = Σ 256^p dₚ, the lowest first. |k| < [`LIGHT`](crate::measure::gram::LIGHT).
fn digits(k: i32) -> [i8; 4] {
    // Adding 128 to every digit gives the plain bytes of a number ≥ 0. Flipping the top bit of a byte subtracts 128 again.
    let bytes = (k as u32).wrapping_add(0x8080_8080) ^ 0x8080_8080;
    bytes.to_le_bytes().map(|byte| byte as i8)
}

/// Packs the digits of the tokens from `first` on for the kernel: quads × width × 4 digits × 4 tokens, zero after the last token.
fn pack(light: &Light<'_>, first: usize, quads: usize) -> Vec<u8> {
    let mut packed = vec![0; quads * light.width * QUAD_BYTES];
    for (at, word) in packed.chunks_exact_mut(QUAD_BYTES).enumerate() {
        let (quad, channel) = (at / light.width, at % light.width);
        let from = first + 4 * quad;
        let tokens = &light.values[channel * light.tokens..][from..light.tokens.min(from + 4)];
        for (token, &k) in tokens.iter().enumerate() {
            digits(k).iter().enumerate().for_each(|(digit, &d)| word[4 * digit + token] = d as u8);
        }
    }
    packed
}

/// Lists the tiles that touch the upper triangle, as row and column in tiles.
fn upper_tiles(width: usize) -> Vec<[usize; 2]> {
    let side = width.div_ceil(TILE);
    (0..side).flat_map(|row| (row..side).map(move |column| [row, column])).collect()
}

/// Adds a dispatch's planes (tile × weight × row × column, i32) to the products.
fn add(products: &mut [i128], width: usize, tiles: &[[usize; 2]], planes: &[u8]) {
    for (&[row, column], planes) in tiles.iter().zip(planes.chunks_exact(TILE_BYTES)) {
        for y in 0..TILE.min(width - row * TILE) {
            for x in 0..TILE.min(width - column * TILE) {
                let (i, j) = (row * TILE + y, column * TILE + x);
                if i > j {
                    continue;
                }
                let plane = |weight: usize| {
                    let at = 4 * ((weight * TILE + y) * TILE + x);
                    let bytes = [planes[at], planes[at + 1], planes[at + 2], planes[at + 3]];
                    i64::from(i32::from_le_bytes(bytes))
                };
                // Four planes fit in 64 bits, whose arithmetic is faster than that of 128.
                let low = (0..4).rev().fold(0, |sum, weight| (sum << 8) + plane(weight));
                let high = (4..WEIGHTS).rev().fold(0, |sum, weight| (sum << 8) + plane(weight));
                // In the triangle, rows of width, width − 1, … come before row i.
                products[i * (2 * width - i + 1) / 2 + j - i] += (i128::from(high) << 32) + i128::from(low);
            }
        }
    }
}

impl Chunks {
    /// Computes the largest dispatches that the limits allow.
    fn new(gpu: &Gpu, light: &Light<'_>) -> Result<Self, GpuError> {
        let limits = &gpu.limits;
        let has = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let quad = light.width * QUAD_BYTES;
        let needed = quad.max(TILE_BYTES) as u64;
        if has < needed {
            let limit = "maxStorageBufferBindingSize";
            return Err(GpuError::Limits { adapter: gpu.adapter.clone(), limit, has, needed });
        }
        let bytes = has.min(MOST_BYTES.max(needed)) as usize;
        let quads = (bytes / quad).min(MOST_QUADS).min(light.tokens.div_ceil(4));
        let groups = limits.max_compute_workgroups_per_dimension as usize;
        let tiles = (bytes / TILE_BYTES).min(groups).min(MOST_WORK / quads).max(1);
        Ok(Self { quads, tiles })
    }
}

impl GramKernel {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu) -> Result<Self, GpuError> {
        Self::with_dot4(gpu, gpu.packed)
    }

    fn with_dot4(gpu: &Gpu, packed: bool) -> Result<Self, GpuError> {
        let module = gpu.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("gram"),
            source: wgpu::ShaderSource::Wgsl(source(packed).into()),
        });
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("gram"),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        gpu.check()?;
        Ok(Self { gpu: gpu.clone(), pipeline, timestamps: Timestamps::new(gpu) })
    }

    /// Returns the exact Gram matrix, with the same integers as [`Gridded::gram`], and the seconds that the kernel took by the GPU's own
    /// clock, if it has one.
    pub async fn gram(&self, gridded: &Gridded) -> Result<(Gram, Option<f64>), GpuError> {
        let light = gridded.light();
        if light.values.is_empty() {
            return Ok((gridded.gram(), None));
        }
        let chunks = Chunks::new(&self.gpu, &light)?;
        let (products, seconds) = self.products(&light, chunks).await?;
        Ok((gridded.gram_from(products), seconds))
    }

    /// Computes [`Light::products`], dispatch by dispatch, and adds up their seconds.
    async fn products(
        &self,
        light: &Light<'_>,
        chunks: Chunks,
    ) -> Result<(Vec<i128>, Option<f64>), GpuError> {
        let width = light.width;
        let tiles = upper_tiles(width);
        let most = chunks.tiles.min(tiles.len());
        let (device, queue) = (&self.gpu.device, &self.gpu.queue);
        let buffer = |label, bytes: usize, usage| {
            let (size, label) = (bytes as u64, Some(label));
            device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false })
        };
        use wgpu::BufferUsages as Usage;
        let shape_buffer = buffer("shape", 8, Usage::UNIFORM | Usage::COPY_DST);
        let digits_buffer =
            buffer("digits", chunks.quads * width * QUAD_BYTES, Usage::STORAGE | Usage::COPY_DST);
        let tiles_buffer = buffer("tiles", 8 * most, Usage::STORAGE | Usage::COPY_DST);
        let planes_buffer = buffer("planes", most * TILE_BYTES, Usage::STORAGE | Usage::COPY_SRC);
        let times = self.timestamps.as_ref().map_or(0, |_| timestamps::BYTES);
        let read_buffer =
            buffer("read", most * TILE_BYTES + times as usize, Usage::MAP_READ | Usage::COPY_DST);
        let entries: Vec<_> = [&shape_buffer, &digits_buffer, &tiles_buffer, &planes_buffer]
            .into_iter()
            .zip(0..)
            .map(|(buffer, binding)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("gram"),
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let words =
            |words: &[usize]| words.iter().flat_map(|&w| (w as u32).to_le_bytes()).collect::<Vec<_>>();

        let mut products = vec![0; width * (width + 1) / 2];
        let mut seconds = self.timestamps.as_ref().map(|_| 0.0);
        for first in (0..light.tokens).step_by(4 * chunks.quads) {
            let quads = chunks.quads.min((light.tokens - first).div_ceil(4));
            queue.write_buffer(&shape_buffer, 0, &words(&[width, quads]));
            queue.write_buffer(&digits_buffer, 0, &pack(light, first, quads));
            for tiles in tiles.chunks(most) {
                queue.write_buffer(&tiles_buffer, 0, &words(tiles.as_flattened()));
                let bytes = (tiles.len() * TILE_BYTES) as u64;
                let mut encoder = device.create_command_encoder(&Default::default());
                {
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                        label: Some("gram"),
                        timestamp_writes: self.timestamps.as_ref().map(Timestamps::writes),
                    });
                    pass.set_pipeline(&self.pipeline);
                    pass.set_bind_group(0, &group, &[]);
                    pass.dispatch_workgroups(tiles.len() as u32, 1, 1);
                }
                if let Some(timestamps) = &self.timestamps {
                    timestamps.resolve(&mut encoder, &read_buffer);
                }
                encoder.copy_buffer_to_buffer(&planes_buffer, 0, &read_buffer, times, bytes);
                queue.submit([encoder.finish()]);
                self.gpu.check()?;
                let read = |bytes: &[u8]| {
                    let (times, planes) = bytes.split_at(times as usize);
                    if let (Some(timestamps), Some(seconds)) = (&self.timestamps, &mut seconds) {
                        *seconds += timestamps.seconds(times);
                    }
                    add(&mut products, width, tiles, planes);
                };
                self.gpu.read(&read_buffer, times + bytes, read).await?;
            }
        }
        Ok((products, seconds))
    }
}

/// Returns the source of the kernel, with dot4I8Packed or without.
fn source(packed: bool) -> String {
    let dot4 = if packed {
        include_str!("shaders/dot4_packed.wgsl")
    } else {
        include_str!("shaders/dot4_extract.wgsl")
    };
    format!("{dot4}\n{}", include_str!("shaders/gram.wgsl"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::gram::LIGHT;
    use crate::measure::gram::tests::{gridded, hostile};
    use pollster::block_on;
    use proptest::prelude::*;

    /// The same kernel on the CPU, with the same bindings and loops instead of threads.
    fn gram_twin([width, quads]: [usize; 2], digits: &[u8], tiles: &[[usize; 2]]) -> Vec<u8> {
        let digit = |quad: usize, channel: usize, p: usize, token: usize| {
            i32::from(digits[(quad * width + channel) * QUAD_BYTES + 4 * p + token] as i8)
        };
        let mut planes = vec![0_i32; tiles.len() * WEIGHTS * TILE * TILE];
        for (tile, [row, column]) in tiles.iter().enumerate() {
            for (y, x) in (0..TILE).flat_map(|y| (0..TILE).map(move |x| (y, x))) {
                let (i, j) = (row * TILE + y, column * TILE + x);
                if i >= width || j >= width {
                    continue;
                }
                for (p, q) in (0..4).flat_map(|p| (0..4).map(move |q| (p, q))) {
                    let dot4 =
                        |quad| (0..4).map(|t| digit(quad, i, p, t) * digit(quad, j, q, t)).sum::<i32>();
                    planes[((tile * WEIGHTS + p + q) * TILE + y) * TILE + x] +=
                        (0..quads).map(dot4).sum::<i32>();
                }
            }
        }
        planes.iter().flat_map(|plane| plane.to_le_bytes()).collect()
    }

    /// Computes the same sums on the CPU, chunk by chunk.
    fn products_by_twin(light: &Light<'_>, chunks: Chunks) -> Vec<i128> {
        let mut products = vec![0; light.width * (light.width + 1) / 2];
        for first in (0..light.tokens).step_by(4 * chunks.quads) {
            let quads = chunks.quads.min((light.tokens - first).div_ceil(4));
            let digits = pack(light, first, quads);
            for tiles in upper_tiles(light.width).chunks(chunks.tiles) {
                let planes = gram_twin([light.width, quads], &digits, tiles);
                add(&mut products, light.width, tiles, &planes);
            }
        }
        products
    }

    fn open() -> Gpu {
        let gpu =
            block_on(Gpu::open()).expect("an adapter: install mesa-vulkan-drivers where there is no GPU");
        eprintln!("adapter: {}, dot4I8Packed: {}", gpu.adapter(), gpu.packed);
        gpu
    }

    #[test]
    fn every_shader_is_valid_wgsl_without_an_adapter() {
        use wgpu::naga::valid::{Capabilities, ValidationFlags, Validator};
        for packed in [true, false] {
            let source = source(packed);
            let module = wgpu::naga::front::wgsl::parse_str(&source)
                .unwrap_or_else(|error| panic!("{}", error.emit_to_string(&source)));
            Validator::new(ValidationFlags::all(), Capabilities::empty())
                .validate(&module)
                .unwrap_or_else(|error| panic!("{}", error.emit_to_string(&source)));
            let [main] = &module.entry_points[..] else { panic!("one entry point") };
            assert_eq!(main.workgroup_size, [16, 16, 1]);
        }
    }

    #[test]
    fn the_largest_light_integers_have_four_digits_and_the_next_has_not() {
        for k in [LIGHT - 1, 1 - LIGHT, 0, -1, 127, 128, -128, -129] {
            let back = digits(k).iter().rev().fold(0, |sum, &d| 256 * sum + i64::from(d));
            assert_eq!(back, i64::from(k));
        }
        let back = digits(LIGHT).iter().rev().fold(0, |sum, &d| 256 * sum + i64::from(d));
        assert_ne!(back, i64::from(LIGHT));
    }

    #[test]
    fn the_largest_chunk_of_the_largest_digits_fits_i32() {
        let most = 4_i64 * 128 * 128 * 4 * MOST_QUADS as i64;
        assert!(most <= i64::from(i32::MAX) && most + 4 * 4 * 128 * 128 > i64::from(i32::MAX));
    }

    proptest! {
        #[test]
        fn digits_recombine(k in 1 - LIGHT..LIGHT) {
            let back = digits(k).iter().rev().fold(0, |sum, &d| 256 * sum + i64::from(d));
            prop_assert_eq!(back, i64::from(k));
        }

        #[test]
        fn any_chunks_of_the_twin_give_the_products_of_the_cpu(
            (tokens, width, quads, tiles, seed) in (1usize..50, 1usize..70, 1usize..14, 1usize..8, any::<u64>())
        ) {
            let gridded = gridded(&hostile(tokens, width, seed), width);
            let light = gridded.light();
            prop_assert_eq!(products_by_twin(&light, Chunks { quads, tiles }), light.products());
        }
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn the_gpu_gives_the_same_integers_as_the_cpu() {
        let gpu = open();
        for packed in [true, false].into_iter().filter(|packed| gpu.packed || !packed) {
            let kernel = GramKernel::with_dot4(&gpu, packed).unwrap();
            for width in [1, 7, 41, 64, 129] {
                for tokens in [1, 5, 509, 1024] {
                    let gridded = gridded(&hostile(tokens, width, 3), width);
                    assert_eq!(
                        block_on(kernel.gram(&gridded)).unwrap().0,
                        gridded.gram(),
                        "{tokens} × {width}, packed: {packed}"
                    );
                }
            }
        }
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn the_gpu_gives_the_same_integers_whatever_the_chunks() {
        let gpu = open();
        let kernel = GramKernel::new(&gpu).unwrap();
        for (tokens, width) in [(509, 41), (131, 129)] {
            let gridded = gridded(&hostile(tokens, width, 4), width);
            let light = gridded.light();
            for (quads, tiles) in [(1, 100), (3, 1), (8, 2), (9, 7), (64, 3)] {
                let products = block_on(kernel.products(&light, Chunks { quads, tiles })).unwrap().0;
                assert_eq!(products, light.products(), "{tokens} × {width}, {quads} quads, {tiles} tiles");
            }
        }
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn the_largest_sums_of_a_chunk_do_not_overflow_on_the_gpu() {
        let gpu = open();
        let kernel = GramKernel::new(&gpu).unwrap();
        let (tokens, width) = (4 * MOST_QUADS, 2);
        // Digits −128, −128, −128, −127. These are beyond LIGHT and give the largest sums that i32 must hold.
        let lowest = (-128 * 0x0101_0101_i64 + (1 << 24)) as i32;
        assert_eq!(digits(lowest), [-128, -128, -128, -127]);
        let values = [vec![lowest; tokens], vec![1 - LIGHT; tokens]].concat();
        let light = Light { tokens, width, values: &values };
        let products = block_on(kernel.products(&light, Chunks { quads: MOST_QUADS, tiles: 1 })).unwrap().0;
        assert_eq!(products, light.products());
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn the_gpus_own_clock_counts_no_more_than_ours() {
        let gpu = open();
        let kernel = GramKernel::new(&gpu).unwrap();
        let gridded = gridded(&hostile(1024, 256, 6), 256);
        let began = std::time::Instant::now();
        let (_, seconds) = block_on(kernel.gram(&gridded)).unwrap();
        let ours = began.elapsed().as_secs_f64();
        assert_eq!(seconds.is_some(), gpu.timed);
        assert!(seconds.is_none_or(|seconds| 0.0 < seconds && seconds <= ours), "{seconds:?} of {ours}");
    }

    #[test]
    #[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
    fn a_lost_device_is_an_error_that_says_so() {
        let gpu = open();
        let kernel = GramKernel::new(&gpu).unwrap();
        let gridded = gridded(&hostile(64, 8, 5), 8);
        gpu.device.destroy();
        let error = block_on(kernel.gram(&gridded)).unwrap_err();
        assert!(matches!(error, GpuError::Lost { .. }), "{error}");
    }
}
