"""Writes peer.json: relative errors of TensorLy's decompositions of the kernel that peerKernel in cp_test.go makes.

    python peer.py > peer.json    (tensorly 0.10.0, numpy)
"""
import json

import numpy as np
import tensorly as tl
from tensorly.decomposition import parafac, tensor_train

O, C, K = 24, 20, 3


def kernel():
    o, c, i, j = np.meshgrid(np.arange(O), np.arange(C), np.arange(K), np.arange(K), indexing="ij")
    return np.sin(0.7 * (o + 1) * (c + 2)) * np.exp(-0.1 * (o + c)) * np.cos(i + 0.5 * j * o) + np.cos(o * i + 0.3 * c * j) / (1 + i + j + 0.2 * o)


def error(x, rebuilt):
    return float(np.linalg.norm(x - rebuilt) / np.linalg.norm(x))


def cp(x, rank):
    return error(x, tl.cp_to_tensor(parafac(x, rank=rank, n_iter_max=50, init="svd", tol=0, random_state=0)))


def main():
    x = kernel()
    out = []
    for rank in (4, 12, 30):
        out.append({"method": "cp", "rank": [rank], "error": cp(x, rank)})
        out.append({"method": "cp-window", "rank": [rank], "error": cp(x.reshape(O, C, K * K), rank)})
    for rank in ([4, 6, 5], [10, 16, 12], [15, 24, 20]):
        train = tensor_train(np.moveaxis(x, 0, -1), rank=[1, *rank, 1])
        out.append({"method": "tt", "rank": rank, "error": error(np.moveaxis(x, 0, -1), tl.tt_to_tensor(train))})
    print(json.dumps(out, indent=1))


main()
