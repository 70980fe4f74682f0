package compress

import (
	"bytes"
	"context"
	"testing"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/testmodels"
	"github.com/onnx-compress/onnx-compress/verify"
)

// TestCompress: what is compressed in memory, of a model that lies in no file or in one, is what Run writes but for its record,
// with the same evidence.
func TestCompress(t *testing.T) {
	needRuntime(t)
	made, _ := testmodels.Get("cnn")
	inMemory, err := made.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	defer inMemory.Close()
	for name, o := range map[string]Options{
		"calibrated": {Targets: []Target{half(MACs)}, Source: images(40), CalibSamples: 24, Probes: 1},
		"a goal":     {Goals: []verify.Bound{snr(12)}, Source: images(60), CalibSamples: 40},
		"data-free":  {Targets: []Target{share(Bytes, 0.6)}},
	} {
		t.Run(name, func(t *testing.T) {
			o = quick(o)
			for _, m := range []*onnxio.Model{inMemory, save(t, inMemory)} {
				small, r, err := Compress(context.Background(), in(t), m, o)
				if err != nil {
					t.Fatal(err)
				}
				defer small.Close()
				if r.Verification == nil || r.Input.Path != m.Path || r.Output.Path != "" || small.Path != "" || r.Output.MACs >= r.Input.MACs {
					t.Errorf("%+v of %+v, verification %v", r.Output, r.Input, r.Verification)
				}
				got, err := small.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				if int64(len(got)) != r.Output.Bytes {
					t.Errorf("%d bytes, the result says %d", len(got), r.Output.Bytes)
				}
				if name == "data-free" {
					continue // the record of a file takes some of its bytes
				}
				if _, want := run(t, save(t, inMemory), o); !bytes.Equal(got, unrecorded(t, want)) {
					t.Error("a run writes another model")
				}
			}
		})
	}
}
