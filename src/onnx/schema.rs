//! The ONNX schema (`onnx-ml.proto` of ONNX 1.23, IR version 14) as prost messages.
//!
//! The messages are proto2: every singular field is an `Option`, so a field that was written with
//! its default value is told apart from one that was not written, and decoding followed by
//! encoding gives the same bytes. Fields are written in the order of their tags, as every protobuf
//! library does. The members of a `oneof` are plain optional fields, because prost writes a `oneof`
//! in one place while its members may stand on both sides of another field ([`TypeProto`]).
//!
//! Field meanings are those of the ONNX specification (`docs/IR.md` there); only what is not
//! obvious is repeated.

use bytes::Bytes;

/// The type of the elements of a tensor (`TensorProto.DataType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum DataType {
    /// Not given.
    Undefined = 0,
    /// IEEE 754 binary32.
    Float = 1,
    /// Unsigned 8-bit integer.
    Uint8 = 2,
    /// Signed 8-bit integer.
    Int8 = 3,
    /// Unsigned 16-bit integer.
    Uint16 = 4,
    /// Signed 16-bit integer.
    Int16 = 5,
    /// Signed 32-bit integer.
    Int32 = 6,
    /// Signed 64-bit integer.
    Int64 = 7,
    /// UTF-8 strings, which have no fixed size.
    String = 8,
    /// One byte, 0 or 1.
    Bool = 9,
    /// IEEE 754 binary16.
    Float16 = 10,
    /// IEEE 754 binary64.
    Double = 11,
    /// Unsigned 32-bit integer.
    Uint32 = 12,
    /// Unsigned 64-bit integer.
    Uint64 = 13,
    /// Two binary32: real, imaginary.
    Complex64 = 14,
    /// Two binary64: real, imaginary.
    Complex128 = 15,
    /// The upper half of a binary32.
    Bfloat16 = 16,
    /// 8-bit float, no infinities.
    Float8e4m3fn = 17,
    /// 8-bit float, no infinities, no negative zero.
    Float8e4m3fnuz = 18,
    /// 8-bit float.
    Float8e5m2 = 19,
    /// 8-bit float, no infinities, no negative zero.
    Float8e5m2fnuz = 20,
    /// Unsigned 4-bit integer, two in a byte.
    Uint4 = 21,
    /// Signed 4-bit integer, two in a byte.
    Int4 = 22,
    /// 4-bit float, two in a byte.
    Float4e2m1 = 23,
    /// 8-bit power of two.
    Float8e8m0 = 24,
    /// Unsigned 2-bit integer, four in a byte.
    Uint2 = 25,
    /// Signed 2-bit integer, four in a byte.
    Int2 = 26,
    /// 6-bit float.
    Float6e2m3 = 27,
    /// 6-bit float.
    Float6e3m2 = 28,
}

/// Which field of an [`AttributeProto`] is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum AttributeType {
    /// Not given.
    Undefined = 0,
    /// `f`
    Float = 1,
    /// `i`
    Int = 2,
    /// `s`
    String = 3,
    /// `t`
    Tensor = 4,
    /// `g`
    Graph = 5,
    /// `floats`
    Floats = 6,
    /// `ints`
    Ints = 7,
    /// `strings`
    Strings = 8,
    /// `tensors`
    Tensors = 9,
    /// `graphs`
    Graphs = 10,
    /// `sparse_tensor`
    SparseTensor = 11,
    /// `sparse_tensors`
    SparseTensors = 12,
    /// `tp`
    TypeProto = 13,
    /// `type_protos`
    TypeProtos = 14,
}

/// Where the contents of a [`TensorProto`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum DataLocation {
    /// In the message itself.
    Default = 0,
    /// In another file, named by `external_data`.
    External = 1,
}

/// A named attribute of a node.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeProto {
    /// `optional string name`
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// `optional float f`
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    /// `optional int64 i`
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// `optional bytes s`
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub s: Option<Bytes>,
    /// `optional TensorProto t`
    #[prost(message, optional, boxed, tag = "5")]
    pub t: Option<Box<TensorProto>>,
    /// `optional GraphProto g`
    #[prost(message, optional, boxed, tag = "6")]
    pub g: Option<Box<GraphProto>>,
    /// `repeated float floats`
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub floats: Vec<f32>,
    /// `repeated int64 ints`
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// `repeated bytes strings`
    #[prost(bytes = "bytes", repeated, tag = "9")]
    pub strings: Vec<Bytes>,
    /// `repeated TensorProto tensors`
    #[prost(message, repeated, tag = "10")]
    pub tensors: Vec<TensorProto>,
    /// `repeated GraphProto graphs`
    #[prost(message, repeated, tag = "11")]
    pub graphs: Vec<GraphProto>,
    /// `optional string doc_string`
    #[prost(string, optional, tag = "13")]
    pub doc_string: Option<String>,
    /// `optional TypeProto tp`
    #[prost(message, optional, boxed, tag = "14")]
    pub tp: Option<Box<TypeProto>>,
    /// `repeated TypeProto type_protos`
    #[prost(message, repeated, tag = "15")]
    pub type_protos: Vec<TypeProto>,
    /// `optional AttributeType type`
    #[prost(enumeration = "AttributeType", optional, tag = "20")]
    pub r#type: Option<i32>,
    /// `optional string ref_attr_name`
    #[prost(string, optional, tag = "21")]
    pub ref_attr_name: Option<String>,
    /// `optional SparseTensorProto sparse_tensor`
    #[prost(message, optional, boxed, tag = "22")]
    pub sparse_tensor: Option<Box<SparseTensorProto>>,
    /// `repeated SparseTensorProto sparse_tensors`
    #[prost(message, repeated, tag = "23")]
    pub sparse_tensors: Vec<SparseTensorProto>,
}

/// The name and type of a value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ValueInfoProto {
    /// `optional string name`
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// `optional TypeProto type`
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
    /// `optional string doc_string`
    #[prost(string, optional, tag = "3")]
    pub doc_string: Option<String>,
    /// `repeated StringStringEntryProto metadata_props`
    #[prost(message, repeated, tag = "4")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// One operator call.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NodeProto {
    /// `repeated string input`
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// `repeated string output`
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// `optional string name`
    #[prost(string, optional, tag = "3")]
    pub name: Option<String>,
    /// `optional string op_type`
    #[prost(string, optional, tag = "4")]
    pub op_type: Option<String>,
    /// `repeated AttributeProto attribute`
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    /// `optional string doc_string`
    #[prost(string, optional, tag = "6")]
    pub doc_string: Option<String>,
    /// `optional string domain`
    #[prost(string, optional, tag = "7")]
    pub domain: Option<String>,
    /// `optional string overload`
    #[prost(string, optional, tag = "8")]
    pub overload: Option<String>,
    /// `repeated StringStringEntryProto metadata_props`
    #[prost(message, repeated, tag = "9")]
    pub metadata_props: Vec<StringStringEntryProto>,
    /// `repeated NodeDeviceConfigurationProto device_configurations`
    #[prost(message, repeated, tag = "10")]
    pub device_configurations: Vec<NodeDeviceConfigurationProto>,
}

/// A key and a list of integers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct IntIntListEntryProto {
    /// `optional int64 key`
    #[prost(int64, optional, tag = "1")]
    pub key: Option<i64>,
    /// `repeated int64 value`
    #[prost(int64, repeated, packed = "false", tag = "2")]
    pub value: Vec<i64>,
}

/// How a node is spread over devices.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NodeDeviceConfigurationProto {
    /// `optional string configuration_id`
    #[prost(string, optional, tag = "1")]
    pub configuration_id: Option<String>,
    /// `repeated ShardingSpecProto sharding_spec`
    #[prost(message, repeated, tag = "2")]
    pub sharding_spec: Vec<ShardingSpecProto>,
    /// `optional int32 pipeline_stage`
    #[prost(int32, optional, tag = "3")]
    pub pipeline_stage: Option<i32>,
}

/// How a tensor is spread over devices.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShardingSpecProto {
    /// `optional string tensor_name`
    #[prost(string, optional, tag = "1")]
    pub tensor_name: Option<String>,
    /// `repeated int64 device`
    #[prost(int64, repeated, packed = "false", tag = "2")]
    pub device: Vec<i64>,
    /// `repeated IntIntListEntryProto index_to_device_group_map`
    #[prost(message, repeated, tag = "3")]
    pub index_to_device_group_map: Vec<IntIntListEntryProto>,
    /// `repeated ShardedDimProto sharded_dim`
    #[prost(message, repeated, tag = "4")]
    pub sharded_dim: Vec<ShardedDimProto>,
}

/// How one axis is sharded.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShardedDimProto {
    /// `optional int64 axis`
    #[prost(int64, optional, tag = "1")]
    pub axis: Option<i64>,
    /// `repeated SimpleShardedDimProto simple_sharding`
    #[prost(message, repeated, tag = "2")]
    pub simple_sharding: Vec<SimpleShardedDimProto>,
}

/// One part of a sharded axis; its size is `dim_value` or `dim_param`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SimpleShardedDimProto {
    /// `optional int64 dim_value`
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    /// `optional string dim_param`
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
    /// `optional int64 num_shards`
    #[prost(int64, optional, tag = "3")]
    pub num_shards: Option<i64>,
}

/// How a model is trained.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TrainingInfoProto {
    /// `optional GraphProto initialization`
    #[prost(message, optional, tag = "1")]
    pub initialization: Option<GraphProto>,
    /// `optional GraphProto algorithm`
    #[prost(message, optional, tag = "2")]
    pub algorithm: Option<GraphProto>,
    /// `repeated StringStringEntryProto initialization_binding`
    #[prost(message, repeated, tag = "3")]
    pub initialization_binding: Vec<StringStringEntryProto>,
    /// `repeated StringStringEntryProto update_binding`
    #[prost(message, repeated, tag = "4")]
    pub update_binding: Vec<StringStringEntryProto>,
}

/// A whole file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelProto {
    /// `optional int64 ir_version`
    #[prost(int64, optional, tag = "1")]
    pub ir_version: Option<i64>,
    /// `optional string producer_name`
    #[prost(string, optional, tag = "2")]
    pub producer_name: Option<String>,
    /// `optional string producer_version`
    #[prost(string, optional, tag = "3")]
    pub producer_version: Option<String>,
    /// `optional string domain`
    #[prost(string, optional, tag = "4")]
    pub domain: Option<String>,
    /// `optional int64 model_version`
    #[prost(int64, optional, tag = "5")]
    pub model_version: Option<i64>,
    /// `optional string doc_string`
    #[prost(string, optional, tag = "6")]
    pub doc_string: Option<String>,
    /// `optional GraphProto graph`
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// `repeated OperatorSetIdProto opset_import`
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    /// `repeated StringStringEntryProto metadata_props`
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
    /// `repeated TrainingInfoProto training_info`
    #[prost(message, repeated, tag = "20")]
    pub training_info: Vec<TrainingInfoProto>,
    /// `repeated FunctionProto functions`
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<FunctionProto>,
    /// `repeated DeviceConfigurationProto configuration`
    #[prost(message, repeated, tag = "26")]
    pub configuration: Vec<DeviceConfigurationProto>,
}

/// A set of devices.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeviceConfigurationProto {
    /// `optional string name`
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// `optional int32 num_devices`
    #[prost(int32, optional, tag = "2")]
    pub num_devices: Option<i32>,
    /// `repeated string device`
    #[prost(string, repeated, tag = "3")]
    pub device: Vec<String>,
}

/// A key and a value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StringStringEntryProto {
    /// `optional string key`
    #[prost(string, optional, tag = "1")]
    pub key: Option<String>,
    /// `optional string value`
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
}

/// Quantisation parameters of a tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorAnnotation {
    /// `optional string tensor_name`
    #[prost(string, optional, tag = "1")]
    pub tensor_name: Option<String>,
    /// `repeated StringStringEntryProto quant_parameter_tensor_names`
    #[prost(message, repeated, tag = "2")]
    pub quant_parameter_tensor_names: Vec<StringStringEntryProto>,
}

/// Nodes, initialisers, inputs and outputs; also the body of a control-flow operator.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GraphProto {
    /// `repeated NodeProto node`
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// `optional string name`
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    /// `repeated TensorProto initializer`
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// `optional string doc_string`
    #[prost(string, optional, tag = "10")]
    pub doc_string: Option<String>,
    /// `repeated ValueInfoProto input`
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// `repeated ValueInfoProto output`
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
    /// `repeated ValueInfoProto value_info`
    #[prost(message, repeated, tag = "13")]
    pub value_info: Vec<ValueInfoProto>,
    /// `repeated TensorAnnotation quantization_annotation`
    #[prost(message, repeated, tag = "14")]
    pub quantization_annotation: Vec<TensorAnnotation>,
    /// `repeated SparseTensorProto sparse_initializer`
    #[prost(message, repeated, tag = "15")]
    pub sparse_initializer: Vec<SparseTensorProto>,
    /// `repeated StringStringEntryProto metadata_props`
    #[prost(message, repeated, tag = "16")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// A part of a tensor.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct TensorSegment {
    /// `optional int64 begin`
    #[prost(int64, optional, tag = "1")]
    pub begin: Option<i64>,
    /// `optional int64 end`
    #[prost(int64, optional, tag = "2")]
    pub end: Option<i64>,
}

/// A constant tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorProto {
    /// `repeated int64 dims`
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// `optional int32 data_type`
    #[prost(enumeration = "DataType", optional, tag = "2")]
    pub data_type: Option<i32>,
    /// `optional Segment segment`
    #[prost(message, optional, tag = "3")]
    pub segment: Option<TensorSegment>,
    /// `repeated float float_data`
    #[prost(float, repeated, packed = "true", tag = "4")]
    pub float_data: Vec<f32>,
    /// `repeated int32 int32_data`
    #[prost(int32, repeated, packed = "true", tag = "5")]
    pub int32_data: Vec<i32>,
    /// `repeated bytes string_data`
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub string_data: Vec<Bytes>,
    /// `repeated int64 int64_data`
    #[prost(int64, repeated, packed = "true", tag = "7")]
    pub int64_data: Vec<i64>,
    /// `optional string name`
    #[prost(string, optional, tag = "8")]
    pub name: Option<String>,
    /// `optional bytes raw_data`
    #[prost(bytes = "bytes", optional, tag = "9")]
    pub raw_data: Option<Bytes>,
    /// `repeated double double_data`
    #[prost(double, repeated, packed = "true", tag = "10")]
    pub double_data: Vec<f64>,
    /// `repeated uint64 uint64_data`
    #[prost(uint64, repeated, packed = "true", tag = "11")]
    pub uint64_data: Vec<u64>,
    /// `optional string doc_string`
    #[prost(string, optional, tag = "12")]
    pub doc_string: Option<String>,
    /// `repeated StringStringEntryProto external_data`
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringStringEntryProto>,
    /// `optional DataLocation data_location`
    #[prost(enumeration = "DataLocation", optional, tag = "14")]
    pub data_location: Option<i32>,
    /// `repeated StringStringEntryProto metadata_props`
    #[prost(message, repeated, tag = "16")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// A sparse constant: non-zero `values` at `indices`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SparseTensorProto {
    /// `optional TensorProto values`
    #[prost(message, optional, tag = "1")]
    pub values: Option<TensorProto>,
    /// `optional TensorProto indices`
    #[prost(message, optional, tag = "2")]
    pub indices: Option<TensorProto>,
    /// `repeated int64 dims`
    #[prost(int64, repeated, packed = "false", tag = "3")]
    pub dims: Vec<i64>,
}

/// One dimension: a number (`dim_value`), a name (`dim_param`), or unknown.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Dimension {
    /// `optional int64 dim_value`
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    /// `optional string dim_param`
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
    /// `optional string denotation`
    #[prost(string, optional, tag = "3")]
    pub denotation: Option<String>,
}

/// The shape of a tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorShapeProto {
    /// `repeated Dimension dim`
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// The type of a dense tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorTypeProto {
    /// `optional int32 elem_type`
    #[prost(enumeration = "DataType", optional, tag = "1")]
    pub elem_type: Option<i32>,
    /// `optional TensorShapeProto shape`
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// The type of a sequence.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SequenceTypeProto {
    /// `optional TypeProto elem_type`
    #[prost(message, optional, boxed, tag = "1")]
    pub elem_type: Option<Box<TypeProto>>,
}

/// The type of a map.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MapTypeProto {
    /// `optional int32 key_type`
    #[prost(int32, optional, tag = "1")]
    pub key_type: Option<i32>,
    /// `optional TypeProto value_type`
    #[prost(message, optional, boxed, tag = "2")]
    pub value_type: Option<Box<TypeProto>>,
}

/// The type of an optional value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OptionalTypeProto {
    /// `optional TypeProto elem_type`
    #[prost(message, optional, boxed, tag = "1")]
    pub elem_type: Option<Box<TypeProto>>,
}

/// The type of a sparse tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SparseTensorTypeProto {
    /// `optional int32 elem_type`
    #[prost(enumeration = "DataType", optional, tag = "1")]
    pub elem_type: Option<i32>,
    /// `optional TensorShapeProto shape`
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// A type known to its domain only.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OpaqueTypeProto {
    /// `optional string domain`
    #[prost(string, optional, tag = "1")]
    pub domain: Option<String>,
    /// `optional string name`
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
}

/// The type of a value; exactly one of the `…_type` fields is set.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TypeProto {
    /// `optional Tensor tensor_type`
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
    /// `optional Sequence sequence_type`
    #[prost(message, optional, tag = "4")]
    pub sequence_type: Option<SequenceTypeProto>,
    /// `optional Map map_type`
    #[prost(message, optional, tag = "5")]
    pub map_type: Option<MapTypeProto>,
    /// `optional string denotation`
    #[prost(string, optional, tag = "6")]
    pub denotation: Option<String>,
    /// `optional Opaque opaque_type`
    #[prost(message, optional, tag = "7")]
    pub opaque_type: Option<OpaqueTypeProto>,
    /// `optional SparseTensor sparse_tensor_type`
    #[prost(message, optional, tag = "8")]
    pub sparse_tensor_type: Option<SparseTensorTypeProto>,
    /// `optional Optional optional_type`
    #[prost(message, optional, tag = "9")]
    pub optional_type: Option<OptionalTypeProto>,
}

/// A version of the operators of a domain.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OperatorSetIdProto {
    /// `optional string domain`
    #[prost(string, optional, tag = "1")]
    pub domain: Option<String>,
    /// `optional int64 version`
    #[prost(int64, optional, tag = "2")]
    pub version: Option<i64>,
}

/// An operator defined by a graph of others.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FunctionProto {
    /// `optional string name`
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// `repeated string input`
    #[prost(string, repeated, tag = "4")]
    pub input: Vec<String>,
    /// `repeated string output`
    #[prost(string, repeated, tag = "5")]
    pub output: Vec<String>,
    /// `repeated string attribute`
    #[prost(string, repeated, tag = "6")]
    pub attribute: Vec<String>,
    /// `repeated NodeProto node`
    #[prost(message, repeated, tag = "7")]
    pub node: Vec<NodeProto>,
    /// `optional string doc_string`
    #[prost(string, optional, tag = "8")]
    pub doc_string: Option<String>,
    /// `repeated OperatorSetIdProto opset_import`
    #[prost(message, repeated, tag = "9")]
    pub opset_import: Vec<OperatorSetIdProto>,
    /// `optional string domain`
    #[prost(string, optional, tag = "10")]
    pub domain: Option<String>,
    /// `repeated AttributeProto attribute_proto`
    #[prost(message, repeated, tag = "11")]
    pub attribute_proto: Vec<AttributeProto>,
    /// `repeated ValueInfoProto value_info`
    #[prost(message, repeated, tag = "12")]
    pub value_info: Vec<ValueInfoProto>,
    /// `optional string overload`
    #[prost(string, optional, tag = "13")]
    pub overload: Option<String>,
    /// `repeated StringStringEntryProto metadata_props`
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
}
