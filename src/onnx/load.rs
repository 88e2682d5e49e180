//! A file into a [`Model`], distrusting all of it.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;

use super::import::{OLDEST_OPSET, standard_opset};
use super::schema::ModelProto;
use super::wire::{self, Flaw};
use super::{TensorError, external};

/// The oldest version of the file format that is understood.
const OLDEST_IR: i64 = 3;

/// How much of a file is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The size of the model file, in bytes. Protobuf itself ends at 2 GiB.
    pub file_bytes: u64,
    /// The size of one tensor, in bytes.
    pub tensor_bytes: u64,
    /// The size of all external data together, in bytes.
    pub external_bytes: u64,
    /// Graphs inside graphs (bodies of `If`, `Loop`, `Scan`), the outermost included.
    pub nesting: usize,
    /// Nodes, those of bodies and functions included, and after unfolding functions.
    pub nodes: usize,
    /// Protobuf messages and strings of any kind.
    pub messages: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 2 << 30,
            tensor_bytes: 2 << 30,
            external_bytes: 8 << 30,
            nesting: 16,
            nodes: 200_000,
            messages: 8_000_000,
        }
    }
}

/// An ONNX model: the whole file as messages, external data resolved into memory.
#[derive(Debug, Clone)]
pub struct Model {
    /// The file, field by field.
    pub proto: ModelProto,
    /// Where it was read from.
    pub path: Option<PathBuf>,
    /// The files beside it that hold external data.
    pub data: Vec<PathBuf>,
    limits: Limits,
}

impl Model {
    /// A model made in memory.
    pub fn new(proto: ModelProto) -> Self {
        Self::assemble(proto, None, Limits::default())
    }

    pub(super) fn assemble(proto: ModelProto, path: Option<PathBuf>, limits: Limits) -> Self {
        Self { proto, path, data: Vec::new(), limits }
    }

    /// Reads a model from the bytes of a file. The tensors of the model share `bytes`. External
    /// data is refused, since there is no folder to look in: use [`load`].
    ///
    /// # Errors
    /// As [`load`].
    pub fn from_bytes(bytes: impl Into<Bytes>, limits: &Limits) -> Result<Self, LoadError> {
        read(bytes.into(), Subject(None), limits)
    }

    /// The bytes of the model as a file. For an unchanged model without external data these are
    /// the bytes it was read from.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    /// The limits the model was read under.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// Reads a model file and the external data beside it.
///
/// External data is looked for in the folder of the model and nowhere else: an absolute location,
/// one with `..`, or a link that leads out of the folder is refused.
///
/// # Errors
/// The file cannot be read, is no ONNX model, is truncated or damaged, exceeds `limits`, is older
/// than IR 3 or operator set 7, or its external data is missing or does not fit.
pub fn load(path: &Path, limits: &Limits) -> Result<Model, LoadError> {
    let bytes = read_file(path, limits.file_bytes)?;
    read(bytes, Subject(Some(path.to_owned())), limits)
}

fn read(bytes: Bytes, subject: Subject, limits: &Limits) -> Result<Model, LoadError> {
    let file = || subject.clone();
    if bytes.is_empty() {
        return Err(LoadError::Empty { file: file() });
    }
    if bytes.len() as u64 > limits.file_bytes {
        let (size, limit) = (bytes.len() as u64, limits.file_bytes);
        return Err(LoadError::TooLarge { file: file(), size, limit });
    }
    if is_lfs_pointer(&bytes) {
        return Err(LoadError::LfsPointer { file: file() });
    }
    if let Some(what) = other_format(&bytes) {
        return Err(LoadError::NotOnnx { file: file(), what });
    }
    wire::walk(&bytes, limits).map_err(|flaw| match flaw {
        Flaw::NotAModel => LoadError::NotOnnx { file: file(), what: "its contents are of some other kind" },
        Flaw::Truncated(missing) => LoadError::Truncated { file: file(), missing },
        Flaw::Damaged => LoadError::Damaged { file: file(), why: "a message in it is cut off".into() },
        Flaw::Nested => LoadError::Nesting { file: file(), limit: limits.nesting },
        Flaw::Nodes => LoadError::Count { file: file(), what: "nodes", limit: limits.nodes },
        Flaw::Messages => LoadError::Count { file: file(), what: "parts", limit: limits.messages },
    })?;
    let mut proto = ModelProto::decode(bytes).map_err(|e| LoadError::Damaged { file: file(), why: e.to_string() })?;
    if proto.graph.is_none() {
        return Err(LoadError::NotOnnx { file: file(), what: "it holds no graph" });
    }
    if proto.ir_version() < OLDEST_IR {
        return Err(LoadError::IrVersion { file: file(), found: proto.ir_version() });
    }
    if let Some(found) = standard_opset(&proto).filter(|&o| o < OLDEST_OPSET) {
        return Err(LoadError::Opset { file: file(), found });
    }
    let data = external::resolve(&mut proto, &subject, limits)?;
    Ok(Model { data, ..Model::assemble(proto, subject.0, limits.clone()) })
}

/// Reads a regular file of at most `limit` bytes.
pub(super) fn read_file(path: &Path, limit: u64) -> Result<Bytes, LoadError> {
    let subject = Subject(Some(path.to_owned()));
    let failed = |source| LoadError::Read { file: subject.clone(), source };
    let found = std::fs::metadata(path).map_err(failed)?;
    if !found.is_file() {
        return Err(LoadError::NotAFile { file: subject });
    }
    let too_large = |size| LoadError::TooLarge { file: subject.clone(), size, limit };
    if found.len() > limit {
        return Err(too_large(found.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
    // The file may have grown since.
    let limited = File::open(path).map_err(failed)?.take(limit.saturating_add(1));
    { limited }.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes.into())
}

/// Whether these are the few lines that Git LFS keeps in place of a file.
pub(super) fn is_lfs_pointer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"version https://git-lfs.github.com/spec/")
        || bytes.starts_with(b"version https://hawser.github.com/spec/")
}

/// What files that are mistaken for models begin with: offset, bytes, what it is.
const OTHER_FORMATS: [(usize, &[u8], &str); 14] = [
    (0, b"PK\x03\x04", "it is a ZIP archive (perhaps a PyTorch checkpoint)"),
    (0, b"\x80\x02", "it is a Python pickle (perhaps a PyTorch checkpoint)"),
    (4, b"TFL3", "it is a TensorFlow Lite model"),
    (4, b"ORTM", "it is a model in ONNX Runtime's own format"),
    (0, b"\x89HDF", "it is an HDF5 file (perhaps a Keras model)"),
    (0, b"\x1f\x8b", "it is compressed with gzip"),
    (0, b"GGUF", "it is a GGUF model"),
    (0, b"<!DOCTYPE", "it is a web page"),
    (0, b"<!doctype", "it is a web page"),
    (0, b"<html", "it is a web page"),
    (0, b"<?xml", "it is an XML file (perhaps an OpenVINO model)"),
    (0, b"\x89PNG", "it is a picture"),
    (0, b"\xff\xd8\xff", "it is a picture"),
    (4, b"ftyp", "it is a video"),
];

fn other_format(bytes: &[u8]) -> Option<&'static str> {
    let known = OTHER_FORMATS.iter();
    let begins = |at: usize, magic: &[u8]| bytes.get(at..).is_some_and(|b| b.starts_with(magic));
    known.into_iter().find(|(at, magic, _)| begins(*at, magic)).map(|(.., what)| *what)
}

/// Which file a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject(pub Option<PathBuf>);

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(path) => write!(f, "{}", path.display()),
            None => f.write_str("the model in memory"),
        }
    }
}

/// Why a model cannot be loaded: one sentence. [`LoadError::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the sentences say it")]
pub enum LoadError {
    #[error("{file} cannot be read: {source}")]
    Read { file: Subject, source: std::io::Error },
    #[error("{file} is not a file")]
    NotAFile { file: Subject },
    #[error("{file} is empty")]
    Empty { file: Subject },
    #[error("{file} has {size} bytes, more than the {limit} that are allowed")]
    TooLarge { file: Subject, size: u64, limit: u64 },
    #[error("{file} is not the model but a Git LFS pointer to it")]
    LfsPointer { file: Subject },
    #[error("{file} is not an ONNX model: {what}")]
    NotOnnx { file: Subject, what: &'static str },
    #[error("{file} is truncated: at least {missing} bytes are missing at its end")]
    Truncated { file: Subject, missing: u64 },
    #[error("{file} is damaged: {why}")]
    Damaged { file: Subject, why: String },
    #[error("{file} nests graphs more than {limit} deep")]
    Nesting { file: Subject, limit: usize },
    #[error("{file} has more than {limit} {what}")]
    Count { file: Subject, what: &'static str, limit: usize },
    #[error("{file} has IR version {found}; 3 is the oldest that is understood")]
    IrVersion { file: Subject, found: i64 },
    #[error("{file} uses operator set {found} of ai.onnx; 7 is the oldest that is understood")]
    Opset { file: Subject, found: i64 },
    #[error("the tensor {tensor:?} of {file} is damaged: {source}")]
    Tensor { file: Subject, tensor: String, source: TensorError },
    #[error("the tensor {tensor:?} of {file} has {size} bytes, more than the {limit} that are allowed")]
    TensorTooLarge { file: Subject, tensor: String, size: u64, limit: u64 },
    #[error("{data} with the weights of {file} is missing (tensor {tensor:?} is in it)")]
    ExternalMissing { file: Subject, tensor: String, data: PathBuf },
    #[error("the tensor {tensor:?} of {file} is said to be in {location:?}, which {why}")]
    ExternalOutside { file: Subject, tensor: String, location: String, why: &'static str },
    #[error("{data} is too short for {file}: the tensor {tensor:?} ends at byte {end} and the file at {size}")]
    ExternalShort { file: Subject, tensor: String, data: PathBuf, end: u64, size: u64 },
    #[error("where the tensor {tensor:?} of {file} is kept is unclear: {why}")]
    ExternalUnclear { file: Subject, tensor: String, why: String },
    #[error("the external data of {file} are more than the {limit} bytes that are allowed")]
    ExternalTooLarge { file: Subject, limit: u64 },
    #[error("{file} keeps its weights in other files, which cannot be found for a model in memory")]
    ExternalWithoutFolder { file: Subject },
}

impl LoadError {
    /// What to do about it, in one sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => "check the path".into(),
            Self::Read { .. } => "check the path and the permissions of the file".into(),
            Self::NotAFile { .. } => "name the .onnx file itself".into(),
            Self::LfsPointer { .. } => "run `git lfs pull` in the repository, or download the file itself".into(),
            Self::NotOnnx { .. } => "export the model to ONNX and name that file".into(),
            Self::Empty { .. } | Self::Truncated { .. } => {
                "download or copy the file again; the transfer did not finish".into()
            }
            Self::Damaged { .. } | Self::Tensor { .. } | Self::ExternalUnclear { .. } => {
                "download the file again, or check it with onnx.checker and export it again".into()
            }
            Self::TooLarge { .. }
            | Self::TensorTooLarge { .. }
            | Self::ExternalTooLarge { .. }
            | Self::Nesting { .. }
            | Self::Count { .. } => {
                "this is far beyond any image classifier; raise the limits only for a file you trust".into()
            }
            Self::IrVersion { .. } | Self::Opset { .. } => {
                "export the model again with operator set 13 or later, or convert it with onnx.version_converter".into()
            }
            Self::ExternalMissing { data, .. } => format!(
                "put {} beside the model; it belongs to it",
                data.file_name().map_or_else(|| data.to_string_lossy(), |n| n.to_string_lossy())
            ),
            Self::ExternalOutside { .. } => {
                "put the data file into the folder of the model and save the model anew with that name".into()
            }
            Self::ExternalShort { .. } => {
                "download or copy the data file again, and see that it belongs to this model".into()
            }
            Self::ExternalWithoutFolder { .. } => {
                "load the model from its file, or save it with the weights inside".into()
            }
        }
    }
}
