package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestNames: what others named neither acts on a terminal nor looks like a line of this program, in whatever is said.
func TestNames(t *testing.T) {
	c, _ := testmodels.Get("cnn")
	made, err := c.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	const evil = "\x1b[2J\u009b\u202eevil\nforged: fresh\r"
	m := testkit.Suffixed(made, evil)
	t.Chdir(t.TempDir())
	path := "net" + evil + ".onnx"
	if err := onnxio.Write(context.Background(), m, path, onnxio.WriteOptions{}); err != nil {
		t.Skip(err) // a file system without such names
	}
	for _, args := range [][]string{
		{"inspect", path},
		{"inspect", path, "--json"},
		{path, "-o", "small.onnx", "--target", "macs=0.8", "--methods", "svd", "-v"},
		{"status", path},
		{"check", path},
		{"check", "small.onnx"},
		{"convert", path, path, "-o", path},
		{path, "-o", "small.onnx", "--target", "macs=0.8"},
		{"none" + path},
		{"verify", path, "none" + path},
	} {
		var out, errs bytes.Buffer
		run(args, streams{out: &out, err: &errs})
		for _, text := range []string{out.String(), errs.String()} {
			if strings.ContainsAny(text, "\x1b\u009b\u202e\r") {
				t.Errorf("%q: %q", args, text)
			}
		}
		if said := out.String(); strings.Contains(said, "\nforged") {
			t.Errorf("%q forges a line: %q", args, said)
		}
	}
	if left, err := filepath.Glob(".*tmp*"); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}
