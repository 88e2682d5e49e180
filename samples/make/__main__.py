"""Makes the sample files. `python -m make all` from the folder `samples`; see its README.md."""

import argparse
import json
from pathlib import Path

import numpy as np

from . import data
from .scene import SIZE
from .shapes import CLASSES

HERE = Path(__file__).resolve().parent.parent
CARD = """# How to feed shapes.onnx: Gradcast reads this card when it is given the model beside it.
labels = "shapes.txt"
input-size = "{size}x{size}"
channels = "rgb"
mean = [127.5, 127.5, 127.5]
std = [127.5, 127.5, 127.5]
fit = "stretch"
layer = "top/relu"
"""


def say(text):
    print(text, flush=True)


def make_model(o):
    """Draws, trains, exports, measures."""
    import torch

    from . import train
    from .net import Net

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    stages = [tuple(map(int, s.split("x"))) for s in o.stages.split(",")]
    kept = [Path(o.cache) / f"stage{k + 1}.pt" for k in range(len(stages))]
    done = max((k + 1 for k in range(len(stages) - 1) if kept[k].exists()), default=0)  # go on where an earlier run was cut off
    weights = torch.load(kept[done - 1]) if done else None
    for k in range(done, len(stages)):
        pictures, epochs = stages[k]
        drawn = data.cached(o.cache, "train", pictures, o.threads, report=say)
        if k + 1 == len(stages):
            drawn = train.worth_learning(drawn, data.cached(o.cache, "nothing", pictures // 6, o.threads, report=say))
        net = train.train(*drawn, epochs, o.seed + k, say, weights, Path(o.cache) / "net.pt")
        weights = net.state_dict()
        torch.save(weights, kept[k])
    torch.save(net.state_dict(), Path(o.cache) / "net.pt")
    write_model(o, net)


def write_model(o, net=None):
    """Exports the trained net, checks that ONNX Runtime says the same, and measures it on the held-out pictures."""
    import onnx
    import onnxruntime
    import torch

    from . import export, train
    from .net import Net, pixels

    if net is None:
        net = Net(len(CLASSES))
        net.load_state_dict(torch.load(Path(o.cache) / "net.pt"))
        net.eval()
    path = HERE / "shapes.onnx"
    onnx.save(export.model(net, SIZE), path)
    (HERE / "shapes.txt").write_text("\n".join(CLASSES) + "\n")
    (HERE / "shapes.toml").write_text(CARD.format(size=SIZE))
    held = data.cached(o.cache, "held-out", o.held_out, o.threads, report=say)
    with torch.no_grad():
        x = pixels(held[0][:64])
        ours, theirs = net(x).numpy(), onnxruntime.InferenceSession(path.read_bytes()).run(None, {"input": x.numpy()})[0]
    worst = float(np.abs(ours - theirs).max())
    if worst > 1e-3:
        raise SystemExit(f"shapes.onnx differs from the net it was exported from by {worst}")
    found = train.measure(net, *held)
    hard = train.measure(net, *data.cached(o.cache, "hard", o.held_out, o.threads, report=say))
    found["hard"] = {k: v for k, v in hard.items() if k != "confusion"}
    found["model_bytes"] = path.stat().st_size
    found["parameters"] = sum(p.numel() for p in net.parameters())
    (Path(o.cache) / "measured.json").write_text(json.dumps(found, indent=1))
    say(json.dumps({k: v for k, v in found.items() if k != "confusion"}, indent=1))
    return found


def make_heldout(o):
    from . import heldout

    say(heldout.write(HERE / "heldout", o.threads))


def make_clip(o):
    from . import clip

    say(clip.write(HERE, o.threads))


def check(o):
    """Measures the files as they lie in the repository."""
    from . import check as c

    model = c.Model(HERE / "shapes.onnx", o.threads)
    say("\n".join([*c.check_heldout(model, HERE / "heldout"), *c.check_clip(model, HERE, o.film)]))


def main():
    steps = {"check": [check], "model": [make_model], "export": [write_model], "heldout": [make_heldout], "clip": [make_clip], "all": [make_model, make_heldout, make_clip, check]}
    p = argparse.ArgumentParser(prog="python -m make", description=__doc__)
    p.add_argument("what", choices=steps)
    p.add_argument("--stages", default="19500x7,42900x3,58500x14", help="PICTURESxEPOCHS: training, then training on with more pictures")
    p.add_argument("--held-out", type=int, default=3900)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--cache", default="/tmp/samples-data", help="where drawn pictures and weights are kept between runs")
    p.add_argument("--film", help="check: also write the clip with the maps painted on it")
    o = p.parse_args()
    for step in steps[o.what]:
        step(o)


if __name__ == "__main__":
    main()
