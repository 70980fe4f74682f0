package rewrite_test

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestNarrowMobile narrows networks of depthwise convolutions: in each, all inner channels of all blocks are axes.
func TestNarrowMobile(t *testing.T) {
	lib, python := orttest.Open(t), newPythonCheck(t)
	want := map[string][]int{"mobilenet_v2": {24, 32, 48, 32}, "mobilenet_v3": {24, 8, 32, 8, 48, 32, 24}, "convnext": {32, 32, 48}}
	for name, b := range testmodels.Mobile(3) {
		t.Run(name, func(t *testing.T) {
			var units []int
			for _, a := range holdNarrow(t, lib, python, model(t, b), 3) {
				if !a.Residual {
					units = append(units, a.Units)
				}
			}
			if !slices.Equal(units, want[name]) {
				t.Errorf("axes of %v units, want %v", units, want[name])
			}
		})
	}
	python.done(t)
}
