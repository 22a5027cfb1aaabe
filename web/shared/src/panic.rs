//! The message of a panic. In wasm a panic ends in a trap, whose own message says nothing.

use js_sys::{Reflect, global};
use std::sync::Once;
use wasm_bindgen::JsValue;

/// The property of the global object that holds the message. The worker reads it when a trap arrives.
const PANICKED: &str = "panicked";

/// Keeps the message of a panic until [`take_panic`], and for the worker.
pub(crate) fn keep_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let payload = panic.payload();
            let message = payload.downcast_ref::<&str>().copied();
            let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            let _ = Reflect::set(&global(), &PANICKED.into(), &message.unwrap_or("it panicked").into());
        }));
    });
}

/// Takes the message of the last panic, if there was one since the last call.
pub fn take_panic() -> Option<String> {
    let message = Reflect::get(&global(), &PANICKED.into()).ok()?.as_string();
    let _ = Reflect::set(&global(), &PANICKED.into(), &JsValue::UNDEFINED);
    message
}
