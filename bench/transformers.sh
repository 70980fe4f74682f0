#!/usr/bin/env bash
# Makes what the section transformers of the bench reads: FOLDER/FAMILY/EXPORTER.onnx, tiny transformers with seeded weights as the exporters
# of torch, Optimum and ONNX Runtime GenAI write them, and as ONNX Runtime's optimiser leaves them; FOLDER/unmade.txt says which cannot be made.
# The packages, gigabytes with torch, go to FOLDER/python, with those of the older Transformers that Optimum wants in FOLDER/optimum.
#
#   bench/transformers.sh FOLDER      PY=python 3.11 (default: python3.11)
set -euo pipefail
out=$(realpath -m "${1:?usage: bench/transformers.sh FOLDER}")
here=$(dirname "$0")
mkdir -p "$out"
python="$out/python/bin/python"
if [ ! -e "$out/optimum" ]; then
  "${PY:-python3.11}" -m venv "$out/python"
  "$python" -m pip install --quiet torch==2.15.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 onnxruntime-genai==0.18.0 \
    transformers==5.24.0 sentencepiece psutil protobuf
  "$python" -m pip install --quiet --no-deps --target "$out/optimum" optimum==2.1.0 optimum-onnx==0.1.0 transformers==4.57.6 tokenizers==0.22.2 \
    huggingface-hub==0.36.2 requests==2.34.2 urllib3 charset-normalizer certifi
fi
rm -f "$out/unmade.txt"
for exporter in torch fuser builder; do "$python" "$here/exporters.py" "$exporter" "$out"; done
PYTHONPATH="$out/optimum" "$python" "$here/exporters.py" optimum "$out"
