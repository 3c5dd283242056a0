//! Compiles the messages of workload discovery, without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["proto/workload.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let described = protox::compile(files, ["proto"])?;
    // One family of well-known types in the tree: that of envoy-types.
    tonic_prost_build::configure()
        .build_server(false)
        .build_client(false)
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::envoy_types::pb::google::protobuf")
        .compile_fds(described)?;
    Ok(())
}
