package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
)

// TestOutputTaken: where another file comes to the place of the result meanwhile, the result is kept beside it, and text and JSON say where. A run
// that named its output ends as one that failed, for what goes on from there would take the other file for it.
func TestOutputTaken(t *testing.T) {
	for _, named := range []bool{false, true} {
		t.Chdir(t.TempDir())
		if err := os.Rename(testkit.Save(t, testkit.Zoo(t, "cnn")), "model.onnx"); err != nil {
			t.Fatal(err)
		}
		args, code := []string{"compress", "model.onnx", "--target=macs=0.7", "--methods=svd", "--accept-damage", "--json=result.json"}, exitDone
		if named {
			args, code = append(args, "-o", "model.small.onnx"), exitFailed
		}
		var out, errs bytes.Buffer
		watch := func(stage string, _, _ int) {
			if stage == "write" {
				if err := os.WriteFile("model.small.onnx", []byte("precious"), 0o644); err != nil {
					t.Error(err)
				}
			}
		}
		if got := run(args, streams{out: &out, err: &errs, watch: watch}); got != code {
			t.Fatalf("named %v: code %d, want %d: %s", named, got, code, errs.String())
		}
		var r compress.Result
		if data, err := os.ReadFile("result.json"); err != nil {
			t.Fatal(err)
		} else if err := json.Unmarshal(data, &r); err != nil {
			t.Fatal(err)
		}
		if r.Output.Wanted != "model.small.onnx" || r.Output.Path != "model.small.2.onnx" || !strings.HasPrefix(r.Verdict.Gained, "Another file is at model.small.onnx") {
			t.Errorf("named %v: %+v, %s", named, r.Output, r.Verdict.Gained)
		}
		if !strings.Contains(out.String(), "model.onnx → model.small.2.onnx") || !strings.Contains(out.String(), r.Verdict.Gained) {
			t.Errorf("named %v: %s", named, out.String())
		}
		if said := "onnx-compress: another file is at model.small.onnx, and stays; the model is in model.small.2.onnx\n"; (errs.String() == said) != named {
			t.Errorf("named %v: %s", named, errs.String())
		}
		for path, want := range map[string]string{"model.small.onnx": "precious", r.Output.Path: ""} {
			if data, err := os.ReadFile(path); err != nil || want != "" && string(data) != want {
				t.Errorf("%s: %q, %v", path, data, err)
			}
		}
	}
}
