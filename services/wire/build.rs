//! Turns `proto/` into Rust types. Pure Rust: no `protoc` is needed.

use std::{error::Error, path::Path};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let files = ["store", "feed", "media"].map(|name| protos.join(format!("{name}.proto")));
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let set = protox::compile(&files, [&protos])?;
    // The feed also speaks JSON, in the mapping that proto3 defines.
    pbjson_build::Builder::new().register_descriptors(&set.encode_to_vec())?.build(&[".maojiawan.feed.v1"])?;
    let mut config = prost_build::Config::new();
    // Their comments are written for readers of the schema, not as rustdoc.
    config.disable_comments(["."]);
    config.compile_fds(set)?;
    Ok(())
}
