"""Times ONNX files against the first of them in ONNX Runtime, turn by turn in one process.

    python latency.py BATCH ROUNDS ORIGINAL.onnx SMALL.onnx ...

Prints one line a file: milliseconds a sample, median, and the median over the rounds of ORIGINAL's time over the file's.
One thread; the inputs are seeded.
"""
import statistics
import sys
import time

import numpy as np
import onnxruntime


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main():
    batch, rounds, paths = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    sessions = [session(p) for p in paths]
    first = sessions[0].get_inputs()[0]
    if isinstance(first.shape[0], int):
        batch = first.shape[0]
    shape = [batch] + [d if isinstance(d, int) else 224 for d in first.shape[1:]]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    times = [[] for _ in sessions]
    for turn in range(rounds + 3):
        for s, seen in zip(sessions, times):
            start = time.perf_counter()
            s.run(None, {s.get_inputs()[0].name: x})
            if turn >= 3:  # the first turns warm up
                seen.append(time.perf_counter() - start)
    for seen in times:
        ratios = [a / b for a, b in zip(times[0], seen)]
        print(f"{1e3 * statistics.median(seen) / batch:.3f} {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
