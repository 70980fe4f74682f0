"""Compresses every test model of the onnx package, data-free and calibrated on seeded noise, and counts what came of them.

usage: onnxtests.py PROGRAM WORK SECONDS [ARGUMENT...]

Nearly all of these models are one operator, with nothing in them to compress. What counts is that every run ends as it should: with a
result that is as small as was asked for, or with a reason and the exit code for it. A run that takes longer than SECONDS is stopped. The
arguments go to each run. Outcomes are sums over models; of each the first two models are named.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import onnx

SAMPLES = 8


def models():
    data = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data"
    for path in sorted(data.glob("*/*/model.onnx")):
        yield path.parent.parent.name + "/" + path.parent.name, path


def draw(path, to):
    """Noise for every input, each sample what one run takes; None where an input is no tensor."""
    rng, arrays = np.random.default_rng(1), {}
    model = onnx.load(path, load_external_data=False)
    constants = {t.name for t in model.graph.initializer}
    for i in model.graph.input:
        if i.name in constants:
            continue
        if not i.type.HasField("tensor_type") or not i.type.tensor_type.elem_type:
            return None
        t = i.type.tensor_type
        dims = [d.dim_value if d.dim_value > 0 else 2 for d in t.shape.dim]
        shape = dims if dims and dims[0] == 1 else [1] + dims
        x = rng.standard_normal([SAMPLES] + shape[1:])
        dtype = onnx.helper.tensor_dtype_to_np_dtype(t.elem_type)
        if dtype.kind not in "fiub":
            return None
        arrays[i.name] = (x > 0 if dtype.kind == "b" else abs(x) if dtype.kind == "u" else x).astype(dtype)
    if not arrays:
        return None
    np.savez(to, **arrays)
    return to


NAMED = re.compile(r'\([^():]*: the multiply-adds of')
QUOTED = re.compile(r'"[^"]*"|\S*/\S+|-?\b\d+(\.\d+)?(x\d+)*\b')


def outcome(program, work, path, limit, args):
    result, small = work / "result.json", work / "small.onnx"
    result.unlink(missing_ok=True)
    command = [program, "compress", path, "-o", small, "--force", "-q", "--json=%s" % result, "--target", "macs=0.7"] + args
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return "stopped"
    if run.returncode == 0:
        r = json.loads(result.read_text())
        if r["output"]["macs"] > 0.7 * r["input"]["macs"]:
            return "UNTRUE: done, and %s of %s MACs are left" % (r["output"]["macs"], r["input"]["macs"])
        onnx.checker.check_model(str(small))
        return "exit 0: as small as asked for" + (", %d nodes uncounted" % len(r["uncounted"]) if r.get("uncounted") else "")
    words = run.stderr.split("\n")[0]
    if "panic" in run.stderr or "internal error" in run.stderr or run.returncode not in (1, 2, 3, 6):
        return "BROKEN: exit %d: %s" % (run.returncode, words)
    words = NAMED.sub("(the multiply-adds of", words)
    words = QUOTED.sub("…", words.removeprefix("onnx-compress: ").split(": ", 1)[-1])
    return "exit %d: %s" % (run.returncode, words if len(words) < 150 else words[:147] + "…")


def main():
    program, work, limit = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    work.mkdir(parents=True, exist_ok=True)
    for title in "data-free", "calibrated":
        found = collections.defaultdict(list)
        for name, path in models():
            args = sys.argv[4:]
            if title == "calibrated":
                samples = draw(path, work / "samples.npz")
                if samples is None:
                    found["not run: an input is no numeric tensor, or there is none"].append(name)
                    continue
                args = args + ["--calib", samples, "--calib-samples", str(SAMPLES)]
            what = outcome(program, work, path, limit, args)
            found[what].append(name)
            if what.startswith(("UNTRUE", "BROKEN", "stopped")):
                print(name, what, file=sys.stderr, flush=True)
        print("\n%s:\n\n| models | outcome | such as |\n|---|---|---|" % title)
        for what, names in sorted(found.items(), key=lambda item: -len(item[1])):
            print("| %d | %s | %s |" % (len(names), what, ", ".join(names[:2])), flush=True)


main()
