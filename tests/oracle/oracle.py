"""Writes what pytorch-grad-cam says, for tests/oracle_maps.rs to compare with. See README.md.

    python oracle.py MATERIAL      # the folder with models/ and images/

Everything is computed in float64: a float32 reference would add gate flips of its own.
"""
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
import torch.nn as nn
from onnx import numpy_helper
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

HERE = Path(__file__).parent


# ---- real models: ONNX nodes as torch modules ------------------------------------------------------

class Conv(nn.Module):
    def __init__(self, weight, bias, attributes):
        super().__init__()
        top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
        self.pad = nn.ZeroPad2d((left, right, top, bottom))
        self.conv = nn.Conv2d(
            weight.shape[1] * attributes.get("group", 1), weight.shape[0], weight.shape[2:],
            attributes.get("strides", 1), 0, attributes.get("dilations", 1), attributes.get("group", 1),
        )
        self.conv.weight.data, self.conv.bias.data = torch.tensor(weight), torch.tensor(bias)

    def forward(self, x):
        return self.conv(self.pad(x))


class Gemm(nn.Module):
    def __init__(self, weight, bias, attributes):
        super().__init__()
        self.linear = nn.Linear(*weight.shape[::-1])
        self.linear.weight.data = torch.tensor(weight if attributes.get("transB") else weight.T)
        self.linear.bias.data = torch.tensor(bias)

    def forward(self, x):
        return self.linear(x)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


class FromOnnx(nn.Module):
    """The nodes of an ONNX classifier, in order, up to the value `score`."""

    def __init__(self, path, score):
        super().__init__()
        graph = onnx.load(path).graph
        self.constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.start = next(i.name for i in graph.input if i.name not in self.constants)
        self.score, self.steps, self.nodes = score, [], nn.ModuleList()
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            module = self.module(node, attributes)
            if module is None:
                continue
            live = [i for i in node.input if i and i not in self.constants]
            self.nodes.append(module)
            self.steps.append((live, node.output[0]))
            if node.output[0] == score:
                break

    def module(self, node, attributes):
        constant = lambda i: self.constants[node.input[i]]
        match node.op_type:
            case "Conv":
                return Conv(constant(1), constant(2), attributes)
            case "Gemm":
                return Gemm(constant(1), constant(2), attributes)
            case "Relu":
                return nn.ReLU(inplace=False)
            case "Clip":
                return nn.Hardtanh(float(constant(1)), float(constant(2)), inplace=False)
            case "Add":
                return Function(torch.add)
            case "Concat":
                return Function(lambda *x: torch.cat(x, attributes["axis"]))
            case "MaxPool":
                pads = attributes.get("pads", [0, 0, 0, 0])
                # ONNX pads one side only; padding with -inf says the same.
                pool = nn.MaxPool2d(attributes["kernel_shape"], attributes["strides"])
                return Function(lambda x: pool(nn.functional.pad(x, (pads[1], pads[3], pads[0], pads[2]), value=-torch.inf)))
            case "GlobalAveragePool":
                return nn.AdaptiveAvgPool2d(1)
            case "Flatten":
                return nn.Flatten()
            case "Dropout":
                return nn.Identity()
            case "Constant" | "Shape":
                return None
        raise NotImplementedError(node.op_type)

    def forward(self, x):
        values = {self.start: x}
        for module, (inputs, output) in zip(self.nodes, self.steps):
            values[output] = module(*(values[i] for i in inputs if i in values))
        return torch.flatten(values[self.score], 1)

    def layer(self, name):
        return next(m for m, (_, output) in zip(self.nodes, self.steps) if output == name)


# ---- small models of our own -----------------------------------------------------------------------

def norm(channels):
    layer = nn.BatchNorm2d(channels)
    layer.weight.data.uniform_(0.6, 1.4)
    layer.bias.data.normal_(0, 0.3)
    layer.running_mean.normal_(0, 0.2)
    layer.running_var.uniform_(0.5, 1.5)
    return layer


class Block(nn.Module):
    def __init__(self, ins, outs, stride):
        super().__init__()
        self.a, self.b = nn.Conv2d(ins, outs, 3, stride, 1, bias=False), nn.Conv2d(outs, outs, 3, 1, 1, bias=False)
        self.na, self.nb = norm(outs), norm(outs)
        self.skip = nn.Sequential(nn.Conv2d(ins, outs, 1, stride, bias=False), norm(outs)) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = torch.relu(self.na(self.a(x)))
        return torch.relu(self.nb(self.b(y)) + self.skip(x))


class TinyResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3, bias=False), norm(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.layer1, self.layer2, self.layer3 = Block(8, 8, 1), Block(8, 16, 2), Block(16, 24, 2)
        self.head = nn.Linear(24, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.stem(x))))
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


class Dense(nn.Module):
    def __init__(self, ins, growth):
        super().__init__()
        self.n1, self.c1 = norm(ins), nn.Conv2d(ins, 16, 1, bias=False)
        self.n2, self.c2 = norm(16), nn.Conv2d(16, growth, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.c2(torch.relu(self.n2(self.c1(torch.relu(self.n1(x))))))
        return torch.cat([x, y], 1)


class TinyDenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 5, 2, 2)
        self.block1 = nn.Sequential(Dense(12, 8), Dense(20, 8))
        self.transition = nn.Sequential(norm(28), nn.ReLU(), nn.Conv2d(28, 14, 1), nn.AvgPool2d(2, 2))
        self.block2 = nn.Sequential(Dense(14, 8), Dense(22, 8))
        self.last = nn.Sequential(norm(30), nn.ReLU())
        self.head = nn.Linear(30, 12)

    def forward(self, x):
        x = self.last(self.block2(self.transition(self.block1(self.stem(x)))))
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


class TinyOdd(nn.Module):
    """Dilations, groups, asymmetric strides, ceil mode, squeeze-excitation, a channel shuffle, GELU, local response."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, (2, 1), (1, 2)), nn.Hardswish(), nn.LocalResponseNorm(3, 0.3, 0.6, 1.2))
        self.wide = nn.Sequential(nn.Conv2d(12, 12, 3, 2, 2, dilation=2, groups=4), nn.GELU())
        self.pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.squeeze, self.excite = nn.Conv2d(12, 4, 1), nn.Conv2d(4, 12, 1)
        self.mix = nn.Sequential(nn.Conv2d(12, 16, (1, 3), (1, 2), padding=(0, 1)), nn.LeakyReLU(0.1))
        self.average = nn.AvgPool2d(3, 1, 1, ceil_mode=True, count_include_pad=False)
        self.last = nn.Sequential(nn.Conv2d(16, 20, 3, padding=1, groups=2), nn.ELU())
        self.hidden, self.head = nn.Linear(300, 14), nn.Linear(14, 7)

    def forward(self, x):
        x = self.pool(self.wide(self.stem(x)))
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(nn.functional.adaptive_avg_pool2d(x, 1)))))
        x = x * gate
        n, c, h, w = x.shape
        x = x.reshape(n, 3, c // 3, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = self.last(self.average(self.mix(x)))
        x = nn.functional.max_pool2d(x, 2, (2, 1))
        return self.head(torch.tanh(self.hidden(torch.flatten(x, 1))))


# ---- maps ----------------------------------------------------------------------------------------

def pattern(height, width, seed):
    """The smooth picture of tests/explain_support: [1,3,H,W]."""
    u, v = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    planes = []
    for c in range(3):
        k = seed + 0.5 * c
        planes.append((np.sin(9 * u + k) * np.cos(7 * v - 0.7 * k) + 0.5 * np.sin(31 * u * v + 2 * k)) / 1.5)
    return np.stack(planes)[None].astype(np.float32)


def grad_cam(model, layer, x, index):
    """(map after ReLU before normalisation, its largest size before ReLU), by pytorch-grad-cam."""
    with GradCAM(model, [layer]) as cam:
        targets = [ClassifierOutputTarget(index)]
        normalised = cam(input_tensor=x, targets=targets)
        grads = cam.activations_and_grads
        activations, gradients = (t[0].cpu().data.numpy() for t in (grads.activations, grads.gradients))
        sums = cam.get_cam_image(x, layer, targets, activations, gradients, False)
        raw = np.maximum(sums, 0)
        # What we take is what the library would go on with.
        resized = scale_cam_image(raw, (x.shape[3], x.shape[2]))
        again = scale_cam_image(resized)
        assert np.abs(again[0] - normalised[0]).max() < 1e-4, np.abs(again[0] - normalised[0]).max()
        return raw[0], np.abs(sums).max()


def numbers(array):
    return [float(f"{v:.8g}") for v in np.asarray(array, np.float64).ravel()]


def case(model, layer, name, picture, x, index):
    raw, scale = grad_cam(model, layer, x, index)
    print(f"  {name} class {index} of {picture}: {raw.shape} max {raw.max():.4g}")
    return dict(layer=name, picture=picture, **{"class": index}, shape=list(raw.shape), scale=float(scale), map=numbers(raw))


def save(name, **content):
    path = HERE / "reference" / f"{name}.json"
    path.write_text(json.dumps(content, separators=(",", ":")).replace("},{", "},\n{") + "\n")
    print(path.name, path.stat().st_size)


def photo(path):
    return np.asarray(Image.open(path).convert("RGB"), np.float32).transpose(2, 0, 1)[None]


def real(material):
    mobilenet = FromOnnx(material / "models/mobilenet_v2_1.0_224_fp32.onnx", "logits").double().eval()
    squeezenet = FromOnnx(material / "models/squeezenet1.0_fp32_op13.onnx", "pool10_1").double().eval()
    inception = lambda rgb: (rgb - 127.5) / 127.5
    caffe = lambda rgb: rgb[:, ::-1] - np.array([103.94, 116.78, 123.68], np.float32)[:, None, None]
    jobs = [
        ("mobilenet_v2_1.0_224_fp32", mobilenet, inception, ["clip_96", "add_89", "add_72", "add_32"]),
        ("squeezenet1.0_fp32_op13", squeezenet, caffe, ["fire9/concat_1", "conv10_2", "fire6/concat_1", "fire4/concat_1"]),
    ]
    for name, model, prepare, layers in jobs:
        cases, scores = [], {}
        for picture, classes in [("gradcam_both.png", [243, 281]), ("winml_kitten_224.png", [285])]:
            x = torch.tensor(np.ascontiguousarray(prepare(photo(material / "images" / picture)))).double()
            scores[picture] = numbers(model(x).detach())
            print(name, picture, "most probable:", int(np.argmax(scores[picture])))
            for layer in layers:
                for index in classes:
                    cases.append(case(model, model.layer(layer), layer, picture, x, index))
        save(name, model=f"{name}.onnx", scores=scores, cases=cases)


def tiny():
    jobs = [
        ("tiny_resnet", TinyResNet, (64, 64), 13, ["layer3", "layer2", "layer1", "stem"]),
        ("tiny_densenet", TinyDenseNet, (48, 56), 12, ["last", "block2", "transition", "block1", "stem"]),
        ("tiny_odd", TinyOdd, (48, 40), 14, ["last", "mix", "pool", "wide", "stem"]),
    ]
    for name, make, (height, width), opset, layers in jobs:
        torch.manual_seed(7)
        model = make().eval()
        # torch's initial weights leave gradients of 1e-6; these do not.
        for module in model.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.weight.data *= 2
        x = torch.tensor(pattern(height, width, 3))
        path = HERE / "models" / f"{name}.onnx"
        torch.onnx.export(model, x, path, opset_version=opset, input_names=["input"], output_names=["scores"], dynamic_axes={"input": {0: "N"}, "scores": {0: "N"}})
        names = value_names(path, model, x, layers)
        model.double()
        scores, cases = {}, []
        for seed in (3, 5):
            x = torch.tensor(pattern(height, width, seed)).double()
            picture = f"pattern {seed}"
            scores[picture] = numbers(model(x).detach())
            for layer in layers:
                for index in (1, int(np.argmax(scores[picture]))):
                    cases.append(case(model, getattr(model, layer), names[layer], picture, x, index))
        print(path.name, path.stat().st_size)
        save(name, model=f"{name}.onnx", height=height, width=width, scores=scores, cases=cases)


def value_names(path, model, x, layers):
    """The ONNX values that hold the outputs of some modules, found by their contents."""
    exposed = onnx.load(path)
    values = [o for n in exposed.graph.node for o in n.output]
    exposed.graph.output.extend(onnx.ValueInfoProto(name=v) for v in values if v != "scores")
    session = ort.InferenceSession(exposed.SerializeToString(), providers=["CPUExecutionProvider"])
    computed = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"input": x.numpy()})))
    names = {}
    for layer in layers:
        held = []
        hook = getattr(model, layer).register_forward_hook(lambda m, i, o: held.append(o.detach().numpy()))
        model(x)
        hook.remove()
        same = [n for n, v in computed.items() if v.shape == held[0].shape and np.allclose(v, held[0], atol=1e-4, rtol=1e-4)]
        assert same, layer
        names[layer] = same[0]
    return names


if __name__ == "__main__":
    torch.set_num_threads(2)
    warnings.filterwarnings("ignore")
    tiny()
    real(Path(sys.argv[1]))
