package testkit

import (
	"os"
	"strings"
	"testing"

	"github.com/sbinet/npyio/npz"

	"github.com/onnx-compress/onnx-compress/tensor"
)

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
