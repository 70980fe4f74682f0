package provenance

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// FuzzRecord reads records as anybody may have written them: what is read is what can be attached again, and the state of
// a model is known or not, but never an accident.
func FuzzRecord(f *testing.F) {
	good, sum, err := encodeOptions(map[string]string{"target": "macs=0.5"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("v1", "m.onnx", "00", good, sum, "images", "00", "", "")
	f.Add("", "../../m.onnx", "00", "{}", sum, "", "", "/dev/zero", "00")
	f.Add("v1", "/dev/zero", "00", "null", "", "/dev/zero", "00", "", "")
	f.Add("v1", "m\n\x1b[31m", "x", `{"a":1}`, "", "", "x", "x", "")
	model := testkit.Zoo(f, "gemm_plain")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, version, source, sourceSum, options, optionsSum, data, dataSum, tune, tuneSum string) {
		props := map[string]string{
			keyVersion: version, keySource: source, keySourceSum: sourceSum, keyOptions: options, keyOptionsSum: optionsSum,
			keyData: data, keyDataSum: dataSum, keyTuneData: tune, keyTuneDataSum: tuneSum,
		}
		m := onnxio.WithMetadata(model, Prefix, props)
		defer m.Close()
		path := filepath.Join(dir, "a.onnx")
		if err := onnxio.Write(context.Background(), m, path, onnxio.WriteOptions{Overwrite: true}); err != nil {
			return // text that is not UTF-8
		}
		if list, err := Check(context.Background(), []string{path}, func(string) Want { return Want{} }); err != nil || len(list) != 1 || list[0].State == Fresh {
			t.Errorf("checked: %+v, %v", list, err)
		}
		r, err := Read(path)
		if err != nil {
			if none := (*NoRecordError)(nil); errors.As(err, &none) {
				t.Error(err)
			}
			return
		}
		back, err := Attach(model, r)
		if err != nil {
			t.Fatal(err)
		}
		defer back.Close()
		if err := onnxio.Write(context.Background(), back, path, onnxio.WriteOptions{Overwrite: true}); err != nil {
			t.Fatal(err)
		}
		again, err := Read(path)
		if err != nil || again.Version != r.Version || again.Source != r.Source || !maps.Equal(again.Options, r.Options) {
			t.Errorf("read %+v (%v), was %+v", again, err, r)
		}
	})
}
