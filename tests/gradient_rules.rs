//! Promise: every row of the table of gradient rules is right, on odd shapes too, judged by central
//! finite differences through ONNX Runtime. The test walks the table: a row without a case fails.

mod common;

use std::collections::BTreeSet;

use common::explain::*;
use gradcast::explain::gradient::{differentiate, operators};
use gradcast::onnx::{Attributes, DataType, Graph, Tensor, ValueId};

type Build = Box<dyn Fn(&mut Graph, &[ValueId]) -> ValueId>;

/// One use of an operator: inputs with their values, and the graph from them to an output.
struct Case {
    op: &'static str,
    what: String,
    opset: i64,
    inputs: Vec<(Vec<usize>, Vec<f32>)>,
    build: Build,
    /// The step of the finite differences.
    step: f32,
    /// Differences of a linear function are exact: two points, a large step, a tight tolerance.
    linear: bool,
}

/// Values ±0.155, ±0.465, …: no two closer than 0.31, none near 0, ±2.5 or ±3.
fn apart(dims: &[usize], seed: u64) -> (Vec<usize>, Vec<f32>) {
    (dims.to_vec(), Random(seed).spaced(dims.iter().product(), 0.31))
}

/// Values in (-scale, scale).
fn smooth(dims: &[usize], scale: f32, seed: u64) -> (Vec<usize>, Vec<f32>) {
    let values = Random(seed).vec(dims.iter().product());
    (dims.to_vec(), values.into_iter().map(|v| v * scale).collect())
}

/// Values in (low, low + 2).
fn positive(dims: &[usize], low: f32, seed: u64) -> (Vec<usize>, Vec<f32>) {
    let values = Random(seed).vec(dims.iter().product());
    (dims.to_vec(), values.into_iter().map(|v| v + 1.0 + low).collect())
}

fn none() -> Attributes {
    Attributes::new()
}

/// A curved operator.
fn curved(
    op: &'static str,
    what: impl Into<String>,
    opset: i64,
    inputs: Vec<(Vec<usize>, Vec<f32>)>,
    build: impl Fn(&mut Graph, &[ValueId]) -> ValueId + 'static,
) -> Case {
    Case { op, what: what.into(), opset, inputs, build: Box::new(build), step: 0.02, linear: false }
}

/// A linear operator.
fn linear(
    op: &'static str,
    what: impl Into<String>,
    opset: i64,
    inputs: Vec<(Vec<usize>, Vec<f32>)>,
    build: impl Fn(&mut Graph, &[ValueId]) -> ValueId + 'static,
) -> Case {
    Case { op, what: what.into(), opset, inputs, build: Box::new(build), step: 0.5, linear: true }
}

/// An operator that is linear between kinks at least 0.1 away from all values.
fn kinked(
    op: &'static str,
    what: impl Into<String>,
    opset: i64,
    inputs: Vec<(Vec<usize>, Vec<f32>)>,
    build: impl Fn(&mut Graph, &[ValueId]) -> ValueId + 'static,
) -> Case {
    Case { step: 0.05, ..linear(op, what, opset, inputs, build) }
}

/// `op(x)` with attributes.
fn unary(op: &'static str, attributes: Attributes) -> impl Fn(&mut Graph, &[ValueId]) -> ValueId {
    move |graph, x| node(graph, op, x, attributes.clone())
}

/// `Σ seed·y` for inputs `values`.
fn objective(runner: &mut Runner, values: &[Vec<f32>], case: &Case, seed: &[f32]) -> f64 {
    let names: Vec<String> = (0..values.len()).map(|i| format!("x{i}")).collect();
    let fed: Vec<(&str, Data)> = names
        .iter()
        .zip(values)
        .zip(&case.inputs)
        .map(|((name, v), (dims, _))| (name.as_str(), Data::F32(dims.clone(), v.clone())))
        .collect();
    let y = runner.run(&fed)["y"].f32();
    assert_eq!(y.len(), seed.len(), "{} {}", case.op, case.what);
    y.iter().zip(seed).map(|(&y, &s)| f64::from(y) * f64::from(s)).sum()
}

/// The relative error of the case's gradients, worst input.
fn error_of(case: &Case) -> Result<f64, String> {
    let mut graph = graph(case.opset);
    let ids: Vec<ValueId> =
        case.inputs.iter().enumerate().map(|(i, (dims, _))| input(&mut graph, &format!("x{i}"), dims)).collect();
    let y = (case.build)(&mut graph, &ids);
    let dims = graph.shape(y).ok_or("the shape of y is unknown")?.to_vec();
    let seed = Random(77).vec(dims.iter().product());
    let mut forward = graph.clone();
    forward.rename(y, "y");
    forward.set_outputs(&[y]);
    let mut forward = Runner::try_new(&forward.to_model().to_bytes())?;

    let seed_id = floats(&mut graph, &dims, &seed);
    let mut outputs = Vec::new();
    for (i, &x) in ids.iter().enumerate() {
        let gradient = differentiate(&mut graph, y, seed_id, x).map_err(|e| e.to_string())?.ok_or("no gradient")?;
        let gradient = node(&mut graph, "Identity", &[gradient], none());
        graph.rename(gradient, &format!("dx{i}"));
        outputs.push(gradient);
    }
    graph.set_outputs(&outputs);
    let mut backward = Runner::try_new(&graph.to_model().to_bytes())?;
    let names: Vec<String> = (0..ids.len()).map(|i| format!("x{i}")).collect();
    let fed: Vec<(&str, Data)> = names
        .iter()
        .zip(&case.inputs)
        .map(|(name, (dims, v))| (name.as_str(), Data::F32(dims.clone(), v.clone())))
        .collect();
    let found = backward.try_run(&fed)?;

    let mut worst = 0f64;
    let start: Vec<Vec<f32>> = case.inputs.iter().map(|(_, v)| v.clone()).collect();
    for (i, values) in start.iter().enumerate() {
        let dx = &found[&format!("dx{i}")];
        if dx.dims() != case.inputs[i].0 {
            return Err(format!("the gradient has the shape {:?}", dx.dims()));
        }
        let mut expected = Vec::with_capacity(values.len());
        for j in 0..values.len() {
            let mut at = |steps: f32| {
                let mut moved = start.clone();
                moved[i][j] += steps * case.step;
                // What the step really was, after rounding.
                let by = f64::from(moved[i][j]) - f64::from(values[j]);
                (objective(&mut forward, &moved, case, &seed), by)
            };
            let ((up, a), (down, b)) = (at(1.0), at(-1.0));
            let near = (up - down) / (a - b);
            expected.push(if case.linear {
                near as f32
            } else {
                let ((up, a), (down, b)) = (at(2.0), at(-2.0));
                let far = (up - down) / (a - b);
                ((4.0 * near - far) / 3.0) as f32
            });
        }
        worst = worst.max(relative(&dx.f32(), &expected));
    }
    Ok(worst)
}

fn activations() -> Vec<Case> {
    let x = || vec![apart(&[2, 3, 5], 1)];
    let mut cases = vec![
        kinked("Relu", "", 13, x(), unary("Relu", none())),
        kinked("LeakyRelu", "slope 0.1", 13, x(), unary("LeakyRelu", none().with_float("alpha", 0.1))),
        kinked("LeakyRelu", "negative slope", 13, x(), unary("LeakyRelu", none().with_float("alpha", -0.4))),
        kinked("HardSigmoid", "", 13, x(), unary("HardSigmoid", none())),
        kinked(
            "HardSigmoid",
            "alpha, beta",
            13,
            x(),
            unary("HardSigmoid", none().with_float("alpha", 0.1).with_float("beta", 0.4)),
        ),
        kinked("ThresholdedRelu", "", 13, x(), unary("ThresholdedRelu", none().with_float("alpha", 0.9))),
        curved("HardSwish", "", 14, x(), unary("HardSwish", none())),
        curved("Elu", "", 13, x(), unary("Elu", none().with_float("alpha", 0.7))),
        curved("Selu", "", 13, x(), unary("Selu", none())),
        curved("Celu", "", 13, x(), unary("Celu", none().with_float("alpha", 1.7))),
        curved("Sigmoid", "", 13, x(), unary("Sigmoid", none())),
        curved("Tanh", "", 13, x(), unary("Tanh", none())),
        curved("Softplus", "", 13, x(), unary("Softplus", none())),
        curved("Softsign", "", 13, x(), unary("Softsign", none())),
        curved("Mish", "", 18, x(), unary("Mish", none())),
        curved("Gelu", "exact", 20, x(), unary("Gelu", none())),
        curved("Gelu", "tanh", 20, x(), unary("Gelu", none().with_string("approximate", "tanh"))),
        curved("Erf", "Gelu spelled out", 13, x(), |g, x| {
            let (root, one, half) =
                (floats(g, &[], &[std::f32::consts::SQRT_2]), floats(g, &[], &[1.0]), floats(g, &[], &[0.5]));
            let scaled = node(g, "Div", &[x[0], root], none());
            let erf = node(g, "Erf", &[scaled], none());
            let sum = node(g, "Add", &[erf, one], none());
            let product = node(g, "Mul", &[x[0], sum], none());
            node(g, "Mul", &[product, half], none())
        }),
        kinked("PRelu", "a slope per channel", 13, x(), |g, x| {
            let slope = floats(g, &[3, 1], &[0.2, -0.3, 0.5]);
            node(g, "PRelu", &[x[0], slope], none())
        }),
    ];
    for (what, low, high) in
        [("both", Some(-1.0), Some(1.55)), ("min", Some(-0.3), None), ("max", None, Some(0.6)), ("neither", None, None)]
    {
        cases.push(kinked("Clip", what, 13, x(), move |g, x| {
            let low = low.map(|v| floats(g, &[], &[v]));
            let high = high.map(|v| floats(g, &[], &[v]));
            g.add_node("Clip", &[Some(x[0]), low, high], 1, none())[0]
        }));
    }
    cases
}

fn arithmetic() -> Vec<Case> {
    let mut cases = vec![
        kinked("Abs", "", 13, vec![apart(&[3, 4], 2)], unary("Abs", none())),
        linear("Neg", "", 13, vec![apart(&[3, 4], 2)], unary("Neg", none())),
        curved("Erf", "", 13, vec![smooth(&[3, 4], 2.0, 3)], unary("Erf", none())),
        curved("Exp", "", 13, vec![smooth(&[3, 4], 1.0, 3)], unary("Exp", none())),
        curved("Log", "", 13, vec![positive(&[3, 4], 0.5, 3)], unary("Log", none())),
        curved("Sqrt", "", 13, vec![positive(&[3, 4], 0.5, 3)], unary("Sqrt", none())),
        curved("Reciprocal", "", 13, vec![positive(&[3, 4], 0.7, 3)], unary("Reciprocal", none())),
        linear(
            "Sum",
            "three, broadcast",
            13,
            vec![apart(&[2, 3, 4], 1), apart(&[3, 1], 2), apart(&[4], 3)],
            unary("Sum", none()),
        ),
        linear(
            "Mean",
            "three, broadcast",
            13,
            vec![apart(&[2, 3, 4], 1), apart(&[3, 1], 2), apart(&[1], 3)],
            unary("Mean", none()),
        ),
        linear("Where", "broadcast", 13, vec![apart(&[2, 3, 4], 1), apart(&[3, 1], 2)], |g, x| {
            let condition = g.add_constant(Tensor {
                dtype: DataType::Bool,
                dims: vec![2, 1, 4],
                data: vec![1, 0, 1, 1, 0, 1, 0, 0].into(),
            });
            node(g, "Where", &[condition, x[0], x[1]], none())
        }),
        curved("Mul", "a square", 13, vec![smooth(&[3, 4], 1.0, 4)], |g, x| node(g, "Mul", &[x[0], x[0]], none())),
        curved("Pow", "per column", 13, vec![positive(&[2, 3], 0.5, 5)], |g, x| {
            let p = floats(g, &[3], &[0.5, -1.0, 2.5]);
            node(g, "Pow", &[x[0], p], none())
        }),
    ];
    for p in [2.0f32, 3.0, 0.5] {
        cases.push(curved("Pow", format!("{p}"), 13, vec![positive(&[3, 4], 0.5, 5)], move |g, x| {
            let p = floats(g, &[], &[p]);
            node(g, "Pow", &[x[0], p], none())
        }));
    }
    let shapes: [(&[usize], &[usize]); 6] = [
        (&[2, 3, 4], &[2, 3, 4]),
        (&[2, 3, 4], &[3, 1]),
        (&[3, 1], &[2, 3, 4]),
        (&[2, 1, 4], &[1, 3, 1]),
        (&[2, 3], &[]),
        (&[1], &[2, 1, 3]),
    ];
    for (a, b) in shapes {
        let what = format!("{a:?} {b:?}");
        for op in ["Add", "Sub"] {
            cases.push(linear(op, what.clone(), 13, vec![apart(a, 6), apart(b, 7)], unary(op, none())));
        }
        cases.push(curved("Mul", what.clone(), 13, vec![smooth(a, 1.0, 6), smooth(b, 1.0, 7)], unary("Mul", none())));
        cases.push(curved("Div", what.clone(), 13, vec![smooth(a, 1.0, 6), positive(b, 0.8, 7)], unary("Div", none())));
        for op in ["Max", "Min"] {
            let mut other = apart(b, 7);
            other.1.iter_mut().for_each(|v| *v += 0.155);
            cases.push(kinked(op, what.clone(), 13, vec![apart(a, 6), other], unary(op, none())));
        }
    }
    cases
}

fn matrices() -> Vec<Case> {
    let mut cases = Vec::new();
    for (ta, tb) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let a: &[usize] = if ta == 1 { &[4, 3] } else { &[3, 4] };
        let b: &[usize] = if tb == 1 { &[5, 4] } else { &[4, 5] };
        let attributes =
            none().with_int("transA", ta).with_int("transB", tb).with_float("alpha", 0.7).with_float("beta", 1.3);
        cases.push(curved(
            "Gemm",
            format!("transA {ta} transB {tb}"),
            13,
            vec![smooth(a, 1.0, 1), smooth(b, 1.0, 2), smooth(&[1, 5], 1.0, 3)],
            unary("Gemm", attributes),
        ));
    }
    let shapes: [(&[usize], &[usize]); 9] = [
        (&[3, 4], &[4, 5]),
        (&[2, 3, 4], &[4, 5]),
        (&[3, 4], &[2, 4, 5]),
        (&[2, 1, 3, 4], &[6, 4, 2]),
        (&[1, 3, 4], &[2, 4, 5]),
        (&[4], &[4, 5]),
        (&[3, 4], &[4]),
        (&[2, 3, 4], &[4]),
        (&[4], &[4]),
    ];
    for (a, b) in shapes {
        cases.push(curved(
            "MatMul",
            format!("{a:?} {b:?}"),
            13,
            vec![smooth(a, 1.0, 1), smooth(b, 1.0, 2)],
            unary("MatMul", none()),
        ));
    }
    cases
}

fn convolution(what: String, x: &[usize], w: &[usize], attributes: Attributes) -> Case {
    let w = w.to_vec();
    linear("Conv", what, 13, vec![smooth(x, 1.0, 8)], move |g, x| {
        let (weight, bias) = (Random(9).vec(w.iter().product()), Random(10).vec(w[0]));
        let (weight, bias) = (floats(g, &w, &weight), floats(g, &[w[0]], &bias));
        node(g, "Conv", &[x[0], weight, bias], attributes.clone())
    })
}

fn convolutions() -> Vec<Case> {
    let mut cases = Vec::new();
    for k in [1usize, 2, 3] {
        for stride in [1i64, 2, 3] {
            for dilation in [1i64, 2] {
                for (group, outs) in [(1, 3), (2, 6), (4, 4)] {
                    for pads in [[0, 0, 0, 0], [1, 0, 2, 1], [k as i64, 1, 0, k as i64]] {
                        let attributes = none()
                            .with_ints("strides", &[stride, stride])
                            .with_ints("dilations", &[dilation, dilation])
                            .with_int("group", group)
                            .with_ints("pads", &pads);
                        let what = format!("k {k} stride {stride} dilation {dilation} group {group} pads {pads:?}");
                        cases.push(convolution(what, &[1, 4, 6, 7], &[outs, 4 / group as usize, k, k], attributes));
                    }
                }
            }
        }
    }
    for mode in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        for stride in [1i64, 2, 3] {
            let attributes = none().with_string("auto_pad", mode).with_ints("strides", &[stride, 1]);
            cases.push(convolution(format!("{mode} stride {stride}"), &[2, 2, 7, 6], &[3, 2, 3, 4], attributes));
        }
    }
    cases.push(convolution(
        "one dimension".into(),
        &[2, 3, 9],
        &[4, 3, 3],
        none().with_ints("strides", &[2]).with_ints("pads", &[1, 0]),
    ));
    cases.push(convolution(
        "three dimensions".into(),
        &[1, 2, 4, 5, 3],
        &[3, 2, 2, 3, 2],
        none().with_ints("strides", &[2, 1, 1]).with_ints("pads", &[0, 1, 0, 1, 1, 0]),
    ));
    cases.push(convolution("three dimensions, stride 1".into(), &[1, 2, 4, 5, 3], &[3, 2, 2, 3, 2], none()));
    cases.push(linear("Conv", "a weight in float16", 13, vec![smooth(&[1, 2, 5, 5], 1.0, 8)], |g, x| {
        let bytes: Vec<u8> = Random(9).vec(36).into_iter().flat_map(|v| half::f16::from_f32(v).to_le_bytes()).collect();
        let weight = g.add_constant(Tensor { dtype: DataType::Float16, dims: vec![2, 2, 3, 3], data: bytes.into() });
        let weight = node(g, "Cast", &[weight], none().with_int("to", 1));
        node(g, "Conv", &[x[0], weight], none())
    }));
    cases
}

fn pools() -> Vec<Case> {
    let mut cases = vec![
        linear("GlobalAveragePool", "", 13, vec![apart(&[2, 3, 4, 5], 1)], unary("GlobalAveragePool", none())),
        linear(
            "GlobalAveragePool",
            "one dimension",
            13,
            vec![apart(&[2, 3, 5], 1)],
            unary("GlobalAveragePool", none()),
        ),
        kinked("GlobalMaxPool", "", 13, vec![apart(&[2, 3, 4, 5], 1)], unary("GlobalMaxPool", none())),
        linear(
            "AveragePool",
            "global",
            13,
            vec![apart(&[2, 3, 4, 5], 1)],
            unary("AveragePool", none().with_ints("kernel_shape", &[4, 5])),
        ),
        linear(
            "AveragePool",
            "tiles",
            13,
            vec![apart(&[2, 3, 4, 6], 1)],
            unary("AveragePool", none().with_ints("kernel_shape", &[2, 3]).with_ints("strides", &[2, 3])),
        ),
        linear(
            "AveragePool",
            "one dimension",
            13,
            vec![apart(&[2, 3, 7], 1)],
            unary("AveragePool", none().with_ints("kernel_shape", &[3]).with_ints("strides", &[2])),
        ),
        linear(
            "AveragePool",
            "dilated",
            19,
            vec![apart(&[1, 2, 7, 8], 1)],
            unary("AveragePool", none().with_ints("kernel_shape", &[2, 3]).with_ints("dilations", &[3, 2])),
        ),
        kinked(
            "MaxPool",
            "global",
            13,
            vec![apart(&[2, 3, 4, 5], 1)],
            unary("MaxPool", none().with_ints("kernel_shape", &[4, 5])),
        ),
        kinked(
            "MaxPool",
            "one dimension",
            13,
            vec![apart(&[2, 3, 7], 1)],
            unary("MaxPool", none().with_ints("kernel_shape", &[3]).with_ints("strides", &[2])),
        ),
        kinked(
            "MaxPool",
            "three dimensions",
            13,
            vec![apart(&[1, 2, 3, 4, 5], 1)],
            unary("MaxPool", none().with_ints("kernel_shape", &[2, 2, 3]).with_ints("pads", &[0, 1, 1, 1, 0, 1])),
        ),
    ];
    let x = || vec![apart(&[1, 2, 6, 7], 1)];
    for kernel in [[2i64, 2], [3, 3], [3, 2]] {
        for strides in [[1i64, 1], [2, 2], [3, 2]] {
            for pads in [[0i64, 0, 0, 0], [1, 0, 0, 1], [1, 1, 1, 1]] {
                for ceil in [0, 1] {
                    let base = none()
                        .with_ints("kernel_shape", &kernel)
                        .with_ints("strides", &strides)
                        .with_ints("pads", &pads)
                        .with_int("ceil_mode", ceil);
                    let what = format!("{kernel:?} strides {strides:?} pads {pads:?} ceil {ceil}");
                    for dilation in [1, 2] {
                        let attributes = base.clone().with_ints("dilations", &[dilation, dilation]);
                        cases.push(kinked(
                            "MaxPool",
                            format!("{what} dilation {dilation}"),
                            13,
                            x(),
                            unary("MaxPool", attributes),
                        ));
                    }
                    for include in [0, 1] {
                        let attributes = base.clone().with_int("count_include_pad", include);
                        cases.push(linear(
                            "AveragePool",
                            format!("{what} include {include}"),
                            13,
                            x(),
                            unary("AveragePool", attributes),
                        ));
                    }
                }
            }
        }
    }
    for mode in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        let attributes =
            none().with_ints("kernel_shape", &[3, 2]).with_ints("strides", &[2, 3]).with_string("auto_pad", mode);
        cases.push(kinked("MaxPool", mode, 13, x(), unary("MaxPool", attributes.clone())));
        cases.push(linear("AveragePool", mode, 13, x(), unary("AveragePool", attributes)));
    }
    cases
}

fn reductions() -> Vec<Case> {
    let x = || vec![apart(&[2, 3, 4], 1)];
    let mut cases = Vec::new();
    for op in ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"] {
        for (what, axes, keep) in [
            ("last", vec![-1], 1),
            ("two, dropped", vec![0, -1], 0),
            ("all", vec![], 0),
            ("middle, dropped", vec![1], 0),
        ] {
            for opset in [13, 18] {
                let axes = axes.clone();
                cases.push(kinked(op, format!("{what}, operator set {opset}"), opset, x(), move |g, x| {
                    let attributes = none().with_int("keepdims", keep);
                    match (op, opset, axes.is_empty()) {
                        (_, _, true) => node(g, op, x, attributes),
                        ("ReduceSum", _, _) | (_, 18, _) => {
                            let axes = ints(g, &axes);
                            node(g, op, &[x[0], axes], attributes)
                        }
                        _ => node(g, op, x, attributes.with_ints("axes", &axes)),
                    }
                }));
            }
        }
    }
    cases.push(linear("ReduceSum", "noop", 13, x(), unary("ReduceSum", none().with_int("noop_with_empty_axes", 1))));
    cases
}

fn normalisations() -> Vec<Case> {
    let mut cases = vec![
        linear("BatchNormalization", "", 13, vec![apart(&[2, 3, 2, 4], 1)], |g, x| {
            let parameters =
                [[0.5, -1.0, 2.0], [0.1, 0.2, 0.3], [1.0, 0.0, -1.0], [0.3, 1.5, 4.0]].map(|v| floats(g, &[3], &v));
            node(
                g,
                "BatchNormalization",
                &[x[0], parameters[0], parameters[1], parameters[2], parameters[3]],
                none().with_float("epsilon", 0.01),
            )
        }),
        linear("BatchNormalization", "flat", 15, vec![apart(&[4, 3], 1)], |g, x| {
            let parameters =
                [[0.5, -1.0, 2.0], [0.1, 0.2, 0.3], [1.0, 0.0, -1.0], [0.3, 1.5, 4.0]].map(|v| floats(g, &[3], &v));
            node(g, "BatchNormalization", &[x[0], parameters[0], parameters[1], parameters[2], parameters[3]], none())
        }),
        curved("InstanceNormalization", "", 13, vec![smooth(&[2, 3, 3, 4], 1.5, 1)], |g, x| {
            let (scale, bias) = (floats(g, &[3], &[0.5, -1.0, 2.0]), floats(g, &[3], &[0.1, 0.2, 0.3]));
            node(g, "InstanceNormalization", &[x[0], scale, bias], none().with_float("epsilon", 0.02))
        }),
        curved("LayerNormalization", "last", 17, vec![smooth(&[2, 3, 4], 1.5, 1)], |g, x| {
            let (scale, bias) = (floats(g, &[4], &[0.5, -1.0, 2.0, 1.0]), floats(g, &[4], &[0.1, 0.2, 0.3, 0.0]));
            node(g, "LayerNormalization", &[x[0], scale, bias], none().with_float("epsilon", 0.02))
        }),
        curved("LayerNormalization", "from axis 1", 17, vec![smooth(&[2, 3, 2], 1.5, 1)], |g, x| {
            let scale = floats(g, &[3, 2], &[0.5, -1.0, 2.0, 1.0, 0.3, 0.7]);
            node(g, "LayerNormalization", &[x[0], scale], none().with_int("axis", 1))
        }),
        curved("ReduceMean", "layer normalisation spelled out", 13, vec![smooth(&[2, 3, 4], 1.5, 1)], |g, x| {
            let mean = node(g, "ReduceMean", x, none().with_ints("axes", &[-1]));
            let centred = node(g, "Sub", &[x[0], mean], none());
            let (two, epsilon) = (floats(g, &[], &[2.0]), floats(g, &[], &[0.02]));
            let square = node(g, "Pow", &[centred, two], none());
            let variance = node(g, "ReduceMean", &[square], none().with_ints("axes", &[-1]));
            let sum = node(g, "Add", &[variance, epsilon], none());
            let deviation = node(g, "Sqrt", &[sum], none());
            node(g, "Div", &[centred, deviation], none())
        }),
    ];
    // ONNX Runtime refuses even sizes.
    for size in [1, 3, 5] {
        let attributes =
            none().with_int("size", size).with_float("alpha", 0.9).with_float("beta", 0.6).with_float("bias", 1.4);
        cases.push(curved(
            "LRN",
            format!("size {size}"),
            13,
            vec![smooth(&[2, 5, 2, 3], 2.0, 1)],
            unary("LRN", attributes),
        ));
    }
    for op in ["Softmax", "LogSoftmax"] {
        for axis in [-1, 0, 1, 2] {
            cases.push(curved(
                op,
                format!("axis {axis}"),
                13,
                vec![smooth(&[2, 3, 4], 2.0, 1)],
                unary(op, none().with_int("axis", axis)),
            ));
        }
    }
    cases
}

fn shapes() -> Vec<Case> {
    let x = || vec![apart(&[2, 3, 4], 1)];
    let mut cases = vec![
        linear("Identity", "", 13, x(), unary("Identity", none())),
        linear("Dropout", "", 13, x(), unary("Dropout", none())),
        linear("Flatten", "axis 2", 13, x(), unary("Flatten", none().with_int("axis", 2))),
        linear("Flatten", "axis -1", 13, x(), unary("Flatten", none().with_int("axis", -1))),
        linear("Reshape", "", 13, x(), |g, x| {
            let shape = ints(g, &[4, -1, 2]);
            node(g, "Reshape", &[x[0], shape], none())
        }),
        linear("Unsqueeze", "", 13, x(), |g, x| {
            let axes = ints(g, &[0, -1]);
            node(g, "Unsqueeze", &[x[0], axes], none())
        }),
        linear("Squeeze", "", 13, vec![apart(&[1, 3, 1, 4], 1)], |g, x| {
            let axes = ints(g, &[0, -2]);
            node(g, "Squeeze", &[x[0], axes], none())
        }),
        linear("Squeeze", "all", 13, vec![apart(&[1, 3, 1, 4], 1)], unary("Squeeze", none())),
        linear("Transpose", "", 13, x(), unary("Transpose", none().with_ints("perm", &[1, 2, 0]))),
        linear("Transpose", "reversed", 13, x(), unary("Transpose", none())),
        linear("Concat", "", 13, vec![apart(&[2, 3, 4], 1), apart(&[2, 1, 4], 2)], |g, x| {
            node(g, "Concat", &[x[0], x[1], x[0]], none().with_int("axis", -2))
        }),
        linear("Split", "one part read", 13, x(), |g, x| {
            let lengths = ints(g, &[1, 2, 1]);
            g.add_node("Split", &[Some(x[0]), Some(lengths)], 3, none().with_int("axis", -1))[1]
        }),
        linear("Split", "two parts read", 18, x(), |g, x| {
            let parts = g.add_node("Split", &[Some(x[0])], 3, none().with_int("axis", 1).with_int("num_outputs", 3));
            let two = floats(g, &[], &[2.0]);
            let twice = node(g, "Mul", &[parts[2], two], none());
            node(g, "Add", &[parts[0], twice], none())
        }),
        linear("Expand", "", 13, vec![apart(&[3, 1], 1)], |g, x| {
            let shape = ints(g, &[2, 3, 4]);
            node(g, "Expand", &[x[0], shape], none())
        }),
        linear("Gather", "one index", 13, x(), |g, x| {
            let index = g.add_constant(Tensor::i64(&[], &[-2]));
            node(g, "Gather", &[x[0], index], none().with_int("axis", 1))
        }),
        linear("Gather", "a table of indices, some twice", 13, x(), |g, x| {
            let indices = g.add_constant(Tensor::i64(&[2, 3], &[3, 1, 1, 0, -1, 3]));
            node(g, "Gather", &[x[0], indices], none().with_int("axis", -1))
        }),
        linear("Gather", "first axis", 13, x(), |g, x| {
            let indices = ints(g, &[1, 0, 1]);
            node(g, "Gather", &[x[0], indices], none())
        }),
        linear(
            "SpaceToDepth",
            "",
            13,
            vec![apart(&[2, 3, 4, 6], 1)],
            unary("SpaceToDepth", none().with_int("blocksize", 2)),
        ),
        linear(
            "DepthToSpace",
            "DCR",
            13,
            vec![apart(&[2, 8, 2, 3], 1)],
            unary("DepthToSpace", none().with_int("blocksize", 2)),
        ),
        linear(
            "DepthToSpace",
            "CRD",
            13,
            vec![apart(&[2, 8, 2, 3], 1)],
            unary("DepthToSpace", none().with_int("blocksize", 2).with_string("mode", "CRD")),
        ),
    ];
    for (starts, ends, axes, steps) in [
        (vec![1], vec![3], vec![2], vec![1]),
        (vec![-3, 0], vec![-1, 1000], vec![-1, 1], vec![1, 2]),
        (vec![1, 0], vec![9, 9], vec![1, 2], vec![2, 3]),
        (vec![-1], vec![-1000], vec![2], vec![-1]),
        (vec![3, 1000], vec![0, -1000], vec![2, 1], vec![-2, -2]),
    ] {
        cases.push(linear("Slice", format!("{starts:?} {ends:?} {axes:?} {steps:?}"), 13, x(), move |g, x| {
            let inputs = [x[0], ints(g, &starts), ints(g, &ends), ints(g, &axes), ints(g, &steps)];
            node(g, "Slice", &inputs, none())
        }));
    }
    for pads in [[0, 1, 2, 0, 0, 1], [0, -1, 1, 0, 0, -2], [1, 0, -1, -1, 2, 0]] {
        cases.push(linear("Pad", format!("{pads:?}"), 13, x(), move |g, x| {
            let inputs = [x[0], ints(g, &pads), floats(g, &[], &[0.5])];
            node(g, "Pad", &inputs, none())
        }));
    }
    cases.push(linear("Pad", "named axes", 18, x(), |g, x| {
        let inputs = [x[0], ints(g, &[1, 0, 2, 3]), floats(g, &[], &[0.0]), ints(g, &[-1, 0])];
        node(g, "Pad", &inputs, none())
    }));
    // Multiples of 1/64 survive float16, and so do steps of 1/8.
    let halves = (vec![3, 4], (0..12).map(|i| i as f32 / 4.0 - 1.5).collect());
    cases.push(Case {
        step: 0.125,
        ..linear("Cast", "to float16 and back", 13, vec![halves], |g, x| {
            let half = node(g, "Cast", x, none().with_int("to", 10));
            node(g, "Cast", &[half], none().with_int("to", 1))
        })
    });
    cases
}

fn quantisation() -> Vec<Case> {
    // Multiples of the scale and steps of four scales: rounding never happens. Some are saturated.
    let multiples = |dims: &[usize], scale: f32| {
        let n: usize = dims.iter().product();
        (dims.to_vec(), (0..n).map(|i| ((i * 37 % 61) as f32 - 30.0) * 8.0 * scale).collect::<Vec<f32>>())
    };
    let byte = |dtype: DataType, values: Vec<u8>| Tensor {
        dtype,
        dims: if values.len() == 1 { vec![] } else { vec![values.len()] },
        data: values.into(),
    };
    let pair = move |dtype: DataType, zeros: Vec<u8>, scales: [Vec<f32>; 2]| {
        move |g: &mut Graph, x: &[ValueId]| {
            let dims: &[usize] = if zeros.len() == 1 { &[] } else { &[3] };
            let zero = g.add_constant(byte(dtype, zeros.clone()));
            let scales = [floats(g, dims, &scales[0]), floats(g, dims, &scales[1])];
            let q = node(g, "QuantizeLinear", &[x[0], scales[0], zero], none().with_int("axis", 1));
            node(g, "DequantizeLinear", &[q, scales[1], zero], none().with_int("axis", 1))
        }
    };
    let mut cases = Vec::new();
    for op in ["QuantizeLinear", "DequantizeLinear"] {
        let exact = |what: &str, dims: &[usize], build| Case {
            step: 0.0625 * 4.0,
            build,
            ..linear(op, what, 13, vec![multiples(dims, 0.0625)], unary("Identity", none()))
        };
        cases.push(exact(
            "int8",
            &[2, 3, 5],
            Box::new(pair(DataType::Int8, vec![0], [vec![0.0625], vec![0.0625]])) as Build,
        ));
        cases.push(exact(
            "uint8, another scale behind",
            &[2, 3, 5],
            Box::new(pair(DataType::Uint8, vec![128], [vec![0.0625], vec![0.25]])),
        ));
        // Moved and quantised again alike, then averaged and quantised again, more narrowly.
        let again = pair(DataType::Int8, vec![0], [vec![0.0625], vec![0.0625]]);
        let narrow = pair(DataType::Int8, vec![100], [vec![0.0625], vec![0.0625]]);
        cases.push(exact(
            "again and again",
            &[2, 3, 2, 2],
            Box::new(move |g, x| {
                let y = again(g, x);
                let y = node(g, "Transpose", &[y], none().with_ints("perm", &[0, 1, 3, 2]));
                let y = again(g, &[y]);
                let y = node(g, "GlobalAveragePool", &[y], none());
                narrow(g, &[y])
            }),
        ));
        let scales = vec![0.0625, 0.125, 0.25];
        cases.push(exact(
            "per channel",
            &[2, 3, 5],
            Box::new(pair(DataType::Int8, vec![0, 4, 252], [scales.clone(), scales])),
        ));
    }
    cases
}

/// Gradients that stay unexpanded behind a global pool must be expanded where it matters.
fn unexpanded() -> Vec<Case> {
    let x = || vec![apart(&[2, 4, 4, 6], 1)];
    let pooled = |what: &'static str, inner: fn(&mut Graph, ValueId) -> ValueId| {
        let pool = kinked("GlobalAveragePool", format!("after {what}"), 13, x(), move |g, x| {
            let y = inner(g, x[0]);
            node(g, "GlobalAveragePool", &[y], none())
        });
        // The mean leaves little of a small step.
        Case { step: 0.07, linear: false, ..pool }
    };
    vec![
        pooled("Relu", |g, x| node(g, "Relu", &[x], none())),
        pooled("a 1×1 convolution", |g, x| {
            let values = Random(4).vec(12);
            let w = floats(g, &[3, 4, 1, 1], &values);
            node(g, "Conv", &[x, w], none())
        }),
        pooled("a strided 1×1 convolution", |g, x| {
            let values = Random(4).vec(12);
            let w = floats(g, &[3, 4, 1, 1], &values);
            node(g, "Conv", &[x, w], none().with_ints("strides", &[2, 2]))
        }),
        pooled("a 3×3 convolution", |g, x| {
            let values = Random(4).vec(108);
            let w = floats(g, &[3, 4, 3, 3], &values);
            node(g, "Conv", &[x, w], none())
        }),
        pooled("MaxPool", |g, x| node(g, "MaxPool", &[x], none().with_ints("kernel_shape", &[2, 2]))),
        pooled("AveragePool", |g, x| node(g, "AveragePool", &[x], none().with_ints("kernel_shape", &[3, 2]))),
        pooled("Concat of channels", |g, x| node(g, "Concat", &[x, x], none().with_int("axis", 1))),
        pooled("Concat of rows", |g, x| node(g, "Concat", &[x, x], none().with_int("axis", 2))),
        pooled("Transpose", |g, x| node(g, "Transpose", &[x], none().with_ints("perm", &[0, 1, 3, 2]))),
        pooled("a sum with broadcasting", |g, x| {
            let mean = node(g, "ReduceMean", &[x], none().with_ints("axes", &[2, 3]));
            node(g, "Add", &[x, mean], none())
        }),
        pooled("Reshape and Transpose (a channel shuffle)", |g, x| {
            let (apart, together) = (ints(g, &[2, 2, 2, 4, 6]), ints(g, &[2, 4, 4, 6]));
            let y = node(g, "Reshape", &[x, apart], none());
            let y = node(g, "Transpose", &[y], none().with_ints("perm", &[0, 2, 1, 3, 4]));
            node(g, "Reshape", &[y, together], none())
        }),
        pooled("Slice", |g, x| {
            let inputs = [x, ints(g, &[1]), ints(g, &[3]), ints(g, &[3])];
            node(g, "Slice", &inputs, none())
        }),
        pooled("Pad", |g, x| {
            let inputs = [x, ints(g, &[0, 0, 1, 0, 0, 0, 0, 2])];
            node(g, "Pad", &inputs, none())
        }),
        curved("Mul", "squeeze and excitation", 13, vec![smooth(&[2, 4, 3, 3], 1.0, 1)], |g, x| {
            let mean = node(g, "GlobalAveragePool", x, none());
            let gate = node(g, "Sigmoid", &[mean], none());
            node(g, "Mul", &[x[0], gate], none())
        }),
    ]
}

#[test]
fn every_rule_agrees_with_finite_differences() {
    let groups = [
        activations(),
        arithmetic(),
        matrices(),
        convolutions(),
        pools(),
        reductions(),
        normalisations(),
        shapes(),
        quantisation(),
        unexpanded(),
    ];
    let cases: Vec<Case> = groups.into_iter().flatten().collect();
    let covered: BTreeSet<&str> = cases.iter().map(|case| case.op).collect();
    let missing: Vec<&str> =
        operators().filter(|(op, differentiable)| *differentiable && !covered.contains(op)).map(|(op, _)| op).collect();
    assert!(missing.is_empty(), "rows of the table without a case: {missing:?}");

    let mut wrong = Vec::new();
    let mut worst = 0f64;
    for case in &cases {
        let tolerance = if case.linear { 2e-5 } else { 3e-4 };
        match error_of(case) {
            Ok(error) if error <= tolerance => worst = worst.max(error),
            Ok(error) => wrong.push(format!("{} {}: off by {error:.1e}", case.op, case.what)),
            Err(reason) => wrong.push(format!("{} {}: {reason}", case.op, case.what)),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    println!("{} cases of {} operators, worst error {worst:.1e}", cases.len(), covered.len());
}

/// As in torch, only the first of equal entries in a window gets the gradient.
#[test]
fn max_pool_gives_ties_to_the_first() {
    let mut g = graph(13);
    let x = input(&mut g, "x", &[1, 1, 3, 4]);
    let y = node(&mut g, "MaxPool", &[x], none().with_ints("kernel_shape", &[2, 2]));
    let seed = floats(&mut g, &[1, 1, 2, 3], &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
    let dx = differentiate(&mut g, y, seed, x).unwrap().unwrap();
    g.rename(dx, "dx");
    g.set_outputs(&[dx]);
    let mut runner = Runner::of(&g.to_model());
    // Zeros everywhere: what a Relu leaves of a dark corner.
    let flat = runner.run(&[("x", Data::F32(vec![1, 1, 3, 4], vec![0.0; 12]))])["dx"].f32();
    assert_eq!(flat, [1.0, 2.0, 4.0, 0.0, 8.0, 16.0, 32.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let x = vec![0.0, 5.0, 5.0, 0.0, 5.0, 0.0, 5.0, 5.0, 0.0, 0.0, 0.0, 5.0];
    let tied = runner.run(&[("x", Data::F32(vec![1, 1, 3, 4], x))])["dx"].f32();
    assert_eq!(tied, [0.0, 3.0, 4.0, 0.0, 8.0, 0.0, 48.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

/// Operators whose output does not move: no gradient, and no error either.
#[test]
fn flat_operators_end_the_way() {
    let mut g = graph(13);
    let x = input(&mut g, "x", &[2, 3]);
    let zero = floats(&mut g, &[], &[0.0]);
    let above = node(&mut g, "Greater", &[x, zero], none());
    let y = node(&mut g, "Cast", &[above], none().with_int("to", 1));
    let seed = floats(&mut g, &[2, 3], &[1.0; 6]);
    assert!(differentiate(&mut g, y, seed, x).unwrap().is_none());
    assert!(operators().any(|(op, differentiable)| op == "Shape" && !differentiable));
}

/// What has no rule is named.
#[test]
fn an_operator_without_a_rule_is_named() {
    let mut g = graph(13);
    let x = input(&mut g, "x", &[2, 3]);
    let wave = node(&mut g, "Sin", &[x], none());
    let y = node(&mut g, "Relu", &[wave], none());
    let seed = floats(&mut g, &[2, 3], &[1.0; 6]);
    let error = differentiate(&mut g, y, seed, x).unwrap_err();
    assert_eq!(error.op, "Sin");
    assert!(error.to_string().contains("there is no gradient rule"), "{error}");
}
