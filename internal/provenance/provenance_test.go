package provenance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// shop is a folder with a source, samples, and a compressed model made from them.
type shop struct {
	t                           testing.TB
	folder, source, data, small string
	tuned                       string // samples that tuned the model, "" for none
	options                     map[string]string
}

func newShop(t testing.TB) *shop {
	t.Helper()
	folder := t.TempDir()
	s := &shop{
		t: t, folder: folder, source: filepath.Join(folder, "models", "net.onnx"), data: filepath.Join(folder, "samples"),
		small: filepath.Join(folder, "out", "net.small.onnx"), options: map[string]string{"targets": "macs=0.5", "seed": "3"},
	}
	for _, dir := range []string{"models", "samples", "out"} {
		if err := os.Mkdir(filepath.Join(folder, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c, _ := testmodels.Get("cnn")
	m, err := c.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := onnxio.Write(context.Background(), m, s.source, onnxio.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.write(filepath.Join(s.data, "a.png"), "one")
	s.write(filepath.Join(s.data, "b.png"), "two")
	s.make(true)
	return s
}

func (s *shop) write(path, text string) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// make writes the compressed model with its record.
func (s *shop) make(calibrated bool) {
	s.t.Helper()
	must := func(v string, err error) string {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
		return v
	}
	ctx := context.Background()
	r := Record{Version: "v1", Options: s.options}
	r.Source = File{must(RelativePath(s.small, s.source)), must(onnxio.Digest(ctx, s.source))}
	if calibrated {
		r.Data, r.Used = File{must(RelativePath(s.small, s.data)), must(DataDigest(ctx, s.data))}, 1
	}
	if s.tuned != "" {
		r.TuneData = File{must(RelativePath(s.small, s.tuned)), must(DataDigest(ctx, s.tuned))}
	}
	m, err := onnxio.Read(s.source)
	if err != nil {
		s.t.Fatal(err)
	}
	defer m.Close()
	marked, err := Attach(m, r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer marked.Close()
	sealed, err := Seal(ctx, marked)
	if err != nil {
		s.t.Fatal(err)
	}
	defer sealed.Close()
	if err := onnxio.Write(ctx, sealed, s.small, onnxio.WriteOptions{Overwrite: true}); err != nil {
		s.t.Fatal(err)
	}
	got, err := Read(s.small)
	if err != nil || got.Version != r.Version || got.Source != r.Source || got.Data != r.Data || got.Used != r.Used || got.TuneData != r.TuneData || !maps.Equal(got.Options, r.Options) {
		s.t.Fatalf("the record reads back as %+v, %v; want %+v", got, err, r)
	}
}

func (s *shop) check(w Want) Status {
	s.t.Helper()
	out, err := Check(context.Background(), []string{s.small}, func(string) Want { return w })
	if err != nil {
		s.t.Fatal(err)
	}
	return out[0]
}

func (s *shop) wants(w Want, state State, changed ...string) {
	s.t.Helper()
	if got := s.check(w); got.State != state || !slices.Equal(got.Changed, changed) {
		s.t.Errorf("status %+v, want %s %v", got, state, changed)
	}
}

// TestStatus goes through every change that can be, and through those that are none.
func TestStatus(t *testing.T) {
	s := newShop(t)
	all := Want{Data: s.data, Options: s.options}
	s.wants(Want{}, Fresh)
	s.wants(all, Fresh)

	other := map[string]string{"targets": "macs=0.4", "probes": "1"}
	got := s.check(Want{Data: s.data, Options: other})
	want := []OptionChange{{"probes", "", "1"}, {"seed", "3", ""}, {"targets", "macs=0.5", "macs=0.4"}}
	if got.State != Stale || !slices.Equal(got.Changed, []string{Options}) || !slices.Equal(got.Options, want) {
		t.Errorf("other options: %+v", got)
	}
	s.wants(Want{Options: s.options}, Stale, Data) // data-free now

	s.write(filepath.Join(s.data, "labels.tsv"), "a.png\t1\n")
	s.wants(all, Fresh)
	s.write(filepath.Join(s.data, "a.png"), "One")
	s.wants(Want{}, Stale, Data)
	s.wants(Want{AnyData: true}, Fresh)
	s.write(filepath.Join(s.data, "a.png"), "one")
	s.wants(Want{}, Fresh)
	if err := os.Rename(filepath.Join(s.data, "a.png"), filepath.Join(s.data, "c.png")); err != nil {
		t.Fatal(err)
	}
	s.wants(Want{}, Stale, Data)

	original, err := os.ReadFile(s.source)
	if err != nil {
		t.Fatal(err)
	}
	s.write(s.source, string(original)+"\xfa\x01\x00") // an unknown field
	s.wants(Want{}, Stale, Source, Data)
	s.wants(Want{Data: s.data, Options: other}, Stale, Source, Data, Options)

	s.make(false)
	s.wants(Want{}, Fresh)
	s.wants(Want{Options: s.options}, Fresh)
	s.wants(Want{Data: s.data, Options: s.options}, Stale, Data)
}

// TestStatusElsewhere: the whole folder may move, and parts of it where a caller says so.
// TestStatusTuned changes the samples that a model was tuned on.
func TestStatusTuned(t *testing.T) {
	s := newShop(t)
	s.wants(Want{Data: s.data, TuneData: s.data, Options: s.options}, Stale, TuneData) // it was not tuned on them
	s.tuned = filepath.Join(s.folder, "tuned.bin")
	s.write(s.tuned, "three")
	s.make(true)
	s.wants(Want{}, Fresh)
	s.wants(Want{Data: s.data, TuneData: s.tuned, Options: s.options}, Fresh)
	s.wants(Want{Data: s.data, Options: s.options}, Stale, TuneData) // not wanted any more
	s.write(s.tuned, "four")
	s.wants(Want{}, Stale, TuneData)
	s.wants(Want{AnyData: true}, Fresh)
	if err := os.Remove(s.tuned); err != nil {
		t.Fatal(err)
	}
	s.wants(Want{}, Unknown)
}

func TestStatusElsewhere(t *testing.T) {
	s := newShop(t)
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(s.folder, moved); err != nil {
		t.Fatal(err)
	}
	s.small = filepath.Join(moved, "out", "net.small.onnx")
	s.wants(Want{}, Fresh)
	source := filepath.Join(t.TempDir(), "net.onnx")
	if err := os.Rename(filepath.Join(moved, "models", "net.onnx"), source); err != nil {
		t.Fatal(err)
	}
	got := s.check(Want{})
	missing := (*MissingError)(nil)
	if got.State != Unknown || !errors.As(got.Err, &missing) || missing.What != Source || missing.Path != filepath.Join(moved, "models", "net.onnx") {
		t.Errorf("without its source: %+v", got)
	}
	s.wants(Want{Source: source}, Fresh)
	s.wants(Want{Source: filepath.Dir(source)}, Fresh)
	data := filepath.Join(t.TempDir(), "samples")
	if err := os.Rename(filepath.Join(moved, "samples"), data); err != nil {
		t.Fatal(err)
	}
	if got := s.check(Want{Source: source}); got.State != Unknown || !strings.Contains(got.Why, "calibration data") {
		t.Errorf("without its samples: %+v", got)
	}
	s.wants(Want{Source: source, Data: data}, Fresh)

	// Through a link to the folder of the result, ".." leads to where the folder is.
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(moved, "out"), link); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	if err := os.Rename(source, filepath.Join(moved, "models", "net.onnx")); err != nil {
		t.Fatal(err)
	}
	s.small = filepath.Join(link, "net.small.onnx")
	s.wants(Want{Data: data}, Fresh)
}

// TestRecordRefused: a file without a record, and records that were meddled with.
func TestRecordRefused(t *testing.T) {
	s := newShop(t)
	_, err := Read(s.source)
	if none := (*NoRecordError)(nil); !errors.As(err, &none) || none.Path != s.source {
		t.Errorf("error %v, want that there is no record", err)
	}
	m, err := onnxio.Read(s.small)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	whole, err := onnxio.ReadMetadata(s.small, Prefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, value, want string }{
		{keyOptions, `{"seed":"4"}`, "do not have the hash"},
		{keyOptions, `{"seed"`, "cannot be read"},
		{keySource, "", "does not name the source"},
		{keySourceSum, "", "does not name the source"},
	} {
		props := maps.Clone(whole)
		props[c.key] = c.value
		bad := onnxio.WithMetadata(m, Prefix, props)
		path := filepath.Join(s.folder, "bad.onnx")
		if err := onnxio.Write(context.Background(), bad, path, onnxio.WriteOptions{Overwrite: true}); err != nil {
			t.Fatal(err)
		}
		bad.Close()
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s %q: error %v, want %q", c.key, c.value, err, c.want)
		}
	}
	plain := onnxio.WithMetadata(m, Prefix, nil)
	defer plain.Close()
	source, err := onnxio.Read(s.source)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if ok, diff := onnxio.Equal(plain, source); !ok {
		t.Error("without its record the model is not its source:", diff)
	}
}

// TestCheckCancelled: an end of the context is an error, whatever was found.
func TestCheckCancelled(t *testing.T) {
	s := newShop(t)
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Check(ctx, []string{s.small}, func(string) Want { return Want{} }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// BenchmarkCheck judges 100 compressed models with a source of 10 MB each, and 10 MB of
// their own: what a hook may have to do.
func BenchmarkCheck(b *testing.B) {
	folder := b.TempDir()
	builder := testmodels.NewBuilder(1, 17, 8)
	x := builder.Input("x", 1, "N", 1580)
	builder.Linear(x, 1580, 1580, false)
	builder.Output(builder.Rename("y"), 1, "N", 1580)
	m, err := builder.Model()
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	var paths []string
	for i := range 100 {
		source := filepath.Join(folder, fmt.Sprintf("net%d.onnx", i))
		if err := onnxio.Write(ctx, m, source, onnxio.WriteOptions{}); err != nil {
			b.Fatal(err)
		}
		sum, err := onnxio.Digest(ctx, source)
		if err != nil {
			b.Fatal(err)
		}
		marked, err := Attach(m, Record{Source: File{filepath.Base(source), sum}})
		if err != nil {
			b.Fatal(err)
		}
		small := filepath.Join(folder, fmt.Sprintf("net%d.small.onnx", i))
		if err := onnxio.Write(ctx, marked, small, onnxio.WriteOptions{}); err != nil {
			b.Fatal(err)
		}
		paths = append(paths, small)
	}
	info, err := os.Stat(filepath.Join(folder, "net0.onnx"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(100 * info.Size())
	for b.Loop() {
		found, err := Check(ctx, paths, func(string) Want { return Want{} })
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range found {
			if f.State != Fresh {
				b.Fatalf("%+v", f)
			}
		}
	}
}
