//! Turns `proto/` into Rust types. Pure Rust: no `protoc` is needed.

use std::{error::Error, path::Path};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    for name in ["store", "feed", "media", "link"] {
        println!("cargo::rerun-if-changed={}", protos.join(format!("{name}.proto")).display());
    }
    let config = || {
        let mut config = prost_build::Config::new();
        // Their comments are written for readers of the schema, not as rustdoc.
        config.disable_comments(["."]);
        config
    };
    // What `link.proto` takes from the store's schema is of the module that the second run writes.
    let set = protox::compile(["link.proto"], [&protos])?;
    config().extern_path(".maojiawan.store.v1", "crate::store").bytes([".maojiawan.link.v1"]).compile_fds(set)?;
    let set = protox::compile(["store.proto", "feed.proto", "media.proto"], [&protos])?;
    // The feed also speaks JSON, in the mapping that proto3 defines. As in protobuf, what a newer peer adds is no fault.
    pbjson_build::Builder::new()
        .register_descriptors(&set.encode_to_vec())?
        .ignore_unknown_fields()
        .build(&[".maojiawan.feed.v1"])?;
    config().compile_fds(set)?;
    Ok(())
}
