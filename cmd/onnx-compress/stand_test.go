package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxiotest"
)

// TestStanding: a hook is told of files that changed, and looks at the models concerned, each once.
func TestStanding(t *testing.T) {
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, filepath.FromSlash(name)) }
	for _, sub := range []string{"a [1]", "b", ".hidden"} {
		if err := os.Mkdir(in(sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	onnxiotest.External(t, testkit.Zoo(t, "cnn"), in("a [1]/net.onnx"), "net.onnx.data")
	onnxiotest.External(t, testkit.Zoo(t, "cnn"), in("a [1]/twin.onnx"), "twin.onnx_data")
	for _, name := range []string{"a [1]/broken.onnx", "a [1]/other.data", "b/c.onnx", ".hidden/d.onnx", "b/notes.txt", "onnx-compress.yaml"} {
		if err := os.WriteFile(in(name), []byte("no model"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name        string
		given, want []string
		told        string
	}{
		{"models", []string{"b/c.onnx", "gone.onnx", "b/c.onnx"}, []string{"b/c.onnx", "gone.onnx"}, ""},
		{"weights", []string{"a [1]/net.onnx.data"}, []string{"a [1]/net.onnx"}, ""},
		{"weights beside their model", []string{"a [1]/net.onnx", "a [1]/net.onnx.data"}, []string{"a [1]/net.onnx"}, ""},
		{"weights under another ending", []string{"a [1]/twin.onnx_data"}, []string{"a [1]/twin.onnx"}, ""},
		{"what no model reads", []string{"a [1]/other.data"}, nil, "other.data: no model beside it has weights there"},
		{"a configuration", []string{"onnx-compress.yaml"}, []string{"a [1]/broken.onnx", "a [1]/net.onnx", "a [1]/twin.onnx", "b/c.onnx"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var told bytes.Buffer
			var given, want []string
			for _, name := range c.given {
				given = append(given, in(name))
			}
			for _, name := range c.want {
				want = append(want, in(name))
			}
			got, err := standing(given, &told)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%q, %v", got, err)
			}
			if !strings.Contains(told.String(), c.told) || c.told == "" && told.Len() > 0 {
				t.Errorf("told %q", told.String())
			}
		})
	}
	if _, err := standing([]string{in("gone.data")}, &bytes.Buffer{}); err == nil {
		t.Error("weights that are not there are passed over")
	}
}
