//! Pooling.

use super::reduce;
use super::window::Window;
use super::{Contributions, Site};
use crate::explain::error::RuleError;
use crate::onnx::ValueId;

/// `g / (height·width)`, the same everywhere: left as `[N,C,1,1]`.
pub(super) fn global_average(site: &mut Site) -> Contributions {
    let axes: Vec<usize> = (2..site.x_dims(0)?.len()).collect();
    reduce::average_over(site, &axes, true)
}

/// The places that hold the maximum share `g` in equal parts.
pub(super) fn global_max(site: &mut Site) -> Contributions {
    let axes: Vec<usize> = (2..site.x_dims(0)?.len()).collect();
    reduce::extremum_over(site, &axes, true)
}

fn kernel(site: &Site) -> Result<Vec<usize>, RuleError> {
    let given = site.node.attributes.ints("kernel_shape").unwrap_or_default();
    let kernel: Vec<usize> = given.iter().filter_map(|&k| usize::try_from(k).ok()).filter(|&k| k > 0).collect();
    match kernel.len() == given.len() && !kernel.is_empty() {
        true => Ok(kernel),
        false => Err(RuleError::unsupported("its kernel_shape is missing")),
    }
}

/// `g / count` added back onto each window, where `count` is the number of entries the average was
/// taken over: with `count_include_pad = 0` it is smaller at the edges.
pub(super) fn average(site: &mut Site) -> Contributions {
    let window = Window::of(site, kernel(site)?)?;
    if window.is_global() {
        return global_average(site);
    }
    let (x_dims, y_dims) = (site.x_dims(0)?, site.y_dims()?);
    let counts = counts(&window, site.int("count_include_pad", 0) != 0, site.int("ceil_mode", 0) != 0);
    let mut shares = site.g()?;
    if window.is_tiling() {
        let share = 1.0 / window.kernel.iter().product::<usize>() as f32;
        shares = site.g_full()?;
        shares = site.emit.scale(shares, share);
        return tile(site, shares, &window, &x_dims, &y_dims);
    }
    let weights: Vec<f32> = counts.iter().map(|&count| 1.0 / count.max(1) as f32).collect();
    let weights = site.emit.floats(&window.output, &weights);
    shares = site.emit.mul(shares, weights);
    shares = site.emit.expand(shares, &y_dims);
    let planes = y_dims[0] * y_dims[1];
    let shares = site.emit.reshape(shares, &[&[planes, 1], &y_dims[2..]].concat());
    let ones = vec![1.0; window.kernel.iter().product()];
    let ones = site.emit.floats(&[&[1, 1], window.kernel.as_slice()].concat(), &ones);
    let dx = window.add_back(site.emit, shares, ones);
    Ok(vec![(0, site.emit.reshape(dx, &x_dims))])
}

/// Repeats each entry over its tile: `[N,C,oh,1,ow,1]` expanded to `[N,C,oh,kh,ow,kw]`.
fn tile(site: &mut Site, shares: ValueId, window: &Window, x_dims: &[usize], y_dims: &[usize]) -> Contributions {
    let (mut apart, mut repeated) = (y_dims[..2].to_vec(), y_dims[..2].to_vec());
    for axis in 0..window.rank() {
        apart.extend([window.output[axis], 1]);
        repeated.extend([window.output[axis], window.kernel[axis]]);
    }
    let shares = site.emit.reshape(shares, &apart);
    let shares = site.emit.expand(shares, &repeated);
    Ok(vec![(0, site.emit.reshape(shares, x_dims))])
}

/// How many entries each output averages over, row-major over the output's space. Padding counts
/// with `include_pad`; what a window of `ceil_mode` sees beyond the padding never does.
fn counts(window: &Window, include_pad: bool, ceil: bool) -> Vec<usize> {
    let along = |axis: usize| -> Vec<usize> {
        let (k, d) = (window.kernel[axis], window.dilations[axis]);
        let (first, last) = match include_pad {
            true => (0, window.before[axis] + window.input[axis] + window.after[axis]),
            false => (window.before[axis], window.before[axis] + window.input[axis]),
        };
        (0..window.output[axis])
            .map(|out| {
                let inside = |t: &usize| (first..last).contains(&(out * window.strides[axis] + t * d));
                if include_pad && !ceil { k } else { (0..k).filter(inside).count() }
            })
            .collect()
    };
    (0..window.rank())
        .map(along)
        .fold(vec![1], |all, axis| all.iter().flat_map(|&outer| axis.iter().map(move |&inner| outer * inner)).collect())
}

/// `g` flows to the first entry of each window that equals the maximum, as in torch.
///
/// For each place in the window a strided slice of the padded input is compared with `y`; what is
/// left of `g` there is added back by a transposed convolution with one-hot kernels. No scatter
/// (TensorRT ignores its reduction) and no `Indices` output, at the same cost.
pub(super) fn max(site: &mut Site) -> Contributions {
    let window = Window::of(site, kernel(site)?)?;
    // A window as large as the picture has too many places to look at one by one.
    if window.is_global() {
        return global_max(site);
    }
    let (x, g) = (site.x(0)?, site.g_full()?);
    let (x_dims, y_dims) = (site.x_dims(0)?, site.y_dims()?);
    let y = stated(site, &y_dims)?;
    let rank = window.rank();
    let ints = |values: &[usize]| values.iter().map(|&v| v as i64).collect::<Vec<_>>();

    let beyond = (0..rank).map(|axis| (-window.untouched(axis)).max(0));
    let pads = [vec![0, 0], ints(&window.before), vec![0, 0], beyond.collect()].concat();
    let padded = site.emit.pad(x, &pads, f32::NEG_INFINITY);
    let axes: Vec<usize> = (2..rank + 2).collect();
    let places: usize = window.kernel.iter().product();
    let plane = [&[y_dims[0] * y_dims[1], 1], &y_dims[2..]].concat();
    let mut taken: Option<ValueId> = None;
    let mut parts = Vec::with_capacity(places);
    for place in 0..places {
        let (mut starts, mut ends, mut rest) = (vec![0; rank], vec![0; rank], place);
        for axis in (0..rank).rev() {
            let start = rest % window.kernel[axis] * window.dilations[axis];
            rest /= window.kernel[axis];
            starts[axis] = start as i64;
            ends[axis] = (start + (window.output[axis] - 1) * window.strides[axis] + 1) as i64;
        }
        let seen = site.emit.slice(padded, &axes, &starts, &ends, &ints(&window.strides));
        let equal = site.emit.op("Equal", &[seen, y]);
        let first = match taken {
            None => equal,
            Some(taken) => {
                let free = site.emit.op("Not", &[taken]);
                site.emit.op("And", &[equal, free])
            }
        };
        taken = Some(match taken {
            None => equal,
            Some(taken) => site.emit.op("Or", &[taken, equal]),
        });
        let part = site.emit.keep_where(first, g);
        parts.push(site.emit.reshape(part, &plane));
    }
    let parts = site.emit.concat(&parts, 1);
    let mut one_hot = vec![0.0; places * places];
    (0..places).for_each(|place| one_hot[place * places + place] = 1.0);
    let one_hot = site.emit.floats(&[&[places, 1], window.kernel.as_slice()].concat(), &one_hot);
    let dx = window.add_back(site.emit, parts, one_hot);
    Ok(vec![(0, site.emit.reshape(dx, &x_dims))])
}

/// `y`, its shape stated in the graph where `ceil_mode` leaves room for dispute.
///
/// The last window of `ceil_mode` is dropped where it would begin beyond the input. ONNX Runtime
/// does that when it runs, but its static shapes before operator set 22 count the window, and it
/// would refuse the comparison with `y` below.
fn stated(site: &mut Site, dims: &[usize]) -> Result<ValueId, RuleError> {
    let y = site.y()?;
    if site.int("ceil_mode", 0) == 0 {
        return Ok(y);
    }
    let shape: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
    let shape = site.emit.ints(&shape);
    Ok(site.emit.op("Reshape", &[y, shape]))
}
