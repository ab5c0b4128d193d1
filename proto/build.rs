//! Compiles the .proto files with protox, so that no `protoc` is needed for them.

use std::{env, error::Error, path::PathBuf};

const FILES: [&str; 3] = ["throughline/auth/v1/auth.proto", "throughline/catalog/v1/catalog.proto", "throughline/orders/v1/orders.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=throughline");
    let descriptors = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    let set = protox::Compiler::new(["."])?.include_imports(true).include_source_info(true).open_files(FILES)?.encode_file_descriptor_set();
    std::fs::write(&descriptors, &set)?;
    tonic_prost_build::configure().file_descriptor_set_path(&descriptors).skip_protoc_run().compile_protos(&FILES, &["."])?;
    Ok(())
}
