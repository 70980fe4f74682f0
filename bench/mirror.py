#!/usr/bin/env python3
"""The accuracy of class scores for images, for their mirror images, and of the means of both.

    python mirror.py RECORDS MEAN STD MODEL...          (needs numpy and onnxruntime)

RECORDS holds CIFAR binary records; MEAN and STD are three numbers each, by comma. Prints a row of Markdown for each model.
"""
import os
import sys

import numpy as np
import onnxruntime as ort


def main():
    records, mean, std, *models = sys.argv[1:]
    data = np.fromfile(records, np.uint8).reshape(-1, 3073)
    labels = data[:, 0]
    numbers = [np.array(s.split(","), np.float32).reshape(3, 1, 1) for s in (mean, std)]
    images = (data[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255 - numbers[0]) / numbers[1]
    mirrored = np.ascontiguousarray(images[..., ::-1])
    for path in models:
        session = ort.InferenceSession(path)
        name = session.get_inputs()[0].name

        def scores(x):
            return np.concatenate([session.run(None, {name: x[i : i + 500]})[0] for i in range(0, len(x), 500)])

        own, other = scores(images), scores(mirrored)
        shares = [100 * np.mean(s.argmax(1) == labels) for s in (own, other, own + other)]
        print(f"| {os.path.basename(path)} |", " | ".join(f"{s:.2f} %" for s in shares), "|")


if __name__ == "__main__":
    main()
