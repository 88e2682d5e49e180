//! One ONNX Runtime session over an explained model, with its memory bound once.

use ndarray::{Array2, ArrayD};
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session as OrtSession;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{IoBinding, SessionOutputs};
use ort::value::{DynTensor, Outlet, Tensor, TensorElementType, ValueType};

use super::error::brief;
use super::{ClassMap, Device, EngineError, Explanation, runtime};
use crate::explain::names;

/// How a session is started.
#[derive(Debug, Clone, Copy)]
pub struct SessionOptions {
    /// [`Device::Auto`] takes the first that starts.
    pub device: Device,
    /// Threads of this session on the CPU; at least 1.
    pub threads: usize,
}

/// One frame to explain.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Packed RGB, `height × width × 3` bytes of the size that [`Session::frame_size`] says.
    pub frame: &'a [u8],
    /// Classes to explain; −1 is the most probable. Missing ones are −1.
    pub classes: &'a [i64],
}

/// A started model: batches of frames in, explanations out.
pub struct Session {
    session: OrtSession,
    binding: IoBinding,
    frames: Tensor<u8>,
    classes: Tensor<i64>,
    device: Device,
    batch: usize,
    classes_per_frame: usize,
    /// (width, height) of the small picture the model takes.
    frame_size: (usize, usize),
    /// What `auto` tried before, and why that did not start.
    passed_over: Vec<(Device, String)>,
}

impl Session {
    /// Starts `model`, the bytes of an explained model that takes u8 frames.
    ///
    /// # Errors
    /// [`EngineError::Device`] where the device does not start (never a silent fall-back),
    /// [`EngineError::Library`] or [`EngineError::Session`] where runtime or model are at fault.
    pub fn start(model: &[u8], options: &SessionOptions) -> Result<Self, EngineError> {
        runtime::environment()?;
        if options.device != Device::Auto {
            return Self::start_on(model, options.device, options.threads);
        }
        let mut passed_over = Vec::new();
        for device in Device::AUTO {
            match Self::start_on(model, device, options.threads) {
                Ok(session) => return Ok(Self { passed_over, ..session }),
                Err(EngineError::Device { reason, .. }) if device != Device::Cpu => passed_over.push((device, reason)),
                Err(error) => return Err(error),
            }
        }
        Err(EngineError::Device { device: Device::Auto, reason: "no device starts".into() })
    }

    fn start_on(model: &[u8], device: Device, threads: usize) -> Result<Self, EngineError> {
        // With a provider in play a failure is the provider's as far as the user is concerned:
        // whether the model itself is at fault shows on the CPU.
        let failed = |error: ort::Error| match device {
            Device::Cpu => EngineError::Session(brief(error)),
            _ => EngineError::Device { device, reason: brief(error) },
        };
        let session = build(model, device, threads).map_err(failed)?;
        Self::bind(session, device).map_err(failed)
    }

    fn bind(session: OrtSession, device: Device) -> ort::Result<Self> {
        let [batch, height, width, _] = dims(names::FRAMES, session.inputs())?[..] else {
            return Err(ort::Error::new("the frames of the model are not [N,H,W,3]"));
        };
        let [_, classes_per_frame] = dims(names::CLASSES, session.inputs())?[..] else {
            return Err(ort::Error::new("the classes of the model are not [N,K]"));
        };
        let pinned;
        let host = match device.is_gpu() {
            // Pinned memory lets the copies to the GPU run beside its work.
            true => {
                pinned = Allocator::new(
                    &session,
                    MemoryInfo::new(AllocationDevice::CUDA_PINNED, 0, AllocatorType::Device, MemoryType::CPUInput)?,
                )?;
                &pinned
            }
            false => &Allocator::default(),
        };
        let frames = Tensor::<u8>::new(host, [batch, height, width, 3])?;
        let classes = Tensor::<i64>::new(host, [batch, classes_per_frame])?;
        let mut binding = session.create_binding()?;
        for output in session.outputs() {
            let shape = dims(output.name(), session.outputs())?;
            // Results are small (scores and 7×7 maps): they come back to host memory, bound once.
            match output.dtype().tensor_type() {
                Some(TensorElementType::Float32) => {
                    binding.bind_output(output.name(), Tensor::<f32>::new(host, shape)?)?
                }
                Some(TensorElementType::Int64) => {
                    binding.bind_output(output.name(), Tensor::<i64>::new(host, shape)?)?
                }
                other => return Err(ort::Error::new(format!("output `{}` has type {other:?}", output.name()))),
            }
        }
        Ok(Self {
            session,
            binding,
            frames,
            classes,
            device,
            batch,
            classes_per_frame,
            frame_size: (width, height),
            passed_over: Vec::new(),
        })
    }

    /// The device it runs on; never [`Device::Auto`].
    pub fn device(&self) -> Device {
        self.device
    }

    /// What `auto` tried before it took [`Session::device`], with the reasons.
    pub fn passed_over(&self) -> &[(Device, String)] {
        &self.passed_over
    }

    /// Frames per run.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// `(width, height)` in pixels of the small picture the model takes.
    pub fn frame_size(&self) -> (usize, usize) {
        self.frame_size
    }

    /// Explains up to [`Session::batch`] frames in one run; a part-filled batch is padded with what
    /// the run before left there, and those results are thrown away.
    ///
    /// # Errors
    /// [`EngineError::Run`] where there are too many frames, one has the wrong size, or the run fails.
    pub fn run(&mut self, inputs: &[Input]) -> Result<Vec<Explanation>, EngineError> {
        let device = self.device;
        self.run_bound(inputs).map_err(|error| EngineError::Run { device, reason: brief(error) })
    }

    fn run_bound(&mut self, inputs: &[Input]) -> ort::Result<Vec<Explanation>> {
        let (width, height) = self.frame_size;
        let frame_bytes = width * height * 3;
        if inputs.len() > self.batch || inputs.iter().any(|input| input.frame.len() != frame_bytes) {
            return Err(ort::Error::new(format!(
                "{} frames given to a batch of {} of {width}x{height} RGB",
                inputs.len(),
                self.batch
            )));
        }
        let per_frame = self.classes_per_frame;
        let (_, frames) = self.frames.extract_tensor_mut();
        for (slot, input) in frames.chunks_exact_mut(frame_bytes).zip(inputs) {
            slot.copy_from_slice(input.frame);
        }
        let (_, classes) = self.classes.extract_tensor_mut();
        classes.fill(-1);
        for (slot, input) in classes.chunks_exact_mut(per_frame).zip(inputs) {
            slot.iter_mut().zip(input.classes).for_each(|(to, from)| *to = *from);
        }
        // On a GPU binding is the copy to the device; on the CPU it only passes the pointer.
        self.binding.bind_input(names::FRAMES, &self.frames)?;
        self.binding.bind_input(names::CLASSES, &self.classes)?;
        let outputs = self.session.run_binding(&self.binding)?;
        self.binding.synchronize_outputs()?;

        unpack(&outputs, inputs.len())
    }
}

/// Explains one tensor as the model's own input wants it, with a model that was written without
/// preprocessing. `tensor` is converted to the input's element type (float32, float16 or uint8).
///
/// # Errors
/// As [`Session::start`]; [`EngineError::Run`] where the tensor's shape is not the model's.
pub fn explain_tensor(
    model: &[u8],
    options: &SessionOptions,
    tensor: &ArrayD<f32>,
    classes: &[i64],
) -> Result<Explanation, EngineError> {
    runtime::environment()?;
    let device = match options.device {
        Device::Auto => Device::Cpu,
        device => device,
    };
    let failed = |error: ort::Error| EngineError::Device { device, reason: brief(error) };
    let mut session = build(model, device, options.threads).map_err(failed)?;
    let run = |session: &mut OrtSession| -> ort::Result<Explanation> {
        let input = session.inputs().iter().find(|i| i.name() != names::CLASSES);
        let input = input.ok_or_else(|| ort::Error::new("the model has no input"))?;
        let (name, wanted) = (input.name().to_owned(), dims(input.name(), session.inputs())?);
        let mut tensor = tensor.clone();
        if tensor.ndim() + 1 == wanted.len() {
            tensor = tensor.insert_axis(ndarray::Axis(0));
        }
        if tensor.shape() != wanted {
            return Err(ort::Error::new(format!(
                "the tensor is {:?}, the model's input `{name}` is {wanted:?}",
                tensor.shape()
            )));
        }
        let value: DynTensor = match input.dtype().tensor_type() {
            Some(TensorElementType::Float32) => Tensor::from_array(tensor)?.upcast(),
            Some(TensorElementType::Float16) => Tensor::from_array(tensor.mapv(half::f16::from_f32))?.upcast(),
            Some(TensorElementType::Uint8) => {
                Tensor::from_array(tensor.mapv(|v| v.clamp(0.0, 255.0).round() as u8))?.upcast()
            }
            other => return Err(ort::Error::new(format!("the model's input `{name}` has the element type {other:?}"))),
        };
        let classes = Tensor::from_array(([1, classes.len()], classes.to_vec()))?;
        let outputs = session.run(ort::inputs![name.as_str() => value, names::CLASSES => classes])?;
        let mut results = unpack(&outputs, 1)?;
        results.pop().ok_or_else(|| ort::Error::new("no result"))
    };
    run(&mut session).map_err(|error| EngineError::Run { device, reason: brief(error) })
}

/// The fixed shape of the tensor `name`.
fn dims(name: &str, outlets: &[Outlet]) -> ort::Result<Vec<usize>> {
    let outlet = outlets.iter().find(|o| o.name() == name);
    let dims = match outlet.map(Outlet::dtype) {
        Some(ValueType::Tensor { shape, .. }) => shape.iter().map(|&d| usize::try_from(d).ok()).collect(),
        _ => None,
    };
    dims.ok_or_else(|| {
        ort::Error::new(format!("the model has no fixed tensor `{name}`: it was not written by gradcast"))
    })
}

/// The first `count` explanations of a run's outputs.
fn unpack(outputs: &SessionOutputs, count: usize) -> ort::Result<Vec<Explanation>> {
    let (shape, scores) = outputs[names::SCORES].try_extract_tensor::<f32>()?;
    let class_count = shape.last().map_or(0, |&c| c as usize).max(1);
    let (_, probabilities) = outputs[names::PROBABILITIES].try_extract_tensor::<f32>()?;
    let (_, explained) = outputs[names::EXPLAINED].try_extract_tensor::<i64>()?;
    let (shape, maps) = outputs[names::MAPS].try_extract_tensor::<f32>()?;
    let [_, per_frame, h, w] = shape[..] else {
        return Err(ort::Error::new("the maps of the model are not [N,K,h,w]"));
    };
    let (per_frame, h, w) = (per_frame as usize, h as usize, w as usize);

    let mut results = Vec::with_capacity(count);
    for n in 0..count {
        let probabilities = probabilities[n * class_count..(n + 1) * class_count].to_vec();
        let maps = (0..per_frame)
            .map(|k| {
                let slot = n * per_frame + k;
                let class = explained[slot] as usize;
                let values = maps[slot * h * w..(slot + 1) * h * w].to_vec();
                let map = Array2::from_shape_vec((h, w), values).map_err(ort::Error::wrap)?;
                Ok(ClassMap { class, probability: probabilities.get(class).copied().unwrap_or(0.0), map })
            })
            .collect::<ort::Result<_>>()?;
        let scores = scores[n * class_count..(n + 1) * class_count].to_vec();
        results.push(Explanation { scores, probabilities, maps });
    }
    Ok(results)
}

/// Builder errors carry the builder, which is not `Send`; this function turns them into plain ones.
fn build(model: &[u8], device: Device, threads: usize) -> ort::Result<OrtSession> {
    let environment = runtime::environment().map_err(|e| ort::Error::new(e.to_string()))?;
    let builder: SessionBuilder = OrtSession::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads.max(1))?
        .with_inter_threads(1)?
        // A spinning thread takes its core from the decoder and the encoder.
        .with_intra_op_spinning(false)?
        .with_execution_providers(device.providers(threads))?;
    { builder }.commit_from_memory(model)
}
