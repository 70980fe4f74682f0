package main

import (
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/integration/onnxgo/inmemory/inmemorytest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestGonnx: what gonnx runs of the models that are written is what ONNX Runtime gives, and the rest it refuses in these words, which
// docs/ways/go.md names.
func TestGonnx(t *testing.T) {
	for _, c := range []struct {
		model   func() (*onnxio.Model, error)
		method  string
		refusal string // "" where it runs
	}{
		{inmemorytest.Chain, "width", ""},
		{inmemorytest.Chain, "svd-in", "could not perform Unidirectional broadcast"}, // at kernels that are 1 wide, with a bias
		{testmodels.Fashion, "svd", "unsupported opset version"},
	} {
		m, err := c.model()
		if err != nil {
			t.Fatal(err)
		}
		far, err := inmemorytest.Far(t, m, c.method, run)
		switch {
		case c.refusal == "" && (err != nil || far > 1e-4):
			t.Errorf("%s: %g of the largest value away, error %v", c.method, far, err)
		case c.refusal != "" && (err == nil || !strings.Contains(err.Error(), c.refusal)):
			t.Errorf("%s: error %v, want %q: see what docs/ways/go.md says", c.method, err, c.refusal)
		}
	}
}
