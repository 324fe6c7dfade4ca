//! Generates the Temporal API from the descriptors that the official `temporalio-protos` crate compiles, so that no
//! .proto file is kept in this tree.

use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

/// Fields that carry history. Stored batches are encoded `History` messages, and concatenated encodings of a message
/// are its merge: declared as bytes (the same wire type) a reply is spliced from storage without decoding an event.
const SPLICED: &[(&str, &str)] = &[
    ("PollWorkflowTaskQueueResponse", "history"),
    ("GetWorkflowExecutionHistoryResponse", "history"),
    ("GetWorkflowExecutionHistoryReverseResponse", "history"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let from = env::var("DEP_TEMPORALIO_PROTOS_DESCRIPTOR_PATH")?;
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={from}");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut set = FileDescriptorSet::decode(fs::read(&from)?.as_slice())?;
    set.file.retain(|file| wanted(file.package()));
    fs::write(out.join("descriptors.bin"), set.encode_to_vec())?;
    set.file.retain(|file| !annotations(file.package()));

    for file in &mut set.file {
        splice_history(file);
    }
    tonic_prost_build::configure()
        .bytes(".")
        .codec_path("crate::codec::Codec")
        .build_transport(true)
        .compile_well_known_types(false)
        .include_file("api.rs")
        .compile_fds(set)?;
    Ok(())
}

fn wanted(package: &str) -> bool {
    let ours = package.starts_with("temporal.api.") && !package.starts_with("temporal.api.cloud.");
    ours || package.starts_with("google.") || annotations(package)
}

/// Imported by the services' files: a set without them cannot be read back, but no code needs them.
fn annotations(package: &str) -> bool {
    package.starts_with("nexusannotations.")
}

fn splice_history(file: &mut FileDescriptorProto) {
    if file.package() != "temporal.api.workflowservice.v1" {
        return;
    }
    for message in &mut file.message_type {
        let spliced: Vec<&str> =
            SPLICED.iter().filter(|(name, _)| *name == message.name()).map(|(_, field)| *field).collect();
        for field in &mut message.field {
            if spliced.contains(&field.name()) {
                field.set_type(Type::Bytes);
                field.type_name = None;
                // A message that is there and empty is not one that is missing: workers refuse a task without it.
                field.proto3_optional = Some(true);
            }
        }
    }
}
