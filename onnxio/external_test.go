package onnxio

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// outside saves the small model with its first weight and the one in its Constant node
// in external files, and returns its path.
func outside(t testing.TB) string {
	t.Helper()
	folder := t.TempDir()
	p := small()
	makeExternal(t, p.Graph.Initializer[0], folder, "a.bin", 13)
	makeExternal(t, p.Graph.Node[2].Attribute[0].T, folder, "b.bin", 0)
	path := filepath.Join(folder, "model.onnx")
	saveAt(t, p, path)
	return path
}

func TestReadExternal(t *testing.T) {
	m := open(t, outside(t))
	if n := len(m.files.infos()); n != 2 {
		t.Errorf("%d external files are known, want 2", n)
	}
	for name, tp := range map[string]*onnxpb.TensorProto{
		"conv.w": m.Proto.GetGraph().Initializer[0], "fc.w": m.Proto.GetGraph().Node[2].Attribute[0].T,
	} {
		h := m.Tensor(tp)
		if !h.External() {
			t.Errorf("%s is not external", name)
		}
		d, err := h.Dense()
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range d.Float32s() {
			if x != float32(i) {
				t.Fatalf("%s[%d] is %v", name, i, x)
			}
		}
	}
	if ok, diff := Equal(m, New(small())); !ok {
		t.Errorf("against the inline model: %s", diff)
	}
}

func TestReadExternalRefuses(t *testing.T) {
	type tensorProto = onnxpb.TensorProto
	set := func(key, value string) func(*tensorProto) {
		return func(p *tensorProto) {
			for _, e := range p.ExternalData {
				if e.GetKey() == key {
					e.Value = proto.String(value)
				}
			}
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(*tensorProto)
		want  string
	}{
		{"no location", func(p *tensorProto) { p.ExternalData = nil }, "external data has no location"},
		{"missing file", set("location", "gone.bin"), ": no such file or directory; it belongs beside the model"},
		{"folder", set("location", "sub"), "external data sub in folder"},
		{"absolute", set("location", "/etc/passwd"), `"/etc/passwd" is not a relative path`},
		{"drive", set("location", "C:weights"), `"C:weights" is not a relative path`},
		{"backslash", set("location", `..\a.bin`), "is not a relative path with forward slashes"},
		{"parent", set("location", "../a.bin"), "leaves the model's folder"},
		{"parent inside", set("location", "sub/../a.bin"), "leaves the model's folder"},
		{"link out", set("location", "link.bin"), "escapes"},
		{"folder link out", set("location", "door/secret.bin"), "escapes"},
		{"bad offset", set("offset", "-1"), `offset "-1" of the external data is not a byte count`},
		{"bad length", set("length", "many"), `length "many" of the external data is not a byte count`},
		{"wrong length", set("length", "12"), "shape [3 2 3 3] takes 216 bytes, the external data says 12"},
		{"past the end", set("offset", "14"), "takes bytes 14 to 230 of a.bin, which has 229"},
		{"far past the end", set("offset", "9223372036854775807"), "of a.bin, which has 229"},
		{"inline too", func(p *tensorProto) { p.RawData = make([]byte, 216) }, "both in raw_data and in an external file"},
		{"strings", func(p *tensorProto) { p.DataType = proto.Int32(8) }, "strings cannot be external"},
	} {
		t.Run(c.name, func(t *testing.T) {
			above := t.TempDir()
			folder := filepath.Join(above, "model")
			if err := os.MkdirAll(filepath.Join(folder, "sub"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(above, "secret.bin"), make([]byte, 300), 0o644); err != nil {
				t.Fatal(err)
			}
			for name, to := range map[string]string{"link.bin": "../secret.bin", "door": ".."} {
				if err := os.Symlink(to, filepath.Join(folder, name)); err != nil {
					t.Skipf("no symbolic links here: %v", err)
				}
			}
			p := small()
			makeExternal(t, p.Graph.Initializer[0], folder, "a.bin", 13)
			c.spoil(p.Graph.Initializer[0])
			path := filepath.Join(folder, "model.onnx")
			saveAt(t, p, path)
			_, err := Read(path)
			refused(t, err, path, `tensor "conv.w"`, c.want)
		})
	}
}

func TestExternalOdds(t *testing.T) {
	folder := t.TempDir()
	p := small()
	w := p.Graph.Initializer[0]
	makeExternal(t, w, folder, "a.bin", 0)
	w.ExternalData = w.ExternalData[:1] // neither offset nor length: from the start
	if err := os.Symlink("a.bin", filepath.Join(folder, "inside.bin")); err == nil {
		w.ExternalData[0].Value = proto.String("inside.bin")
	}
	empty := &onnxpb.TensorProto{Name: proto.String("empty"), DataType: proto.Int32(1), Dims: []int64{0}, RawData: []byte{}}
	makeExternal(t, empty, folder, "empty.bin", 0)
	p.Graph.Initializer = append(p.Graph.Initializer, empty)
	path := filepath.Join(folder, "model.onnx")
	saveAt(t, p, path)
	m := open(t, path)
	d, err := m.Tensor(m.Proto.GetGraph().Initializer[0]).Dense()
	if err != nil || d.Float32s()[53] != 53 {
		t.Errorf("through a link inside the folder: %v", err)
	}
	if raw, err := m.Tensor(m.Proto.GetGraph().Initializer[3]).Raw(); err != nil || len(raw) != 0 {
		t.Errorf("an empty file: %d bytes, %v", len(raw), err)
	}
	_, err = New(m.Proto).Tensor(m.Proto.GetGraph().Initializer[0]).Raw()
	refused(t, err, "no folder to find it in")
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(b, ""); err == nil {
		t.Error("external data was found without a folder")
	}
	t.Chdir(folder)
	again, err := Parse(b, ".")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	if again.ExternalFolder() != m.ExternalFolder() {
		t.Errorf("external data is sought in %s, want %s", again.ExternalFolder(), m.ExternalFolder())
	}
}

func TestExternalAfterClose(t *testing.T) {
	m, err := Read(outside(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = m.Tensor(m.Proto.GetGraph().Initializer[0]).Raw()
	refused(t, err, "the model is closed")
}

func TestExternalShrinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not let an open file be cut")
	}
	path := outside(t)
	m := open(t, path)
	if err := os.Truncate(filepath.Join(filepath.Dir(path), "a.bin"), 20); err != nil {
		t.Fatal(err)
	}
	_, err := m.Tensor(m.Proto.GetGraph().Initializer[0]).Raw()
	refused(t, err, "a.bin shrank to 20 bytes")
}

func TestWriteExternal(t *testing.T) {
	m := open(t, outside(t))
	// A second tensor over the same bytes must not double them, nor may a stale checksum stay.
	p := Shallow(m.Proto)
	p.Graph = Shallow(p.Graph)
	twin := Shallow(p.Graph.Initializer[0])
	twin.Name = proto.String("twin")
	twin.ExternalData = append(slices.Clone(twin.ExternalData),
		&onnxpb.StringStringEntryProto{Key: proto.String("checksum"), Value: proto.String("0")},
		&onnxpb.StringStringEntryProto{Key: proto.String("note"), Value: proto.String("kept")})
	p.Graph.Initializer = append(p.Graph.Initializer, twin)
	m = m.Derive(p)
	t.Cleanup(func() { m.Close() })
	folder := t.TempDir()
	path := filepath.Join(folder, "out.onnx")
	if err := Write(context.Background(), m, path, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	data := theData(t, path)
	if got := listing(t, folder); !slices.Equal(got, []string{"out.onnx", filepath.Base(data)}) {
		t.Errorf("the folder holds %v", got)
	}
	back := open(t, path)
	if ok, diff := Equal(m, back); !ok {
		t.Errorf("after writing: %s", diff)
	}
	info, err := os.Stat(data)
	if err != nil || info.Size() != 4096+216 {
		t.Errorf("the data file has %d bytes, %v; want the Constant's, then the twins' once at 4096", info.Size(), err)
	}
	n, err := ExternalBytes(path)
	if err != nil || n != info.Size() {
		t.Errorf("ExternalBytes says %d, %v", n, err)
	}
	for _, init := range []int{0, 3} {
		s, err := externalSpan(back.Proto.GetGraph().Initializer[init])
		if err != nil || s != (span{filepath.Base(data), 4096, 216}) {
			t.Errorf("initializer %d stands at %v, %v", init, s, err)
		}
	}
	var keys []string
	for _, e := range back.Proto.GetGraph().Initializer[3].ExternalData {
		keys = append(keys, e.GetKey())
	}
	if !slices.Equal(keys, []string{"location", "offset", "length", "note"}) {
		t.Errorf("entries %v", keys)
	}
}

// TestLargeGoesExternal writes with a limit that the small model exceeds.
func TestLargeGoesExternal(t *testing.T) {
	p := small()
	p.Graph.Initializer = append(p.Graph.Initializer, counting("large", 300),
		&onnxpb.TensorProto{Name: proto.String("floats"), DataType: proto.Int32(1), Dims: []int64{256}, FloatData: make([]float32, 256)})
	m := open(t, save(t, p))
	path := filepath.Join(t.TempDir(), "out.onnx")
	s, err := create(context.Background(), m, path, WriteOptions{}, 2500)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	back := open(t, path)
	for i, want := range []bool{false, false, false, true, true} {
		tp := back.Proto.GetGraph().Initializer[i]
		if got := back.Tensor(tp).External(); got != want {
			t.Errorf("initializer %s is external: %v, want %v", tp.GetName(), got, want)
		}
		x, err := m.Tensor(m.Proto.GetGraph().Initializer[i]).Raw()
		if err != nil {
			t.Fatal(err)
		}
		y, err := back.Tensor(tp).Raw()
		if err != nil || !slices.Equal(x, y) {
			t.Errorf("initializer %s changed: %v", tp.GetName(), err)
		}
	}
	_, err = create(context.Background(), m, filepath.Join(t.TempDir(), "out.onnx"), WriteOptions{}, 300)
	refused(t, err, "even with its weights outside")
}
