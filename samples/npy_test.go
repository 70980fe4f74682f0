package samples

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/internal/seeds"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// npy is a .npy file of version 1 with the given header and data.
func npy(header string, data []byte) []byte {
	out := append([]byte(npyMagic), 1, 0)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(header)))
	return slices.Concat(out, []byte(header), data)
}

// npyFloats is a .npy file of float32 numbers.
func npyFloats(shape string, v ...float32) []byte {
	return npy("{'descr': '<f4', 'fortran_order': False, 'shape': "+shape+", }\n", tensor.FromFloat32([]int{len(v)}, v).Data)
}

// npz is a .npz file of the named arrays.
func npz(t testing.TB, method uint16, names []string, arrays ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, a := range arrays {
		w, err := z.CreateHeader(&zip.FileHeader{Name: names[i] + ".npy", Method: method})
		if err == nil {
			_, err = w.Write(a)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestNPY(t *testing.T) {
	path := write(t, "x.npy", npyFloats("(2, 1, 3)", 0, 1, 2, 3, 4, 5))
	s := mustOpen(t, path, SourceOptions{}, spec("x", -1, 1, 3))
	got := mustSample(t, s, 1)
	if x := got.Inputs["x"]; s.Len() != 2 || got.Label != -1 || !slices.Equal(x.Shape, []int{1, 3}) || !slices.Equal(x.Float32s(), []float32{3, 4, 5}) {
		t.Errorf("%d samples; the second is %+v", s.Len(), got)
	}
	labels := write(t, "labels", []byte("8\n9\n"))
	if got := mustSample(t, mustOpen(t, path, SourceOptions{Labels: labels}, spec("x", -1, 1, 3)), 1); got.Label != 9 {
		t.Errorf("label %d, want 9", got.Label)
	}
	scaled := mustSample(t, mustOpen(t, path, SourceOptions{Scale: 2, Mean: []float64{1, 2, 3}}, spec("x", -1, 1, 3)), 1).Inputs["x"]
	if want := []float32{5, 6, 7}; !slices.Equal(scaled.Float32s(), want) {
		t.Errorf("scaled: %v, want %v", scaled.Float32s(), want)
	}
	pixels := write(t, "p.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2)}", []byte{0, 51, 255, 102}))
	x := mustSample(t, mustOpen(t, pixels, SourceOptions{Mean: []float64{0, 1}, Layout: NCHW}, spec("x", -1, 2, 2)), 0).Inputs["x"]
	if want := []float32{0, 0.2, 0, -0.6}; !slices.Equal(x.Float32s(), want) {
		t.Errorf("bytes become %v, want %v", x.Float32s(), want)
	}
	ids := mustSample(t, mustOpen(t, pixels, SourceOptions{}, InputSpec{Name: "x", Type: tensor.Int64, Shape: []int{-1, 2, 2}}), 0).Inputs["x"]
	if v, err := ids.Int64s(); err != nil || !slices.Equal(v, []int64{0, 51, 255, 102}) {
		t.Errorf("bytes for an integer input become %v (%v)", v, err)
	}
}

// TestColumnOrder reads arrays whose first axis runs fastest, as numpy.save keeps the transpose of an array.
func TestColumnOrder(t *testing.T) {
	// numpy.arange(12).reshape(2, 3, 2) by columns.
	data := tensor.FromFloat32([]int{12}, []float32{0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11}).Data
	array := npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3, 2)}", data)
	input := spec("x", -1, 3, 2)
	for name, path := range map[string]string{
		"npy":        write(t, "x.npy", array),
		"npz":        write(t, "x.npz", npz(t, zip.Store, []string{"x"}, array)),
		"compressed": write(t, "x.npz", npz(t, zip.Deflate, []string{"x"}, array)),
	} {
		x := mustSample(t, mustOpen(t, path, SourceOptions{}, input), 1).Inputs["x"]
		if want := []float32{6, 7, 8, 9, 10, 11}; !slices.Equal(x.Float32s(), want) || !slices.Equal(x.Shape, []int{3, 2}) {
			t.Errorf("%s: the second sample is %v%v, want %v", name, x.Shape, x.Float32s(), want)
		}
	}
}

func TestNPZ(t *testing.T) {
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		data := npz(t, method, []string{"b", "a", "more"}, npyFloats("(2,)", 7, 8), npyFloats("(2, 2)", 1, 2, 3, 4), npyFloats("()", 5))
		s := mustOpen(t, write(t, "x.npz", data), SourceOptions{}, spec("a", -1, 2), spec("b", -1))
		got := mustSample(t, s, 1)
		if a, b := got.Inputs["a"].Float32s(), got.Inputs["b"].Float32s(); !slices.Equal(a, []float32{3, 4}) || !slices.Equal(b, []float32{8}) {
			t.Errorf("method %d: a is %v, b is %v, want [3 4] and [8]", method, a, b)
		}
	}
	single := npz(t, zip.Store, []string{"arr_0"}, npyFloats("(1, 2)", 1, 2))
	if got := mustSample(t, mustOpen(t, write(t, "x.npz", single), SourceOptions{}, spec("x", -1, 2)), 0); len(got.Inputs["x"].Data) != 8 {
		t.Errorf("the only array for the only input: %+v", got)
	}
}

func TestArrayErrors(t *testing.T) {
	header := func(text string) []byte { return npy(text, make([]byte, 64)) }
	float := spec("x", -1, 2)
	for _, c := range []struct {
		name  string
		data  []byte
		input InputSpec
		o     SourceOptions
		words []string
	}{
		{"cut off", npyFloats("(3, 2)", 1, 2, 3), float, SourceOptions{}, []string{"needs 24 bytes", "has 12"}},
		{"one number", npyFloats("()", 1), float, SourceOptions{}, []string{"single number"}},
		{"no samples", npyFloats("(0, 2)"), float, SourceOptions{}, []string{"no samples", "[0,2]"}},
		{"two inputs' worth", npyFloats("(1, 2)", 1, 2), float, SourceOptions{Crop: Size{1, 1}}, []string{"not to arrays"}},
		{"channels", npyFloats("(1, 2)", 1, 2), float, SourceOptions{Mean: []float64{1, 2, 3}}, []string{"3 numbers", "[2]"}},
		{"structure", header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}"), float, SourceOptions{}, []string{"[('a', '<f4')]"}},
		{"text", header("{'descr': '<U4', 'fortran_order': False, 'shape': (1,)}"), float, SourceOptions{}, []string{"<U4"}},
		{"complex", header("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}"), float, SourceOptions{}, []string{"<c8"}},
		{"by columns, cut off", npy("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2)}", make([]byte, 20)), float, SourceOptions{}, []string{"needs 24 bytes", "has 20"}},
		{"order", header("{'descr': '<f4', 'shape': (2, 2)}"), float, SourceOptions{}, []string{"fortran_order"}},
		{"negative", header("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 2)}"), float, SourceOptions{}, []string{"(-2, 2)"}},
		{"overflow", header("{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 4000000000)}"), float, SourceOptions{}, []string{"too large"}},
		{"no dictionary", header("hello"), float, SourceOptions{}, []string{"no dictionary"}},
		{"no shape", header("{'descr': '<f4', 'fortran_order': False}"), float, SourceOptions{}, []string{"tuple"}},
		{"version", append([]byte(npyMagic), 9, 0), float, SourceOptions{}, []string{"version 9"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(write(t, "x.npy", c.data), c.o, []InputSpec{c.input})
			testkit.WantError(t, err, append(c.words, "x.npy")...)
		})
	}
	path := write(t, "x.npy", npyFloats("(1, 2)", 1, 2.5))
	_, err := Open(path, SourceOptions{}, []InputSpec{float, spec("y", 1)})
	testkit.WantError(t, err, "one array", "2 inputs", ".npz")
	_, err = mustOpen(t, path, SourceOptions{}, InputSpec{Name: "x", Type: tensor.Int64, Shape: []int{-1, 2}}).Sample(0)
	testkit.WantError(t, err, "sample 0", "element 1 is 2.5", "int64")
	data := npz(t, zip.Store, []string{"b", "a"}, npyFloats("(2,)", 7, 8), npyFloats("(3,)", 1, 2, 3))
	path = write(t, "x.npz", data)
	_, err = Open(path, SourceOptions{}, []InputSpec{spec("a", -1), spec("b", -1)})
	testkit.WantError(t, err, "b.npy", "has 2 samples", "has 3")
	_, err = Open(path, SourceOptions{}, []InputSpec{spec("a", -1), spec("c", -1)})
	testkit.WantError(t, err, "c: float32[?]", "b, a")
	_, err = Open(write(t, "x.npz", npz(t, zip.Store, []string{"input_id", "mask"}, npyFloats("(1,)", 1), npyFloats("(1,)", 1))), SourceOptions{}, []InputSpec{spec("input_ids", -1), spec("mask", -1)})
	testkit.WantError(t, err, `(did you mean "input_id"?)`)
	_, err = Open(write(t, "x.npz", npz(t, zip.Deflate, []string{"x"}, npyFloats("(3,)", 7, 8))), SourceOptions{}, []InputSpec{spec("x", -1)})
	testkit.WantError(t, err, "x.npy", "needs")
}

// NumPy writes, we read.
func TestNPYFromNumPy(t *testing.T) {
	python := provisiontest.Python(t, "numpy")
	dir := t.TempDir()
	const script = `
import sys, numpy as np
d = sys.argv[1]
v = np.arange(24).reshape(4, 2, 3)
for order in '<>':
    for kind in 'f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8'.split():
        np.save(f'{d}/{"big" if order == ">" else "little"}_{kind}.npy', v.astype(order + kind))
np.save(f'{d}/little_b1.npy', v % 2 == 1)
for version in [(1, 0), (2, 0), (3, 0)]:
    with open(f'{d}/version_{version[0]}.npy', 'wb') as f: np.lib.format.write_array(f, v.astype('f4'), version=version)
np.save(f'{d}/column.npy', np.asfortranarray(np.arange(4, dtype='f4').reshape(4, 1)))
np.savez(f'{d}/plain.npz', x=v.astype('f4')); np.savez_compressed(f'{d}/small.npz', x=v.astype('f4'))
`
	if out, err := exec.Command(python, "-c", script, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.np?"))
	if err != nil || len(files) != 29 {
		t.Fatalf("%d files (%v), want 29", len(files), err)
	}
	for _, path := range files {
		want := []float32{18, 19, 20, 21, 22, 23}
		input := spec("x", -1, 2, 3)
		switch name := filepath.Base(path); {
		case strings.Contains(name, "b1"):
			want = []float32{0, 1, 0, 1, 0, 1}
		case name == "column.npy":
			want, input = []float32{3}, spec("x", -1, 1)
		}
		got := mustSample(t, mustOpen(t, path, SourceOptions{Scale: 1}, input), 3).Inputs["x"]
		if !slices.Equal(got.Float32s(), want) {
			t.Errorf("%s: %v, want %v", filepath.Base(path), got.Float32s(), want)
		}
	}
}

func FuzzNPY(f *testing.F) {
	f.Add(npyFloats("(2, 1, 3)", 0, 1, 2, 3, 4, 5))
	f.Add(npy("{'descr': '>i2', 'fortran_order': True, 'shape': (1, 2)}", []byte{1, 2, 3, 4}))
	f.Add(npy(`{"descr": [('a', '<f4')], 'shape': (1L,), }`, nil))
	seeds.Add(f, "arrays", "")
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		h, err := readNPYHeader(r)
		if err != nil {
			return
		}
		if h.offset != int64(len(data)-r.Len()) {
			t.Errorf("data starts at %d, the reader is at %d", h.offset, len(data)-r.Len())
		}
		if h.size() < 0 {
			t.Errorf("%s of shape %v takes %d bytes", h.typ, h.shape, h.size())
		}
		if int64(len(data))-h.offset < h.size() || len(h.shape) == 0 || h.shape[0] == 0 {
			return
		}
		if d, err := h.row(bytes.NewReader(data), h.offset, h.shape[0]-1); err != nil || d.Check() != nil {
			t.Errorf("the last sample: %v, %v", err, d.Check())
		}
	})
}

func FuzzNPZ(f *testing.F) {
	f.Add(npz(f, zip.Store, []string{"x"}, npyFloats("(2,)", 7, 8)))
	f.Add(npz(f, zip.Deflate, []string{"x", "y"}, npyFloats("(2, 1)", 7, 8), npyFloats("()", 7)))
	seeds.Add(f, "archives", "")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, fmt.Sprint(len(data), ".npz"))
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, SourceOptions{}, []InputSpec{{Name: "x", Type: tensor.Float32, Shape: nil}})
		if err != nil {
			return
		}
		if got, err := s.Sample(s.Len() - 1); err == nil && got.Inputs["x"].Check() != nil {
			t.Errorf("the last sample: %v", got.Inputs["x"].Check())
		}
	})
}
