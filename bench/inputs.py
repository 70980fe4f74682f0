"""Writes random numbers from a fixed seed: python inputs.py OUT.npz NAME SAMPLES SHAPE, with the shape of one sample by comma."""

import sys

import numpy as np

out, name, samples, shape = sys.argv[1:]
size = [int(samples), *map(int, shape.split(","))]
np.savez(out, **{name: np.random.default_rng(0).standard_normal(size).astype(np.float32)})
