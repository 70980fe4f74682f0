#!/bin/sh
# Writes what packages put beside the program: completion for the shells, and the manual pages,
# which bear the date of the commit unless SOURCE_DATE_EPOCH says otherwise.
#
#   sh scripts/shelltexts.sh PROGRAM FOLDER
set -eu
program=$1
folder=$2
mkdir -p "$folder/completion"
"$program" completion bash >"$folder/completion/onnx-compress.bash"
"$program" completion zsh >"$folder/completion/_onnx-compress"
"$program" completion fish >"$folder/completion/onnx-compress.fish"
"$program" completion powershell >"$folder/completion/onnx-compress.ps1"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} "$program" man "$folder/man"
