//! Devices: the table of execution providers, and whether they really start here.

use std::fmt;

use ort::ep::{self, ExecutionProviderDispatch};
use serde::{Deserialize, Serialize};

use super::error::brief;
use super::session::{Session, SessionOptions};
use super::{EngineError, runtime};

/// Where the model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The first of CUDA, OpenVINO and CPU that starts; what it took is said.
    #[default]
    Auto,
    Cpu,
    Cuda,
    Tensorrt,
    Openvino,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Tensorrt => "tensorrt",
            Self::Openvino => "openvino",
        })
    }
}

impl Device {
    /// Every device that can be asked for by name.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Cuda, Self::Tensorrt, Self::Openvino];

    /// What `auto` tries, in order. TensorRT is left out: its first start takes minutes.
    pub(super) const AUTO: [Self; 3] = [Self::Cuda, Self::Openvino, Self::Cpu];

    /// What helps where the device does not start.
    pub fn cure(self) -> &'static str {
        match self {
            Self::Cuda => {
                "CUDA needs an NVIDIA driver, CUDA 13 with cuDNN 9, and GRADCAST_ORT_VARIANT=cuda; \
                 `gradcast doctor` shows what is missing, `--device cpu` works everywhere"
            }
            Self::Tensorrt => {
                "TensorRT needs all that CUDA needs and libnvinfer.so.10; `--device cuda` or `--device cpu` do without"
            }
            Self::Openvino => {
                "set GRADCAST_ORT_VARIANT=openvino and start through `scripts/run`, or use `--device cpu`"
            }
            Self::Auto | Self::Cpu => "`gradcast doctor` shows what is missing",
        }
    }

    /// Whether batches pay: a GPU was asked for, or `auto` may find one (its driver is loaded).
    pub fn prefers_batches(self) -> bool {
        self.is_gpu() || self == Self::Auto && std::path::Path::new("/proc/driver/nvidia/version").exists()
    }

    /// Whether the device has its own memory, so that inputs are staged in pinned host memory.
    pub(super) fn is_gpu(self) -> bool {
        matches!(self, Self::Cuda | Self::Tensorrt)
    }

    /// The providers to register, first choice first; the CPU is always behind them.
    /// All of them fail loudly: ONNX Runtime's default is to fall back in silence.
    pub(super) fn providers(self, threads: usize) -> Vec<ExecutionProviderDispatch> {
        let cuda = || {
            ep::CUDA::default()
                .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
                .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
                .build()
                .error_on_failure()
        };
        match self {
            Self::Auto | Self::Cpu => vec![],
            Self::Cuda => vec![cuda()],
            Self::Tensorrt => {
                let mut tensorrt = ep::TensorRT::default().with_timing_cache(true);
                // Building an engine takes minutes: keep it between runs.
                if let Some(cache) = engine_cache() {
                    tensorrt = tensorrt.with_engine_cache(true).with_engine_cache_path(cache);
                }
                vec![tensorrt.build().error_on_failure(), cuda()]
            }
            Self::Openvino => {
                vec![
                    ep::OpenVINO::default()
                        .with_device_type("CPU")
                        .with_num_threads(threads)
                        .build()
                        .error_on_failure(),
                ]
            }
        }
    }
}

fn engine_cache() -> Option<String> {
    let base =
        std::env::var("XDG_CACHE_HOME").ok().or_else(|| Some(format!("{}/.cache", std::env::var("HOME").ok()?)))?;
    let path = format!("{base}/gradcast/tensorrt");
    std::fs::create_dir_all(&path).ok()?;
    Some(path)
}

/// How a device did when it was really started.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    pub device: Device,
    /// `None` when the device ran; else why it did not.
    pub failure: Option<String>,
}

/// Starts every device with `model` (an explained model's bytes) and runs it once.
/// What is compiled into the library says little: a GPU may be missing all the same.
///
/// # Errors
/// [`EngineError::Library`] where the runtime itself cannot be loaded.
pub fn trials(model: &[u8], frame_size: (usize, usize)) -> Result<Vec<Trial>, EngineError> {
    runtime::environment()?;
    let (width, height) = frame_size;
    let run = |device| -> Result<(), EngineError> {
        let mut session = Session::start(model, &SessionOptions { device, threads: 1 })?;
        session.run(&[super::session::Input { frame: &vec![127; width * height * 3], classes: &[] }])?;
        Ok(())
    };
    Ok(Device::ALL.into_iter().map(|device| Trial { device, failure: run(device).err().map(brief) }).collect())
}
