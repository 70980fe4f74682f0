"""Trains the demo network of testmodels/data and writes its two files.

    python train.py --out ../data

fashion_resnet.onnx  a 14-layer residual network for 28x28 grey images (the CIFAR form of
                     He et al. 2016, section 4.2, with 1x1 convolutions on the shortcuts
                     that change shape), batch normalizations kept as nodes, dynamic batch.
                     Input "image" [N,1,28,28] float32 holds pixels divided by 255.
fashion.bin          1,512 images of the test set as records of one label byte and 784
                     pixel bytes: the layout of the CIFAR-10 binary version.

The last epoch's weights are the result: nothing is selected by looking at the test set.
The same machine, thread count and package versions give the same bytes.
"""

import argparse
import gzip
import os
import pathlib
import time

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

CLASSES = 10
RECORDS = 1512  # 512 to calibrate on and 1,000 to score, told apart by the reader's seed
OPSET = 17
IR_VERSION = 8


def read_idx(path):
    """Reads one gzip-compressed IDX file of unsigned bytes."""
    with gzip.open(path) as f:
        data = f.read()
    if data[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: not an IDX file of unsigned bytes")
    shape = np.frombuffer(data, ">i4", data[3], 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def read_split(folder, name):
    images = read_idx(folder / f"{name}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{name}-labels-idx1-ubyte.gz")
    if images.shape[1:] != (28, 28) or len(images) != len(labels):
        raise ValueError(f"{folder}/{name}: {images.shape} images, {labels.shape} labels")
    return images, labels


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is 1x1 where the shape changes."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.shortcut = None
        if stride != 1 or cin != cout:
            self.shortcut = nn.Conv2d(cin, cout, 1, stride, bias=False)
            self.shortcut_bn = nn.BatchNorm2d(cout)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.shortcut is not None:
            x = self.shortcut_bn(self.shortcut(x))
        return F.relu(x + y)


class ResNet(nn.Module):
    def __init__(self, widths=(16, 32, 64), blocks=2):
        super().__init__()
        self.stem = nn.Conv2d(1, widths[0], 3, 1, 1, bias=False)
        self.stem_bn = nn.BatchNorm2d(widths[0])
        self.blocks = nn.ModuleDict()
        cin = widths[0]
        for s, cout in enumerate(widths, 1):
            for b in range(1, blocks + 1):
                stride = 2 if s > 1 and b == 1 else 1
                self.blocks[f"stage{s}_block{b}"] = Block(cin, cout, stride)
                cin = cout
        self.classifier = nn.Linear(cin, CLASSES)

    def forward(self, x):
        x = F.relu(self.stem_bn(self.stem(x)))
        for block in self.blocks.values():
            x = block(x)
        return self.classifier(x.mean((2, 3)))


def augment(images, generator):
    """Shifts each image by up to two pixels (zeros come in) and mirrors half of them."""
    n = len(images)
    dy, dx = torch.randint(0, 5, (2, n, 1), generator=generator)
    rows = (torch.arange(28) + dy)[:, :, None]
    cols = torch.arange(28) + dx
    mirror = torch.rand(n, 1, generator=generator) < 0.5
    cols = torch.where(mirror, cols.flip(1), cols)[:, None, :]
    padded = F.pad(images, (2, 2, 2, 2))
    return padded[torch.arange(n)[:, None, None], rows, cols]


def train(model, images, labels, args):
    generator = torch.Generator().manual_seed(args.seed)
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.SGD(
        [{"params": decay, "weight_decay": args.weight_decay}, {"params": rest}],
        lr=args.rate, momentum=0.9, nesterov=True,
    )
    steps = len(images) // args.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.rate, total_steps=steps * args.epochs, pct_start=0.25,
        cycle_momentum=False, final_div_factor=1000,
    )
    for epoch in range(1, args.epochs + 1):
        model.train()
        start, total = time.time(), 0.0
        order = torch.randperm(len(images), generator=generator)
        for step in range(steps):
            pick = order[step * args.batch:(step + 1) * args.batch]
            x = augment(images[pick], generator)[:, None].float() / 255
            loss = F.cross_entropy(model(x), labels[pick], label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch}/{args.epochs}: loss {total / steps:.4f}, {time.time() - start:.0f} s", flush=True)
        if args.checkpoint:
            torch.save(model.state_dict(), args.checkpoint)


def export(model, path):
    """Writes the network node by node, so that names and structure are ours."""
    nodes, weights = [], []

    def constant(name, value):
        weights.append(numpy_helper.from_array(value.detach().numpy(), name))
        return name

    def node(op, name, inputs, **attributes):
        nodes.append(helper.make_node(op, inputs, [name + ".out"], name, **attributes))
        return name + ".out"

    def conv_bn(name, conv, bn, x):
        k, stride, pad = conv.kernel_size, conv.stride, conv.padding
        x = node("Conv", name, [x, constant(name + ".weight", conv.weight)],
                 kernel_shape=list(k), strides=list(stride), pads=list(pad) * 2)
        parts = {"scale": bn.weight, "bias": bn.bias, "mean": bn.running_mean, "var": bn.running_var}
        names = [constant(f"{name}.bn.{part}", value) for part, value in parts.items()]
        return node("BatchNormalization", name + ".bn", [x, *names], epsilon=bn.eps)

    x = node("Relu", "stem.relu", [conv_bn("stem", model.stem, model.stem_bn, "image")])
    for key, block in model.blocks.items():
        name = key.replace("_", ".")
        y = conv_bn(name + ".conv1", block.conv1, block.bn1, x)
        y = node("Relu", name + ".relu1", [y])
        y = conv_bn(name + ".conv2", block.conv2, block.bn2, y)
        if block.shortcut is not None:
            x = conv_bn(name + ".shortcut", block.shortcut, block.shortcut_bn, x)
        x = node("Add", name + ".add", [x, y])
        x = node("Relu", name + ".relu2", [x])
    x = node("GlobalAveragePool", "pool", [x])
    x = node("Flatten", "flatten", [x])
    names = [constant("classifier." + k, getattr(model.classifier, k)) for k in ("weight", "bias")]
    nodes.append(helper.make_node("Gemm", [x, *names], ["logits"], "classifier", transB=1))

    graph = helper.make_graph(
        nodes, "fashion_resnet",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        weights,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                              ir_version=IR_VERSION, producer_name="testmodels/train")
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def accuracy(model, images, labels):
    model.eval()
    with torch.inference_mode():
        right = sum(
            (model(x[:, None].float() / 255).argmax(1) == y).sum().item()
            for x, y in zip(images.split(500), labels.split(500))
        )
    return right / len(images)


def write_records(path, images, labels):
    records = np.concatenate([labels[:, None], images.reshape(len(images), -1)], 1)
    path.write_bytes(records.astype(np.uint8).tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default="/usr/share/datasets/fashion-mnist",
                        help="folder with the four IDX files (default: where Debian's package puts them)")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the two files")
    parser.add_argument("--checkpoint", type=pathlib.Path, help="file for the weights after each epoch")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.2, help="the highest learning rate")
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    torch.set_num_threads(2)
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)

    images, labels = (torch.from_numpy(a.copy()) for a in read_split(args.data, "train"))
    held, truth = read_split(args.data, "t10k")
    model = ResNet().to(memory_format=torch.channels_last)  # twice as fast on a CPU
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {os.cpu_count()} CPUs", flush=True)
    train(model, images, labels.long(), args)

    score = accuracy(model, torch.from_numpy(held.copy()), torch.from_numpy(truth.copy()).long())
    args.out.mkdir(parents=True, exist_ok=True)
    export(model, args.out / "fashion_resnet.onnx")
    write_records(args.out / "fashion.bin", held[:RECORDS], truth[:RECORDS])
    print(f"top-1 on the {len(held)} test images: {100 * score:.2f} %")


if __name__ == "__main__":
    main()
