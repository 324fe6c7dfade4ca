//! API messages in the JSON form of protocol buffers, by reflection. The descriptors are read when they are first needed.

use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use std::sync::OnceLock;

pub const FAILURE: &str = "temporal.api.failure.v1.Failure";

fn pool() -> Result<&'static DescriptorPool, String> {
    static POOL: OnceLock<Result<DescriptorPool, String>> = OnceLock::new();
    let pool = POOL.get_or_init(|| {
        DescriptorPool::decode(steadfast_api::DESCRIPTORS).map_err(|error| error.to_string())
    });
    pool.as_ref().map_err(Clone::clone)
}

/// The message, whose full name is given, as JSON.
pub fn of(name: &str, message: &impl prost::Message) -> Result<Value, String> {
    let descriptor = pool()?.get_message_by_name(name).ok_or_else(|| format!("no message {name}"))?;
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .map_err(|error| error.to_string())?;
    dynamic
        .serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new())
        .map_err(|error| error.to_string())
}
