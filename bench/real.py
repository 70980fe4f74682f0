"""Makes inputs for a model as nobody has them but every model takes them: seeded noise of its declared shapes.

usage: real.py MODEL SAMPLES.npz

Open axes get the sizes that models of the kind want: 1 for what is called a batch, 64 for the height of a text line, 256 for an image
without sizes of its own, 512 for audio. Prints the shapes of one sample as arguments of the command.
"""

import sys

import numpy as np
import onnx

SAMPLES = 40


def sizes(name, dims, audio):
    out = []
    for i, d in enumerate(dims):
        if d:
            out.append(d)
        elif i == 0:
            out.append(1)
        elif audio:
            out.append(512)
        else:
            out.append(64 if len(dims) == 4 and dims[3] == 0 and dims[2] == 64 else 96)
    return out


def main():
    path, to = sys.argv[1:]
    model = onnx.load(path, load_external_data=False)
    constants = {t.name for t in model.graph.initializer}
    rng = np.random.default_rng(1)
    inputs = [i for i in model.graph.input if i.name not in constants]
    arrays, args = {}, []
    for i in inputs:
        t = i.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(t.elem_type)
        dims = [d.dim_value for d in t.shape.dim]
        audio = any(w in path for w in ("vad",))
        shape = sizes(i.name, dims, audio)
        n = SAMPLES
        if np.issubdtype(dtype, np.floating):
            x = rng.standard_normal([n] + shape) * (0.1 if audio else 1)
        elif "sr" in i.name:
            x = np.full([n] + shape, 16000)
        else:
            x = rng.integers(0, 255, [n] + shape)
        x = x.astype(dtype)
        if shape and shape[0] == 1 and (dims[0] == 0 or dims[0] == 1):
            x = x[:, 0]
        elif shape and audio and len(shape) == 3:
            pass
        arrays[i.name] = x
        if shape:
            args.append("%s=%s" % (i.name, "x".join(map(str, shape))))
    np.savez(to, **arrays)
    print("\n".join(args))


main()
