//! Constant tensors: what an initialiser holds.

use bytes::Bytes;
use half::{bf16, f16};

use super::schema::{DataLocation, DataType, TensorProto};

/// Why bytes and dimensions do not make a tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// A dimension is below zero or the product of all overflows.
    #[error("its dimensions {0:?} are impossible")]
    Dims(Vec<i64>),
    /// The contents are shorter or longer than the dimensions say.
    #[error("its dimensions {dims:?} of {dtype:?} need {expected} bytes and it has {found}")]
    Size {
        /// The element type.
        dtype: DataType,
        /// The dimensions.
        dims: Vec<usize>,
        /// Bytes the dimensions ask for.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// The contents lie in another file and were not read.
    #[error("its contents are in another file and were not loaded")]
    External,
}

impl DataType {
    /// Bits of one element; `None` for types without a fixed (or a known) packing.
    pub fn bits(self) -> Option<usize> {
        Some(match self {
            Self::Uint2 | Self::Int2 => 2,
            Self::Uint4 | Self::Int4 | Self::Float4e2m1 => 4,
            Self::Bool
            | Self::Uint8
            | Self::Int8
            | Self::Float8e4m3fn
            | Self::Float8e4m3fnuz
            | Self::Float8e5m2
            | Self::Float8e5m2fnuz
            | Self::Float8e8m0 => 8,
            Self::Uint16 | Self::Int16 | Self::Float16 | Self::Bfloat16 => 16,
            Self::Float | Self::Int32 | Self::Uint32 => 32,
            Self::Double | Self::Int64 | Self::Uint64 | Self::Complex64 => 64,
            Self::Complex128 => 128,
            Self::Undefined | Self::String | Self::Float6e2m3 | Self::Float6e3m2 => return None,
        })
    }

    /// Whether it is a floating-point type that arithmetic operators take.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float | Self::Float16 | Self::Bfloat16 | Self::Double)
    }

    /// Whether it is an integer type of at least 8 bits.
    pub fn is_integer(self) -> bool {
        matches!(
            self,
            Self::Uint8
                | Self::Int8
                | Self::Uint16
                | Self::Int16
                | Self::Uint32
                | Self::Int32
                | Self::Uint64
                | Self::Int64
        )
    }
}

/// The product of dimensions, `None` where it overflows.
pub(super) fn count(dims: &[usize]) -> Option<usize> {
    // A zero anywhere makes the product zero, however large the others are.
    if dims.contains(&0) {
        return Some(0);
    }
    dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

/// Bytes that `dims` elements of `dtype` take in `raw_data`, `None` where unknown or overflowing.
pub(super) fn byte_len(dtype: DataType, dims: &[usize]) -> Option<usize> {
    Some(count(dims)?.checked_mul(dtype.bits()?)?.div_ceil(8))
}

/// A dense constant: an element type, dimensions and little-endian, row-major bytes
/// (the layout of ONNX `raw_data`). The bytes are shared with the file they were read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The element type.
    pub dtype: DataType,
    /// The dimensions; none for a scalar.
    pub dims: Vec<usize>,
    /// The elements, little-endian, row-major.
    pub data: Bytes,
}

impl Tensor {
    /// A tensor of any type with a fixed element size.
    ///
    /// # Errors
    /// The length of `data` is not what `dtype` and `dims` ask for.
    pub fn new(dtype: DataType, dims: &[usize], data: Bytes) -> Result<Self, TensorError> {
        let impossible = || TensorError::Dims(dims.iter().map(|&d| d as i64).collect());
        let expected = byte_len(dtype, dims).ok_or_else(impossible)?;
        if data.len() != expected {
            let (dims, found) = (dims.to_vec(), data.len());
            return Err(TensorError::Size { dtype, dims, expected, found });
        }
        Ok(Self { dtype, dims: dims.to_vec(), data })
    }

    /// A float32 tensor. `values.len()` must be the product of `dims`.
    pub fn f32(dims: &[usize], values: &[f32]) -> Self {
        debug_assert_eq!(Some(values.len()), count(dims));
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { dtype: DataType::Float, dims: dims.to_vec(), data }
    }

    /// An int64 tensor. `values.len()` must be the product of `dims`.
    pub fn i64(dims: &[usize], values: &[i64]) -> Self {
        debug_assert_eq!(Some(values.len()), count(dims));
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { dtype: DataType::Int64, dims: dims.to_vec(), data }
    }

    /// A one-dimensional int64 tensor: shapes, axes, pads.
    pub fn vec_i64(values: &[i64]) -> Self {
        Self::i64(&[values.len()], values)
    }

    /// A float32 scalar (rank 0).
    pub fn scalar(value: f32) -> Self {
        Self::f32(&[], &[value])
    }

    /// A tensor of any real numeric type, each value rounded to the nearest that the type has
    /// (integers: truncated, saturating; bool: whether it is not 0). `None` for a type that is not
    /// a plain number or where `values.len()` is not the product of `dims`.
    pub fn from_f64(dtype: DataType, dims: &[usize], values: &[f64]) -> Option<Self> {
        if count(dims) != Some(values.len()) {
            return None;
        }
        macro_rules! pack {
            ($convert:expr) => {
                values.iter().flat_map(|&v| $convert(v).to_le_bytes()).collect()
            };
        }
        let data = match dtype {
            DataType::Float => pack!(|v| v as f32),
            DataType::Double => pack!(|v: f64| v),
            DataType::Float16 => pack!(f16::from_f64),
            DataType::Bfloat16 => pack!(bf16::from_f64),
            DataType::Int8 => pack!(|v| v as i8),
            DataType::Int16 => pack!(|v| v as i16),
            DataType::Int32 => pack!(|v| v as i32),
            DataType::Int64 => pack!(|v| v as i64),
            DataType::Uint8 => pack!(|v| v as u8),
            DataType::Uint16 => pack!(|v| v as u16),
            DataType::Uint32 => pack!(|v| v as u32),
            DataType::Uint64 => pack!(|v| v as u64),
            DataType::Bool => pack!(|v| u8::from(v != 0.0)),
            _ => return None,
        };
        Some(Self { dtype, dims: dims.to_vec(), data })
    }

    /// A tensor of any real numeric type from integers, wrapping as a C cast does. `None` as for
    /// [`Tensor::from_f64`].
    pub fn from_i64(dtype: DataType, dims: &[usize], values: &[i64]) -> Option<Self> {
        if count(dims) != Some(values.len()) {
            return None;
        }
        macro_rules! pack {
            ($convert:expr) => {
                values.iter().flat_map(|&v| $convert(v).to_le_bytes()).collect()
            };
        }
        let data = match dtype {
            DataType::Float => pack!(|v| v as f32),
            DataType::Double => pack!(|v| v as f64),
            DataType::Float16 => pack!(|v| f16::from_f64(v as f64)),
            DataType::Bfloat16 => pack!(|v| bf16::from_f64(v as f64)),
            DataType::Int8 => pack!(|v| v as i8),
            DataType::Int16 => pack!(|v| v as i16),
            DataType::Int32 => pack!(|v| v as i32),
            DataType::Int64 => pack!(|v: i64| v),
            DataType::Uint8 => pack!(|v| v as u8),
            DataType::Uint16 => pack!(|v| v as u16),
            DataType::Uint32 => pack!(|v| v as u32),
            DataType::Uint64 => pack!(|v| v as u64),
            DataType::Bool => pack!(|v| u8::from(v != 0)),
            _ => return None,
        };
        Some(Self { dtype, dims: dims.to_vec(), data })
    }

    /// Number of elements; 1 for a scalar.
    pub fn len(&self) -> usize {
        count(&self.dims).unwrap_or(usize::MAX)
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as float32; `None` for a type that is not a real number.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        self.decode(|v| v as f32, |v| v as f32, |v| v)
    }

    /// The elements as float64; `None` for a type that is not a real number.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        self.decode(|v| v, |v| v as f64, f64::from)
    }

    /// The elements as int64 (fractions are cut off, what does not fit saturates); `None` for a
    /// type that is not a real number.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        self.decode(|v| v as i64, |v| i64::try_from(v).unwrap_or(i64::MAX), |v| v as i64)
    }

    /// The elements through one of three conversions, each exact for the types that take it:
    /// doubles, integers, and floats of up to 32 bits.
    fn decode<T>(
        &self,
        double: impl Fn(f64) -> T,
        integer: impl Fn(i128) -> T,
        float: impl Fn(f32) -> T,
    ) -> Option<Vec<T>> {
        macro_rules! unpack {
            ($convert:expr, $size:literal) => {
                self.data.as_chunks::<$size>().0.iter().map(|c| $convert(*c)).collect()
            };
        }
        Some(match self.dtype {
            DataType::Float => unpack!(|c| float(f32::from_le_bytes(c)), 4),
            DataType::Float16 => unpack!(|c| float(f16::from_le_bytes(c).to_f32()), 2),
            DataType::Bfloat16 => unpack!(|c| float(bf16::from_le_bytes(c).to_f32()), 2),
            DataType::Double => unpack!(|c| double(f64::from_le_bytes(c)), 8),
            DataType::Int8 => unpack!(|c| integer(i8::from_le_bytes(c).into()), 1),
            DataType::Int16 => unpack!(|c| integer(i16::from_le_bytes(c).into()), 2),
            DataType::Int32 => unpack!(|c| integer(i32::from_le_bytes(c).into()), 4),
            DataType::Int64 => unpack!(|c| integer(i64::from_le_bytes(c).into()), 8),
            DataType::Uint8 => unpack!(|c| integer(u8::from_le_bytes(c).into()), 1),
            DataType::Uint16 => unpack!(|c| integer(u16::from_le_bytes(c).into()), 2),
            DataType::Uint32 => unpack!(|c| integer(u32::from_le_bytes(c).into()), 4),
            DataType::Uint64 => unpack!(|c| integer(u64::from_le_bytes(c).into()), 8),
            DataType::Bool => unpack!(|c: [u8; 1]| integer(i128::from(c[0] != 0)), 1),
            _ => return None,
        })
    }

    /// The tensor of a message: `raw_data` is shared, typed fields are packed into raw bytes.
    /// `Ok(None)` for what has no fixed packing (strings, types of a newer schema).
    ///
    /// # Errors
    /// Impossible dimensions, contents that do not fit them, or contents left in another file.
    pub fn from_proto(proto: &TensorProto) -> Result<Option<Self>, TensorError> {
        let dims = dims_of(&proto.dims)?;
        let dtype = proto.data_type();
        if dtype.bits().is_none() {
            return Ok(None);
        }
        if proto.data_location() == DataLocation::External {
            return Err(TensorError::External);
        }
        let data = match &proto.raw_data {
            Some(raw) => raw.clone(),
            None => pack_typed_fields(proto, dtype),
        };
        Self::new(dtype, &dims, data).map(Some)
    }

    /// The message of this tensor, its contents shared in `raw_data`.
    pub fn to_proto(&self, name: &str) -> TensorProto {
        TensorProto {
            name: (!name.is_empty()).then(|| name.to_owned()),
            dims: self.dims.iter().map(|&d| d as i64).collect(),
            data_type: Some(self.dtype.into()),
            raw_data: Some(self.data.clone()),
            ..Default::default()
        }
    }
}

/// The dimensions of a message.
fn dims_of(dims: &[i64]) -> Result<Vec<usize>, TensorError> {
    let impossible = || TensorError::Dims(dims.to_vec());
    let sizes: Option<Vec<usize>> = dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let sizes = sizes.ok_or_else(impossible)?;
    count(&sizes).ok_or_else(impossible)?;
    Ok(sizes)
}

/// Checks a message without reading its contents: possible dimensions, and contents of the size
/// these ask for (where they are in the message). Answers that size in bytes, 0 for types without
/// a fixed packing.
pub(super) fn verify(proto: &TensorProto) -> Result<usize, TensorError> {
    let dims = dims_of(&proto.dims)?;
    let dtype = proto.data_type();
    let Some(bits) = dtype.bits() else {
        return Ok(0);
    };
    let impossible = || TensorError::Dims(proto.dims.clone());
    let expected = byte_len(dtype, &dims).ok_or_else(impossible)?;
    if proto.data_location() == DataLocation::External {
        return Ok(expected);
    }
    let found = match &proto.raw_data {
        Some(raw) => raw.len(),
        None => match dtype {
            DataType::Float | DataType::Complex64 => proto.float_data.len() * 4,
            DataType::Double | DataType::Complex128 => proto.double_data.len() * 8,
            DataType::Int64 => proto.int64_data.len() * 8,
            DataType::Uint64 => proto.uint64_data.len() * 8,
            DataType::Uint32 => proto.uint64_data.len() * 4,
            _ => proto.int32_data.len() * bits.div_ceil(8),
        },
    };
    if found != expected {
        return Err(TensorError::Size { dtype, dims, expected, found });
    }
    Ok(expected)
}

/// The contents of the typed field that the specification assigns to `dtype`, as raw bytes.
fn pack_typed_fields(proto: &TensorProto, dtype: DataType) -> Bytes {
    match dtype {
        DataType::Float | DataType::Complex64 => proto.float_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DataType::Double | DataType::Complex128 => proto.double_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DataType::Int64 => proto.int64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DataType::Uint64 => proto.uint64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DataType::Uint32 => proto.uint64_data.iter().flat_map(|&v| (v as u32).to_le_bytes()).collect(),
        DataType::Int32 => proto.int32_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        // 16-bit types keep their bit pattern in the low half of an int32, 8-bit and narrower
        // ones (already packed into bytes) in the lowest byte.
        _ if dtype.bits() == Some(16) => proto.int32_data.iter().flat_map(|&v| (v as u16).to_le_bytes()).collect(),
        _ => proto.int32_data.iter().map(|&v| v as u8).collect(),
    }
}
