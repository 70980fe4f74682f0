# Compressed models as targets of GNU make. In a Makefile:
#
#   ONNX_COMPRESS_FLAGS := --target macs=0.5 --calib calibration.bin
#   include onnx-compress.mk
#   app: app.c net.small.onnx
#
# Then NAME.small.onnx is made from NAME.onnx where it is missing, and made anew where the
# source, the calibration data or the flags are not what it was made from. onnx-compress
# decides that by the hashes in the model and not by times, so it is asked at every run of
# make, which takes as long as reading the files; what depends on a model that is fresh is
# not made again. One model may have flags of its own:
#
#   net.small.onnx: ONNX_COMPRESS_FLAGS := --target params=60%
#
# Calibration data that a rule makes are a prerequisite to be stated:
#
#   net.small.onnx: calibration.bin

# The program.
ONNX_COMPRESS ?= onnx-compress
# Flags of `onnx-compress convert` but -o; --target at least, or --config FILE for one that says it.
ONNX_COMPRESS_FLAGS ?=
# What takes the place of .onnx.
ONNX_COMPRESS_SUFFIX ?= .small.onnx

.PHONY: .onnx-compress-always
.onnx-compress-always:

%$(ONNX_COMPRESS_SUFFIX): %.onnx .onnx-compress-always
	@$(ONNX_COMPRESS) convert --no-config $(ONNX_COMPRESS_FLAGS) --output $@ -- $<

# A model that only led to another target is kept.
.PRECIOUS: %$(ONNX_COMPRESS_SUFFIX)
