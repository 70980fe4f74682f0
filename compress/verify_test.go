package compress

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
)

func TestVerify(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	o := to(t, Options{Targets: []Target{half(MACs)}})
	runTo(t, m, o)
	var seen log
	for _, c := range []struct {
		o       VerifyOptions
		samples int
		data    string
	}{
		{VerifyOptions{}, noiseSamples, "random inputs"},
		{VerifyOptions{Source: images(30)}, 30, "30 samples in memory"},
		{VerifyOptions{Source: images(30), Samples: 12}, 12, "30 samples in memory"},
		{VerifyOptions{Source: images(30), Samples: 99}, 30, "30 samples in memory"},
	} {
		v, err := Verify(context.Background(), in(t, told(seen.add)), m, o.Output, c.o)
		if err != nil {
			t.Fatal(err)
		}
		if v.Report.Samples != c.samples || v.Data != c.data || v.Schema != VerificationSchema || v.Outputs[0].SNR == nil {
			t.Errorf("%+v: %d samples of %s", c.o, v.Report.Samples, v.Data)
		}
		text, err := json.Marshal(v)
		if err != nil || !strings.HasPrefix(string(text), `{"schema":"onnx-compress/verification/1","original":`) {
			t.Errorf("%s, %v", text, err)
		}
	}
	if len(seen.events) == 0 || seen.events[len(seen.events)-1] != (event{"verify", 30, 30}) {
		t.Errorf("progress %v", seen.events)
	}
}

// TestVerifyInt8: the int8 models of both are smaller than these and near the original, on samples that no range is of; and all four are
// timed.
func TestVerifyInt8(t *testing.T) {
	needRuntime(t)
	python := provisiontest.Python(t, "onnx", "onnxruntime.quantization")
	m := zoo(t, "cnn")
	o := to(t, Options{Targets: []Target{half(MACs)}})
	runTo(t, m, o)
	v, err := Verify(context.Background(), in(t), m, o.Output, VerifyOptions{Source: images(40), Int8: &Int8Options{Python: python}})
	if err != nil {
		t.Fatal(err)
	}
	q := v.Int8
	if q == nil || q.Ranges != 10 || q.Samples != 30 || q.Quantizer == "" || len(q.Models) != 4 || q.Threads != 1 {
		t.Fatalf("%+v", q)
	}
	for i, model := range q.Models {
		if model.Time <= 0 || model.Speed <= 0 || model.Bytes <= 0 || (model.Report == nil) != (i == 0) || (model.How == "static") != (i%2 == 1) {
			t.Errorf("model %d: %+v", i, model)
		}
		if i > 0 && (model.Report.Samples != 30 || model.Report.Original != m.Path) {
			t.Errorf("model %d is held against %s on %d samples", i, model.Report.Original, model.Report.Samples)
		}
	}
	alone, both, float := q.Models[1], q.Models[3], q.Models[2]
	if alone.Bytes >= q.Models[0].Bytes || *alone.Report.Outputs[0].SNR < 15 {
		t.Errorf("the original as int8 has %d of %d bytes and keeps %g dB", alone.Bytes, q.Models[0].Bytes, *alone.Report.Outputs[0].SNR)
	}
	if d := *float.Report.Outputs[0].SNR - *both.Report.Outputs[0].SNR; d < -1 || d > 10 {
		t.Errorf("the compressed model keeps %g dB, as int8 %g", *float.Report.Outputs[0].SNR, *both.Report.Outputs[0].SNR)
	}
}

func TestVerifyErrors(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	for _, c := range []struct {
		o     VerifyOptions
		usage bool
		words []string
	}{
		{VerifyOptions{Samples: -1}, true, []string{"negative"}},
		{VerifyOptions{Int8: &Int8Options{}}, true, []string{"int8", "samples"}},
		{VerifyOptions{Source: images(3), Int8: &Int8Options{}}, true, []string{"at least 4", "3"}},
		{VerifyOptions{Source: images(30), Int8: &Int8Options{Python: "no-such-python"}}, true, []string{"no-such-python", "onnxruntime"}},
		{VerifyOptions{Batch: -1}, true, []string{"negative"}},
		{VerifyOptions{InputShapes: map[string][]int{"y": {1}}}, true, []string{`"y"`, m.Path}},
		{VerifyOptions{Source: memory{}}, false, []string{"no samples"}},
	} {
		_, err := Verify(context.Background(), in(t), m, m.Path, c.o)
		testkit.WantError(t, err, c.words...)
		if usage := (*UsageError)(nil); errors.As(err, &usage) != c.usage {
			t.Errorf("%v: a usage error: %v, want %v", err, !c.usage, c.usage)
		}
	}
	_, err := Verify(context.Background(), in(t), zoo(t, "embedding"), m.Path, VerifyOptions{})
	testkit.WantError(t, err, "nothing to run the models on", `"ids"`)
	_, err = Verify(context.Background(), in(t), m, filepath.Join(t.TempDir(), "none.onnx"), VerifyOptions{})
	testkit.WantError(t, err, "compressed model", "none.onnx")
	_, err = Verify(context.Background(), in(t), m, zoo(t, "matmul_left").Path, VerifyOptions{})
	testkit.WantError(t, err, "cannot be compared")
}

// TestLibrariesNamed: a library that somebody named and that does not open is an error,
// whatever else could be found.
func TestLibrariesNamed(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.so")
	text := filepath.Join("testdata", "library.txt")
	for _, c := range []struct{ flag, ort, blas string }{{flag: none}, {flag: text}, {ort: none}, {ort: text}, {blas: none}, {blas: text}} {
		t.Run("", func(t *testing.T) {
			for lib, path := range map[provision.Library]string{provision.ONNXRuntime: c.ort, provision.OpenBLAS: c.blas} {
				if path != "" {
					t.Setenv(lib.Env(), path)
				}
			}
			env, err := Open(EnvironmentOptions{Runtime: c.flag})
			if err == nil {
				env.Close()
			}
			testkit.WantError(t, err, filepath.Base(c.flag+c.ort+c.blas))
			if usage := (*UsageError)(nil); !errors.As(err, &usage) {
				t.Errorf("%v is no UsageError", err)
			}
		})
	}
}

func TestLibrariesFound(t *testing.T) {
	path := provisiontest.Need(t, provision.ONNXRuntime)
	libs, err := Open(EnvironmentOptions{Runtime: path})
	if err != nil {
		t.Fatal(err)
	}
	defer libs.Close()
	lib, err := libs.need("this test")
	if err != nil || lib.Path() != path || libs.Algebra == nil || libs.Missing != nil {
		t.Errorf("%+v, %v", libs, err)
	}
}
