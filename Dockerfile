# The program with both shared libraries, for a user without rights:
#
#   docker build --tag onnx-compress .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" onnx-compress \
#       model.onnx -o small.onnx --calib images --target macs=0.5

FROM golang:1.26-trixie AS program
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/onnx-compress ./cmd/onnx-compress

# setup takes the libraries with pip, pinned and checked by hash.
FROM python:3.13-slim-trixie AS libraries
COPY --from=program /out/onnx-compress /usr/local/bin/
RUN ONNX_COMPRESS_CACHE=/libraries onnx-compress setup

# They need glibc and libstdc++, which this image has. doctor fails the build if they do not load.
FROM debian:trixie-slim
COPY --from=program /out/onnx-compress /usr/local/bin/
COPY --from=libraries /libraries /usr/local/share/onnx-compress
ENV ONNX_COMPRESS_CACHE=/usr/local/share/onnx-compress
RUN onnx-compress doctor
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["onnx-compress"]
