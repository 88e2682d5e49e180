//! Convolution and pooling: windows that slide over the spatial axes.

use super::super::DataType;
use super::{Call, Fact, Facts, Table, one};

pub(super) const RULES: Table = &[
    ("Conv", conv),
    ("ConvInteger", conv_integer),
    ("ConvTranspose", conv_transpose),
    ("AveragePool", pool),
    ("LpPool", pool),
    ("MaxPool", max_pool),
    ("GlobalAveragePool", global_pool),
    ("GlobalLpPool", global_pool),
    ("GlobalMaxPool", global_pool),
];

/// The window of a node: attributes with their defaults, one entry per spatial axis.
pub(super) struct Window {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    begin: Vec<usize>,
    end: Vec<usize>,
    auto_pad: AutoPad,
    ceil: bool,
}

#[derive(PartialEq, Eq)]
enum AutoPad {
    NotSet,
    Same,
    Valid,
}

impl Window {
    /// Reads the attributes; `kernel` is what the weight says where there is one.
    pub(super) fn of(call: &Call, spatial: usize, kernel: Option<&[usize]>) -> Result<Self, String> {
        let list = |name: &str, len: usize, default: usize| -> Result<Vec<usize>, String> {
            let Some(given) = call.ints(name) else {
                return Ok(vec![default; len]);
            };
            let parsed: Option<Vec<usize>> =
                given.iter().map(|&v| usize::try_from(v).ok().filter(|&v| v < 1 << 31)).collect();
            parsed
                .filter(|p| p.len() == len)
                .ok_or_else(|| format!("{name} {given:?} for an input with {spatial} spatial axes"))
        };
        let positive = |name: &str| {
            let values = list(name, spatial, 1)?;
            if values.contains(&0) {
                return Err(format!("{name} {values:?} must be positive"));
            }
            Ok(values)
        };
        let kernel = match (call.ints("kernel_shape"), kernel) {
            (Some(_), _) => positive("kernel_shape")?,
            (None, Some(kernel)) if kernel.len() == spatial => kernel.to_vec(),
            _ => return Err("its kernel size is not given".into()),
        };
        let mut begin = list("pads", 2 * spatial, 0)?;
        let end = begin.split_off(spatial);
        let auto_pad = match call.string("auto_pad").unwrap_or("NOTSET") {
            "NOTSET" | "" => AutoPad::NotSet,
            "SAME_UPPER" | "SAME_LOWER" => AutoPad::Same,
            "VALID" => AutoPad::Valid,
            other => return Err(format!("auto_pad {other:?} is unknown")),
        };
        Ok(Self {
            kernel,
            strides: positive("strides")?,
            dilations: positive("dilations")?,
            begin,
            end,
            auto_pad,
            ceil: call.int("ceil_mode", 0) != 0,
        })
    }

    /// How far a window reaches along axis `i`.
    fn reach(&self, i: usize) -> Result<usize, String> {
        (self.kernel[i].max(1) - 1)
            .checked_mul(self.dilations[i])
            .and_then(|r| r.checked_add(1))
            .ok_or_else(|| "its window is impossibly large".into())
    }

    /// The number of windows along each axis of `input`.
    pub(super) fn slide(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        (0..input.len())
            .map(|i| {
                let (size, stride, reach) = (input[i], self.strides[i], self.reach(i)?);
                if self.auto_pad == AutoPad::Same {
                    return Ok(size.div_ceil(stride));
                }
                let (begin, end) = match self.auto_pad {
                    AutoPad::Valid => (0, 0),
                    _ => (self.begin[i], self.end[i]),
                };
                let padded = size.saturating_add(begin + end);
                let room = padded.checked_sub(reach).ok_or_else(|| {
                    format!("a window that reaches over {reach} on {size} elements, padded to {padded}")
                })?;
                let mut windows = room / stride + 1;
                // Rounded up, but no window may begin in the padding at the end.
                if self.ceil && room % stride != 0 && windows * stride < size + begin {
                    windows += 1;
                }
                Ok(windows)
            })
            .collect()
    }
}

/// Batch, channels and spatial sizes.
type Image<'a> = (usize, usize, &'a [usize]);

/// Input 0, taken apart.
fn split<'a>(call: &Call<'a>) -> Result<Option<Image<'a>>, String> {
    match call.shape(0) {
        None => Ok(None),
        Some([n, c, spatial @ ..]) => Ok(Some((*n, *c, spatial))),
        Some(shape) => Err(format!("an input of shape {shape:?}; it needs batch and channels")),
    }
}

/// The output shape of a convolution of input 0 with `weight`.
pub(super) fn conv_shape(call: &Call, weight: usize) -> Result<Option<Vec<usize>>, String> {
    let (Some((n, c, spatial)), Some(w)) = (split(call)?, call.shape(weight)) else {
        return Ok(None);
    };
    let [m, per_group, kernel @ ..] = w else {
        return Err(format!("a weight of shape {w:?}"));
    };
    let group = usize::try_from(call.int("group", 1)).unwrap_or(0);
    if group == 0 || per_group.checked_mul(group) != Some(c) || m % group != 0 {
        return Err(format!("{c} channels in for a weight of shape {w:?} in {group} groups"));
    }
    if kernel.len() != spatial.len() {
        return Err(format!("a weight of shape {w:?} for {} spatial axes", spatial.len()));
    }
    let mut out = vec![n, *m];
    out.extend(Window::of(call, spatial.len(), Some(kernel))?.slide(spatial)?);
    Ok(Some(out))
}

fn conv(call: &Call) -> Facts {
    one(call.dtype(0), conv_shape(call, 1)?)
}

fn conv_integer(call: &Call) -> Facts {
    one(Some(DataType::Int32), conv_shape(call, 1)?)
}

fn conv_transpose(call: &Call) -> Facts {
    let dtype = call.dtype(0);
    let (Some((n, c, spatial)), Some(w)) = (split(call)?, call.shape(1)) else {
        return one(dtype, None);
    };
    let [in_channels, per_group, kernel @ ..] = w else {
        return Err(format!("a weight of shape {w:?}"));
    };
    let group = usize::try_from(call.int("group", 1)).unwrap_or(0);
    if group == 0 || *in_channels != c || c % group != 0 || kernel.len() != spatial.len() {
        return Err(format!("{c} channels in for a weight of shape {w:?} in {group} groups"));
    }
    let window = Window::of(call, spatial.len(), Some(kernel))?;
    let too_large = || "its output is impossibly large".to_string();
    let mut out = vec![n, per_group.checked_mul(group).ok_or_else(too_large)?];
    if let Some(given) = call.ints("output_shape") {
        // Some writers give the whole shape, some only the spatial one.
        let given = given.get(given.len().saturating_sub(spatial.len())..).unwrap_or_default();
        let sizes: Option<Vec<usize>> = given.iter().map(|&d| usize::try_from(d).ok()).collect();
        let sizes = sizes.filter(|s| s.len() == spatial.len());
        out.extend(sizes.ok_or_else(|| format!("output_shape {given:?}"))?);
        return one(dtype, Some(out));
    }
    let extra = call.ints("output_padding").unwrap_or_default();
    for (i, &size) in spatial.iter().enumerate() {
        let stride = window.strides[i];
        if window.auto_pad == AutoPad::Same {
            out.push(size.checked_mul(stride).ok_or_else(too_large)?);
            continue;
        }
        let pads = match window.auto_pad {
            AutoPad::Valid => 0,
            _ => window.begin[i] + window.end[i],
        };
        let extra = usize::try_from(extra.get(i).copied().unwrap_or(0)).unwrap_or(0);
        let full = size
            .saturating_sub(1)
            .checked_mul(stride)
            .and_then(|s| s.checked_add(window.reach(i).ok()?)?.checked_add(extra))
            .ok_or_else(too_large)?;
        out.push(full.checked_sub(pads).ok_or_else(|| format!("pads of {pads} on {full} elements"))?);
    }
    one(dtype, Some(out))
}

pub(super) fn pool_shape(call: &Call) -> Result<Option<Vec<usize>>, String> {
    let Some((n, c, spatial)) = split(call)? else {
        return Ok(None);
    };
    let mut out = vec![n, c];
    out.extend(Window::of(call, spatial.len(), None)?.slide(spatial)?);
    Ok(Some(out))
}

fn pool(call: &Call) -> Facts {
    one(call.dtype(0), pool_shape(call)?)
}

/// The second output is where each maximum stood.
fn max_pool(call: &Call) -> Facts {
    let shape = pool_shape(call)?;
    Ok(vec![Fact::new(call.dtype(0), shape.clone()), Fact::new(Some(DataType::Int64), shape)])
}

fn global_pool(call: &Call) -> Facts {
    let shape = split(call)?.map(|(n, c, spatial)| {
        let mut out = vec![n, c];
        out.resize(2 + spatial.len(), 1);
        out
    });
    one(call.dtype(0), shape)
}
