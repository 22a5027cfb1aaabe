//! All integration tests, in one program that links the library once. `cargo test --test it adapter::` runs one file.
//!
//! A test that needs more than this repository is `#[ignore]`d, with what it needs. `npm test` provides that and runs it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

mod adapter;
mod adapter_kinds;
mod any_catalogue;
mod any_name;
mod arrays;
mod bad_input;
mod check;
mod command_line;
mod compare;
mod convention;
mod dead_directions;
mod differential;
mod distributed;
mod execution_order;
mod export;
mod findings;
mod fold;
mod fold_resumed;
mod fold_rms_norm;
mod forward;
mod forward_images;
mod gguf;
mod gguf_run;
mod ground_truth;
mod image_and_text;
mod inputs;
mod keras;
mod layering;
mod many;
mod measure;
mod modulo_dead;
mod packed_run;
mod parts;
mod photographs;
mod preservation;
mod prune;
mod pytorch;
mod random;
mod random_init;
mod readers;
mod real_forward;
mod real_models;
mod real_onnx;
mod remote;
mod repair_offset;
mod share;
mod speech;
mod stored_forms;
mod terminal;
mod text;
mod two_stacks;
mod vision_samples;
mod which_norm;
