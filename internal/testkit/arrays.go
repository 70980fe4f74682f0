package testkit

import (
	"archive/zip"
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sbinet/npyio/npz"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// SaveArrays writes an .npz file of arrays of int64 and float32 by name, and gives its path.
func SaveArrays(t testing.TB, arrays map[string]tensor.Dense) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(arrays)) {
		d := arrays[name]
		shape := ""
		for _, n := range d.Shape {
			shape += fmt.Sprintf("%d, ", n)
		}
		kind := map[tensor.Type]string{tensor.Int64: "i8", tensor.Float32: "f4"}[d.Type]
		header := fmt.Sprintf("{'descr': '<%s', 'fortran_order': False, 'shape': (%s), }\n", kind, shape)
		w, err := z.CreateHeader(&zip.FileHeader{Name: name + ".npy"})
		if err == nil {
			_, err = fmt.Fprintf(w, "\x93NUMPY\x01\x00%c%c%s%s", len(header), 0, header, d.Data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "samples.npz")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Arrays reads an .npz file of int64, float64 and float32 arrays by name.
func Arrays(t testing.TB, path string) map[string]tensor.Dense {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := npz.NewReader(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]tensor.Dense{}
	for _, key := range r.Keys() {
		d, err := array(r, key)
		if err != nil {
			t.Fatalf("%s: %s: %v", path, key, err)
		}
		out[strings.TrimSuffix(key, ".npy")] = d
	}
	return out
}

func array(r *npz.Reader, key string) (tensor.Dense, error) {
	descr := r.Header(key).Descr
	switch {
	case strings.HasSuffix(descr.Type, "i8"):
		var v []int64
		err := r.Read(key, &v)
		return tensor.FromInt64(descr.Shape, v), err
	case strings.HasSuffix(descr.Type, "f8"):
		var v []float64
		err := r.Read(key, &v)
		return tensor.FromFloat64(descr.Shape, v), err
	}
	var v []float32
	err := r.Read(key, &v)
	return tensor.FromFloat32(descr.Shape, v), err
}
