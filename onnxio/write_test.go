package onnxio

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func TestWriteThenRead(t *testing.T) {
	m := open(t, save(t, small()))
	folder := t.TempDir()
	path := filepath.Join(folder, "out.onnx")
	if err := Write(context.Background(), m, path, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if ok, diff := Equal(m, open(t, path)); !ok {
		t.Error(diff)
	}
	if got := listing(t, folder); !slices.Equal(got, []string{"out.onnx"}) {
		t.Errorf("the folder holds %v", got)
	}
}

func TestWriteIsRepeatable(t *testing.T) {
	for _, input := range []string{save(t, small()), outside(t)} {
		var first []byte
		for range 3 {
			m := open(t, input)
			folder := t.TempDir()
			path := filepath.Join(folder, "out.onnx")
			if err := Write(context.Background(), m, path, WriteOptions{}); err != nil {
				t.Fatal(err)
			}
			var all []byte
			for _, name := range listing(t, folder) {
				b, err := os.ReadFile(filepath.Join(folder, name))
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, b...)
			}
			if first != nil && !bytes.Equal(all, first) {
				t.Error("the same model was written as other bytes")
			}
			first = all
		}
	}
}

// TestWriteRefuses checks, for each bad target, the error, that CanWrite gives it too, and
// that nothing in the folder changes.
func TestWriteRefuses(t *testing.T) {
	link := func(make func(old, new string) error, old, name string) func(t *testing.T, folder string) string {
		return func(t *testing.T, folder string) string {
			path := filepath.Join(folder, name)
			if err := make(filepath.Join(folder, old), path); err != nil {
				t.Skipf("no links here: %v", err)
			}
			return path
		}
	}
	at := func(name string) func(*testing.T, string) string {
		return func(_ *testing.T, folder string) string { return filepath.Join(folder, name) }
	}
	overwrite := WriteOptions{Overwrite: true}
	for _, c := range []struct {
		name   string
		target func(t *testing.T, folder string) string
		o      WriteOptions
		want   string
	}{
		{"the input", at("model.onnx"), overwrite, "is a file that the model is read from"},
		{"the input by another path", at("sub/../model.onnx"), overwrite, "is a file that the model is read from"},
		{"hard link to the input", link(os.Link, "model.onnx", "hard.onnx"), overwrite, "is a file that the model is read from"},
		{"symbolic link to the input", link(os.Symlink, "model.onnx", "soft.onnx"), overwrite, "is a file that the model is read from"},
		{"the input's data", at("a.bin"), overwrite, "is a file that the model is read from"},
		{"existing file", at("other.onnx"), WriteOptions{}, "file already exists"},
		{"folder", at("sub"), overwrite, "is not a regular file"},
		{"no folder", at("nowhere/new.onnx"), overwrite, "the target's folder"},
		{"file as folder", at("other.onnx/new.onnx"), overwrite, "not a folder"},
		{"dangling link", link(os.Symlink, "gone", "dangling.onnx"), overwrite, "a link that leads nowhere"},
		{"device", func(t *testing.T, _ string) string { return os.DevNull }, overwrite, "is not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "device" && runtime.GOOS == "windows" {
				t.Skip("Windows has no device files")
			}
			input := outside(t)
			folder := filepath.Dir(input)
			if err := os.WriteFile(filepath.Join(folder, "other.onnx"), []byte("precious"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(folder, "sub"), 0o755); err != nil {
				t.Fatal(err)
			}
			m := open(t, input)
			target := c.target(t, folder)
			before := snapshot(t, folder)
			err := Write(context.Background(), m, target, c.o)
			refused(t, err, "writing model "+target, c.want)
			refused(t, CanWrite(m, target, c.o), "writing model "+target, c.want)
			if c.o == (WriteOptions{}) && !errors.Is(err, fs.ErrExist) {
				t.Errorf("%v is not fs.ErrExist", err)
			}
			if !slices.Equal(snapshot(t, folder), before) {
				t.Errorf("the folder changed:\n%q\nwas\n%q", snapshot(t, folder), before)
			}
		})
	}
}

// snapshot lists the files of a folder with their contents.
func snapshot(t testing.TB, folder string) []string {
	t.Helper()
	var list []string
	for _, name := range listing(t, folder) {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			b = []byte("not readable")
		}
		list = append(list, name+": "+string(b))
	}
	return list
}

func TestWriteToClosedFolder(t *testing.T) {
	m := open(t, save(t, small()))
	folder := t.TempDir()
	if runtime.GOOS == "linux" && os.Getuid() == 0 {
		folder = "/proc" // takes no files, not even from root
	} else if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	} else if f, err := os.CreateTemp(folder, ""); err == nil {
		f.Close()
		t.Skip("folders cannot be closed to this user")
	}
	target := filepath.Join(folder, "out.onnx")
	refused(t, Write(context.Background(), m, target, WriteOptions{}), target)
	refused(t, CanWrite(m, target, WriteOptions{}), target)
}

func TestOverwrite(t *testing.T) {
	m := open(t, outside(t))
	folder := t.TempDir()
	path := filepath.Join(folder, "out.onnx")
	const old = "out.onnx.0123456789abcdef.data"
	for name, mode := range map[string]fs.FileMode{"out.onnx": 0o640, old: 0o600, "out.onnx.data": 0o600, "in.onnx.0123456789abcdef.data": 0o600} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("old"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := CanWrite(m, path, WriteOptions{Overwrite: true}); err != nil {
		t.Fatal(err)
	}
	if err := Write(context.Background(), m, path, WriteOptions{Overwrite: true}); err != nil {
		t.Fatal(err)
	}
	if ok, diff := Equal(m, open(t, path)); !ok {
		t.Error(diff)
	}
	// What was written for the old model is gone, and nothing else.
	if got := listing(t, folder); !slices.Equal(got, []string{"in.onnx.0123456789abcdef.data", "out.onnx", filepath.Base(theData(t, path)), "out.onnx.data"}) {
		t.Errorf("the folder holds %v", got)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o640 {
		t.Errorf("permissions are %v, want those of the file replaced", info.Mode())
	}
}

// TestCancelled ends the context at every point of the writing where it is looked at.
func TestCancelled(t *testing.T) {
	m := open(t, outside(t))
	for after := range 16 {
		folder := t.TempDir()
		path := filepath.Join(folder, "out.onnx")
		if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		before := snapshot(t, folder)
		ctx := &countdown{Context: context.Background(), left: after}
		err := Write(ctx, m, path, WriteOptions{Overwrite: true})
		if err == nil {
			if after < 2 {
				t.Errorf("written although the context ended at look %d", after)
			}
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v is not the context's error", err)
		}
		if !slices.Equal(snapshot(t, folder), before) {
			t.Errorf("ended at look %d, the folder holds %v", after, listing(t, folder))
		}
	}
	t.Error("the writing never came to its end")
}

// countdown is a context that ends after a number of looks.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestCancelledBetweenBlocks(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("enough")
	var got int
	w := cancellable{ctx, writerFunc(func(b []byte) (int, error) {
		got += len(b)
		cancel(reason)
		return len(b), nil
	})}
	n, err := w.Write(make([]byte, 10<<20))
	if n != 4<<20 || got != n || !errors.Is(err, reason) {
		t.Errorf("wrote %d bytes (%d said), %v; want one block and the reason", got, n, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestStage follows a staged model from its waiting place to its target.
func TestStage(t *testing.T) {
	m := open(t, outside(t))
	folder := t.TempDir()
	path := filepath.Join(folder, "out.onnx")
	s, err := Create(context.Background(), m, path, WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the target is there before its time: %v", err)
	}
	// The waiting model works, external data and all.
	waiting, err := Read(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	if ok, diff := Equal(m, waiting); !ok {
		t.Error(diff)
	}
	if err := waiting.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	s.Discard()
	if ok, diff := Equal(m, open(t, path)); !ok {
		t.Error(diff)
	}
	again, err := Create(context.Background(), m, path, WriteOptions{Overwrite: true})
	if err != nil {
		t.Fatal(err)
	}
	again.Discard()
	if got := listing(t, folder); !slices.Equal(got, []string{"out.onnx", filepath.Base(theData(t, path))}) {
		t.Errorf("the folder holds %v", got)
	}
}

// TestCommitRefuses lets the target come into being while a model waits for it.
func TestCommitRefuses(t *testing.T) {
	m := open(t, save(t, small()))
	folder := t.TempDir()
	path := filepath.Join(folder, "out.onnx")
	s, err := Create(context.Background(), m, path, WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, s.Commit(), "file already exists")
	s.Discard()
	if got := snapshot(t, folder); !slices.Equal(got, []string{"out.onnx: precious"}) {
		t.Errorf("the folder holds %q", got)
	}
}

// TestCommitAside: a model whose target comes into being while it waits goes beside it, with its data, and what is there stays, whatever it is.
func TestCommitAside(t *testing.T) {
	for _, file := range []string{save(t, small()), outside(t)} {
		for _, early := range []bool{true, false} {
			m := open(t, file)
			folder := t.TempDir()
			at := func(name string) string { return filepath.Join(folder, name) }
			taken := func() {
				if err := errors.Join(os.Mkdir(at("out.onnx"), 0o755), os.WriteFile(at("out.2.onnx"), []byte("precious"), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			o := WriteOptions{Aside: true}
			if early {
				taken()
				refused(t, CanWrite(m, at("out.2.onnx"), o), "file already exists")
			}
			s, err := Create(context.Background(), m, at("out.onnx"), o)
			if err != nil {
				t.Fatal(err)
			}
			if !early {
				taken()
			}
			if err := s.Commit(); err != nil {
				t.Fatal(err)
			}
			if s.Target() != at("out.3.onnx") {
				t.Errorf("it went to %s", s.Target())
			}
			if ok, diff := Equal(m, open(t, s.Target())); !ok {
				t.Error(diff)
			}
			if err := CheckData(context.Background(), s.Target()); err != nil {
				t.Error(err)
			}
			want := []string{"out.2.onnx", "out.3.onnx"}
			if len(m.files.infos()) > 0 {
				want = append(want, filepath.Base(theData(t, s.Target())))
				if !strings.HasPrefix(want[2], "out.3.onnx.") {
					t.Errorf("its data went to %s", want[2])
				}
			}
			if got := listing(t, folder); !slices.Equal(got, append(want, "out.onnx")) {
				t.Errorf("the folder holds %q, want %q", got, want)
			}
			if b, err := os.ReadFile(at("out.2.onnx")); err != nil || string(b) != "precious" {
				t.Errorf("what was there is %q, %v", b, err)
			}
		}
	}
}

// TestCommitTakesBack makes the second of two moves fail.
func TestCommitTakesBack(t *testing.T) {
	m := open(t, outside(t))
	folder := t.TempDir()
	path := filepath.Join(folder, "out.onnx")
	for _, name := range []string{"out.onnx", "out.onnx.0123456789abcdef.data"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("old "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before := snapshot(t, folder)
	s, err := Create(context.Background(), m, path, WriteOptions{Overwrite: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.Path()); err != nil {
		t.Fatal(err)
	}
	refused(t, s.Commit(), "writing model "+path)
	s.Discard()
	if got := snapshot(t, folder); !slices.Equal(got, before) {
		t.Errorf("the folder holds %q, want %q", got, before)
	}
}

// TestEncoderAgrees holds the streaming encoder, with no message too small for it, against
// the generated one, over every kind of field in the schema.
func TestEncoderAgrees(t *testing.T) {
	p := small()
	p.Graph.Initializer = append(p.Graph.Initializer,
		typed(tensor.Float32, []int64{3}, func(p *onnxpb.TensorProto) { p.FloatData = []float32{1, -2, 3} }),
		typed(tensor.Float64, []int64{40000}, func(p *onnxpb.TensorProto) { p.DoubleData = make([]float64, 40000) }),
		typed(tensor.Int64, []int64{3}, func(p *onnxpb.TensorProto) { p.Int64Data = []int64{1, -2, 1 << 60} }),
		typed(tensor.Uint64, []int64{2}, func(p *onnxpb.TensorProto) { p.Uint64Data = []uint64{1 << 63, 300} }),
		typed(tensor.Int32, []int64{2}, func(p *onnxpb.TensorProto) { p.Int32Data = []int32{-1, 300} }),
		typed(tensor.String, []int64{2}, func(p *onnxpb.TensorProto) { p.StringData = [][]byte{[]byte("a"), {}} }),
	)
	p.Configuration = []*onnxpb.DeviceConfigurationProto{{Name: proto.String("d"), NumDevices: proto.Int32(-2), Device: []string{"a", ""}}}
	p.Graph.Node[0].DeviceConfigurations = []*onnxpb.NodeDeviceConfigurationProto{{PipelineStage: proto.Int32(1)}}
	p.ProtoReflect().SetUnknown([]byte("\xa2\x38\x05hello"))
	want, err := p.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := (encoder{w: &got, whole: 0}).message(p.ProtoReflect()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the streaming encoder writes other bytes")
	}
}

// TestEncoderStopsAtErrors fails each write of a model in turn.
func TestEncoderStopsAtErrors(t *testing.T) {
	p := small()
	total := 0
	count := writerFunc(func(b []byte) (int, error) { total++; return len(b), nil })
	if err := (encoder{w: count}).message(p.ProtoReflect()); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	for n := range total {
		left := n
		w := writerFunc(func(b []byte) (int, error) {
			if left--; left < 0 {
				return 0, full
			}
			return len(b), nil
		})
		if err := (encoder{w: w}).message(p.ProtoReflect()); !errors.Is(err, full) {
			t.Fatalf("write %d of %d failed, the encoder says %v", n, total, err)
		}
	}
}

func TestMarshalOver2GiB(t *testing.T) {
	p := small()
	big := &onnxpb.TensorProto{Name: proto.String("big"), DataType: proto.Int32(2), Dims: []int64{64 << 20}, RawData: make([]byte, 64<<20)}
	for range 32 {
		p.Graph.Initializer = append(p.Graph.Initializer, big)
	}
	_, err := New(p).Marshal()
	refused(t, err, "over the 2 GiB", "external data")
}

// theData finds the one file of external data of the model at path.
func theData(t testing.TB, path string) string {
	t.Helper()
	names, folder, err := externalNames(path)
	if err != nil || len(names) != 1 {
		t.Fatalf("%s has the external data %q, %v", path, names, err)
	}
	return filepath.Join(folder, names[0])
}

// TestDataFile: external data are named by their content, so that an old model has its own until the new one is in
// its place; a source's are never removed; and what is not as it was written can be told.
func TestDataFile(t *testing.T) {
	m := open(t, outside(t))
	folder := t.TempDir()
	path, moved := filepath.Join(folder, "out.onnx"), filepath.Join(folder, "moved.onnx")
	if err := Write(context.Background(), m, path, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	data := theData(t, path)
	content, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(content); data != dataPath(path, hex.EncodeToString(sum[:])) || CheckData(context.Background(), path) != nil {
		t.Errorf("%s is not named by its content", data)
	}
	// Another model takes the place, and is made of what lies there under another name.
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	plain := open(t, save(t, small()))
	if err := Write(context.Background(), open(t, moved), path, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(data); err != nil {
		t.Errorf("the source's data: %v", err)
	}
	if err := os.Remove(moved); err != nil {
		t.Fatal(err)
	}
	if err := Write(context.Background(), plain, path, WriteOptions{Overwrite: true}); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, folder); !slices.Equal(got, []string{"out.onnx"}) {
		t.Errorf("the folder holds %v", got)
	}
}

func TestCheckData(t *testing.T) {
	m := open(t, outside(t))
	for name, spoil := range map[string]func(path string) error{
		"missing": os.Remove,
		"short":   func(path string) error { return os.Truncate(path, 1) },
		"changed": func(path string) error {
			content, err := os.ReadFile(path)
			content[0] ^= 1
			return errors.Join(err, os.WriteFile(path, content, 0o644))
		},
	} {
		path := filepath.Join(t.TempDir(), "out.onnx")
		if err := Write(context.Background(), m, path, WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := spoil(theData(t, path)); err != nil {
			t.Fatal(err)
		}
		if err, bad := errors.AsType[*DataError](CheckData(context.Background(), path)); !bad {
			t.Errorf("%s: %v", name, err)
		}
	}
}
