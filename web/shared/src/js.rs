//! Values that cross the boundary.

use js_sys::{Error, Reflect};
use serde::Serialize;
use serde::de::value::Error as ValueError;
use serde::de::{DeserializeOwned, IntoDeserializer};
use wasm_bindgen::JsValue;

/// A field of an object; undefined where it has none.
pub fn get(entry: &JsValue, name: &str) -> JsValue {
    Reflect::get(entry, &JsValue::from_str(name)).unwrap_or_default()
}

/// A field that is a text, and not an empty one.
pub fn text(entry: &JsValue, name: &str) -> Option<String> {
    get(entry, name).as_string().filter(|text| !text.is_empty())
}

/// A JavaScript error with the words of a Rust one.
pub fn sentence(error: impl std::fmt::Display) -> Error {
    Error::new(&error.to_string())
}

/// A plain object, as JSON would have it.
pub fn to_js(value: &impl Serialize) -> Result<JsValue, Error> {
    value.serialize(&serde_wasm_bindgen::Serializer::json_compatible()).map_err(sentence)
}

/// The value of an enum that is called so.
pub fn named<T: DeserializeOwned>(name: &str) -> Result<T, Error> {
    T::deserialize(name.into_deserializer()).map_err(|error: ValueError| sentence(error))
}

/// What a plain object says.
pub fn from_js<T: DeserializeOwned>(value: JsValue) -> Result<T, Error> {
    serde_wasm_bindgen::from_value(value).map_err(sentence)
}
