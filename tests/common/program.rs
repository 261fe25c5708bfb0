//! Builds the programs of the examples.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// Returns the path of the program of an example. Builds it, unless `EXAMPLES` is set to the folder of programs that are built.
///
/// Cargo describes the package of the test in variables. They are removed, because a build script that reads them, such
/// as that of `ring`, would run again, and every crate that depends on it would be compiled again, here and in the next build.
pub(crate) fn example(name: &str) -> PathBuf {
    if let Some(folder) = env::var_os("EXAMPLES") {
        return Path::new(&folder).join(name);
    }
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--example", name, "--features", "full", "--message-format", "json"]);
    build.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit());
    for (variable, _) in env::vars_os() {
        let bytes = variable.as_encoded_bytes();
        if bytes.starts_with(b"CARGO_MANIFEST_") || bytes.starts_with(b"CARGO_PKG_") {
            build.env_remove(&variable);
        }
    }
    let output = build.output().unwrap();
    assert!(output.status.success(), "the example {name} does not compile");
    let messages = String::from_utf8(output.stdout).unwrap();
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let path = built.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    path.expect("cargo reports the program")
}
