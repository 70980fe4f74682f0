"""Writes CIFAR-10's training images as binary records: a byte for the label, then the planes R, G, B. See cifar.sh.

    python cifar.py PACKAGE_FOLDER OUT.bin

The package has five PNG files of 10,000 rows, a row being the 32·32 RGB pixels of an image, and a list of labels.
"""

import json
import pathlib
import sys

import numpy as np
from PIL import Image


def main():
    folder, out = pathlib.Path(sys.argv[1]), sys.argv[2]
    Image.MAX_IMAGE_PIXELS = None
    labels = np.array(json.loads((folder / "train_lables.json").read_text()), np.uint8)
    batches = [np.asarray(Image.open(folder / f"data_batch_{i}.png").convert("RGB")) for i in range(1, 6)]
    pixels = np.concatenate(batches)
    if pixels.shape != (50000, 1024, 3) or labels.shape != (50000,) or labels.max() > 9:
        sys.exit(f"images {pixels.shape} and labels {labels.shape}; wanted (50000, 1024, 3) and (50000,)")
    planes = pixels.transpose(0, 2, 1).reshape(50000, 3072)
    np.concatenate([labels[:, None], planes], axis=1).tofile(out)


if __name__ == "__main__":
    main()
