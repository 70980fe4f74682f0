#!/usr/bin/env bash
# What low rank and widths are worth on an NVIDIA card: makes the shapes of ResNet-50 and BERT-base (bench/large.py), compresses them by their
# weights alone to half of the multiply-adds, in chains with ranks in multiples of 8, 32 and 64 and in widths, and times all of them beside the
# original (bench/gpu.py): float32 and float16, batch 1 and 32, ONNX Runtime's CUDA provider and TensorRT. Prints a table of ratios.
#
#   bench/gpu.sh FOLDER PROGRAM     PY=python that has numpy, onnx, onnxruntime-gpu and tensorrt (default: python3)
#                                   LIMIT=seconds for all of it (default: 480); what is not timed by then is said
#                                   PROVIDERS=cpu tries the script where there is no card; MODELS="resnet50 bert-base"
#
# Ends with 3, and the reason, where there is no card.
set -euo pipefail
folder=$(realpath -m "${1:?usage: bench/gpu.sh FOLDER PROGRAM}")
program=$(realpath "${2:?usage: bench/gpu.sh FOLDER PROGRAM}")
py=${PY:-python3}
limit=${LIMIT:-480}
providers=${PROVIDERS:-cuda,tensorrt}
here=$(dirname "$0")

card="no card, a trial"
if [ "$providers" != cpu ]; then
  card=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>&1) || {
    echo "gpu.sh: left out: there is no NVIDIA card here that nvidia-smi finds: ${card%%$'\n'*}" >&2
    exit 3
  }
fi
read -ra models <<<"${MODELS:-resnet50 bert-base}"
for need in numpy onnx onnxruntime; do
  "$py" -c "import $need" 2>/dev/null || { echo "gpu.sh: left out: $py has no package $need" >&2; exit 3; }
done
mkdir -p "$folder"
"$py" "$here/large.py" "$folder" "${models[@]}"

# compressed MODEL NAME FLAGS...: FOLDER/MODEL/NAME.onnx, made once.
compressed() {
  local model=$1 name=$2
  shift 2
  local out=$folder/$model/$name.onnx shapes=()
  [ -e "$out" ] && return
  [ "$model" != bert-base ] || shapes=(--input-shape input_ids=1x128 --input-shape attention_mask=1x128)
  "$program" compress "$folder/$model/model.onnx" -o "$out" --target macs=0.5 --accept-damage --effort quick --verify-samples 1 -q "${shapes[@]}" "$@" ||
    echo "gpu.sh: $model, $name: not made" >&2
}
plain=svd,svd-in,spatial,spatial-wh,tucker2
for model in "${models[@]}"; do
  for multiple in 8 32 64; do compressed "$model" "chains-$multiple" --methods "$plain" --rank-multiple "$multiple" & done
  compressed "$model" widths --methods width --rank-multiple 8 &
done
wait
echo "made after $SECONDS s" >&2
"$py" "$here/gpu.py" "$folder" "$card" "$providers" "$((limit - SECONDS))" "${models[@]}"
