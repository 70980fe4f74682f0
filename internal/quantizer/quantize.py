"""Quantizes ONNX models to int8 with ONNX Runtime's own quantizer.

Standard input has a JSON object: "jobs", each with the paths "from" and "to", and "samples", a folder with one folder for each run, of
tensors in files; standard output gets one with the "version" of the quantizer and "how" each model was quantized. The package's
chatter goes to standard error.
"""

import json
import os
import sys
import tempfile


def main():
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    asked = json.load(sys.stdin)
    import onnx
    import onnxruntime
    from onnx import numpy_helper
    from onnxruntime import quantization as q
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(q.CalibrationDataReader):
        def __init__(self):
            root = asked["samples"]
            self.runs = iter(os.path.join(root, name) for name in sorted(os.listdir(root)))

        def get_next(self):
            folder = next(self.runs, None)
            if folder is None:
                return None
            tensors = (onnx.load_tensor(os.path.join(folder, name)) for name in sorted(os.listdir(folder)))
            return {t.name: numpy_helper.to_array(t) for t in tensors}

    def quantize(source, target):
        operators = {n.op_type for n in onnx.load(source, load_external_data=False).graph.node}
        with tempfile.TemporaryDirectory() as folder:
            prepared = os.path.join(folder, "prepared.onnx")
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            common = dict(per_channel=True, reduce_range=asked["reduce_range"], weight_type=q.QuantType.QInt8)
            if operators & {"Conv", "ConvTranspose", "FusedConv"}:
                q.quantize_static(prepared, target, Reader(), quant_format=q.QuantFormat.QDQ, activation_type=q.QuantType.QUInt8, **common)
                return "static"
            q.quantize_dynamic(prepared, target, **common)
            return "dynamic"

    how = [quantize(j["from"], j["to"]) for j in asked["jobs"]]
    json.dump({"version": onnxruntime.__version__, "how": how}, out)
    out.close()


if __name__ == "__main__":
    main()
