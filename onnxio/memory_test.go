package onnxio

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// weighty returns a chain of linear layers, each with a square weight of the given size in
// bytes. The weights share one block of zeros, so the message itself is small.
func weighty(layers, size int) *onnxpb.ModelProto {
	side := 1
	for 4*side*side < size {
		side *= 2
	}
	zeros := make([]byte, 4*side*side)
	g := &onnxpb.GraphProto{
		Name:   proto.String("weighty"),
		Input:  []*onnxpb.ValueInfoProto{value(v(0), -1, int64(side))},
		Output: []*onnxpb.ValueInfoProto{value(v(layers), -1, int64(side))},
	}
	for i := range layers {
		w := fmt.Sprintf("layer%d.weight", i)
		g.Initializer = append(g.Initializer, &onnxpb.TensorProto{
			Name: proto.String(w), DataType: proto.Int32(int32(tensor.Float32)),
			Dims: []int64{int64(side), int64(side)}, RawData: zeros,
		})
		g.Node = append(g.Node, node(fmt.Sprintf("layer%d", i), "MatMul", v(i)+" "+w, v(i+1)))
	}
	p := small()
	p.Graph = g
	return p
}

// sparseFile writes a model with holes where its weights are zero, so that a gigabyte takes
// neither time nor space.
func sparseFile(t testing.TB, p *onnxpb.ModelProto) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weighty.onnx")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(holes{f})
	if err := (encoder{w: w, whole: 1 << 10}).message(p.ProtoReflect()); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	end, err := f.Seek(0, io.SeekCurrent)
	if err == nil {
		err = f.Truncate(end)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// holes skips over large writes, which are zeros, instead of storing them.
type holes struct{ f *os.File }

func (h holes) Write(b []byte) (int, error) {
	if len(b) < 1<<16 {
		return h.f.Write(b)
	}
	_, err := h.f.Seek(int64(len(b)), io.SeekCurrent)
	return len(b), err
}

// allocated returns how many bytes f takes from the heap in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestWeightsAreNotCopied takes a model with 64 MiB of weights through everything that does
// not need their numbers, and through writing, which does.
func TestWeightsAreNotCopied(t *testing.T) {
	const weights, most = 64 << 20, 4 << 20
	path := sparseFile(t, weighty(16, weights/16))
	if info, err := os.Stat(path); err != nil || info.Size() < weights {
		t.Fatalf("the model has %d bytes, %v", info.Size(), err)
	}
	var m *Model
	step := func(name string, f func() error) {
		t.Helper()
		var err error
		n := allocated(func() { err = f() })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n > most {
			t.Errorf("%s allocates %d bytes, want at most %d for %d bytes of weights", name, n, most, weights)
		}
	}
	step("Read", func() (err error) { m, err = Read(path); return err })
	defer m.Close()
	step("Print", func() error { return Print(io.Discard, m) })
	step("Dense", func() error {
		for _, w := range m.Proto.GetGraph().Initializer {
			if _, err := m.Tensor(w).Dense(); err != nil {
				return err
			}
		}
		return nil
	})
	derived := m.Derive(Shallow(m.Proto))
	defer derived.Close()
	folder := t.TempDir()
	out := filepath.Join(folder, "out.onnx")
	step("Write", func() error { return Write(context.Background(), derived, out, WriteOptions{}) })
	step("Write external", func() error {
		s, err := create(context.Background(), derived, filepath.Join(folder, "external.onnx"), WriteOptions{}, weights)
		if err != nil {
			return err
		}
		return s.Commit()
	})
	var outside *Model
	step("Read external", func() (err error) { outside, err = Read(filepath.Join(folder, "external.onnx")); return err })
	defer outside.Close()
	step("Equal", func() error {
		if ok, diff := Equal(m, outside); !ok {
			return fmt.Errorf("%s", diff)
		}
		return nil
	})
	step("Write from file to file", func() error {
		return Write(context.Background(), outside, filepath.Join(folder, "copied.onnx"), WriteOptions{})
	})
}

// TestNumbersLeaveNothing reads the numbers of weights inside of a model and beside it, and writes them, and wants none of their pages
// to stay.
func TestNumbersLeaveNothing(t *testing.T) {
	const weights = 32 << 20
	inside := open(t, sparseFile(t, weighty(4, weights/4)))
	s, err := create(context.Background(), inside, filepath.Join(t.TempDir(), "external.onnx"), WriteOptions{}, weights)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Model{inside, open(t, s.target)} {
		for _, w := range m.Proto.GetGraph().Initializer {
			if _, err := m.Tensor(w).Float64s(); err != nil {
				t.Fatal(err)
			}
		}
		if err := Write(context.Background(), m, filepath.Join(t.TempDir(), "again.onnx"), WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, path := range m.Files() {
			if n := mapped(t, path); n > weights/8 {
				t.Errorf("%d bytes of %s are in memory", n, path)
			}
		}
	}
}

// mapped returns how many bytes of this process's maps of a file are resident.
func mapped(t *testing.T, path string) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skipf("nothing says what is resident: %v", err)
	}
	var n int64
	ours := false
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 0 && !strings.HasSuffix(fields[0], ":") {
			ours = strings.HasSuffix(strings.TrimSpace(line), path)
		}
		if ours && fields[0] == "Rss:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			n += kib << 10
		}
	}
	return n
}

// TestMarshalMapped wants the weights of a model's own file to be where the message says, and the others as they were.
func TestMarshalMapped(t *testing.T) {
	path := save(t, weighty(2, 1<<12))
	m := open(t, path)
	data, err := m.MarshalMapped()
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 2<<10 {
		t.Errorf("the message has %d bytes, with the weights outside", len(data))
	}
	twin, err := Parse(data, m.ExternalFolder())
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Close()
	if ok, diff := Equal(m, twin); !ok {
		t.Error(diff)
	}
	// Through a link from elsewhere the data are found where the link leads, and a model of no file has them inside.
	link := filepath.Join(t.TempDir(), "link.onnx")
	if err := os.Symlink(path, link); err != nil {
		t.Skipf("no links here: %v", err)
	}
	for _, m := range []*Model{open(t, link), New(weighty(2, 1<<12))} {
		data, err := m.MarshalMapped()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(data, m.ExternalFolder())
		if err != nil {
			t.Fatal(err)
		}
		if ok, diff := Equal(m, again); !ok {
			t.Error(diff)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkRead1GiB reads and checks a model with 1 GiB of weights. It reports how
// much of the process is resident afterwards, the map included.
func BenchmarkRead1GiB(b *testing.B) {
	path := sparseFile(b, weighty(64, 16<<20))
	for b.Loop() {
		m, err := Read(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(resident(), "MiB-resident")
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadManyNodes reads a model whose size is in its graph: 100,000 nodes.
func BenchmarkReadManyNodes(b *testing.B) {
	p := small()
	g := &onnxpb.GraphProto{Input: []*onnxpb.ValueInfoProto{value(v(0))}, Output: []*onnxpb.ValueInfoProto{value(v(100_000))}}
	for i := range 100_000 {
		g.Node = append(g.Node, node("node/"+strconv.Itoa(i), "Neg", v(i), v(i+1), attribute("axis", int64(1))))
	}
	p.Graph = g
	path := save(b, p)
	for b.Loop() {
		m, err := Read(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrite writes 64 MiB of weights, synced.
func BenchmarkWrite(b *testing.B) {
	m := open(b, sparseFile(b, weighty(16, 4<<20)))
	path := filepath.Join(b.TempDir(), "out.onnx")
	b.SetBytes(64 << 20)
	for b.Loop() {
		if err := Write(context.Background(), m, path, WriteOptions{Overwrite: true}); err != nil {
			b.Fatal(err)
		}
	}
}

// resident returns the memory of this process in MiB, or 0 where the system does not say.
func resident() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if kib, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(kib)[0])
			if err == nil {
				return float64(n) / 1024
			}
		}
	}
	return 0
}
