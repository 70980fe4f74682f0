#!/usr/bin/env bash
# Makes models of real sizes (bench/large.py), what is not there yet, runs PROGRAM on them, and prints a table: wall seconds, user CPU
# seconds, peak resident memory and exit code of each run, as /usr/bin/time has them.
#
#   bench/large.sh FOLDER PROGRAM [RUN...]     PY=python that has numpy and onnx (default: python3)
#                                              LIMIT=seconds after which a run is stopped (default: 900)
#
# The larger transformers are removed when their runs are done, unless KEEP=1. Without any RUN, all are made.
set -euo pipefail
folder=$(realpath -m "${1:?usage: bench/large.sh FOLDER PROGRAM [RUN...]}")
program=$(realpath "${2:?usage: bench/large.sh FOLDER PROGRAM [RUN...]}")
shift 2
py=${PY:-python3}
limit=${LIMIT:-900}
here=$(dirname "$0")

# A run is a name, its model, and the arguments; {} stands for the folder.
runs() {
  cat <<'LIST'
layer layer compress --target params=0.5
resnet18 resnet18 compress --target macs=0.5
resnet18-svd resnet18 compress --target macs=0.5 --methods svd
resnet18-quick resnet18 compress --target macs=0.5 --effort quick
resnet18-thorough resnet18 compress --target macs=0.5 --effort thorough
resnet50 resnet50 compress --target macs=0.7 --calib {}/images.npz --calib-samples 128 --verify-samples 32
resnet50-svd resnet50 compress --target macs=0.7 --methods svd
vit-b16 vit-b16 compress --target params=0.7 --calib {}/images.npz --calib-samples 32 --verify-samples 8
vit-b16-svd vit-b16 compress --target params=0.7 --methods svd
bert-base bert-base compress --target params=0.8 --calib {}/tokens.npz --calib-samples 128 --verify-samples 16
bert-base-svd bert-base compress --target params=0.8 --methods svd
1g-inspect transformer-1g inspect
1g transformer-1g compress --target params=0.7 --methods svd
1g-512m transformer-1g compress --target params=0.7 --methods svd --memory 512MiB
1g-impossible transformer-1g compress --target bytes=1MB
3g-inspect transformer-3g inspect
3g transformer-3g compress --target params=0.7 --methods svd
3g-impossible transformer-3g compress --target params=0.0001
6g-inspect transformer-6g inspect
6g transformer-6g compress --target params=0.7 --methods svd
6g-impossible transformer-6g compress --target bytes=1MB
7b-block transformer-7b-block compress --target params=0.8 --methods svd
7b-block-calib transformer-7b-block compress --target params=0.8 --methods svd --calib {}/states.npz --calib-samples 64 --verify-samples 8 --memory 4GiB
LIST
}

# one runs the program on a model and prints a row.
one() {
  local name=$1 model=$2 command=$3 out="$folder/out" times="$folder/times"
  shift 3
  local arguments=("${@//\{\}/$folder}")
  # Random weights are worth little when they are factored, and this is not about that.
  [ "$command" = inspect ] || arguments+=(-o "$out/small.onnx" -q --accept-damage)
  rm -rf "$out"
  mkdir -p "$out"
  local code=0
  timeout -k 10 "$limit" /usr/bin/time -v -o "$times" \
    "$program" "$command" "$folder/$model/model.onnx" "${arguments[@]}" >"$folder/stdout" 2>"$folder/stderr" || code=$?
  awk -v name="$name" -v words="$command $*" -v code="$code" -v limit="$limit" '
    /Elapsed/ { n = split($NF, t, ":"); wall = 0; for (i = 1; i <= n; i++) wall = 60 * wall + t[i] }
    /User time/ { user = $NF }
    /Maximum resident/ { peak = $NF / 1024 }
    END { if (code == 124) wall = limit; gsub(/\|/, "", words); printf "| %s | `%s` | %.1f | %.1f | %.0f | %d |\n", name, words, wall, user, peak, code }' "$times"
  case $code in 0 | 3) ;; *) sed 's/^/    /' "$folder/stderr" | tail -3 >&2 ;; esac
  rm -rf "$out"
}

echo "| run | command | seconds | user CPU seconds | peak MiB | exit code |"
echo "|---|---|---|---|---|---|"
mapfile -t list < <(runs | while read -r name rest; do
  [ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
  echo "$name $rest"
done)
for i in "${!list[@]}"; do
  read -r name model arguments <<<"${list[i]}"
  "$py" "$here/large.py" "$folder" "$model"
  # shellcheck disable=SC2086 # the arguments are words of the list above
  one "$name" "$model" $arguments
  read -r _ next _ <<<"${list[i + 1]:-}"
  case $model in transformer-[367]*) [ "${KEEP:-}" = 1 ] || [ "$next" = "$model" ] || rm -rf "${folder:?}/$model" ;; esac
done
