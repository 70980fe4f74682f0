#!/usr/bin/env python3
"""Makes losses.npz: the losses of the tests of training graphs and the gradients that PyTorch finds for them.

    python make.py          (needs torch, onnx and numpy; writes beside itself)

The networks are those of ../../../grad/testdata, with the weights of their files. "NETWORK:t" is what the original would give at
the output, "NETWORK:f" at a value inside, "NETWORK:labels" a one at each sample's class; for every CASE there is "CASE:loss", and
"CASE:g:WEIGHT" for each weight. PyTorch computes in float64.
"""
import importlib.util
import os

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
NETWORKS = os.path.join(HERE, "..", "..", "..", "grad", "testdata")
WEIGHT, TEMPERATURE, LAMBDA, FEATURES = 0.7, 3.0, 0.5, 0.25

spec = importlib.util.spec_from_file_location("networks", os.path.join(NETWORKS, "make.py"))
networks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(networks)


def load(name, net):
    """The network with the weights of its file, and the inputs of its reference."""
    held = {t.name: torch.tensor(numpy_helper.to_array(t)) for t in onnx.load(os.path.join(NETWORKS, name + ".onnx")).graph.initializer}
    for n, p in net.named_parameters():
        p.data = held[n].clone()
    stored = np.load(os.path.join(NETWORKS, name + ".npz"))
    return net.eval().double().requires_grad_(), [torch.tensor(stored[k]) for k in stored.files if ":" not in k]


def centred(x):
    return x - x.mean(1, keepdim=True)


def distances(y, t):
    p, q = F.log_softmax(t / TEMPERATURE, 1), F.log_softmax(y / TEMPERATURE, 1)
    return {
        "logits": ((centred(y) - centred(t)) ** 2).mean(),
        "kl": TEMPERATURE ** 2 * (p.exp() * (p - q)).sum(1).mean(),
        "cosine": (1 - F.cosine_similarity(y, t, 1)).mean(),
        "mse": ((y - t) ** 2).mean(),
    }


def cases(name, net, inside, out):
    net, inputs = load(name, net)
    seen = {}
    inside.register_forward_hook(lambda m, i, o: seen.__setitem__("f", o))
    inputs = [x.double() if x.is_floating_point() else x for x in inputs]
    y = net(*inputs)
    # float32 numbers, so that both sides see the same ones
    t, f = torch.randn_like(y).float(), (seen["f"] + 0.5 * torch.randn_like(seen["f"])).detach().float()
    labels = F.one_hot(torch.randint(0, y.shape[1], (y.shape[0],)), y.shape[1]).float()
    for k, v in {"t": t, "f": f, "labels": labels}.items():
        out[f"{name}:{k}"] = v.numpy()
    t, f, labels = t.double(), f.double(), labels.double()
    for case in list(distances(y, t)) + ["features", "supervised"]:
        net.zero_grad()
        y = net(*inputs)
        d = distances(y, t)
        loss = WEIGHT * d.get(case, d["logits"])
        if case == "features":
            loss = loss + FEATURES * ((seen["f"] - f) ** 2).mean()
        if case == "supervised":
            loss = -(labels * F.log_softmax(y, 1)).sum(1).mean() + LAMBDA * loss
        loss.backward()
        out[f"{name}/{case}:loss"] = loss.detach().numpy()
        for n, p in net.named_parameters():
            out[f"{name}/{case}:g:{n}"] = p.grad.numpy().astype(np.float32)


if __name__ == "__main__":
    torch.manual_seed(2)
    out = {}
    resnet = networks.fold(networks.seeded(networks.ResNet()))
    cases("resnet", resnet, resnet.blocks[1].conv2, out)
    transformer = networks.Transformer()
    cases("transformer", transformer, transformer.up, out)
    np.savez_compressed(os.path.join(HERE, "losses.npz"), **out)
    print(len(out), "arrays")
