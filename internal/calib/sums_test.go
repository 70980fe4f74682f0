package calib

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// assorted has a convolution whose channels are far from zero, sites that share what they read, a matrix whose columns are kept, and one
// that nothing reads.
func assorted(t *testing.T) *onnxio.Model {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Node("Add", []string{b.Input("x", tensor.Float32, "N", 3, 6, 6), b.Tensor("off", tensor.Float32, []int{3, 1, 1}, []float64{40, 0, -90})})
	x = b.Node("Relu", []string{b.Conv(x, 3, 4, []int{3, 3}, graph.Ints("pads", 1, 1, 1, 1))})
	flat := b.Node("Flatten", []string{x})
	left, right := b.Linear(flat, 144, 5, true), b.Linear(flat, 144, 5, false)
	b.Output(b.Node("Add", []string{left, right}), tensor.Float32, "N", 5)
	return testkit.Built(t, b)
}

// sections sums the parts of samples, and reads what was written.
func sections(t *testing.T, m *onnxio.Model, src memory, o Options, parts int) (list []*Sums, written [][]byte) {
	t.Helper()
	for i := range parts {
		var out bytes.Buffer
		swept, err := Sweep(t.Context(), orttest.Open(t), m, sitetest.Sites(t, m, src[0]), src, testkit.Count(len(src)), o, Part{i, parts})
		if err != nil {
			t.Fatal(err)
		}
		defer swept.Close()
		if err := swept.Write(t.Context(), swept.c.all(), &out); err != nil {
			t.Fatal(err)
		}
		s, err := ReadSums(bytes.NewReader(out.Bytes()), 0, int64(out.Len()))
		if err != nil {
			t.Fatalf("part %d of %d: %v", i+1, parts, err)
		}
		if s.End != int64(out.Len()) {
			t.Fatalf("part %d of %d ends at %d of %d bytes", i+1, parts, s.End, out.Len())
		}
		list, written = append(list, s), append(written, out.Bytes())
	}
	return list, written
}

func texts(t *testing.T, each func(give func(Stats) error) error) string {
	t.Helper()
	var out bytes.Buffer
	if err := each(func(s Stats) error {
		_, err := s.WriteTo(&out)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestParts holds the statistics that are merged from parts against those of one sweep, bit by bit.
func TestParts(t *testing.T) {
	m := assorted(t)
	src := random(37, "x", tensor.Float32, 3, 6, 6)
	for _, o := range []Options{
		{Batch: 2, Samples: len(src)},
		{Batch: 2, Samples: len(src), Probes: 2, Threads: 3},
		{Batch: 2, Samples: 1, Probes: 1},                         // so that there turn out to be more columns than were foretold
		{Batch: 2, Samples: len(src), Probes: 1, Memory: 3 << 20}, // sums wait in a file
	} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			stats, err := Collect(t.Context(), orttest.Open(t), m, sitetest.Sites(t, m, src[0]), src, testkit.Count(len(src)), o)
			if err != nil {
				t.Fatal(err)
			}
			want := texts(t, func(give func(Stats) error) error {
				for _, s := range stats {
					if err := give(s); err != nil {
						return err
					}
				}
				return nil
			})
			for _, parts := range []int{1, 3, 4, 20} {
				list, _ := sections(t, m, src, o, parts)
				got := texts(t, func(give func(Stats) error) error { return Merge(t.Context(), list, linalg.Gonum(), give) })
				if got != want {
					t.Errorf("%d parts: the statistics differ", parts)
				}
			}
		})
	}
}

// TestWhereSumsLie: the less memory there is, the more of the sums lies in a file, and they are the same.
func TestWhereSumsLie(t *testing.T) {
	m := assorted(t)
	src := random(37, "x", tensor.Float32, 3, 6, 6)
	sites := sitetest.Sites(t, m, src[0])
	o := Options{Batch: 1, Samples: len(src), Probes: 1}.withDefaults() // a larger batch would become smaller with the memory
	sums := newCollector(sites, specs(t, m), o).sums()
	want := ""
	for _, c := range []struct {
		tenths         int64 // of the sums that the limit is
		waiting, added bool  // whether those that wait, and those that runs are added to, lie in a file
	}{{1000, false, false}, {60, true, false}, {41, true, false}, {39, true, true}} {
		o.Memory = sums * c.tenths / 10
		col := newCollector(sites, specs(t, m), o)
		if err := col.cutInto(len(src), Part{}); err != nil {
			t.Fatal(err)
		}
		if waiting, added := col.slots != nil, col.backlog != nil; waiting != c.waiting || added != c.added {
			t.Errorf("%d tenths of the sums: waiting ones in a file: %v, others: %v", c.tenths, waiting, added)
		}
		col.close()
		got := texts(t, func(give func(Stats) error) error {
			stats, err := Collect(t.Context(), orttest.Open(t), m, sites, src, testkit.Count(len(src)), o)
			for _, s := range stats {
				err = errors.Join(err, give(s))
			}
			return err
		})
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%d tenths of the sums: the statistics differ", c.tenths)
		}
	}
}

// TestPartsWithoutGradients perturbs in each part what no gradient tells, and refuses to mix.
func TestPartsWithoutGradients(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	y := b.Linear(b.Input("x", tensor.Float32, "N", 6), 6, 5, true)
	b.Output(b.Linear(b.Node("CumSum", []string{y, b.Ints("axis", 1)}), 5, 4, true), tensor.Float32, "N", 4)
	m := testkit.Built(t, b)
	src, o := random(12, "x", tensor.Float32, 6), Options{Batch: 2, Probes: 1}
	stats, err := Collect(t.Context(), orttest.Open(t), m, sitetest.Sites(t, m, src[0]), src, testkit.Count(len(src)), o)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stats[0].Note, "perturbing") {
		t.Fatalf("there are gradients (%q)", stats[0].Note)
	}
	list, _ := sections(t, m, src, o, 3)
	var got []Stats
	if err := Merge(t.Context(), list, linalg.Gonum(), func(s Stats) error { got = append(got, s); return nil }); err != nil {
		t.Fatal(err)
	}
	for i, s := range got {
		if s.Note != stats[i].Note || len(s.G) != len(stats[i].G) || len(s.G) > 0 && !slices.Equal(s.G[0].Data, stats[i].G[0].Data) {
			t.Errorf("site %d: %q, wanted %q", i, s.Note, stats[i].Note)
		}
	}
	list[1].head.None = "sizes"
	failed := (*PartError)(nil)
	if err := Merge(context.Background(), list, linalg.Gonum(), func(Stats) error { return nil }); !errors.As(err, &failed) || failed.Part != 0 {
		t.Errorf("parts with gradients and without are merged: %v", err)
	}
	if err := Merge(context.Background(), list[:2], linalg.Gonum(), func(Stats) error { return nil }); !errors.As(err, &failed) {
		t.Errorf("two of three parts are merged: %v", err)
	}
}
