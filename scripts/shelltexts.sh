#!/bin/sh
# Writes what packages put beside the program: completion for the shells, and the manual page.
#
#   sh scripts/shelltexts.sh PROGRAM FOLDER
set -eu
program=$1
folder=$2
mkdir -p "$folder/completion"
"$program" completion bash >"$folder/completion/onnx-compress.bash"
"$program" completion zsh >"$folder/completion/_onnx-compress"
"$program" completion fish >"$folder/completion/onnx-compress.fish"
"$program" man >"$folder/onnx-compress.1"
