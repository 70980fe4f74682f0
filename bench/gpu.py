"""Times models on a card beside the first of them, and prints a table of ratios.

usage: gpu.py FOLDER CARD PROVIDERS SECONDS MODEL...

FOLDER/MODEL has model.onnx, the original, and compressed ones beside it, as bench/gpu.sh makes them. PROVIDERS are cuda, tensorrt or cpu, by
comma. All models of a row run by turns on inputs that lie on the card; a ratio is the median over the turns of the original's time over
the other's. Rows that there is no time left for are said to be left out.
"""

import pathlib
import statistics
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnxruntime.transformers.float16 import convert_float_to_float16

VARIANTS = ["model", "chains-8", "widths", "chains-32", "chains-64"]
PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider", "cpu": "CPUExecutionProvider"}
WARM, TURNS, MOST = 5, 40, 4.0  # runs before the turns, turns, and seconds after which there are no more than ten
TOKENS = 128


def half(path):
    """The model beside it whose weights and values are float16, inputs and outputs apart."""
    out = path.with_suffix(".f16.onnx")
    if not out.exists():
        onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=True), out, save_as_external_data=True, location=out.name + ".data")
    return out


def session(path, provider):
    """A session of a model in a provider, which has to be there: nothing falls back to the processor as a whole."""
    name, options = PROVIDERS[provider], {}
    if provider == "tensorrt":
        options = {"trt_fp16_enable": path.suffixes[-2:-1] == [".f16"], "trt_builder_optimization_level": 2, "trt_max_workspace_size": 4 << 30}
    if name not in onnxruntime.get_available_providers():
        raise RuntimeError(f"this onnxruntime has no {name}")
    chain = [(name, options)] + ([("CUDAExecutionProvider", {})] if provider == "tensorrt" else [])
    s = onnxruntime.InferenceSession(str(path), providers=chain)
    if s.get_providers()[0] != name:
        raise RuntimeError(f"{name} did not start; there are {s.get_providers()}")
    return s


def bound(s, batch, provider):
    """A function that runs a session once, on inputs and to outputs that stay where the provider computes."""
    binding, device, random = s.io_binding(), "cpu" if provider == "cpu" else "cuda", np.random.default_rng(1)
    for i in s.get_inputs():
        shape = [d if isinstance(d, int) and d > 0 else batch if at == 0 else TOKENS for at, d in enumerate(i.shape)]
        value = np.ones(shape, np.int64) if "int" in i.type else random.standard_normal(shape, dtype=np.float32)
        binding.bind_ortvalue_input(i.name, onnxruntime.OrtValue.ortvalue_from_numpy(value, device, 0))
    for o in s.get_outputs():
        binding.bind_output(o.name, device, 0)
    options = onnxruntime.RunOptions()

    def run():
        s.run_with_iobinding(binding, options)
        binding.synchronize_outputs()

    return run


def turns(runs):
    """Seconds of each run, by turns."""
    for run in runs:
        for _ in range(WARM):
            run()
    out, begun = [[] for _ in runs], time.perf_counter()
    for turn in range(TURNS):
        if turn >= 10 and time.perf_counter() - begun > MOST:
            break
        for at in range(len(runs)):
            k = (at + turn) % len(runs)
            start = time.perf_counter()
            runs[k]()
            out[k].append(time.perf_counter() - start)
    return out


def row(folder, precision, batch, provider):
    """Milliseconds of the original, and how many times as fast each of the others is; a dash for one that there is not."""
    paths = [folder / f"{name}.onnx" for name in VARIANTS]
    have = [p for p in paths if p.exists()]
    files = [half(p) if precision == "float16" else p for p in have]
    took = turns([bound(session(p, provider), batch, provider) for p in files])
    ratio = {p: statistics.median(a / b for a, b in zip(took[0], t)) for p, t in zip(have, took)}
    return [f"{1e3 * statistics.median(took[0]):.2f} ms"] + [f"{ratio[p]:.2f}×" if p in ratio else "–" for p in paths[1:]]


def main(folder, card, providers, seconds, models):
    begun, slowest = time.monotonic(), 0.0
    print(f"ONNX Runtime {onnxruntime.__version__} on {card}\n")
    print("| model | by | type | batch | original | " + " | ".join(VARIANTS[1:]) + " |\n|---" + "|---" * (4 + len(VARIANTS[1:])) + "|")
    for provider in providers.split(","):
        for model in models:
            for precision in ["float16", "float32"]:
                for batch in [1, 32]:
                    now, head = time.monotonic(), f"| {model} | {provider} | {precision} | {batch} |"
                    if now - begun + slowest > float(seconds):
                        print(head, "left out: no time left |")
                        continue
                    try:
                        print(head, " | ".join(row(pathlib.Path(folder) / model, precision, batch, provider)), "|", flush=True)
                    except Exception as e:  # an engine refuses in many ways: the row says how, and the others are timed
                        print(head, f"left out: {str(e).splitlines()[0][:200]} |", flush=True)
                    slowest = max(slowest, time.monotonic() - now)


if __name__ == "__main__":
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    main(*sys.argv[1:5], sys.argv[5:])
