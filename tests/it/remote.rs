//! Checkpoints at an address, from a server that simulates every fault: few requests, few bytes, and one message for each
//! fault.

use crate::support;
use crate::support::gguf::Gguf;
use crate::support::server::{Play, Server};
use crate::support::{layer_norm, tensors};
use assert_cmd::Command;
use gammascope::checkpoint::remote::{Access, locate};
use gammascope::inspect::{Inspection, inspect};
use gammascope::report::{Report, WarningCode};
use gammascope::source::AnySource;
use gammascope::source::disk::DiskSource;
use gammascope::source::http::native::{Native, NativeBody};
use gammascope::source::http::{Head, Problem, Request, Token, Transport};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// The real transport, except that it does not wait. It records how long it would have waited.
#[derive(Clone, Default)]
struct Hurried {
    native: Native,
    waits: Rc<RefCell<Vec<Duration>>>,
}

impl Transport for Hurried {
    type Body = NativeBody;

    async fn send(&self, request: Request<'_>) -> Result<(Head, NativeBody), Problem> {
        self.native.send(request).await
    }

    async fn wait(&self, time: Duration) {
        self.waits.borrow_mut().push(time);
    }
}

fn open_with(address: &str, access: &Access, transport: Hurried) -> Result<Inspection, String> {
    pollster::block_on(async {
        let sources: Vec<AnySource<DiskSource, Hurried>> =
            locate(transport, address, access, |_, _| {}).await.map_err(|error| error.to_string())?;
        inspect(sources, |_| {}).await.map_err(|error| error.to_string())
    })
}

fn open(address: &str) -> Result<Inspection, String> {
    open_with(address, &Access::default(), Hurried::default())
}

fn refusal(address: &str) -> String {
    open(address).unwrap_err()
}

/// Asserts that a sentence contains each of `parts`.
fn says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "{sentence:?} does not say {part:?}");
    }
}

fn codes(inspection: &Inspection) -> Vec<&str> {
    inspection.report.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

fn sample_files(name: &str) -> (Vec<u8>, Vec<u8>) {
    let read = |file: &str| std::fs::read(sample(name).join(file)).unwrap();
    (read("model.safetensors"), read("config.json"))
}

/// The report without the fields of a transfer.
fn comparable(mut report: Report) -> Report {
    report.checkpoint.remote = None;
    report
}

fn serve_sample(play: Play) -> Server {
    let (model, config) = sample_files("layernorm");
    Server::start(vec![("/m/model.safetensors", model, play), ("/m/config.json", config, Play::Well)])
}

/// A checkpoint with 24 norms far apart, with 2 MB between any two.
fn scattered() -> Vec<u8> {
    let list: Vec<(String, Vec<usize>, Vec<f32>)> = (0..24)
        .flat_map(|layer| {
            let norm = |part: &str| (format!("h.{layer:02}.ln_1.{part}"), vec![16], vec![1.5; 16]);
            let matrix = (format!("h.{layer:02}.mlp.c_fc.weight"), vec![16, 32_768], vec![0.0; 524_288]);
            [norm("bias"), norm("weight"), matrix]
        })
        .collect();
    let list: Vec<(&str, &[usize], Vec<f32>)> =
        list.iter().map(|(name, shape, values)| (name.as_str(), shape.as_slice(), values.clone())).collect();
    tensors(&list)
}

#[test]
fn a_file_behind_an_address_gives_the_report_of_the_file_on_disk_in_six_requests() {
    let server = serve_sample(Play::Well);
    let remote = open(&server.url("/m/model.safetensors")).unwrap().report;
    let disk = |file: &str| DiskSource::open(&sample("layernorm").join(file), file).unwrap();
    let local = pollster::block_on(inspect(vec![disk("model.safetensors"), disk("config.json")], |_| {}))
        .unwrap()
        .report;
    let summary = remote.checkpoint.remote.clone().unwrap();
    assert_eq!(comparable(remote), local);
    let ranges = server.seen().iter().filter(|seen| seen.range.is_some()).count();
    assert!(ranges <= 6, "{:?}", server.seen());
    assert_eq!(server.seen().len() as u32, summary.requests);
    assert!(summary.bytes <= server.sent());
    assert!(summary.bytes < local.checkpoint.bytes * 2 / 3, "{summary:?} of {}", local.checkpoint.bytes);
}

#[test]
fn norms_far_apart_take_one_request_if_the_server_answers_several_ranges_at_once() {
    let file = scattered();
    let length = file.len() as u64;
    let server = Server::start(vec![
        ("/parts.safetensors", file.clone(), Play::Parts),
        ("/single.safetensors", file, Play::Well),
    ]);
    let parts = open(&server.url("/parts.safetensors")).unwrap().report;
    // Header, configuration (absent), norms.
    assert_eq!(server.seen().len(), 3);
    let transferred = parts.checkpoint.remote.clone().unwrap().bytes;
    assert!(transferred < length / 300, "{transferred} of {length}");
    let single = open(&server.url("/single.safetensors")).unwrap().report;
    assert_eq!(parts.norms, single.norms);
    assert_eq!(parts.norms.len(), 24);
    // The same again, without success, and then each norm separately. The first norm came with the header.
    assert_eq!(server.seen().len() - 3, 3 + 23);
}

#[test]
fn a_header_longer_than_the_guess_takes_one_request_more() {
    let long: Vec<(String, [usize; 1], Vec<f32>)> =
        (0..2000).map(|index| (format!("layers.{index}.mlp.experts.w.weight"), [1], vec![0.0])).collect();
    let mut list: Vec<(&str, &[usize], Vec<f32>)> =
        long.iter().map(|(name, shape, values)| (name.as_str(), shape.as_slice(), values.clone())).collect();
    list.push(("norm.weight", &[4], vec![1.0; 4]));
    let server = Server::start(vec![("/m.safetensors", tensors(&list), Play::Well)]);
    let report = open(&server.url("/m.safetensors")).unwrap().report;
    assert_eq!(report.norms.len(), 1);
    assert!(server.seen().len() <= 4, "{:?}", server.seen());
}

#[test]
fn a_gguf_file_opens_by_its_address() {
    // A vocabulary of three megabytes, like many have.
    let words: Vec<u8> =
        (0..150_000).flat_map(|word| support::gguf::text(format!("word-{word:07}").as_bytes())).collect();
    let file = Gguf::of("llama")
        .pair("tokenizer.ggml.tokens", 9, &support::gguf::list(8, 150_000, &words))
        .values("output_norm.weight", &[8], &[1.0; 8])
        .build();
    let server = Server::start(vec![("/m.gguf", file, Play::Well)]);
    let report = open(&server.url("/m.gguf")).unwrap().report;
    assert_eq!((report.checkpoint.format.as_str(), report.checkpoint.name.as_str()), ("gguf", "m.gguf"));
    assert!(server.seen().len() <= 3, "{:?}", server.seen());
}

#[test]
fn an_index_a_folder_and_a_model_of_a_hub_open_with_two_requests_a_shard() {
    let index = br#"{"weight_map":{"a.norm.weight":"s-00001-of-00002.safetensors","a.norm.bias":"s-00001-of-00002.safetensors","b.norm.weight":"s-00002-of-00002.safetensors","b.norm.bias":"s-00002-of-00002.safetensors"}}"#;
    for (folder, address) in [
        ("/some/where", "/some/where/model.safetensors.index.json"),
        ("/some/where", "/some/where/"),
        ("/some/where", "/some/where"),
        ("/org/model/resolve/main", "/org/model"),
    ] {
        let at = |name: &str| format!("{folder}/{name}");
        let names = [
            "model.safetensors.index.json",
            "s-00001-of-00002.safetensors",
            "s-00002-of-00002.safetensors",
            "config.json",
        ]
        .map(at);
        let server = Server::start(vec![
            (&names[0], index.to_vec(), Play::Well),
            (&names[1], layer_norm("a.norm", &[1.0; 8]), Play::Well),
            (&names[2], layer_norm("b.norm", &[1.0; 8]), Play::Well),
            (&names[3], br#"{"model_type":"gpt2","n_embd":8}"#.to_vec(), Play::Well),
        ]);
        let report = open(&server.url(address)).unwrap().report;
        assert_eq!((report.norms.len(), report.checkpoint.shards), (2, 2), "{address}");
        assert_eq!(report.warnings, [], "{address}");
        assert_eq!(report.model.family.as_deref(), Some("gpt2"), "{address}");
        for shard in ["s-00001", "s-00002"] {
            let requests = server.seen().iter().filter(|seen| seen.path.contains(shard)).count();
            assert!((1..=2).contains(&requests), "{address}: {requests}");
        }
    }
}

#[test]
fn a_short_name_is_looked_up_on_the_given_hub() {
    let (model, config) = sample_files("rmsnorm");
    let server = Server::start(vec![
        ("/org/tiny/resolve/v2/model.safetensors", model, Play::Well),
        ("/org/tiny/resolve/v2/config.json", config, Play::Well),
    ]);
    let access = Access { hub: server.address.clone(), ..Access::default() };
    let report = open_with("org/tiny@v2", &access, Hurried::default()).unwrap().report;
    assert_eq!(report.checkpoint.name, "tiny");
    assert_eq!(report.checkpoint.remote.unwrap().requests, server.seen().len() as u32);
    let ranges = server.seen().iter().filter(|seen| seen.range.is_some()).count();
    assert!(ranges <= 6, "{:?}", server.seen());
    let page = open_with(&server.url("/org/tiny/blob/v2/model.safetensors"), &access, Hurried::default());
    assert_eq!(page.unwrap().report.checkpoint.name, "model.safetensors");
}

#[test]
fn one_file_of_another_name_on_a_hub_is_opened_and_several_are_listed() {
    let list = |names: &[&str]| {
        let files: Vec<String> = names.iter().map(|name| format!(r#"{{"rfilename":"{name}"}}"#)).collect();
        format!(r#"{{"siblings":[{}]}}"#, files.join(",")).into_bytes()
    };
    let server = Server::start(vec![
        ("/api/models/org/one/revision/main", list(&["README.md", "odd.safetensors"]), Play::Well),
        ("/org/one/resolve/main/odd.safetensors", layer_norm("norm", &[1.0; 4]), Play::Well),
        ("/api/models/org/two/revision/main", list(&["a.gguf", "b.gguf"]), Play::Well),
        (
            "/api/models/org/parts/revision/main",
            list(&["odd.safetensors", "unet/odd.safetensors", "vae/odd.safetensors"]),
            Play::Well,
        ),
        ("/org/parts/resolve/main/unet/odd.safetensors", layer_norm("norm", &[1.0; 4]), Play::Well),
        ("/api/models/org/none/revision/main", list(&["README.md", "training_args.bin"]), Play::Well),
    ]);
    let access = Access { hub: server.address.clone(), ..Access::default() };
    let open = |name: &str| open_with(name, &access, Hurried::default());
    assert_eq!(open("org/one").unwrap().report.norms.len(), 1);
    let part = open(&server.url("/org/parts/tree/main/unet")).unwrap();
    assert_eq!(part.report.norms.len(), 1, "of the folder only");
    says(
        &open("org/two").unwrap_err(),
        &["several checkpoint files", "/org/two/resolve/main/a.gguf", "b.gguf"],
    );
    says(&open("org/none").unwrap_err(), &["no safetensors, GGUF, ONNX or PyTorch file"]);
    says(&open("org/absent").unwrap_err(), &["no checkpoint", "model.safetensors", "/org/absent/"]);
}

#[test]
fn if_a_server_ignores_ranges_the_request_ends_before_the_whole_body() {
    let server = serve_sample(Play::NoRange);
    says(
        &refusal(&server.url("/m/model.safetensors")),
        &["/m/model.safetensors`", "ignores Range", "download"],
    );
    std::thread::sleep(Duration::from_millis(200));
    // Before the connection closes, the buffers of the system take bytes that nobody reads.
    assert!(server.sent() < 64 << 20, "{} bytes", server.sent());
}

#[test]
fn every_error_is_one_sentence_with_the_address_and_what_to_do() {
    let cases: [(Play, &[&str], usize); 12] = [
        (Play::Status(401, "X: y"), &["status 401", "token"], 1),
        (Play::Status(403, "X: y"), &["status 403", "token"], 1),
        (Play::Status(404, "X: y"), &["is not there", "status 404", "check the address"], 1),
        (Play::Status(410, "X: y"), &["is not there", "status 410"], 1),
        (Play::Status(418, "X: y"), &["status 418"], 1),
        (Play::Status(304, "X: y"), &["redirects", "status 304"], 1),
        (Play::Status(429, "Retry-After: 600"), &["status 429", "wait 600 s"], 1),
        (Play::Status(503, "X: y"), &["status 503", "tried 4 times"], 4),
        (Play::Page, &["is a web page, not a checkpoint", "org/model"], 1),
        (Play::Redirect("/m/model.safetensors".to_owned()), &["redirects", "ten times"], 11),
        (Play::Compressed, &["compressed", "gzip"], 1),
        (Play::Slam, &["tried", "m/model.safetensors"], 4),
    ];
    for (play, parts, requests) in cases {
        let server = serve_sample(play.clone());
        let sentence = refusal(&server.url("/m/model.safetensors"));
        if play != Play::Slam {
            says(&sentence, parts);
        }
        says(&sentence, &["/m/model.safetensors`"]);
        let made = server.seen().iter().filter(|seen| seen.path.ends_with("model.safetensors")).count();
        if play == Play::Slam {
            assert!(made >= 1, "{sentence}");
        } else {
            assert_eq!(made, requests, "{play:?}: {sentence}");
        }
    }
}

#[test]
fn wrong_bytes_are_refused_whatever_the_headers_say() {
    let cases: [(Play, &[&str]); 5] = [
        (Play::OtherRange, &["other bytes than the requested ones", "Content-Range: bytes 1-"]),
        (Play::NonsenseRange, &["other bytes", "Content-Range: bytes all"]),
        (Play::Long, &["more than the"]),
        (Play::HalfRange, &["gave", "of the", "tried 4 times"]),
        (Play::Cut, &["tried 4 times"]),
    ];
    for (play, parts) in cases {
        let server = serve_sample(play);
        says(&refusal(&server.url("/m/model.safetensors")), parts);
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_noticed() {
    for (play, what) in [(Play::NewTag, "ETag"), (Play::NewDate, "Last-Modified"), (Play::Grows, "length")] {
        let file = scattered();
        let server = Server::start(vec![("/m.safetensors", file, play)]);
        let inspection = open(&server.url("/m.safetensors"));
        // The header came from one version. Bytes of another version are refused, and the site says so.
        let sentence = match inspection {
            Ok(inspection) => inspection.report.norms[23].problem.clone().unwrap(),
            Err(sentence) => sentence,
        };
        says(&sentence, &["changed while it was read", what, "open it again"]);
    }
}

#[test]
fn requests_over_a_weak_network_are_repeated_after_longer_and_longer_waits() {
    let faults = [
        Play::Status(500, "X: y"),
        Play::Status(502, "X: y"),
        Play::Status(503, "X: y"),
        Play::Status(504, "X: y"),
        Play::Status(408, "X: y"),
        Play::Status(429, "X: y"),
        Play::Cut,
        Play::HalfRange,
    ];
    for fault in faults {
        let server = serve_sample(Play::First(2, Box::new(fault.clone())));
        let transport = Hurried::default();
        let inspection =
            open_with(&server.url("/m/model.safetensors"), &Access::default(), transport.clone()).unwrap();
        assert_eq!(codes(&inspection), [] as [&str; 0], "{fault:?}");
        assert_eq!(inspection.report.norms.len(), 9, "{fault:?}");
        let waits = transport.waits.borrow();
        assert_eq!(*waits, [Duration::from_millis(300), Duration::from_millis(900)], "{fault:?}");
    }
}

#[test]
fn a_retry_after_header_decides_the_wait() {
    let server = serve_sample(Play::First(1, Box::new(Play::Status(429, "Retry-After: 7"))));
    let transport = Hurried::default();
    open_with(&server.url("/m/model.safetensors"), &Access::default(), transport.clone()).unwrap();
    assert_eq!(*transport.waits.borrow(), [Duration::from_secs(7)]);
}

#[test]
fn a_fault_after_the_header_is_reported_at_its_sites() {
    let server = Server::start(vec![(
        "/m.safetensors",
        scattered(),
        Play::After(1, Box::new(Play::Status(404, "X: y"))),
    )]);
    let report = open(&server.url("/m.safetensors")).unwrap().report;
    assert_eq!(report.norms[0].problem, None, "it came with the header");
    says(report.norms[23].problem.as_deref().unwrap(), &["h.23.ln_1", "/m.safetensors`", "status 404"]);
}

#[test]
fn a_redirect_to_another_host_is_followed_without_the_token() {
    let (model, config) = sample_files("layernorm");
    let store = Server::start(vec![("/store", model, Play::Well)]);
    let server = Server::start(vec![
        ("/m/model.safetensors", Vec::new(), Play::Redirect(store.url("/store"))),
        ("/m/config.json", config, Play::Well),
    ]);
    // Another host, as "localhost" is another name.
    let address = server.url("/m/model.safetensors").replace("127.0.0.1", "localhost");
    let access = Access { token: Token::new("hf_secret"), ..Access::default() };
    let report = open_with(&address, &access, Hurried::default()).unwrap().report;
    assert_eq!(report.norms.len(), 9);
    assert!(server.seen().iter().all(|seen| seen.authorization.as_deref() == Some("Bearer hf_secret")));
    assert!(!store.seen().is_empty());
    assert!(store.seen().iter().all(|seen| seen.authorization.is_none()), "{:?}", store.seen());
    assert!(!serde_json::to_string(&report).unwrap().contains("hf_secret"));
}

#[test]
fn a_token_opens_what_needs_one_and_the_token_of_the_hub_goes_only_to_the_hub() {
    let (model, _) = sample_files("layernorm");
    let server =
        Server::start(vec![("/org/m/resolve/main/model.safetensors", model, Play::Token("hf_secret"))]);
    let access = Access { hub: server.address.clone(), ..Access::default() };
    let hurried = Hurried::default;
    says(&open_with("org/m", &access, hurried()).unwrap_err(), &["without a token", "status 401"]);
    let wrong = Access { token: Token::new("hf_other"), ..access.clone() };
    let sentence = open_with("org/m", &wrong, hurried()).unwrap_err();
    says(&sentence, &["with this token", "status 401"]);
    assert!(!sentence.contains("hf_other"), "{sentence}");
    let right = Access { hub_token: Token::new("hf_secret"), ..access };
    assert_eq!(open_with("org/m", &right, hurried()).unwrap().report.norms.len(), 9);
    let elsewhere = Access { hub: "https://hub.invalid".to_owned(), ..right };
    let sentence =
        open_with(&server.url("/org/m/resolve/main/model.safetensors"), &elsewhere, hurried()).unwrap_err();
    says(&sentence, &["without a token"]);
    assert!(!format!("{elsewhere:?}").contains("hf_secret"));
}

#[test]
fn a_missing_shard_and_one_that_fails_are_named_and_the_rest_is_read() {
    let index = br#"{"weight_map":{"a.norm.weight":"1.safetensors","b.norm.weight":"2.safetensors","c.norm.weight":"3.safetensors"}}"#;
    let server = Server::start(vec![
        ("/m/model.safetensors.index.json", index.to_vec(), Play::Well),
        ("/m/1.safetensors", layer_norm("a.norm", &[1.0; 4]), Play::Well),
        ("/m/3.safetensors", layer_norm("c.norm", &[1.0; 4]), Play::Status(500, "X: y")),
    ]);
    let inspection = open(&server.url("/m/")).unwrap();
    assert_eq!(inspection.report.norms.len(), 1);
    let warning = |code: WarningCode| {
        let found = inspection.report.warnings.iter().find(|warning| warning.code == code);
        found.unwrap_or_else(|| panic!("{code} in {:?}", codes(&inspection))).message.clone()
    };
    says(&warning(WarningCode::ShardMissing), &["2.safetensors"]);
    says(&warning(WarningCode::ShardDamaged), &["3.safetensors", "status 500", "tried 4 times"]);
}

#[test]
fn an_index_cannot_point_outside_its_folder() {
    let index = |shard: &str| format!(r#"{{"weight_map":{{"a":"{shard}"}}}}"#).into_bytes();
    let many: Vec<String> = (0..3000).map(|shard| format!(r#""t{shard}":"{shard}.safetensors""#)).collect();
    let many = format!(r#"{{"weight_map":{{{}}}}}"#, many.join(",")).into_bytes();
    let server = Server::start(vec![
        ("/a/m.safetensors.index.json", index("../secret.safetensors"), Play::Well),
        ("/b/m.safetensors.index.json", index("https://elsewhere.org/1.safetensors"), Play::Well),
        ("/c/m.safetensors.index.json", many, Play::Well),
        ("/d/m.safetensors.index.json", b"<!doctype html>".to_vec(), Play::Well),
        ("/e/m.safetensors.index.json", b"{}".to_vec(), Play::Well),
    ]);
    let refusal = |folder: &str| refusal(&server.url(&format!("/{folder}/m.safetensors.index.json")));
    says(&refusal("a"), &["../secret.safetensors", "was not followed"]);
    says(&refusal("b"), &["elsewhere.org", "was not followed"]);
    says(&refusal("c"), &["3000 shards"]);
    says(&refusal("d"), &["web page"]);
    says(&refusal("e"), &["weight_map"]);
    assert!(server.seen().iter().all(|seen| seen.path.ends_with(".json")), "{:?}", server.seen());
}

#[test]
fn a_file_that_is_no_checkpoint_is_recognised_by_its_first_bytes() {
    let server = Server::start(vec![
        ("/pickle.bin", b"\x80\x02}q\x00X\x05\0\0\0".to_vec(), Play::Well),
        ("/empty.safetensors", Vec::new(), Play::Well),
        ("/page.html", Vec::new(), Play::Page),
        ("/page", Vec::new(), Play::Page),
        ("/blob", layer_norm("norm", &[1.0; 4]), Play::Well),
    ]);
    says(&refusal(&server.url("/pickle.bin")), &["pickle"]);
    says(&refusal(&server.url("/empty.safetensors")), &["`empty.safetensors`", "empty"]);
    says(&refusal(&server.url("/page.html")), &["/page.html`", "web page, not a checkpoint"]);
    says(&refusal(&server.url("/page")), &["/page`", "web page, not a checkpoint"]);
    says(&refusal(&server.url("/nothing/here/")), &["no checkpoint at", "/nothing/here/"]);
}

#[test]
fn a_missing_host_is_an_error_at_once() {
    let transport = Hurried::default();
    let sentence = open_with("http://127.0.0.1:1/m.safetensors", &Access::default(), transport.clone());
    says(
        &sentence.unwrap_err(),
        &["127.0.0.1:1/m.safetensors`", "could not be reached", "check the address"],
    );
    assert!(transport.waits.borrow().is_empty());
}

#[test]
fn the_command_line_takes_an_address_in_place_of_a_path() {
    let server = serve_sample(Play::Well);
    let run = |arguments: &[&str]| {
        let mut command = Command::cargo_bin("gammascope").unwrap();
        command.env_remove("HF_TOKEN").env_remove("HF_ENDPOINT").args(arguments).assert()
    };
    let url = server.url("/m/model.safetensors?signature=secret");
    let done = run(&["inspect", &url]).success();
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    says(
        &text,
        &["LayerNorm model. All 9 norms ignore one direction", "from http://127.0.0.1:", " requests, "],
    );
    assert!(!text.contains("secret"), "{text}");
    let failed = run(&["inspect", &server.url("/m/absent.safetensors")]).code(2);
    says(&String::from_utf8(failed.get_output().stderr.clone()).unwrap(), &["status 404"]);
    let mixed = run(&["inspect", &url, "Cargo.toml"]).code(2);
    says(&String::from_utf8(mixed.get_output().stderr.clone()).unwrap(), &["give an address alone"]);
    let named = run(&["inspect", "org/absent", "--hub", &server.address]).code(2);
    says(
        &String::from_utf8(named.get_output().stderr.clone()).unwrap(),
        &["there is no path `org/absent` here"],
    );
    let alone = run(&["measure", &url, "--alone", "--site", "transformer.ln_f", "--json"]).success();
    says(&String::from_utf8(alone.get_output().stdout.clone()).unwrap(), &["gammascope.norm_alone/1"]);
}

fn pytorch(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch").join(name)).unwrap()
}

#[test]
fn pytorch_files_behind_an_address_give_the_report_of_the_same_files_here() {
    for (name, container) in [("model.bin", "archive"), ("legacy.bin", "stream")] {
        let server = Server::start(vec![("/m/model.bin", pytorch(name), Play::Well)]);
        let remote = open(&server.url("/m/model.bin")).unwrap().report;
        let local = support::open(vec![("model.bin", pytorch(name))]).unwrap().report;
        assert_eq!(comparable(remote), local, "{container}");
        let ranges = server.seen().iter().filter(|seen| seen.range.is_some()).count();
        assert!(ranges <= 6, "{container}: {ranges} requests");
    }
}

#[test]
fn a_folder_of_pytorch_shards_is_found_by_its_index() {
    let names = [
        "pytorch_model.bin.index.json",
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model-00002-of-00002.bin",
    ];
    let paths: Vec<String> = names.iter().map(|name| format!("/m/{name}")).collect();
    let files = paths
        .iter()
        .zip(names)
        .map(|(path, name)| (path.as_str(), pytorch(&format!("sharded/{name}")), Play::Well));
    let server = Server::start(files.collect());
    let remote = open(&server.url("/m/")).unwrap();
    assert_eq!((remote.report.checkpoint.shards, remote.report.norms.len()), (2, 3));
    assert_eq!(codes(&remote), Vec::<&str>::new());
}

#[test]
fn a_pytorch_file_is_opened_if_the_hub_has_nothing_else() {
    let list = br#"{"siblings":[{"rfilename":"training_args.bin"},{"rfilename":"optimizer.pt"},{"rfilename":"net.pth"}]}"#;
    let server = Server::start(vec![
        ("/api/models/acme/net/revision/step-10", list.to_vec(), Play::Well),
        ("/acme/net/resolve/step-10/net.pth", pytorch("model.bin"), Play::Well),
    ]);
    let access = Access { hub: server.address.clone(), ..Access::default() };
    let opened = open_with("acme/net@step-10", &access, Hurried::default()).unwrap();
    assert_eq!(opened.report.norms.len(), 3);
}

#[test]
fn a_server_that_sends_a_few_bytes_a_second_is_not_asked_again() {
    let bytes = tensors(&[("norm.weight", &[1000], vec![1.0; 1000])]);
    let server = Server::start(vec![("/m.safetensors", bytes, Play::Trickle)]);
    let patient = Native::patient(Duration::from_millis(300));
    let transport = Hurried { native: patient, ..Hurried::default() };
    let error = open_with(&server.url("/m.safetensors"), &Access::default(), transport.clone()).unwrap_err();
    says(&error, &["/m.safetensors", "was sent too slowly", "download the file"]);
    assert_eq!(transport.waits.borrow().len(), 0, "it would be as slow again");
    assert!(server.sent() < 1000, "{} bytes of 4 kB were waited for", server.sent());
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_request_at_once() {
    let bytes = tensors(&[("norm.weight", &[1000], vec![1.0; 1000])]);
    let server = Server::start(vec![("/m.safetensors", bytes, Play::Trickle)]);
    let program = assert_cmd::cargo::cargo_bin("gammascope");
    let mut inspect = std::process::Command::new(program);
    let inspect =
        inspect.arg("inspect").arg(server.url("/m.safetensors")).stderr(std::process::Stdio::null());
    let mut inspect = inspect.spawn().unwrap();
    while server.sent() < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let interrupt = std::process::Command::new("kill").args(["-INT", &inspect.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let ended = inspect.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(2));
    assert!(server.sent() < 1000);
}
