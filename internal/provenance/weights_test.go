package provenance

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxiotest"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestWeights: a model whose external data are missing, or not those that were written, is not fresh.
func TestWeights(t *testing.T) {
	s := newShop(t)
	if err := testmodels.WriteLarge(s.source, 1, 1<<14, 32, true); err != nil {
		t.Fatal(err)
	}
	s.make(true)
	sealed := s.read()
	for _, untold := range []bool{false, true} {
		if untold {
			s.rewrite(onnxio.WithMetadata(sealed, Prefix+keyWeightsSum, nil))
		}
		found, err := filepath.Glob(s.small + ".*.data")
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		if got := s.check(Want{}); got.State != Fresh || (len(got.Untold) > 0) != untold {
			t.Fatalf("%+v", got)
		}
		whole, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		other := slices.Clone(whole)
		other[5] ^= 1
		s.write(found[0], string(other))
		if got := s.check(Want{}); got.State != Stale || !slices.Equal(got.Changed, []string{Weights}) || !strings.Contains(got.Why, filepath.Base(found[0])) {
			t.Errorf("changed: %+v", got)
		}
		if err := os.Remove(found[0]); err != nil {
			t.Fatal(err)
		}
		if got := s.check(Want{}); got.State != Stale || !slices.Equal(got.Changed, []string{Weights}) || !strings.Contains(got.Why, filepath.Base(found[0])) {
			t.Errorf("missing: %+v", got)
		}
		s.write(found[0], string(whole))
	}
}

// read reads the compressed model.
func (s *shop) read() *onnxio.Model {
	s.t.Helper()
	m, err := onnxio.Read(s.small)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { m.Close() })
	return m
}

// rewrite writes another model in the place of the compressed one, as a program that knows of no records does.
func (s *shop) rewrite(m *onnxio.Model) {
	s.t.Helper()
	defer m.Close()
	path := filepath.Join(s.t.TempDir(), filepath.Base(s.small))
	if err := onnxio.Write(context.Background(), m, path, onnxio.WriteOptions{Overwrite: true}); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path, s.small); err != nil { // external data of the same name and content are there
		s.t.Fatal(err)
	}
}

// TestWeightsInside: weights inside of the model's file count too, and where they lie does not.
func TestWeightsInside(t *testing.T) {
	s := newShop(t)
	m := s.read()
	edited := filepath.Join(s.folder, "out", "edited.onnx")
	onnxiotest.External(t, m, edited, "weights.bin")
	if err := os.Rename(edited, s.small); err != nil {
		t.Fatal(err)
	}
	s.wants(Want{}, Fresh)

	edit := graph.Of(m).Parts()
	d, err := edit.Initializers[0].Dense()
	if err != nil {
		t.Fatal(err)
	}
	d.Data = slices.Clone(d.Data)
	d.Data[3] ^= 1
	edit.Initializers[0] = onnxio.DenseTensor(edit.Initializers[0].Name(), d)
	s.rewrite(edit.Model())
	got := s.check(Want{})
	if got.State != Stale || !slices.Equal(got.Changed, []string{Weights}) || !strings.Contains(got.Why, "not those that were written") {
		t.Errorf("changed: %+v", got)
	}

	s.rewrite(onnxio.WithMetadata(edit.Model(), Prefix+keyWeightsSum, nil))
	if got := s.check(Want{}); got.State != Fresh || !slices.Equal(got.Untold, []string{Weights}) {
		t.Errorf("of a version that kept no digest: %+v", got)
	}
	if r, err := Read(s.small); err != nil || r.Weights != "" {
		t.Errorf("read %+v, %v", r, err)
	}
}

// TestSeal: the digest changes nothing else of a record, nor its size, and a model without one gets none.
func TestSeal(t *testing.T) {
	s := newShop(t)
	r, err := Read(s.small)
	if err != nil || len(r.Weights) != len(Unsealed) {
		t.Fatalf("read %+v, %v", r, err)
	}
	sealed := s.read()
	draft := r
	draft.Weights = Unsealed
	blank, err := Attach(sealed, draft)
	if err != nil {
		t.Fatal(err)
	}
	defer blank.Close()
	again, err := Seal(context.Background(), blank)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if ok, diff := onnxio.Equal(sealed, again); !ok || blank.Size() != sealed.Size() {
		t.Errorf("%s; %d bytes with a blank, %d without", diff, blank.Size(), sealed.Size())
	}
	plain, err := Seal(context.Background(), onnxio.WithMetadata(sealed, Prefix, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if len(plain.Proto.MetadataProps) != 0 {
		t.Errorf("metadata %v", plain.Proto.MetadataProps)
	}
}
