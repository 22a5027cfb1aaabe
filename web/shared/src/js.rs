//! Values that cross between Rust and JavaScript.

use js_sys::{Error, Reflect};
use serde::Serialize;
use serde::de::value::Error as ValueError;
use serde::de::{DeserializeOwned, IntoDeserializer};
use wasm_bindgen::JsValue;

/// Returns a field of an object, or undefined.
pub fn get(entry: &JsValue, name: &str) -> JsValue {
    Reflect::get(entry, &JsValue::from_str(name)).unwrap_or_default()
}

/// Returns a field that is a nonempty string.
pub fn text(entry: &JsValue, name: &str) -> Option<String> {
    get(entry, name).as_string().filter(|text| !text.is_empty())
}

/// Makes a JavaScript error with the message of a Rust one.
pub fn sentence(error: impl std::fmt::Display) -> Error {
    Error::new(&error.to_string())
}

/// Makes a plain object, like parsed JSON.
pub fn to_js(value: &impl Serialize) -> Result<JsValue, Error> {
    value.serialize(&serde_wasm_bindgen::Serializer::json_compatible()).map_err(sentence)
}

/// Returns the value of an enum with this name.
pub fn named<T: DeserializeOwned>(name: &str) -> Result<T, Error> {
    T::deserialize(name.into_deserializer()).map_err(|error: ValueError| sentence(error))
}

/// Reads a plain object.
pub fn from_js<T: DeserializeOwned>(value: JsValue) -> Result<T, Error> {
    serde_wasm_bindgen::from_value(value).map_err(sentence)
}
