//! Tensors whose contents are in other files: found only in the model's own folder, read into
//! memory. Every tensor is checked on the way.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use super::load::{Limits, LoadError, Subject, is_lfs_pointer, read_file};
use super::schema::{AttributeProto, DataLocation, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto};
use super::tensor;

/// Checks every tensor of a model and reads external ones into it. Tells which files they came from.
pub(super) fn resolve(model: &mut ModelProto, subject: &Subject, limits: &Limits) -> Result<Vec<PathBuf>, LoadError> {
    let mut reader = Reader { subject, limits, folder: None, files: HashMap::new(), total: 0 };
    let graphs = model
        .graph
        .iter_mut()
        .chain(model.training_info.iter_mut().flat_map(|t| t.initialization.iter_mut().chain(&mut t.algorithm)));
    for graph in graphs {
        reader.graph(graph)?;
    }
    for function in &mut model.functions {
        reader.nodes(&mut function.node)?;
        reader.attributes(&mut function.attribute_proto)?;
    }
    Ok(reader.files.into_keys().collect())
}

struct Reader<'a> {
    subject: &'a Subject,
    limits: &'a Limits,
    /// The folder of the model, links resolved; found when first needed.
    folder: Option<PathBuf>,
    files: HashMap<PathBuf, Bytes>,
    total: u64,
}

impl Reader<'_> {
    fn graph(&mut self, graph: &mut GraphProto) -> Result<(), LoadError> {
        graph.initializer.iter_mut().try_for_each(|t| self.tensor(t))?;
        graph.sparse_initializer.iter_mut().try_for_each(|s| self.sparse(s))?;
        self.nodes(&mut graph.node)
    }

    fn nodes(&mut self, nodes: &mut [NodeProto]) -> Result<(), LoadError> {
        nodes.iter_mut().try_for_each(|n| self.attributes(&mut n.attribute))
    }

    fn attributes(&mut self, attributes: &mut [AttributeProto]) -> Result<(), LoadError> {
        for attribute in attributes {
            let tensors = attribute.t.as_deref_mut().into_iter().chain(&mut attribute.tensors);
            { tensors }.try_for_each(|t| self.tensor(t))?;
            let graphs = attribute.g.as_deref_mut().into_iter().chain(&mut attribute.graphs);
            { graphs }.try_for_each(|g| self.graph(g))?;
            let sparse = attribute.sparse_tensor.as_deref_mut().into_iter();
            sparse.chain(&mut attribute.sparse_tensors).try_for_each(|s| self.sparse(s))?;
        }
        Ok(())
    }

    fn sparse(&mut self, sparse: &mut SparseTensorProto) -> Result<(), LoadError> {
        sparse.values.iter_mut().chain(&mut sparse.indices).try_for_each(|t| self.tensor(t))
    }

    fn tensor(&mut self, tensor: &mut TensorProto) -> Result<(), LoadError> {
        let name = || tensor.name().to_owned();
        let file = || self.subject.clone();
        let size =
            tensor::verify(tensor).map_err(|source| LoadError::Tensor { file: file(), tensor: name(), source })?;
        let limit = self.limits.tensor_bytes;
        if size as u64 > limit {
            let size = size as u64;
            return Err(LoadError::TensorTooLarge { file: file(), tensor: name(), size, limit });
        }
        if tensor.data_location() != DataLocation::External {
            return Ok(());
        }
        let data = self.contents(tensor, size as u64)?;
        tensor.raw_data = Some(data);
        tensor.external_data.clear();
        tensor.data_location = None;
        Ok(())
    }

    /// The `size` bytes of a tensor in another file.
    fn contents(&mut self, tensor: &TensorProto, size: u64) -> Result<Bytes, LoadError> {
        let name = || tensor.name().to_owned();
        let unclear = |why: String| LoadError::ExternalUnclear { file: self.subject.clone(), tensor: name(), why };
        let entry = |key: &str| {
            let found = tensor.external_data.iter().find(|e| e.key() == key);
            found.map(|e| e.value().to_owned())
        };
        let number = |key: &str| {
            let parse = |v: String| v.trim().parse::<u64>().map_err(|_| unclear(format!("its {key} is {v:?}")));
            entry(key).map(parse).transpose()
        };
        let location = entry("location").filter(|l| !l.is_empty());
        let location = location.ok_or_else(|| unclear("no file is named".into()))?;
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?.unwrap_or(size);
        if length != size {
            return Err(unclear(format!("{length} bytes are kept of {size}")));
        }
        let path = self.locate(tensor.name(), &location)?;
        let data = self.file(&path)?;
        let end = offset.checked_add(length);
        let end = end.ok_or_else(|| unclear(format!("its offset is {offset}")))?;
        let total = data.len() as u64;
        if end > total {
            return Err(LoadError::ExternalShort {
                file: self.subject.clone(),
                tensor: name(),
                data: path,
                end,
                size: total,
            });
        }
        // Both fit into the file, so into memory.
        Ok(data.slice(offset as usize..end as usize))
    }

    /// The path of a data file, which must lie in the folder of the model.
    fn locate(&mut self, tensor: &str, location: &str) -> Result<PathBuf, LoadError> {
        let outside = |why| LoadError::ExternalOutside {
            file: self.subject.clone(),
            tensor: tensor.to_owned(),
            location: location.to_owned(),
            why,
        };
        let Some(model) = &self.subject.0 else {
            return Err(LoadError::ExternalWithoutFolder { file: self.subject.clone() });
        };
        let parent = match model.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        if location.contains('\0') {
            return Err(outside("is no file name"));
        }
        for part in Path::new(location).components() {
            match part {
                Component::Normal(_) | Component::CurDir => {}
                Component::ParentDir => return Err(outside("leaves the folder of the model")),
                Component::RootDir | Component::Prefix(_) => {
                    return Err(outside("is an absolute path"));
                }
            }
        }
        let wanted = parent.join(location);
        let missing = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => LoadError::ExternalMissing {
                file: self.subject.clone(),
                tensor: tensor.to_owned(),
                data: wanted.clone(),
            },
            _ => LoadError::Read { file: Subject(Some(wanted.clone())), source },
        };
        let found = wanted.canonicalize().map_err(missing)?;
        let folder = match &self.folder {
            Some(folder) => folder,
            None => {
                let real = parent.canonicalize();
                let failed = |source| LoadError::Read { file: self.subject.clone(), source };
                self.folder.insert(real.map_err(failed)?)
            }
        };
        if !found.starts_with(folder) {
            return Err(LoadError::ExternalOutside {
                file: self.subject.clone(),
                tensor: tensor.to_owned(),
                location: location.to_owned(),
                why: "is a link that leads out of the folder of the model",
            });
        }
        Ok(found)
    }

    /// A data file, read once.
    fn file(&mut self, path: &Path) -> Result<Bytes, LoadError> {
        if let Some(data) = self.files.get(path) {
            return Ok(data.clone());
        }
        let limit = self.limits.external_bytes;
        let data = match read_file(path, limit.saturating_sub(self.total)) {
            Err(LoadError::TooLarge { .. }) => {
                return Err(LoadError::ExternalTooLarge { file: self.subject.clone(), limit });
            }
            data => data?,
        };
        if is_lfs_pointer(&data) {
            return Err(LoadError::LfsPointer { file: Subject(Some(path.to_owned())) });
        }
        self.total += data.len() as u64;
        self.files.insert(path.to_owned(), data.clone());
        Ok(data)
    }
}
