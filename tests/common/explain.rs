//! What the tests of `explain` share: ONNX Runtime, material, tensors, models of a few nodes.
#![allow(dead_code)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

use gradcast::onnx::{self, Attributes, DataType, Graph, Tensor, ValueId};
use ort::session::{Session, SessionInputValue};
use ort::value::TensorElementType;

/// A tensor on its way into or out of a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    F32(Vec<usize>, Vec<f32>),
    F16(Vec<usize>, Vec<half::f16>),
    I64(Vec<usize>, Vec<i64>),
    U8(Vec<usize>, Vec<u8>),
}

impl Data {
    pub fn dims(&self) -> &[usize] {
        match self {
            Self::F32(d, _) | Self::F16(d, _) | Self::I64(d, _) | Self::U8(d, _) => d,
        }
    }

    pub fn f32(&self) -> Vec<f32> {
        match self {
            Self::F32(_, v) => v.clone(),
            Self::F16(_, v) => v.iter().map(|v| v.to_f32()).collect(),
            Self::I64(_, v) => v.iter().map(|&v| v as f32).collect(),
            Self::U8(_, v) => v.iter().map(|&v| f32::from(v)).collect(),
        }
    }

    pub fn i64(&self) -> Vec<i64> {
        match self {
            Self::I64(_, v) => v.clone(),
            _ => panic!("not int64"),
        }
    }
}

/// A file of the material, or `None` (said) where there is none.
pub fn material(name: &str) -> Option<PathBuf> {
    let path = super::material()?.join(name);
    if !path.exists() {
        eprintln!("skipped: {name} is not in the material");
        return None;
    }
    Some(path)
}

/// A model of the material.
pub fn model(name: &str) -> Option<onnx::Model> {
    let path = material(&format!("models/{name}"))?;
    Some(onnx::load(&path, &onnx::Limits::default()).expect("the model loads"))
}

/// A session that keeps what it was made of simple: names in, names out.
pub struct Runner(Session);

impl Runner {
    pub fn new(bytes: &[u8]) -> Self {
        Self::try_new(bytes).unwrap_or_else(|error| panic!("ONNX Runtime refuses the model: {error}"))
    }

    pub fn try_new(bytes: &[u8]) -> Result<Self, String> {
        let environment = super::runtime();
        let open = || -> ort::Result<Session> {
            Session::builder(&environment)?.with_intra_threads(1)?.commit_from_memory(bytes)
        };
        open().map(Self).map_err(|error| error.to_string())
    }

    pub fn of(model: &onnx::Model) -> Self {
        Self::new(&model.to_bytes())
    }

    pub fn run(&mut self, inputs: &[(&str, Data)]) -> HashMap<String, Data> {
        self.try_run(inputs).unwrap_or_else(|error| panic!("the run failed: {error}"))
    }

    pub fn try_run(&mut self, inputs: &[(&str, Data)]) -> Result<HashMap<String, Data>, String> {
        let mut fed: Vec<(Cow<str>, SessionInputValue)> = Vec::new();
        for (name, data) in inputs {
            let value: SessionInputValue = match data.clone() {
                Data::F32(d, v) => ort::value::Tensor::from_array((d, v)).unwrap().into(),
                Data::F16(d, v) => ort::value::Tensor::from_array((d, v)).unwrap().into(),
                Data::I64(d, v) => ort::value::Tensor::from_array((d, v)).unwrap().into(),
                Data::U8(d, v) => ort::value::Tensor::from_array((d, v)).unwrap().into(),
            };
            fed.push(((*name).to_owned().into(), value));
        }
        let outputs = self.0.run(fed).map_err(|error| error.to_string())?;
        let mut read = HashMap::new();
        for (name, value) in outputs.iter() {
            let dims: Vec<usize> = value.shape().iter().map(|&d| d as usize).collect();
            let data = match value.dtype().tensor_type() {
                Some(TensorElementType::Float32) => {
                    Data::F32(dims, value.try_extract_tensor::<f32>().unwrap().1.to_vec())
                }
                Some(TensorElementType::Float16) => {
                    Data::F16(dims, value.try_extract_tensor::<half::f16>().unwrap().1.to_vec())
                }
                Some(TensorElementType::Int64) => {
                    Data::I64(dims, value.try_extract_tensor::<i64>().unwrap().1.to_vec())
                }
                Some(TensorElementType::Uint8) => Data::U8(dims, value.try_extract_tensor::<u8>().unwrap().1.to_vec()),
                other => panic!("an output of type {other:?}"),
            };
            read.insert(name.to_owned(), data);
        }
        Ok(read)
    }
}

/// Numbers that look random and are the same everywhere (xorshift), in [-1, 1).
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 40) as f32) / (1u64 << 23) as f32 - 1.0
    }

    pub fn vec(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.next()).collect()
    }

    /// Distinct numbers at least `gap` apart from each other and `gap / 2` from 0, in random order.
    pub fn spaced(&mut self, n: usize, gap: f32) -> Vec<f32> {
        let mut values: Vec<f32> = (0..n).map(|i| (i as f32 - n as f32 / 2.0 + 0.5) * gap).collect();
        if n % 2 == 1 {
            values.iter_mut().for_each(|v| *v += gap / 2.0);
        }
        for i in (1..n).rev() {
            let j = ((self.next() + 1.0) / 2.0 * (i + 1) as f32) as usize;
            values.swap(i, j.min(i));
        }
        values
    }
}

/// A graph of the given operator set with one input.
pub fn graph(opset: i64) -> Graph {
    use gradcast::onnx::schema::{GraphProto, ModelProto, OperatorSetIdProto};
    use prost::Message as _;
    let proto = ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto { domain: None, version: Some(opset) }],
        graph: Some(GraphProto { name: Some("test".into()), ..Default::default() }),
        ..Default::default()
    };
    let model = onnx::Model::from_bytes(proto.encode_to_vec(), &onnx::Limits::default()).expect("an empty model");
    Graph::from_model(&model).expect("an empty graph")
}

pub fn input(graph: &mut Graph, name: &str, dims: &[usize]) -> ValueId {
    graph.add_input(name, DataType::Float, dims)
}

pub fn node(graph: &mut Graph, op: &str, inputs: &[ValueId], attributes: Attributes) -> ValueId {
    let inputs: Vec<_> = inputs.iter().copied().map(Some).collect();
    graph.add_node(op, &inputs, 1, attributes)[0]
}

pub fn floats(graph: &mut Graph, dims: &[usize], values: &[f32]) -> ValueId {
    graph.add_constant(Tensor::f32(dims, values))
}

pub fn ints(graph: &mut Graph, values: &[i64]) -> ValueId {
    graph.add_constant(Tensor::i64(&[values.len()], values))
}

/// `‖a − b‖ / ‖b‖`.
pub fn relative(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |v: f64| v * v;
    let difference: f64 = a.iter().zip(b).map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
    let size: f64 = b.iter().map(|&b| square(f64::from(b))).sum();
    (difference / size.max(1e-30)).sqrt()
}

/// The largest difference over the largest size of `b`.
pub fn relative_max(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = b.iter().fold(0f32, |m, v| m.max(v.abs()));
    let difference = a.iter().zip(b).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    difference / largest.max(1e-30)
}

/// Pearson's correlation.
pub fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let n = a.len() as f64;
    let mean = |v: &[f32]| v.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x) - ma, f64::from(y) - mb);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    ab / (aa * bb).sqrt().max(1e-30)
}

/// A smooth picture `[N,3,H,W]` in about [-1, 1], the same formula as in tests/oracle.
pub fn pattern(batch: usize, height: usize, width: usize, seed: u32) -> Vec<f32> {
    let mut values = Vec::with_capacity(batch * 3 * height * width);
    for n in 0..batch {
        for c in 0..3 {
            for y in 0..height {
                for x in 0..width {
                    let (u, v) = (y as f64 / height as f64, x as f64 / width as f64);
                    let k = f64::from(seed) + n as f64 + 0.5 * f64::from(c as u32);
                    let value = (9.0 * u + k).sin() * (7.0 * v - 0.7 * k).cos() + 0.5 * (31.0 * u * v + 2.0 * k).sin();
                    values.push((value / 1.5) as f32);
                }
            }
        }
    }
    values
}

/// A photo of the material as frames: uint8 `[1,H,W,3]`.
pub fn photo(name: &str) -> Option<Data> {
    let file = std::fs::File::open(material(&format!("images/{name}"))?).expect("the photo opens");
    let mut reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().expect("a PNG");
    let mut bytes = vec![0; reader.output_buffer_size().expect("it fits")];
    let info = reader.next_frame(&mut bytes).expect("the photo decodes");
    let channels = info.color_type.samples();
    let rgb: Vec<u8> = bytes.chunks(channels).flat_map(|pixel| pixel[..3].to_vec()).collect();
    Some(Data::U8(vec![1, info.height as usize, info.width as usize, 3], rgb))
}
