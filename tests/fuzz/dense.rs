//! Inputs of a few megabytes with as much content as possible: many short values, many names, data that unpacks to a large size.

use crate::mutate::archive;
use crate::net::{Message, Net};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use miniz_oxide::deflate::compress_to_vec;

/// Returns the dense inputs of a kind.
pub(crate) fn dense(kind: &str) -> Vec<Vec<u8>> {
    match kind {
        "config" => vec![
            format!("{{\"a\":[{}0]}}", "0,".repeat(999_000)).into_bytes(),
            format!("{{\"a\":[{}0]}}", "0,".repeat(3_000_000)).into_bytes(),
            format!("{{\"model_type\":\"llama\",\"a\":\"{}\"}}", "x".repeat(12_000_000)).into_bytes(),
            object(250_000, |at| format!("\"{at:x}\":0")),
            [b"{\"model_type\":\"llama\",\"num_hidden_layers\":1000,\"hidden_size\":8,\"num_attention_heads\":1,\"vocab_size\":9,\"intermediate_size\":8,\"z\":", &object(250_000, |at| format!("\"{at:x}\":0"))[..], b"}"].concat(),
            object(60_000, |at| format!("\"{at:x}\":{{\"hidden_size\":8}}")),
            object(300_000, |at| format!("\"{at:x}\":{{\"a\":8}}")),
        ],
        "preprocessor" | "report" => vec![format!("{{\"a\":[{}0]}}", "0,".repeat(900_000)).into_bytes()],
        "index" => vec![
            [b"{\"weight_map\":", &object(400_000, |at| format!("\"{at:x}\":\"\""))[..], b"}"].concat(),
            [b"{\"weight_map\":", &object(100_000, |at| format!("\"{at:x}\":\"{at:x}\""))[..], b"}"].concat(),
        ],
        "safetensors" => {
            let tensor = |at: usize| {
                format!("\"{at:x}\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[{at},{}]}}", at + 1)
            };
            let header = object(60_000, tensor);
            let mut file = (header.len() as u64).to_le_bytes().to_vec();
            file.extend(&header);
            file.resize(file.len() + 60_000, 0);
            vec![file]
        }
        "gguf" => {
            let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
            let mut file =
                [b"GGUF\x03\0\0\0", &60_000_u64.to_le_bytes()[..], &60_000_u64.to_le_bytes()].concat();
            for at in 0..60_000 {
                file.extend(text(&format!("{at:x}")));
                file.extend([4_u32, 1].map(u32::to_le_bytes).concat());
            }
            for at in 0..60_000_u64 {
                file.extend(text(&format!("{at:x}")));
                file.extend(
                    [
                        &1_u32.to_le_bytes()[..],
                        &1_u64.to_le_bytes(),
                        &0_u32.to_le_bytes(),
                        &(32 * at).to_le_bytes(),
                    ]
                    .concat(),
                );
            }
            file.resize(file.len().next_multiple_of(32) + 32 * 60_000, 0);
            vec![file]
        }
        "pickle" => {
            let whole = |pickle: Vec<u8>, deflated| {
                archive(
                    &[("m/data.pkl", &pickle), ("m/byteorder", b"little"), ("m/data/0", &[0; 256])],
                    deflated,
                )
            };
            let numbers = [b"\x80\x02](", &b"K\x01".repeat(2_000_000)[..], b"e."].concat();
            let lists = [b"\x80\x02](", &b"]".repeat(2_000_000)[..], b"e."].concat();
            let texts = [b"\x80\x02](", &b"X\x01\0\0\0a".repeat(500_000)[..], b"e."].concat();
            let memo = [b"\x80\x04N", &b"\x94".repeat(2_000_000)[..], b"."].concat();
            let marks = [b"\x80\x02", &b"(".repeat(2_000_000)[..], b"."].concat();
            let mut all: Vec<Vec<u8>> =
                [&numbers, &lists, &texts, &marks, &memo].map(|pickle| whole(pickle.clone(), false)).into();
            all.push(whole(lists, true));
            all.push(whole(vec![b']'; 60_000_000], true));
            all
        }
        "onnx" => {
            let net = |message: &[u8], times: usize| {
                Net(Message(message.repeat(times))).file()
            };
            // Empty nodes, nodes with empty inputs, tensors, values; one node with many inputs; a long chain.
            let mut all: Vec<Vec<u8>> = [&b"\x0a\0"[..], b"\x0a\x02\x0a\0", b"\x2a\0", b"\x5a\0"]
                .map(|message| net(message, 1_000_000))
                .into();
            all.push(Net::default().add(1, Message(b"\x0a\x01a".repeat(500_000))).file());
            let chain = (0..30_000).fold(Net::default().floats("0", &[8]), |net, at| {
                net.node("Mul", &[&at.to_string(), &at.to_string()], &(at + 1).to_string(), &[])
            });
            all.push(chain.file());
            let fan = (0..30_000).fold(Net::default().floats("w", &[8]), |net, at| {
                net.node("LayerNormalization", &["x", "w"], &at.to_string(), &[])
            });
            all.push(fan.file());
            all
        }
        "pytorch-zip" => {
            let names: Vec<String> = (0..40_000).map(|at| format!("m/{at:x}")).collect();
            let mut entries: Vec<(&str, &[u8])> =
                names.iter().map(|name| (name.as_str(), &b""[..])).collect();
            entries.push(("m/data.pkl", b"\x80\x02}."));
            vec![archive(&entries, false)]
        }
        "tokenizer" => {
            let vocabulary = object(60_000, |at| format!("\"{at:x}\":{at}"));
            let model = [b"{\"type\":\"WordPiece\",\"unk_token\":\"0\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"vocab\":", &vocabulary[..], b"}"].concat();
            vec![[b"{\"version\":\"1.0\",\"added_tokens\":[],\"model\":", &model[..], b"}"].concat()]
        }
        "link" => {
            let table =
                |rows: usize, column: &str| format!("{{\"#\":{rows},\"columns\":{{\"a\":{column}}}}}");
            let values = |count: usize| format!("[{}0]", "0,".repeat(count));
            [
                table(299_000, "{\"=\":1}"),
                table(10_000_000, "{\"=\":1}"),
                table(40_000, "{\"=\":[]}"),
                table(140_000, "{\"=\":[]}"),
                format!("[{}0]", "{\"a\":0},".repeat(44_000)),
                values(590_000),
                values(3_900_000),
                " ".repeat(7 << 20),
                " ".repeat(1 << 28),
                format!("\"{}\"", "x".repeat(8_000_000)),
            ]
            .iter()
            .map(|text| {
                let data = compress_to_vec(text.as_bytes(), 1);
                let checksum = crc32fast::hash(&data);
                format!("#report=1.{checksum:08x}.{}", BASE64_URL_SAFE_NO_PAD.encode(data)).into_bytes()
            })
            .collect()
        }
        "npy" => {
            let header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000, 20), }\n";
            let length = (header.len() as u16).to_le_bytes();
            vec![[b"\x93NUMPY\x01\0", &length[..], header, &vec![0; 8_000_000]].concat()]
        }
        _ => Vec::new(),
    }
}

/// An object with so many fields.
fn object(count: usize, field: impl Fn(usize) -> String) -> Vec<u8> {
    let fields: Vec<String> = (0..count).map(field).collect();
    format!("{{{}}}", fields.join(",")).into_bytes()
}
