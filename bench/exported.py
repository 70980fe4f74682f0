"""Takes transformers as exporters write them through the program, and prints what came of each as a table.

usage: exported.py PROGRAM WORK [WORD]

WORK is what exporters.py made; a model whose path lacks WORD is left out. Texts are seeded ids: they are all that a model gets whose
other inputs follow from them, else it gets what it declares. Each is inspected, compressed to 0.7 of its parameters, verified, and tuned
for one epoch. Every node that is a product of a constant matrix must be a site, or have a reason.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx

SAMPLES, CALIBRATE, WORDS = 48, 32, 500
SIZES = {"batch": 1, "channels": 3, "feature_size": 80, "frames": 100, "height": 32, "width": 32, "encoder": 50}
PRODUCTS = {"MatMul", "Gemm", "Conv", "FusedMatMul", "FusedGemm", "FusedConv", "Attention", "MatMulNBits", "Gather"}
STILL = {"Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze"}


def nodes(graph):
    """All nodes, those of branches too."""
    for n in graph.node:
        yield n
        for a in n.attribute:
            if a.type == onnx.AttributeProto.GRAPH:
                yield from nodes(a.g)


def tensors(graph):
    """Ranks of constants by name, those of branches too."""
    yield from ((t.name, len(t.dims)) for t in graph.initializer)
    for n in graph.node:
        for a in n.attribute:
            if a.type == onnx.AttributeProto.GRAPH:
                yield from tensors(a.g)
            elif n.op_type == "Constant" and a.name == "value":
                yield n.output[0], len(a.t.dims)


def products(model):
    """The nodes with a constant matrix or kernel."""
    ranks = dict(tensors(model.graph))
    for n in nodes(model.graph):
        if n.op_type in STILL and n.input[0] in ranks:
            ranks[n.output[0]] = ranks[n.input[0]]
    operands = {"Gather": slice(0, 1), "Attention": slice(1, 2), "MatMulNBits": slice(1, 2)}
    for n in nodes(model.graph):
        weights = n.input[operands.get(n.op_type, slice(0, 2))]
        if n.op_type in PRODUCTS and any(ranks.get(i, 0) >= 2 for i in weights):
            yield n


def samples(model, path):
    """Arrays for the model's inputs; texts' ids alone where the rest follows from them."""
    rng, arrays = np.random.default_rng(1), {}
    inputs = {i.name: i.type.tensor_type for i in model.graph.input}
    text = next((n for n in inputs if n.endswith("input_ids")), None)
    for name, t in inputs.items():
        numbers = t.elem_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
        made = "use_cache_branch" in inputs or ".encoder." not in name  # what an encoder gave follows from no ids
        if name.startswith("past") and made or text and not numbers and name != text and not name.startswith("encoder"):
            continue
        shape = [d.dim_value or next((s for word, s in SIZES.items() if word in d.dim_param), 12) for d in t.shape.dim][1:]
        if name == text:
            shape = [12]
        x = rng.standard_normal([SAMPLES] + shape) if numbers else rng.integers(3, WORDS, [SAMPLES] + shape)
        if "mask" in name:
            x = np.ones([SAMPLES] + shape)
        arrays[name] = x.astype(onnx.helper.tensor_dtype_to_np_dtype(t.elem_type))
    np.savez(path, **arrays)


def run(program, *args):
    """What a run printed, or its first words where it failed; and the most memory that it took, in MiB."""
    with tempfile.NamedTemporaryFile() as times:
        done = subprocess.run(["/usr/bin/time", "-f", "%M", "-o", times.name, program, *map(str, args)], capture_output=True, text=True)
        peak = int(times.read().split()[-1]) / 1024
    said = done.stderr.strip().splitlines() or [""]
    return done.returncode, done.stdout if done.returncode == 0 else said[0].removeprefix("onnx-compress: ")[:300], peak


def said(node, name):
    """Whether a name is that of the node, or of what it makes where nodes of two branches have one name."""
    return name in (node.name, node.output[0]) or name.startswith(node.output[0] + "_") or name.startswith(node.name + "/")


def judged(report):
    j = report.get("judged") or {}
    value = j.get("value")
    return "%s %s" % (j.get("measure", "nothing compared"), "equal" if value is None else "%.3g" % value)


def row(program, path, folder):
    model = onnx.load(path)
    data, small, tuned = folder / "samples.npz", folder / "small.onnx", folder / "tuned.onnx"
    samples(model, data)
    cells, most = [], 0

    code, out, _ = run(program, "inspect", path, "--json")
    if code:
        return [out], most, False
    seen = json.loads(out)
    missed = [n.name for n in products(model) if not any(said(n, s["name"]) for s in seen["sites"] + seen["skipped"])]
    share = sum(s["params"] for s in seen["sites"]) / seen["params"]
    cells.append("%d, %.0f %%%s" % (len(seen["sites"]), 100 * share, "; MISSED " + ", ".join(missed) if missed else ""))

    code, out, peak = run(program, "compress", path, "-o", small, "--target", "params=0.7", "--calib", data, "--calib-samples", CALIBRATE, "--accept-damage", "--force", "-q", "--json")
    most = max(most, peak)
    if code:
        return cells + ["exit %d: %s" % (code, out)], most, code == 3
    result = json.loads(out)
    notes = sum("gradient" in s.get("note", "") for s in result["sites"])
    cells.append("%.3f%s" % (result["output"]["params"] / result["input"]["params"], ", %d without gradients" % notes if notes else ""))

    code, out, peak = run(program, "verify", path, small, "--data", data, "--json")
    most = max(most, peak)
    if code:
        return cells + ["exit %d: %s" % (code, out)], most, False
    cells.append(judged(json.loads(out)))

    code, out, peak = run(program, "tune", path, small, "-o", tuned, "--data", data, "--samples", CALIBRATE, "--epochs", 1, "--batch", 16, "--force", "-q", "--json")
    most = max(most, peak)
    if code:
        return cells + ["exit %d: %s" % (code, out)], most, False
    curve = json.loads(out)["tuning"]["curve"]
    cells.append("%.3g to %.3g" % (curve[0]["held"], curve[-1]["held"]))
    return cells, most, not missed


def main():
    program, work, word = sys.argv[1], pathlib.Path(sys.argv[2]), (sys.argv[3:] or [""])[0]
    print("| model | sites, of the parameters | parameters left | verified | held-out loss, tuned | peak MiB |\n|---|---|---|---|---|---|")
    bad = 0
    for path in sorted(work.glob("*/*.onnx")):
        if word not in str(path):
            continue
        with tempfile.TemporaryDirectory() as folder:
            cells, most, good = row(program, path, pathlib.Path(folder))
        bad += not good
        cells += [""] * (4 - len(cells))
        print("| %s %s | %s | %.0f |" % (path.parent.name, path.stem, " | ".join(cells), most), flush=True)
    print("\n%d models are not what is wanted." % bad)
    unmade = work / "unmade.txt"
    if unmade.exists() and unmade.stat().st_size:
        print("\nNot made, in the exporters' own words:\n")
        for line in unmade.read_text().splitlines():
            print("- %s %s: `%s`" % tuple(line.split("\t", 2)))


main()
