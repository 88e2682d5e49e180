"""The trained net as ONNX, written node by node: plain names, BatchNorm folded into the convolutions, nothing left over."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR = 17, 8


def folded(unit):
    """A convolution and its BatchNorm as one: weight, bias, and the convolution's settings."""
    conv, norm = unit[0], unit[1]
    f64 = lambda t: t.detach().double().numpy()
    k = f64(norm.weight) / np.sqrt(f64(norm.running_var) + norm.eps)
    weight = f64(conv.weight) * k[:, None, None, None]
    return np.float32(weight), np.float32(f64(norm.bias) - f64(norm.running_mean) * k), conv


def model(net, size):
    """Net (in eval mode) to an ONNX model: `input` f32 [N,3,size,size] to `logits` f32 [N,classes]."""
    nodes, weights = [], []

    def constant(name, value):
        weights.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def add(op, name, inputs, **attributes):
        nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def conv(unit, name, x):
        w, b, c = folded(unit)
        return add("Conv", f"{name}/conv", [x, constant(f"{name}/weight", w), constant(f"{name}/bias", b)], kernel_shape=list(c.kernel_size),
                   strides=list(c.stride), dilations=list(c.dilation), pads=[*c.padding, *c.padding])  # fmt: skip

    relu = lambda name, x: add("Relu", f"{name}/relu", [x])
    x = "input"

    def residual(block, name, x):
        inner = relu(f"{name}/a", conv(block.a, f"{name}/a", x))
        return relu(name, add("Add", f"{name}/add", [x, conv(block.b, f"{name}/b", inner)]))

    for k, unit in enumerate(net.stem, 1):
        if k == 3 and net.fine is not None:
            x = residual(net.fine, "fine", x)
        x = relu(f"stem{k}", conv(unit, f"stem{k}", x))
    for k, block in enumerate(net.blocks, 1):
        x = residual(block, f"block{k}", x)
    x = relu("top", conv(net.top, "top", x))
    x = add("Flatten", "flat", [add("GlobalAveragePool", "pool", [x])], axis=1)
    head = [constant("head/weight", net.weight().detach().numpy()), constant("head/bias", net.head.bias.detach().numpy())]
    nodes.append(helper.make_node("Gemm", [x, *head], ["logits"], "head", transB=1))

    value = lambda name, *dims: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *dims])
    graph = helper.make_graph(nodes, "shapes", [value("input", 3, size, size)], [value("logits", net.head.out_features)], weights)
    out = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="gradcast samples")
    out.doc_string = "Hand-drawn shapes; made by samples/make of the Gradcast project, Apache-2.0."
    onnx.checker.check_model(out, full_check=True)
    return out
