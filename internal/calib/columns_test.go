package calib

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// collected runs one calibration.
func collected(t *testing.T, b *testmodels.Builder, src memory, o Options) []Stats {
	t.Helper()
	m := testkit.Built(t, b)
	stats, err := Collect(context.Background(), orttest.Open(t), m, sitetest.Sites(t, m, src[0]), src, testkit.Count(len(src)), o)
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

// TestColumnsStandForMoments collects each kind of matrix both ways.
func TestColumnsStandForMoments(t *testing.T) {
	for _, c := range []struct {
		name  string
		shape []int
		build func(b *testmodels.Builder, x string) string
		fixed bool // the last batch has filler
	}{
		{"rows", []int{40}, func(b *testmodels.Builder, x string) string {
			return b.Node("MatMul", []string{x, b.Weight("w", 40, 40, 8)})
		}, false},
		{"rows of a fixed batch", []int{40}, func(b *testmodels.Builder, x string) string {
			return b.Node("MatMul", []string{x, b.Weight("w", 40, 40, 8)})
		}, true},
		{"rows of several axes", []int{2, 3, 40}, func(b *testmodels.Builder, x string) string {
			return b.Node("MatMul", []string{x, b.Weight("w", 40, 40, 8)})
		}, false},
		{"columns", []int{40, 3}, func(b *testmodels.Builder, x string) string {
			return b.Node("MatMul", []string{b.Weight("w", 40, 8, 40), x})
		}, false},
		{"columns of a transposed batch", []int{40}, func(b *testmodels.Builder, x string) string {
			return b.Node("Gemm", []string{b.Weight("w", 40, 8, 40), b.Node("Transpose", []string{x})})
		}, false},
	} {
		build := func() *testmodels.Builder {
			b := testmodels.NewBuilder(1, 17, 8)
			var batch any = "N"
			if c.fixed {
				batch = 2
			}
			dims := []any{batch}
			for _, n := range c.shape {
				dims = append(dims, n)
			}
			c.build(b, b.Input("x", tensor.Float32, dims...))
			b.Output(b.Rename("y"), tensor.Float32, slices.Repeat([]any{nil}, max(2, len(dims)))...)
			return b
		}
		src := random(5, "x", tensor.Float32, c.shape...)
		full := collected(t, build(), src, Options{Batch: 2, Backend: linalg.Gonum()})[0]
		if full.Columns.Rows != 0 || full.A[0].Rows != 40 {
			t.Fatalf("%s: without a number of samples: %d columns", c.name, full.Columns.Rows)
		}
		var first Stats
		for _, threads := range []int{1, 3} {
			got := collected(t, build(), src, Options{Batch: 2, Samples: len(src), Threads: threads})[0]
			if got.A != nil || got.Columns.Rows != int(full.Positions) || got.Columns.Cols != 40 || got.Positions != full.Positions {
				t.Fatalf("%s: %d columns of length %d, moments %v; want %d columns of length 40", c.name, got.Columns.Rows, got.Columns.Cols, got.A, full.Positions)
			}
			if !slices.Equal(got.OutputShape, full.OutputShape) {
				t.Errorf("%s: output shape %v differs", c.name, got.OutputShape)
			}
			for i, v := range got.Mean[0] { // each about a pilot of its own, which is taken off in float32
				if d := math.Abs(v - full.Mean[0][i]); !(d <= 1e-7) {
					t.Errorf("%s: mean %d differs by %.2g", c.name, i, d)
				}
			}
			for _, centred := range []bool{false, true} {
				m := got.Input(centred)
				a := linalg.Gonum().Mul(true, false, 1, m.Sample[0], m.Sample[0])
				for i, v := range m.Diagonal[0] {
					a.Data[i*a.Cols+i] += v
				}
				if d := worst(a, full.Input(centred).In[0]); d > 1e-6 {
					t.Errorf("%s (centred: %t): second moments differ by %.2g", c.name, centred, d)
				}
			}
			if first.Columns.Rows > 0 && !slices.Equal(first.Columns.Data, got.Columns.Data) {
				t.Errorf("%s: columns are in another order with %d threads", c.name, threads)
			}
			first = got
		}
	}
}

// TestMoreColumnsThanExpected: where samples are longer than the one that was analysed, moments are summed after all.
func TestMoreColumnsThanExpected(t *testing.T) {
	build := func() *testmodels.Builder {
		b := testmodels.NewBuilder(1, 17, 8)
		x := b.Input("x", tensor.Float32, "N", "L", 40)
		b.Node("MatMul", []string{x, b.Weight("w", 40, 40, 8)})
		b.Output(b.Rename("y"), tensor.Float32, "N", "L", 8)
		return b
	}
	var src memory
	for i := range 6 {
		src = append(src, random(i+1, "x", tensor.Float32, 1+4*i, 40)[i]) // 66 columns, 6 expected
	}
	full := collected(t, build(), src, Options{})[0]
	for _, threads := range []int{1, 4} {
		if got := collected(t, build(), src, Options{Samples: len(src), Threads: threads})[0]; !reflect.DeepEqual(got, full) {
			t.Errorf("%d threads: the moments are not those that are summed at once", threads)
		}
	}
}

// TestGroupsOfWideSites: a site whose moments do not fit has columns that do.
func TestGroupsOfWideSites(t *testing.T) {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 2000)
	b.Node("MatMul", []string{x, b.Weight("w", 2000, 2000, 8)})
	b.Output(b.Rename("y"), tensor.Float32, "N", 8)
	m := testkit.Built(t, b)
	sites := sitetest.Sites(t, m, random(1, "x", tensor.Float32, 2000)[0])
	if sites[0].View.Kind != rewrite.LastAxis {
		t.Fatalf("view %v", sites[0].View)
	}
	// Moments are summed beside a worker's own; columns are kept once.
	for samples, want := range map[int]int64{0: 2 * 8 * 2000 * 2000, 1999: 2 * 4 * 1999 * 2000, 2000: 2 * 8 * 2000 * 2000} {
		o := Options{Samples: samples, Memory: workerSpare + want}
		if groups, err := Groups(sites, o); err != nil || len(groups) != 1 {
			t.Errorf("%d samples: groups %v (%v)", samples, groups, err)
		}
		o.Memory--
		if _, err := Groups(sites, o); err == nil {
			t.Errorf("%d samples: more than %d bytes fit into as many", samples, want)
		}
	}
}

// TestCounts counts the rows that samples look up, with batches that have filler, and negative indices.
func TestCounts(t *testing.T) {
	const rows = 7
	for _, batch := range []any{"N", 4} {
		build := func() *testmodels.Builder {
			b := testmodels.NewBuilder(1, 17, 8)
			x := b.Input("ids", tensor.Int64, batch, 3)
			x = b.Node("Gather", []string{b.Weight("table", 1, rows, 5), x})
			b.Node("ReduceMean", []string{x}, graph.Ints("axes", 1), graph.Int("keepdims", 0))
			b.Output(b.Rename("y"), tensor.Float32, batch, 5)
			return b
		}
		var src memory
		want := make([]int64, rows)
		r := rand.New(rand.NewPCG(1, 1))
		for i := range 6 {
			ids := make([]int64, 3)
			for k := range ids {
				at := r.IntN(rows - 1) // the last is never looked up
				want[at]++
				if ids[k] = int64(at); i%2 == 1 {
					ids[k] -= rows
				}
			}
			src = append(src, samples.Sample{Name: fmt.Sprint(i), Label: -1, Inputs: map[string]tensor.Dense{"ids": tensor.FromInt64([]int{3}, ids)}})
		}
		var first Stats
		for _, o := range []Options{{Samples: 6, Probes: 1}, {Threads: 3, Batch: 2, Samples: 6}} {
			got := collected(t, build(), src, o)[0]
			if !slices.Equal(got.Counts, want) || got.A != nil || got.Positions != 18 || got.Samples != 6 || !slices.Equal(got.OutputShape, []int{3, 5}) {
				t.Errorf("batch %v: %+v, want the counts %v of 18 positions", batch, got, want)
			}
			if last := got.Input(true).Diagonal[0][rows-1]; last != 1./25 {
				t.Errorf("batch %v: a row that was never looked up has the frequency %g, want 1/25", batch, last)
			}
			if o.Probes > 0 {
				first = got
			}
		}
		// The mean over three words hands each a third of the gradient, whose directions have unit variance.
		if g := first.G; first.Note != "" || len(g) != 1 || g[0].Rows != 5 || math.Abs(g[0].At(0, 0)-1./9) > 0.1 {
			t.Errorf("batch %v: sensitivities %v (%s)", batch, g, first.Note)
		}
	}
}

func TestCountsRefuse(t *testing.T) {
	st := newStation(&rewrite.Site{Name: "words", Input: "ids", View: rewrite.View{Kind: rewrite.TableRows}, Kernel: decomp.Shape{Out: 2, In: 3, Groups: 1}}, Options{})
	for _, v := range []int64{3, -4} {
		err := st.add(context.Background(), nil, &feed.Run{Samples: make([]samples.Sample, 1)}, tensor.FromInt64([]int{2}, []int64{2, v}), nil)
		testkit.WantError(t, err, "words", "ids", "index 1", "3 rows")
	}
}
