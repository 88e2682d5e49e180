//! The ONNX Runtime library: where it is, and the one environment of the process.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;

use super::EngineError;
use super::error::brief;

const LIBRARY: &str = "libonnxruntime.so";

/// The library that is (or would be) loaded. In order: `GRADCAST_ORT_LIB`, ort's own
/// `ORT_DYLIB_PATH`, beside the executable, the cache folder that `scripts/run` fills (for the
/// variant in `GRADCAST_ORT_VARIANT`), and at last whatever the system's loader finds.
pub fn library_path() -> PathBuf {
    for variable in ["GRADCAST_ORT_LIB", "ORT_DYLIB_PATH"] {
        if let Some(path) = std::env::var_os(variable).filter(|v| !v.is_empty()) {
            return path.into();
        }
    }
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(LIBRARY)));
    beside.filter(|p| p.is_file()).or_else(newest_cached).unwrap_or_else(|| PathBuf::from(LIBRARY))
}

/// The newest library in the cache folder, which holds `ort-VARIANT-VERSION/`.
fn newest_cached() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")))?;
    let variant = std::env::var("GRADCAST_ORT_VARIANT").unwrap_or_else(|_| "cpu".into());
    let prefix = format!("ort-{variant}-");
    let mut found: Vec<PathBuf> = std::fs::read_dir(cache.join("gradcast"))
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path().join(LIBRARY))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop()
}

/// The environment, made at the first call. ONNX Runtime allows one per process.
///
/// # Errors
/// [`EngineError::Library`] where the library is missing, too old, or not an ONNX Runtime.
pub(super) fn environment() -> Result<&'static Environment, EngineError> {
    static ENVIRONMENT: OnceLock<Result<Environment, (PathBuf, String)>> = OnceLock::new();
    ENVIRONMENT
        .get_or_init(|| {
            let path = library_path();
            // A load error must not become an ort::Error: making one needs the library itself.
            let builder = ort::init_from(&path).map_err(|e| (path.clone(), brief(e)))?;
            builder.with_name("gradcast").with_telemetry(false).build().map_err(|e| (path, brief(e)))
        })
        .as_ref()
        .map_err(|(path, reason)| EngineError::Library { path: path.clone(), reason: reason.clone() })
}

/// The version and build of the loaded library, e.g. `ORT Build Info: git-branch=…`.
///
/// # Errors
/// As [`library_path`]'s library may not load.
pub fn library_version() -> Result<String, EngineError> {
    environment()?;
    Ok(ort::info().to_owned())
}
