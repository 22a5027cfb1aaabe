//! Compares the forward pass of models that read images or sounds with transformers and timm, family by family: every block and the last
//! hidden states, on tiny random checkpoints from `scripts/fixtures/vision_families.py`.

use crate::support::families::{compare, expected, open, sources};
use crate::support::runs::usual;
use gammascope::audio::Extractor;
use gammascope::checkpoint;
use gammascope::checkpoint::config::Config;
use gammascope::forward::kernels::{Cpu, Kernels};
use gammascope::forward::{ForwardError, Input, Inputs, Pass, Seen, Standing, Unwatched};
use gammascope::image::Processor;
use gammascope::inspect::{self, Opened, inspect};
use gammascope::measure::gram::Gridded;
use gammascope::model::catalogue::Shape;
use gammascope::model::operation::Reads;
use gammascope::model::random::twin;
use gammascope::model::{Accepted, ModelError, catalogue, resolve, resolve_reading};
use gammascope::pixels::{PixelChoice, of_images};
use gammascope::report::{
    MeasuredVerdict, PreservationDirection, PreservationMeasure, PreservationVerdict, Warning,
};
use gammascope::run::execute::Shown;
use gammascope::run::pass::{Sample, Sites};
use gammascope::run::planned::{Extent, Model};
use gammascope::run::session::{Request, Session};
use gammascope::sounds::of_files;
use gammascope::source::ByteSource;
use gammascope::source::disk::DiskSource;
use gammascope::source::generated::GeneratedSource;
use gammascope::source::memory::MemorySource;
use gammascope::text::Choice;
use pollster::block_on;
use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

fn folder(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forward_images").join(family)
}

fn families() -> Vec<String> {
    let entries = std::fs::read_dir(folder("")).unwrap();
    let mut families: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    families.sort();
    families
}

type Expected = HashMap<String, (Vec<f64>, Vec<u64>)>;

/// The cases of a fixture: `text`, or the size of images.
fn cases(expected: &Expected) -> BTreeSet<String> {
    expected.keys().filter_map(|name| Some(name.split_once('.')?.0.to_owned())).collect()
}

/// The input values of a case, with their shape.
struct Case {
    ids: Vec<u32>,
    values: Vec<f32>,
    shape: Vec<usize>,
    /// The ids that a decoder reads as well, and the length of its sequences.
    decoder: Option<(Vec<u32>, usize)>,
}

impl Case {
    fn of(expected: &Expected, case: &str) -> Self {
        let what = match case {
            "text" => "ids",
            "sound" | "sound-short" => "features",
            _ => "pixels",
        };
        let (values, shape) = &expected[&format!("{case}.{what}")];
        let decoder = expected
            .get(&format!("{case}.decoder.ids"))
            .map(|(ids, shape)| (ids.iter().map(|&id| id as u32).collect(), shape[1] as usize));
        Self {
            decoder,
            ids: values.iter().map(|&value| value as u32).collect(),
            values: values.iter().map(|&value| value as f32).collect(),
            shape: shape.iter().map(|&size| size as usize).collect(),
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        match &self.decoder {
            None => self.input().into(),
            Some((ids, length)) => {
                Inputs { encoder: Some(self.input()), own: Input::token_ids(ids, *length).unwrap() }
            }
        }
    }

    fn input(&self) -> Input<'_> {
        match self.shape[..] {
            [_, length] => Input::token_ids(&self.ids, length).unwrap(),
            [count, channels, frames] => Input::features(&self.values, [count, channels, frames]).unwrap(),
            [count, channels, rows, columns] => {
                Input::pixels(&self.values, [count, 1, channels, rows, columns]).unwrap()
            }
            [count, frames, channels, rows, columns] => {
                Input::pixels(&self.values, [count, frames, channels, rows, columns]).unwrap()
            }
            _ => panic!("{:?}", self.shape),
        }
    }
}

/// Runs a family on this device. The error says where it first differs from its library.
async fn departs(family: &str, kernels: &impl Kernels) -> Result<(), String> {
    let folder = folder(family);
    let (checkpoint, expected) = (open(&folder), expected(&folder));
    for case in cases(&expected) {
        let given = Case::of(&expected, &case);
        let reads = given.input().reads();
        let architecture = resolve_reading(&checkpoint, Some(reads), Accepted::Only(&[]))
            .map_err(|error| error.to_string())?;
        let pass = Pass::new(&checkpoint, &architecture, given.inputs());
        let pass = pass.map_err(|error| format!("{case}: {error}"))?.on(kernels);
        let mut results = Vec::new();
        let encoder = architecture.encoder.as_deref();
        let of_encoder = encoder.map_or(0, |encoder| encoder.blocks.len());
        let last = encoder.and_then(|encoder| encoder.final_norm.as_ref()?.site.clone());
        let mut visit = async |seen: Seen<'_>| match seen {
            Seen::Block { index, stream, .. } => {
                let name = match index.checked_sub(of_encoder).filter(|_| of_encoder > 0) {
                    Some(index) => format!("{case}.decoder.block.{index}"),
                    None => format!("{case}.block.{index}"),
                };
                results.push(compare(&name, stream, &expected[&name].0));
            }
            Seen::Norm { site, output, .. } if Some(site) == last.as_deref() => {
                let name = format!("{case}.final");
                results.push(compare(&name, output, &expected[&name].0));
            }
            Seen::Norm { .. } => {}
        };
        let hidden = pass.run(&mut visit).await.map_err(|error| error.to_string())?;
        assert_eq!(results.len(), architecture.all_blocks() + usize::from(last.is_some()));
        results.into_iter().collect::<Result<(), _>>()?;
        let values = kernels.get(&hidden).await.map_err(|error| error.to_string())?;
        let name = if encoder.is_some() { format!("{case}.decoder.final") } else { format!("{case}.final") };
        compare(&name, &values, &expected[&name].0)?;
        let name = format!("{case}.projected");
        if let Some((projected, _)) = expected.get(&name) {
            let found = pass.encoded(&mut Unwatched).await.map_err(|error| error.to_string())?;
            let found = found.ok_or("there is no tower")?;
            compare(&name, &kernels.get(&found).await.map_err(|error| error.to_string())?, projected)?;
        }
    }
    Ok(())
}

fn every_family_on(kernels: &impl Kernels) {
    let families = families();
    assert!(families.len() > 15, "{families:?}");
    let departed =
        |family: &String| block_on(departs(family, kernels)).err().map(|error| format!("{family}: {error}"));
    let failures: Vec<String> = families.iter().filter_map(departed).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_family_computes_what_its_library_computes() {
    every_family_on(&Cpu);
}

#[cfg(feature = "gpu")]
#[test]
#[ignore = "needs an adapter: cargo test --features gpu -- --ignored"]
fn every_family_computes_on_a_gpu_what_its_library_computes() {
    every_family_on(&block_on(gammascope::gpu::forward::GpuKernels::open()).unwrap());
}

#[test]
fn norms_are_shown_under_the_names_of_the_report() {
    for family in families() {
        let folder = folder(&family);
        let report = block_on(inspect(sources(&folder), |_| {})).unwrap().report;
        let (checkpoint, expected) = (open(&folder), expected(&folder));
        let mut shown = BTreeSet::new();
        for case in cases(&expected) {
            let given = Case::of(&expected, &case);
            let reads = Some(given.input().reads());
            // The conventions are those of the report.
            let model = Model::reading(&checkpoint, Extent::default(), reads, Accepted::Only(&[])).unwrap();
            model.fits(&report).unwrap_or_else(|error| panic!("{family}: {error}"));
            let architecture = resolve_reading(&checkpoint, reads, Accepted::Only(&[])).unwrap();
            let pass = Pass::new(&checkpoint, &architecture, given.inputs()).unwrap();
            let mut visit = async |seen: Seen<'_>| {
                if let Seen::Norm { site, width, .. } = seen {
                    shown.insert((site.to_owned(), width as u64));
                }
            };
            block_on(pass.run(&mut visit)).unwrap();
        }
        let known = |(site, width): &(String, u64)| {
            report.norms.iter().any(|norm| norm.name == *site && norm.width == *width)
        };
        let unknown: Vec<_> = shown.iter().filter(|site| !known(site)).collect();
        assert!(unknown.is_empty(), "{family}: {unknown:?}");
        // Norms of a pooled vector are not part of the pass. That of wav2vec 2.0's first convolution is over time.
        let beside = ["head.", "pooler.", "fc_norm", "attn_pool"];
        let over_time = ["wav2vec2", "hubert"].contains(&family.as_str());
        let over_time = |name: &str| over_time && name.ends_with("conv_layers.0.layer_norm");
        // LLaVA reads its tower before the last block.
        let unused = |name: &str| {
            let tower = name.strip_prefix("vision_tower.vision_model.").filter(|_| family == "llava");
            tower.is_some_and(|name| name.starts_with("encoder.layers.2.") || name == "post_layernorm")
        };
        let left: Vec<&str> = report.norms.iter().map(|norm| norm.name.as_str()).collect();
        let left: Vec<_> = left
            .into_iter()
            .filter(|name| !shown.iter().any(|(shown, _)| shown == name))
            .filter(|name| !beside.iter().any(|part| name.contains(part)))
            .filter(|name| !over_time(name) && !unused(name))
            .collect();
        assert!(left.is_empty(), "{family}: {left:?} were not shown");
    }
}

#[test]
fn a_configuration_alone_gives_the_catalogue_of_its_checkpoint() {
    for family in families() {
        let stored = open(&folder(&family));
        let config = std::fs::read(folder(&family).join("config.json")).unwrap();
        let config = Config::parse("", "config.json", &config).unwrap();
        // Leaves out what a run does not use: poolers, heads, projections to a shared space.
        let apart = [
            "pooler.",
            "classifier",
            "mask_token",
            ".head.",
            "text_projection",
            "visual_projection",
            "logit_",
            "fc_norm",
            "attn_pool.",
            "head.",
            "head_dist.",
            "masked_spec_embed",
            "lm_head.",
        ];
        let part = |shape: &Shape| {
            !shape.shape.contains(&0)
                && !apart.iter().any(|part| shape.name.starts_with(part) || shape.name.contains(part))
        };
        let mut stored: Vec<_> = stored.tensors.iter().map(Shape::from).filter(part).collect();
        let mut found = catalogue(&config).unwrap();
        found.retain(part);
        for shapes in [&mut stored, &mut found] {
            shapes.sort_by(|a, b| a.name.cmp(&b.name));
        }
        assert_eq!(found, stored, "{family}");
    }
}

#[test]
fn of_two_towers_the_one_that_reads_the_input_runs() {
    for family in ["clip", "siglip"] {
        let checkpoint = open(&folder(family));
        let of = |reads| resolve_reading(&checkpoint, reads, Accepted::Only(&[])).unwrap();
        assert_eq!(of(Some(Reads::Tokens)).width, 24);
        assert_eq!(of(Some(Reads::Pixels)).width, 32);
        assert_eq!(of(None).embedding.reads(), Reads::Pixels);
        assert_eq!(of(Some(Reads::Tokens)).causal, family == "clip");
    }
    // A tower alone is always chosen, and then refuses inputs that it does not read.
    let checkpoint = open(&folder("clip-text"));
    let architecture = resolve_reading(&checkpoint, Some(Reads::Pixels), Accepted::Only(&[])).unwrap();
    let input = Input::pixels(&[0.0; 48], [1, 1, 3, 4, 4]).unwrap();
    let error = Pass::new(&checkpoint, &architecture, input).err().unwrap().to_string();
    assert_eq!(error, "the model reads token ids, and was given images: give it the other");
}

#[test]
fn images_of_unsupported_shapes_are_refused() {
    let refused = |family: &str, shape: [usize; 5]| {
        let checkpoint = open(&folder(family));
        let architecture = resolve(&checkpoint).unwrap();
        let values = vec![0.0; shape.iter().product()];
        let pass = Input::pixels(&values, shape)
            .and_then(|input| Pass::new(&checkpoint, &architecture, input).map(|_| ()));
        pass.unwrap_err().to_string()
    };
    let says = |family: &str, shape, part: &str| {
        let message = refused(family, shape);
        assert!(message.contains(part), "{family}, {shape:?}: {message}");
    };
    says("vit", [0, 1, 3, 16, 16], "give one image at least");
    says("vit", [1, 1, 1, 16, 16], "the images have 1 channels, and the model reads 3");
    says("vit", [1, 1, 3, 18, 16], "18 × 16 pixels, which are not whole patches of 4 × 4");
    says("vit", [1, 2, 3, 16, 16], "2 frames of 16 × 16 pixels");
    says("beit", [1, 1, 3, 20, 16], "has positions for 16 × 16 pixels only");
    let sounds = open(&folder("whisper"));
    let sounds = (&sounds, resolve(&sounds).unwrap());
    let encoder = Some(Input::features(&[0.0; 8 * 20], [1, 8, 20]).unwrap());
    let short = Inputs { encoder, own: Input::token_ids(&[1, 2], 2).unwrap() };
    let error = Pass::new(sounds.0, &sounds.1, short).err().unwrap();
    assert_eq!(error, ForwardError::Features { found: [8, 20], expected: [8, 24] });
    says("videomae", [1, 1, 3, 8, 8], "has positions for 4 frames of 8 × 8 pixels only");
    let error = Input::pixels(&[0.0; 5], [1, 1, 3, 2, 2]).unwrap_err();
    assert_eq!(error, ForwardError::PixelCount { shape: [1, 1, 3, 2, 2], found: 5 });
    let checkpoint = open(&folder("vit"));
    let architecture = resolve(&checkpoint).unwrap();
    let ids = Input::token_ids(&[1, 2], 2).unwrap();
    let error = Pass::new(&checkpoint, &architecture, ids).err().unwrap();
    assert_eq!(error, ForwardError::Reads { reads: Reads::Pixels, given: Reads::Tokens });
}

/// The model of the configuration of a family, at its initialisation.
fn initialised(family: &str) -> Opened<GeneratedSource> {
    let config = DiskSource::open(&folder(family).join("config.json"), "config.json").unwrap();
    let sources = block_on(twin(vec![config], 1)).unwrap();
    block_on(inspect::open(sources, |_| {})).unwrap()
}

fn values_of(opened: &Opened<GeneratedSource>, name: &str) -> Vec<f64> {
    let checkpoint = opened.checkpoint();
    let at = checkpoint.tensors.iter().position(|tensor| tensor.name == name).unwrap();
    block_on(checkpoint.read(&[at], |_, _| {})).remove(0).unwrap()
}

#[test]
fn an_initialisation_has_the_initial_values_of_the_code_of_the_family() {
    let all = |family: &str, name: &str, value: f64| {
        let found = values_of(&initialised(family), name);
        assert!(found.iter().all(|found| (found - value).abs() < 1e-6), "{family}, {name}: {found:?}");
    };
    all("beit", "encoder.layer.1.lambda_2", 0.1);
    all("dinov2", "encoder.layer.0.layer_scale1.lambda1", 1.0);
    all("timm-registers", "blocks.0.ls2.gamma", 0.5);
    all("timm-beit", "blocks.0.attn.q_bias", 0.0);
    all(
        "beit",
        "encoder.layer.0.attention.attention.relative_position_bias.relative_position_bias_table",
        0.0,
    );
    // 2 √(d / (kernel · groups)).
    all("wav2vec2", "wav2vec2.encoder.pos_conv_embed.conv.weight_g", 2.0 * (32.0 / (6.0 * 4.0_f64)).sqrt());
    let convolution = values_of(&initialised("hubert"), "feature_extractor.conv_layers.1.conv.weight");
    let square = convolution.iter().map(|value| value * value).sum::<f64>() / convolution.len() as f64;
    assert!((square * 48.0 / 2.0 - 1.0).abs() < 0.2, "{square}");
    let class = values_of(&initialised("clip"), "vision_model.embeddings.class_embedding");
    assert!(class.iter().any(|value| *value < 0.0) && class.iter().all(|value| value.abs() < 0.2));
    // MAE's positions are fixed, and its checkpoints store them, here in BF16.
    let found = values_of(&initialised("mae"), "embeddings.position_embeddings");
    let stored = open(&folder("mae"));
    let at =
        stored.tensors.iter().position(|tensor| tensor.name == "embeddings.position_embeddings").unwrap();
    let stored = block_on(stored.read(&[at], |_, _| {})).remove(0).unwrap();
    assert!(found.iter().zip(&stored).all(|(found, stored)| (found - stored).abs() < 4e-3));
}

#[test]
fn a_configuration_alone_runs_on_noise_and_every_norm_shows_its_kernel_or_that_it_has_none() {
    for family in families() {
        let opened = initialised(&family);
        let request = usual();
        let session =
            block_on(Session::new(&opened, &request)).unwrap_or_else(|error| panic!("{family}: {error}"));
        let mut measured = Vec::new();
        let gram = async |gridded: &Gridded| gridded.gram();
        let give = async |shown: Shown| {
            if let Shown::Sample(sample) = shown {
                measured.push(sample.measure(&opened.inspection, gram).await);
            }
            ControlFlow::Continue(())
        };
        let outcome = block_on(session.execute(&opened, &mut Standing::default(), give)).unwrap();
        assert!(outcome.loss.is_none(), "{family}");
        let result = block_on(session.result(measured, outcome, 1.0));
        if family != "clip-text" {
            assert!(result.input.contains("noise with a 1/f spectrum"), "{family}: {}", result.input);
        }
        let (verification, _) = result.verification().unwrap();
        assert!(verification.sites.len() >= 4, "{family}");
        for site in &verification.sites {
            // AIMv2 has RMSNorms.
            if family == "aimv2" {
                assert_eq!(site.verdict, MeasuredVerdict::NotMeanSubtracting, "{family}: {site:?}");
                continue;
            }
            // The norms of queries and keys have too few channels to decide. The norm on the first convolution of a waveform reads
            // vectors of ten samples, which leave several directions dead.
            let stream =
                !["q_norm", "k_norm", "conv_layers.0.layer_norm"].iter().any(|end| site.name.ends_with(end));
            // The decoder behind a tower has RMSNorms, which have no kernel.
            let of_decoder = ["text_model.", "language_model."].iter().any(|part| site.name.contains(part));
            if ["idefics3", "llava"].contains(&family.as_str()) && of_decoder {
                assert!(site.depth > 1e-9, "{family}: {site:?}");
                continue;
            }
            assert!(site.depth < 1e-11, "{family}: {site:?}");
            // Behind the narrow parts of a tiny EVA-02 several directions are dead, and none of them is the bottom one.
            let resolved = !family.starts_with("timm-eva02") || site.cos_scale_free.is_some();
            assert!(!stream || !resolved || site.cos_scale_free.unwrap() > 0.9999, "{family}: {site:?}");
        }
    }
}

#[test]
fn readers_of_a_model_without_a_head_are_judged_by_the_last_hidden_states() {
    let opened = block_on(inspect::open(sources(&folder("dinov2")), |_| {})).unwrap();
    let request = Request { sites: Sites::Final, preservation: true, ..usual() };
    let session = block_on(Session::new(&opened, &request)).unwrap();
    let give = async |_: Shown| ControlFlow::Continue(());
    let outcome = block_on(session.execute(&opened, &mut Standing::default(), give)).unwrap();
    assert!(outcome.preservation.len() >= 12, "{:?}", outcome.preservation);
    for row in &outcome.preservation {
        assert_eq!(row.measure, PreservationMeasure::RelativeChange);
        let expected = match row.direction {
            PreservationDirection::Kernel => PreservationVerdict::Preserved,
            _ => PreservationVerdict::Changed,
        };
        assert_eq!(row.verdict, expected, "{row:?}");
    }
}

#[test]
fn a_run_takes_as_many_images_of_a_file_as_it_needs_for_its_tokens() {
    let opened = block_on(inspect::open(sources(&folder("dinov2")), |_| {})).unwrap();
    let values = vec![0.5_f32; 20 * 3 * 8 * 12];
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![20, 3, 8, 12], &bytes).unwrap();
    let bytes = safetensors::serialize([("pixel_values", view)], None).unwrap();
    let pixels = Some(PixelChoice::Values(MemorySource::new("photos.safetensors", bytes)));
    let request = |choice, pixels| Request { choice, pixels, ..usual() };
    let session = block_on(Session::new(&opened, &request(None, pixels.clone()))).unwrap();
    let plan = block_on(session.plan(&opened, || 0.0)).unwrap();
    // An image of 2 × 3 patches gives 7 tokens; 32 channels need 128.
    assert_eq!((plan.sequences, plan.length), (19, 7));
    assert_eq!(plan.input, "the first 19 of 20 in photos.safetensors");
    // An input that the model does not read is refused.
    let error =
        block_on(Session::new(&opened, &request(Some(Choice::Uniform), None))).unwrap_err().to_string();
    assert!(error.contains("the model reads images, and was given token ids"), "{error}");
    let text = block_on(inspect::open(sources(&folder("clip-text")), |_| {})).unwrap();
    let error = block_on(Session::new(&text, &request(None, pixels))).unwrap_err().to_string();
    assert!(error.contains("the model reads token ids, and was given images"), "{error}");
}

#[test]
fn of_two_towers_the_final_norm_of_the_one_that_is_run_is_measured() {
    for family in ["clip", "siglip", "whisper", "idefics3"] {
        let opened = block_on(inspect::open(sources(&folder(family)), |_| {})).unwrap();
        let request = Request { sites: Sites::Final, ..usual() };
        let session = block_on(Session::new(&opened, &request)).unwrap();
        let mut measured = Vec::new();
        let give = async |shown: Shown| {
            if let Shown::Sample(sample) = shown
                && let Sample::Site(site, ..) = *sample
            {
                measured.push(opened.inspection.report.norms[site].name.clone());
            }
            ControlFlow::Continue(())
        };
        block_on(session.execute(&opened, &mut Standing::default(), give)).unwrap();
        // For an encoder and its decoder, both are measured.
        let stacks = if ["whisper", "idefics3"].contains(&family) { 2 } else { 1 };
        assert_eq!(measured.len(), stacks, "{family}: {measured:?}");
        assert!(!measured[0].contains("text"), "{family}: {measured:?}");
    }
}

/// A file of `tests/inputs`.
fn image(name: &str) -> MemorySource {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs").join(name);
    MemorySource::new(name, std::fs::read(path).unwrap())
}

/// The fixture of DINOv2, with a preprocessor configuration if there is one.
fn with_processor(processor: Option<&str>) -> Opened<MemorySource> {
    let read = |name: &str| std::fs::read(folder("dinov2").join(name)).unwrap();
    let mut files: Vec<MemorySource> =
        ["model.safetensors", "config.json"].map(|name| MemorySource::new(name, read(name))).into();
    files.extend(
        processor.map(|json| MemorySource::new("preprocessor_config.json", json.as_bytes().to_vec())),
    );
    block_on(inspect::open(files, |_| {})).unwrap()
}

const SQUARE: &str = r#"{"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 16},
    "crop_size": {"height": 16, "width": 16}}"#;

fn on_images(images: Vec<MemorySource>) -> Request {
    Request { pixels: Some(PixelChoice::Images(images)), ..usual() }
}

#[test]
fn images_are_prepared_as_the_checkpoint_says_and_all_of_them_are_run() {
    let opened = with_processor(Some(SQUARE));
    let images = vec![image("rgb.png"), image("turned6.jpg"), image("animated.gif")];
    let session = block_on(Session::new(&opened, &on_images(images.clone()))).unwrap();
    let plan = block_on(session.plan(&opened, || 0.0)).unwrap();
    // 16 patches and the class token.
    assert_eq!((plan.sequences, plan.length, plan.input.as_str()), (3, 17, "3 images"));
    let said: Vec<(&str, &str)> =
        plan.warnings.iter().map(|warning| (warning.r#where.as_str(), warning.message.as_str())).collect();
    assert!(
        said.iter().any(|(file, what)| *file == "turned6.jpg" && what.contains("turned upright")),
        "{said:?}"
    );
    assert!(
        said.iter().any(|(file, what)| *file == "animated.gif" && what.contains("the first of")),
        "{said:?}"
    );

    // The pixel values from the processor, given as values, give the same run.
    let processor = Processor::parse("p", SQUARE.as_bytes()).unwrap();
    let values: Vec<f32> =
        images.iter().flat_map(|file| processor.image(file.path(), file.bytes()).unwrap().values).collect();
    let (found, _) = of_images(&images, &processor, 1).unwrap();
    assert_eq!((found.shape, found.values), ([3, 1, 3, 16, 16], values));
}

#[test]
fn unusable_images_are_refused_with_a_message() {
    let refused = |opened: &Opened<MemorySource>, images: Vec<MemorySource>, says: &str| {
        let error = block_on(Session::new(opened, &on_images(images))).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    refused(&with_processor(None), vec![image("rgb.png")], "preprocessor_config.json");
    let opened = with_processor(Some(SQUARE));
    refused(&opened, Vec::new(), "no image was given");
    let text = MemorySource::new("notes.txt", b"not an image".to_vec());
    refused(&opened, vec![image("rgb.png"), text], "`notes.txt` is not an image");
    let kept = r#"{"image_processor_type": "ViTImageProcessor", "do_resize": false}"#;
    refused(
        &with_processor(Some(kept)),
        vec![image("rgb.png"), image("one.png")],
        "`one.png` becomes 1 × 1 pixels",
    );
}

#[test]
fn sounds_are_prepared_as_for_whisper_and_unusable_ones_are_refused() {
    let sounds = vec![image("tone16.wav"), image("stereo8.wav")];
    let config = br#"{"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80}"#;
    let extractor = Extractor::parse("p", config).unwrap();
    let (features, warnings) = of_files(&sounds, &extractor).unwrap();
    assert_eq!((features.shape, features.what.as_str()), ([2, 80, 3000], "2 sounds"));
    let one = extractor.sound("stereo8.wav", sounds[1].bytes()).unwrap().values;
    assert_eq!(features.values[80 * 3000..], one);
    let resampled =
        |warning: &Warning| warning.message.starts_with("stereo8.wav: resampled from 8 kHz to 16 kHz");
    assert!(warnings.iter().any(resampled), "{warnings:?}");

    // The fixture reads 24 frames, but a sound for Whisper has at least one second.
    let opened = block_on(inspect::open(sources(&folder("whisper")), |_| {})).unwrap();
    let request = |sounds| Request { sounds: Some(sounds), ..usual() };
    let refused = |sounds, says: &str| {
        let error = block_on(Session::new(&opened, &request(sounds))).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    refused(sounds, "3000");
    refused(Vec::new(), "no sound was given");
    refused(vec![image("rgb.png")], "`rgb.png` is not a sound");
}

/// A fixture with its configuration and a `preprocessor_config.json`.
fn prepared(family: &str, preprocessor: Option<&str>) -> Opened<MemorySource> {
    let read = |name: &str| std::fs::read(folder(family).join(name)).unwrap();
    let mut files: Vec<MemorySource> =
        ["model.safetensors", "config.json"].map(|name| MemorySource::new(name, read(name))).into();
    files.extend(
        preprocessor.map(|json| MemorySource::new("preprocessor_config.json", json.as_bytes().to_vec())),
    );
    block_on(inspect::open(files, |_| {})).unwrap()
}

const WAVEFORM: &str = r#"{"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 16000}"#;

#[test]
fn a_waveform_runs_at_any_length_and_several_at_the_length_of_the_shortest() {
    let opened = prepared("wav2vec2-stable", Some(WAVEFORM));
    let run = |sounds: &[&str]| {
        let sounds = Some(sounds.iter().map(|name| image(name)).collect());
        let session = block_on(Session::new(&opened, &Request { sounds, ..usual() })).unwrap();
        block_on(session.plan(&opened, || 0.0)).unwrap()
    };
    // One token for every 20 samples. The first takes 30.
    let plan = run(&["tone16.wav"]);
    assert_eq!((plan.sequences, plan.length, plan.input.as_str()), (1, 199, "the sound tone16.wav"));
    let plan = run(&["tone16.wav", "silence.wav", "stereo8.wav"]);
    assert_eq!((plan.sequences, plan.length, plan.input.as_str()), (3, 79, "3 sounds"));
    let said: Vec<&str> = plan.warnings.iter().map(|warning| warning.message.as_str()).collect();
    for part in [
        "tone16.wav: the first 1600 of 4000 samples, because silence.wav has no more",
        "silence.wav: the sound is silent",
        "stereo8.wav: the mean of 2 channels",
        "stereo8.wav: resampled from 8 kHz to 16 kHz",
    ] {
        assert!(said.iter().any(|said| said.contains(part)), "{part}: {said:?}");
    }
}

#[test]
fn a_silent_sound_is_run_to_the_end() {
    for family in ["wav2vec2", "hubert-stable"] {
        let opened = prepared(family, Some(WAVEFORM));
        let request = Request { sounds: Some(vec![image("silence.wav")]), ..usual() };
        let session = block_on(Session::new(&opened, &request)).unwrap();
        let give = async |_: Shown| ControlFlow::Continue(());
        block_on(session.execute(&opened, &mut Standing::default(), give)).unwrap();
    }
}

#[test]
fn unusable_waveforms_are_refused_with_a_message() {
    let refused = |preprocessor: Option<&str>, sound: &str, says: &str| {
        let opened = prepared("wav2vec2", preprocessor);
        let request = Request { sounds: Some(vec![image(sound)]), ..usual() };
        let error = block_on(Session::new(&opened, &request)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    refused(None, "tone16.wav", "add the model's preprocessor_config.json");
    let whisper = r#"{"feature_extractor_type": "WhisperFeatureExtractor"}"#;
    refused(Some(whisper), "tone16.wav", "the sounds have 80 channels, and the model reads 1");
    let checkpoint = open(&folder("hubert"));
    let architecture = resolve(&checkpoint).unwrap();
    let short = Input::features(&[0.0; 29], [1, 1, 29]).unwrap();
    let error = Pass::new(&checkpoint, &architecture, short).err().unwrap().to_string();
    assert_eq!(
        error,
        "the sounds have 29 samples, and the model makes its first token of 30: give longer ones"
    );
}

/// The files of a fixture with some tensors renamed or left out.
fn with_tensors(family: &str, change: impl Fn(&str) -> Option<String>) -> Vec<MemorySource> {
    let read = |name: &str| std::fs::read(folder(family).join(name)).unwrap();
    let bytes = read("model.safetensors");
    let stored = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let kept = stored.iter().filter_map(|(name, tensor)| Some((change(name)?, tensor)));
    let written = safetensors::serialize(kept, None).unwrap();
    vec![
        MemorySource::new("model.safetensors", written),
        MemorySource::new("config.json", read("config.json")),
    ]
}

#[test]
fn newer_names_of_a_normalised_weight_are_the_same_model() {
    let newer = |name: &str| {
        let name = name.replace(".weight_g", ".parametrizations.weight.original0");
        Some(name.replace(".weight_v", ".parametrizations.weight.original1"))
    };
    let run = |sources| {
        let checkpoint = block_on(checkpoint::open(sources, |_| {})).unwrap();
        let architecture = resolve(&checkpoint).unwrap();
        let sound: Vec<f32> = (0..400).map(|at| (at as f32 / 7.0).sin()).collect();
        let input = Input::features(&sound, [1, 1, 400]).unwrap();
        let pass = Pass::new(&checkpoint, &architecture, input).unwrap();
        block_on(pass.run(&mut Unwatched)).unwrap()
    };
    let renamed = with_tensors("hubert", newer);
    assert_eq!(run(renamed), run(with_tensors("hubert", |name| Some(name.to_owned()))));
}

#[test]
fn newer_names_of_llava_are_the_same_model() {
    let newer = |name: &str| {
        let names = [
            ("language_model.lm_head.", "lm_head."),
            ("language_model.model.", "model.language_model."),
            ("vision_tower.vision_model.", "model.vision_tower."),
            ("multi_modal_projector.", "model.multi_modal_projector."),
        ];
        let rest = names.iter().find_map(|(old, new)| Some((new, name.strip_prefix(old)?)));
        rest.map(|(new, rest)| format!("{new}{rest}"))
    };
    let run = |sources| {
        let checkpoint = block_on(checkpoint::open(sources, |_| {})).unwrap();
        let architecture = resolve(&checkpoint).unwrap();
        assert!(architecture.head.is_some());
        let given = Case::of(&expected(&folder("llava")), "16x16");
        let pass = Pass::new(&checkpoint, &architecture, given.inputs()).unwrap();
        block_on(pass.run(&mut Unwatched)).unwrap()
    };
    let renamed = with_tensors("llava", newer);
    assert_eq!(run(renamed), run(with_tensors("llava", |name| Some(name.to_owned()))));
}

#[test]
fn a_tower_that_is_not_there_is_named() {
    let says = |family: &str, without: &str, part: &str| {
        let sources = with_tensors(family, |name| (!name.contains(without)).then(|| name.to_owned()));
        let checkpoint = block_on(checkpoint::open(sources, |_| {})).unwrap();
        let error = resolve(&checkpoint).unwrap_err().to_string();
        assert!(error.contains(part), "{family}: {error}");
    };
    says(
        "whisper",
        "model.encoder.",
        "holds the decoder of a `whisper` model without its encoder (there is no tensor `model.encoder.…`)",
    );
    says("whisper", "encoder.conv1.", "model.encoder.conv1.weight");
    says(
        "whisper",
        "decoder.layers.1.encoder_attn.v_proj",
        "model.decoder.layers.1.encoder_attn.v_proj.weight",
    );
    says("wav2vec2", "feature_extractor.", "wav2vec2.feature_extractor.conv_layers.0.conv.weight");
    says(
        "idefics3",
        "vision_model.",
        "holds the decoder of a `idefics3` model without its encoder (there is no tensor `model.vision_model.…`)",
    );
    says(
        "idefics3",
        "connector.",
        "model.connector.modality_projection.proj.weight` is not in the checkpoint",
    );
    says("clip", "vision_model.", "vision_model.embeddings.patch_embedding.weight");
}

/// A fixture with a changed configuration.
fn changed(family: &str, from: &str, to: &str) -> Result<(), ModelError> {
    let config = std::fs::read_to_string(folder(family).join("config.json")).unwrap();
    assert!(config.contains(from), "{config}");
    let sources = vec![
        MemorySource::new(
            "model.safetensors",
            std::fs::read(folder(family).join("model.safetensors")).unwrap(),
        ),
        MemorySource::new("config.json", config.replacen(from, to, 1).into_bytes()),
    ];
    let checkpoint = block_on(checkpoint::open(sources, |_| {})).unwrap();
    resolve_reading(&checkpoint, Some(Reads::Tokens), Accepted::Only(&[]))?;
    resolve(&checkpoint).map(|_| ())
}

#[test]
fn a_configuration_that_contradicts_the_weights_is_refused() {
    for (family, from, to, said) in [
        (
            "vit",
            r#""image_size": 16"#,
            r#""image_size": 20"#,
            "position_embeddings` is [1, 17, 32] and should be [1, 26, 32]",
        ),
        (
            "vit",
            r#""patch_size": 4"#,
            r#""patch_size": 8"#,
            "projection.weight` is [32, 3, 4, 4] and should be [32, 3, 8, 8]",
        ),
        ("vit", r#""patch_size": 4"#, r#""patch_size": 32"#, "a patch no larger than the image"),
        ("vit", r#""patch_size": 4"#, r#""patch_size": [4, 0]"#, "one number above 0, or two"),
        ("vit", r#""num_channels": 3"#, r#""num_channels": 1"#, "should be [32, 1, 4, 4]"),
        ("vit", r#""image_size": 16"#, r#""image_size": 1000000000"#, "at most"),
        ("vit", r#""hidden_act": "gelu""#, r#""hidden_act": "mish""#, "`hidden_act` is \"mish\""),
        (
            "vit",
            r#""model_type""#,
            r#""attention_chunk_size": 8, "model_type""#,
            "`attention_chunk_size` is 8",
        ),
        (
            "dinov2-registers",
            r#""num_register_tokens": 3"#,
            r#""num_register_tokens": 4"#,
            "should be [1, 4, 32]",
        ),
        (
            "beit",
            r#""use_relative_position_bias": true"#,
            r#""use_relative_position_bias": false"#,
            "relative_position_bias_table` has no place",
        ),
        ("whisper", r#""max_source_positions": 12"#, r#""max_source_positions": 13"#, "should be [13, 24]"),
        ("whisper", r#""decoder_layers": 2"#, r#""decoder_layers": 1"#, "model.decoder.layers.1"),
        (
            "whisper",
            r#""decoder_start_token_id": 1"#,
            r#""decoder_start_token_id": 80"#,
            "an id below the 80",
        ),
        (
            "wav2vec2",
            r#""feat_extract_norm": "group""#,
            r#""feat_extract_norm": "batch""#,
            r#"`feat_extract_norm` is "batch""#,
        ),
        (
            "wav2vec2",
            r#""feat_extract_norm": "group""#,
            r#""feat_extract_norm": "layer""#,
            "conv_layers.1.layer_norm",
        ),
        ("wav2vec2", r#""conv_kernel": ["#, r#""conv_kernel": [4,"#, "3 numbers from 1 to 16384"),
        ("wav2vec2", r#""conv_stride": ["#, r#""conv_stride": [0], "other": ["#, "3 numbers from 1 to 16384"),
        ("wav2vec2", r#""conv_dim": ["#, r#""conv_dim": [], "other": ["#, "from 1 to 64 numbers"),
        ("wav2vec2", r#""adapter_attn_dim": null"#, r#""adapter_attn_dim": 16"#, "`adapter_attn_dim` is 16"),
        (
            "wav2vec2",
            r#""num_conv_pos_embeddings": 6"#,
            r#""num_conv_pos_embeddings": 8"#,
            "weight_g` is [1, 1, 6] and should be [1, 1, 8]",
        ),
        (
            "hubert",
            r#""num_conv_pos_embedding_groups": 4"#,
            r#""num_conv_pos_embedding_groups": 5"#,
            "a divisor of 32",
        ),
        (
            "hubert",
            r#""feat_extract_activation": "relu""#,
            r#""feat_extract_activation": "mish""#,
            "is \"mish\"",
        ),
        ("idefics3", r#""scale_factor": 2"#, r#""scale_factor": 3"#, "a divisor of the 4 rows and 4 columns"),
        (
            "idefics3",
            r#""scale_factor": 2"#,
            r#""scale_factor": 4"#,
            "it is [24, 256] (24 channels of the decoder, 16 patches of 16 channels of the tower)",
        ),
        (
            "idefics3",
            r#""image_size": 16"#,
            r#""image_size": 76"#,
            "`image_size` is 76; `idefics3` models are run only with as many patches a side",
        ),
        (
            "idefics3",
            r#""image_token_id": 77"#,
            r#""image_token_id": 80"#,
            "an id below the 80 of the vocabulary",
        ),
        (
            "idefics3",
            r#""image_token_id": 77"#,
            r#""image_token_id": null"#,
            "an id below the 80 of the vocabulary",
        ),
        (
            "idefics3",
            r#""model_type": "llama""#,
            r#""model_type": "mistral""#,
            "`text_config.model_type` is \"mistral\"",
        ),
        (
            "idefics3",
            r#""scale_factor": 2"#,
            r#""scale_factor": 2, "attention_chunk_size": 8"#,
            "`attention_chunk_size` is 8",
        ),
        ("videomae", r#""tubelet_size": 2"#, r#""tubelet_size": 1"#, "should be [32, 3, 1, 4, 4]"),
        (
            "dinov3",
            r#""num_attention_heads": 4"#,
            r#""num_attention_heads": 16"#,
            "heads whose width is a multiple of 4",
        ),
        (
            "dinov3",
            r#""num_register_tokens": 3"#,
            r#""num_register_tokens": 0"#,
            "register_tokens` has no place",
        ),
        (
            "timm-eva02",
            r#""embed_dim": 32"#,
            r#""rope_type": "mixed", "embed_dim": 32"#,
            r#"`rope_type` is "mixed""#,
        ),
        (
            "llava",
            r#""vision_feature_layer": -2"#,
            r#""vision_feature_layer": -4"#,
            "a whole number from 1 to 3, or from −3 to −1",
        ),
        ("llava", r#""vision_feature_layer": -2"#, r#""vision_feature_layer": [-2, -3]"#, "is [-2,-3]"),
        (
            "llava",
            r#""vision_feature_select_strategy": "default""#,
            r#""vision_feature_select_strategy": "full""#,
            r#"`vision_feature_select_strategy` is "full""#,
        ),
        (
            "llava",
            r#""model_type": "clip_vision_model""#,
            r#""model_type": "pixtral""#,
            r#"`vision_config.model_type` is "pixtral""#,
        ),
        (
            "llava",
            r#""projector_hidden_act": "gelu""#,
            r#""projector_hidden_act": "mish""#,
            r#"`projector_hidden_act` is "mish""#,
        ),
    ] {
        let error = changed(family, from, to).unwrap_err().to_string();
        assert!(error.contains(said), "{from} → {to}: {error}");
    }
}

#[test]
fn generation_settings_do_not_matter_for_a_tower() {
    let of_old = r#""add_cross_attention": false, "do_sample": false, "is_decoder": false, "repetition_penalty": 1.0, "tie_word_embeddings": true,"#;
    for tower in ["vision_config", "text_config"] {
        let beginning = format!(r#""{tower}": {{"#);
        changed("clip", &beginning, &format!("{beginning}{of_old}")).unwrap();
    }
    changed("whisper", "{", r#"{"tie_word_embeddings": true, "#).unwrap();
}
