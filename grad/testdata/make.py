#!/usr/bin/env python3
"""Makes the networks of the gradient tests and the gradients that PyTorch finds for them.

    python make.py          (needs torch, onnx and numpy; writes beside itself)

For each network NAME.onnx (and NAME_17.onnx, the same in operator set 17), exported with seeded random weights, NAME.npz holds: the inputs under their names, a cotangent
"v:OUTPUT" for the output, and "g:VALUE" for every value of the graph whose gradient is compared: inputs, parameters, and the
outputs of the convolutions and linear layers. PyTorch computes in float64.
"""
import os
import warnings

import numpy as np
import onnx
import torch
import torch.nn as nn
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
warnings.filterwarnings("ignore")


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: the identity, a 1x1 convolution, or every second pixel with zero channels."""

    def __init__(self, cin, cout, stride, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.kind = shortcut
        self.pad = (cout - cin) // 2
        if shortcut == "conv":
            self.down = nn.Conv2d(cin, cout, 1, stride, bias=False)
            self.dbn = nn.BatchNorm2d(cout)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.kind == "conv":
            x = self.dbn(self.down(x))
        elif self.kind == "slice":
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.blocks = nn.Sequential(Block(8, 8, 1, "id"), Block(8, 10, 2, "slice"), Block(10, 12, 2, "conv"))
        self.head = nn.Linear(12, 10)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn(self.stem(x))))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Fire(nn.Module):
    def __init__(self, cin, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(cin, squeeze, 1)
        self.left = nn.Conv2d(squeeze, expand, 1)
        self.right = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.left(x)), F.relu(self.right(x))], 1)


class SqueezeNet(nn.Module):
    """Fire modules, overlapping max pools in ceil mode after a ReLU (so windows of equal entries occur), no linear layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, 2)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.fire1 = Fire(12, 4, 8)
        self.fire2 = Fire(16, 6, 8)
        self.head = nn.Conv2d(16, 10, 1)

    def forward(self, x):
        x = self.fire1(self.pool(F.relu(self.stem(x))))
        x = F.relu(self.head(self.fire2(self.pool(x))))
        return torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)


class Transformer(nn.Module):
    """Token embedding, one post-norm encoder layer with masked attention, mean over tokens, normalised."""

    def __init__(self, vocab=50, width=24, heads=3):
        super().__init__()
        self.heads = heads
        self.embed = nn.Embedding(vocab, width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)

    def split(self, x):
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, ids, mask):
        x = self.embed(ids)
        m = mask.to(x.dtype)
        q, k, v = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = q @ k.transpose(-1, -2) / (q.shape[-1] ** 0.5) + (1 - m[:, None, None, :]) * -1e4
        y = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(x.shape)
        x = self.norm1(x + self.out(y))
        x = self.norm2(x + self.down(F.gelu(self.up(x))))
        return F.normalize((x * m[..., None]).sum(1) / m.sum(1, keepdim=True), dim=1)


def fold(module):
    """Folds every batch normalization into the convolution before it, and leaves the identity in its place."""
    for conv, bn in (("stem", "bn"), ("conv1", "bn1"), ("conv2", "bn2"), ("down", "dbn")):
        if hasattr(module, bn):
            setattr(module, conv, nn.utils.fusion.fuse_conv_bn_eval(getattr(module, conv), getattr(module, bn)))
            setattr(module, bn, nn.Identity())
    for child in module.children():
        fold(child)
    return module


def seeded(net):
    """Weights, and batch statistics that are not the defaults."""
    for name, p in list(net.named_parameters()) + list(net.named_buffers()):
        if name.endswith("running_var"):
            p.data = 0.5 + torch.rand_like(p)
        elif name.endswith("running_mean") or name.endswith("bias"):
            p.data = 0.3 * torch.randn_like(p)
        elif p.dim() == 1 and p.is_floating_point():
            p.data = 1 + 0.3 * torch.randn_like(p)
    return net.eval()


def export(name, net, inputs, names, opset):
    path = os.path.join(HERE, name + ".onnx")
    torch.onnx.export(net, tuple(inputs), path, input_names=names, output_names=["y"], opset_version=opset, dynamo=False,
                      training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False, keep_initializers_as_inputs=False)
    model = onnx.load(path)
    model.producer_name, model.producer_version = "make.py", ""
    for n in model.graph.node:
        n.doc_string = ""
    onnx.save(model, path)
    return model


def reference(name, net, inputs, names, model):
    """Gradients in float64, under the names that the exported graph has for the values."""
    net = net.double().requires_grad_()
    net.zero_grad()
    inputs = [x.double().requires_grad_() if x.is_floating_point() else x for x in inputs]
    seen = {}
    for path, module in net.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(lambda m, i, o, path=path: (seen.__setitem__(path, o), o.retain_grad())[0])
    y = net(*inputs)
    v = torch.randn(y.shape, dtype=torch.float64)
    (y * v.float().double()).sum().backward()
    out = {n: (x.detach().float() if x.is_floating_point() else x).numpy() for n, x in zip(names, inputs)}
    out["v:y"] = v.float().numpy()
    for n, x in zip(names, inputs):
        if x.is_floating_point():
            out["g:" + n] = x.grad.numpy()
    held = {t.name for t in model.graph.initializer}
    for n, p in net.named_parameters():
        if n in held:
            out["g:" + n] = p.grad.numpy()
    for node in model.graph.node:
        path = node.name.strip("/").rsplit("/", 1)[0].replace("/", ".").split(".")
        # The exporter repeats the path of a container: blocks/blocks.1/conv1.
        for module in seen:
            if node.op_type in ("Conv", "Gemm", "MatMul") and node.name.split("/")[-2] == module.split(".")[-1]:
                want = module.split(".")
                if all(w in path for w in want):
                    out["g:" + node.output[0]] = seen[module].grad.numpy()
    np.savez_compressed(os.path.join(HERE, name + ".npz"), **{k: a.astype(np.float32) if a.dtype == np.float64 else a for k, a in out.items()})
    print(name, len(out), "arrays", sorted(k for k in out if k[:2] == "g:"))


def make(name, net, inputs, names, *opsets):
    """NAME.onnx in the first operator set with its reference, and NAME_OPSET.onnx in each other."""
    model = export(name, net, inputs, names, opsets[0])
    for opset in opsets[1:]:
        export(f"{name}_{opset}", net, inputs, names, opset)
    reference(name, net, inputs, names, model)


if __name__ == "__main__":
    torch.manual_seed(1)
    net, x = seeded(ResNet()), torch.randn(2, 3, 9, 10)
    make("resnet_bn", net, [x], ["x"], 13)
    make("resnet", fold(net.float()), [x], ["x"], 18)
    make("squeezenet", seeded(SqueezeNet()), [torch.randn(2, 3, 24, 23)], ["x"], 11, 16)
    ids = torch.randint(0, 50, (2, 7))
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    make("transformer", seeded(Transformer()), [ids, mask], ["ids", "mask"], 14, 17)
