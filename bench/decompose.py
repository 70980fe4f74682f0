"""Decomposes tensors with TensorLy on its NumPy backend.

    python decompose.py JOBS.json

JOBS.json lists {"scheme", "file", "shape", "rank"}; each file holds float64 numbers of that shape, outputs first.
Prints a JSON list with the seconds and the relative Frobenius error of each, in the same order. The scheme "eigh" is
NumPy's eigen-decomposition of a symmetric matrix, without an error.
"""
import json
import sys
import time
import warnings

import numpy as np
import tensorly as tl
from tensorly.decomposition import parafac, partial_tucker, tensor_train

SWEEPS = 50  # of cp; tucker2 stops by itself


def tucker2(x, rank):
    (core, factors), _ = partial_tucker(x, rank=rank[::-1], modes=[0, 1], init="svd")
    return lambda: tl.tenalg.multi_mode_dot(core, factors, modes=[0, 1])


def cp(x, rank):
    terms = parafac(x, rank=rank[0], n_iter_max=SWEEPS, init="svd", tol=0, random_state=0)
    return lambda: tl.cp_to_tensor(terms)


def tt(x, rank):
    # Input channels, axes, output channels: the order of the chain.
    train = tensor_train(np.moveaxis(x, 0, -1), rank=[1, *rank, 1])
    return lambda: np.moveaxis(tl.tt_to_tensor(train), -1, 0)


def eigh(x, rank):
    np.linalg.eigh(x)
    return lambda: x


SCHEMES = {"tucker2": tucker2, "cp": cp, "tt": tt, "eigh": eigh}


def main(path):
    warnings.simplefilter("ignore")  # ranks beyond a mode's length
    results = []
    with open(path) as f:
        jobs = json.load(f)
    for job in jobs:
        x = np.fromfile(job["file"]).reshape(job["shape"])
        start = time.perf_counter()
        rebuilt = SCHEMES[job["scheme"]](x, job["rank"])
        seconds = time.perf_counter() - start
        results.append({"seconds": seconds, "error": float(np.linalg.norm(x - rebuilt()) / np.linalg.norm(x))})
        print(f"{job['scheme']} {job['shape']} {seconds:.2f} s", file=sys.stderr, flush=True)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
