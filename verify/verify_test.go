package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// memory is a source of given samples.
type memory = testkit.Memory[samples.Sample]

// vectors are samples of the input "x" with the given rows and labels.
func vectors(labels []int, rows ...[]float32) memory {
	var out memory
	for i, r := range rows {
		s := samples.Sample{Name: fmt.Sprint("row ", i), Label: -1, Inputs: map[string]tensor.Dense{"x": tensor.FromFloat32([]int{len(r)}, r)}}
		if labels != nil {
			s.Label = labels[i]
		}
		out = append(out, s)
	}
	return out
}

// save writes the builder's model to a file.
func save(t *testing.T, b *testmodels.Builder) string {
	t.Helper()
	return testkit.Save(t, testkit.Built(t, b))
}

// scores is y = x·w with a weight [2, 3], row-major, and a second output that has no
// axis for the samples: the largest element of x.
func scores(t *testing.T, batch any, w ...float64) string {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, batch, 2)
	b.Node("MatMul", []string{x, b.Tensor("w", tensor.Float32, []int{2, 3}, w)})
	b.Output(b.Rename("y"), tensor.Float32, batch, 3)
	b.Node("ReduceMax", []string{x}, graph.Int("keepdims", 0))
	b.Output(b.Rename("top"), tensor.Float32)
	return save(t, b)
}

var identity = []float64{1, 0, 0, 0, 1, 0}

func near(got, want float64) bool { return math.Abs(got-want) <= 1e-6*max(1, math.Abs(want)) }

func TestCompareNumbers(t *testing.T) {
	lib := orttest.Open(t)
	before := scores(t, "N", identity...)          // y = (x0, x1, 0)
	after := scores(t, "N", 1, 0.5, 0, 0, 1, 0.25) // y' = (x0, x1 + x0/2, x1/4)
	src := vectors([]int{0, 1, 0, -1}, []float32{4, 0}, []float32{0, 4}, []float32{4, 3}, []float32{3, 4})
	for _, threads := range []int{1, 3} {
		r, err := Compare(context.Background(), lib, before, after, src, []int{0, 1, 2, 3}, Options{Batch: 2, Threads: threads, Moved: 2})
		if err != nil {
			t.Fatal(err)
		}
		// Differences: (0,2,0), (0,0,1), (0,2,.75), (0,1.5,1).
		d2, y2 := 4+1+4.5625+3.25, 16+16+25+25.
		y := r.Outputs[0]
		cosines := 4/math.Sqrt(20) + 4/math.Sqrt(17) + 31./5/math.Sqrt(16+25+.5625) + 31./5/math.Sqrt(9+30.25+1)
		for _, c := range []struct {
			name      string
			got, want float64
		}{
			{"values", float64(y.Values), 12},
			{"max", y.MaxRelative, 2. / 4},
			{"mean", y.MeanRelative, (2 + 1 + 2.75 + 2.5) / 12 / math.Sqrt(y2/12)},
			{"cosine", y.Cosine, cosines / 4},
			{"snr", *y.SNR, 10 * math.Log10(y2/d2)},
			{"agreement", r.Classes.Agreement, 0.75},
			{"accuracy before", r.Classes.Accuracy.Before, 1},
			{"accuracy after", r.Classes.Accuracy.After, 2. / 3},
			{"moved", *r.Moved[0].Error, 2. / 4},
			{"moved next", *r.Moved[1].Error, math.Sqrt(4.5625) / 5},
		} {
			if !near(c.got, c.want) {
				t.Errorf("%d threads: %s is %v, want %v", threads, c.name, c.got, c.want)
			}
		}
		wantClasses := []ClassAccuracy{{0, 2, 1, 0.5}, {1, 1, 1, 1}}
		if got := r.Classes.Accuracy; got.Labelled != 3 || !slices.Equal(got.PerClass, wantClasses) || r.Classes.Count != 3 || r.Classes.Output != "y" {
			t.Errorf("classes %+v, accuracy %+v, want %v", r.Classes, got, wantClasses)
		}
		if m := r.Moved[1]; m.Name != "row 2" || *m.Label != 0 || *m.Before != 0 || *m.After != 1 {
			t.Errorf("moved %s, label %d, %d → %d; want row 2, label 0, 0 → 1", m.Name, *m.Label, *m.Before, *m.After)
		}
		if c := r.Classes.Changed; len(c) != 1 || c[0].Name != "row 2" || *c[0].Before != 0 || *c[0].After != 1 {
			t.Errorf("changed: %+v, want row 2", c)
		}
		if r.Original != before || r.Compressed != after || r.Samples != 4 || r.Data != "4 samples in memory" {
			t.Errorf("report %+v", r)
		}
		if top := r.Outputs[1]; top.Name != "top" || top.Values != 2 || top.MaxRelative != 0 || top.SNR != nil {
			t.Errorf("the output of the whole run: %+v", top)
		}
	}
}

func TestEqualModels(t *testing.T) {
	path := scores(t, "N", identity...)
	r, err := Compare(context.Background(), orttest.Open(t), path, path, vectors(nil, []float32{1, 2}, []float32{0, 0}), []int{0, 1}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if y := r.Outputs[0]; y.MaxRelative != 0 || y.MeanRelative != 0 || y.Cosine != 1 || y.SNR != nil || y.Values != 6 {
		t.Errorf("output %+v", y)
	}
	if r.Classes.Agreement != 1 || r.Classes.Accuracy != nil || len(r.Moved) != 0 {
		t.Errorf("classes %+v, moved %v", r.Classes, r.Moved)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"snr_db":null`, `"accuracy":null`, `"moved":[]`, `"max_relative_error":0`} {
		if !strings.Contains(string(data), part) {
			t.Errorf("JSON %s lacks %s", data, part)
		}
	}
}

// A zero output has no scale that an error could be relative to.
func TestZeroOriginal(t *testing.T) {
	before, after := scores(t, "N", make([]float64, 6)...), scores(t, "N", identity...)
	r, err := Compare(context.Background(), orttest.Open(t), before, after, vectors(nil, []float32{3, 0}), []int{0}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if y := r.Outputs[0]; y.MaxRelative != 3 || y.MeanRelative != 1 || y.Cosine != 0 || y.SNR != nil {
		t.Errorf("output %+v, want absolute errors of 3 and 1", y)
	}
}

func TestNonFinite(t *testing.T) {
	before := scores(t, "N", identity...)
	after := scores(t, "N", 1, 0, 1e38, 0, 1, 0)
	src := vectors([]int{0, 0}, []float32{100, 0}, []float32{1, 0})
	r, err := Compare(context.Background(), orttest.Open(t), before, after, src, []int{0, 1}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	y := r.Outputs[0]
	if y.NonFiniteCompressed != 1 || y.NonFiniteOriginal != 0 || y.Values != 3 || !near(y.MaxRelative, float64(float32(1e38))) {
		t.Errorf("output %+v, want one sample left out and the other compared", y)
	}
	if m := r.Moved[0]; m.Name != "row 0" || m.Error != nil || *m.After != 2 {
		t.Errorf("moved most: %+v, want row 0 without an error", m)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// A fixed batch is filled up, and the filler is not counted.
func TestFixedBatch(t *testing.T) {
	before, after := scores(t, 2, identity...), scores(t, 2, 1, 0.5, 0, 0, 1, 0.25)
	src := vectors(nil, []float32{4, 0}, []float32{0, 4}, []float32{4, 3})
	r, err := Compare(context.Background(), orttest.Open(t), before, after, src, []int{0, 1, 2}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if y := r.Outputs[0]; y.Values != 9 || !near(*y.SNR, 10*math.Log10((16+16+25)/(4+1+4.5625))) {
		t.Errorf("output %+v, want three samples", y)
	}
	if top := r.Outputs[1]; top.Values != 1 {
		t.Errorf("%d values of the output without samples, want that of the full batch", top.Values)
	}
	if r.Classes.Agreement != 2./3 || r.Samples != 3 {
		t.Errorf("agreement %v over %d samples, want 2/3 over 3", r.Classes.Agreement, r.Samples)
	}
}

func TestWholeInputs(t *testing.T) {
	before, after := scores(t, "N", identity...), scores(t, "N", 1, 0.5, 0, 0, 1, 0.25)
	src := memory{{Name: "set", Label: -1, Whole: true, Inputs: map[string]tensor.Dense{
		"x": tensor.FromFloat32([]int{2, 2}, []float32{4, 0, 0, 4}),
	}}}
	r, err := Compare(context.Background(), orttest.Open(t), before, after, src, []int{0}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Moved) != 2 || r.Moved[0].Name != "set[0]" || r.Moved[1].Name != "set[1]" || r.Outputs[0].Values != 6 {
		t.Errorf("moved %+v, want both rows of the set", r.Moved)
	}
}

// Any number of threads gives the same report.
func TestThreadsDoNotMatter(t *testing.T) {
	lib := orttest.Open(t)
	r := rand.New(rand.NewPCG(1, 2))
	var rows [][]float32
	var labels []int
	for range 101 {
		rows = append(rows, []float32{float32(r.NormFloat64()), float32(r.NormFloat64())})
		labels = append(labels, r.IntN(3))
	}
	src := vectors(labels, rows...)
	before, after := scores(t, "N", identity...), scores(t, "N", 1, 0.1, 0.2, 0.3, 0.9, -0.1)
	var first *Report
	var done []int
	for _, threads := range []int{1, 2, 8} {
		got, err := Compare(context.Background(), lib, before, after, src, nil, Options{})
		if err == nil {
			t.Fatalf("no samples give the report %+v", got)
		}
		indices := make([]int, 101)
		for i := range indices {
			indices[i] = 100 - i
		}
		done = nil
		got, err = Compare(context.Background(), lib, before, after, src, indices, Options{Batch: 3, Threads: threads, Progress: func(_ string, n, total int) { done = append(done, n) }})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = got
		}
		if !reflect.DeepEqual(got, first) {
			t.Errorf("%d threads give another report", threads)
		}
		if !slices.IsSorted(done) || done[len(done)-1] != 101 {
			t.Errorf("progress %v, want rising numbers up to 101", done)
		}
	}
}

// TestOriginalError: callers can tell that the original is what cannot be run.
func TestOriginalError(t *testing.T) {
	lib := orttest.Open(t)
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 3)
	b.Linear(x, 3, 2, false)
	b.Output(b.Rename("y"), tensor.Float32, "N", 2)
	good := save(t, b)
	unknown := func() string {
		b := testmodels.NewBuilder(1, 17, 8).Import("org.example", 1)
		b.Call("org.example", "Mystery", b.Input("x", tensor.Float32, "N", 3))
		b.Output(b.Rename("y"), tensor.Float32, "N", 2)
		return save(t, b)
	}()
	picky := func() string { // takes any shape for an answer but that of the samples
		b := testmodels.NewBuilder(1, 17, 8)
		x := b.Input("x", tensor.Float32, "N", 3)
		b.Node("Reshape", []string{x, b.Ints("shape", 7, 2)})
		b.Output(b.Rename("y"), tensor.Float32, "N", 2)
		return save(t, b)
	}()
	for _, c := range []struct {
		before, after string
		original      bool
	}{{unknown, good, true}, {good, unknown, false}, {picky, good, true}, {good, picky, false}} {
		_, err := Compare(context.Background(), lib, c.before, c.after, vectors(nil, []float32{1, 2, 3}), []int{0}, Options{})
		original := (*OriginalError)(nil)
		if err == nil || errors.As(err, &original) != c.original {
			t.Errorf("%s, %s: error %v; want an OriginalError: %v", c.before, c.after, err, c.original)
		}
	}
}

func TestCompareErrors(t *testing.T) {
	lib := orttest.Open(t)
	src := vectors(nil, []float32{1, 2})
	good := scores(t, "N", identity...)
	other := func(input, output string, typ tensor.Type, width int) string {
		b := testmodels.NewBuilder(1, 17, 8).Float(typ)
		b.Linear(b.Input(input, typ, "N", 2), 2, width, false)
		b.Output(b.Rename(output), typ, "N", width)
		return save(t, b)
	}
	none := filepath.Join(t.TempDir(), "none.onnx")
	for _, c := range []struct {
		before, after string
		words         []string
	}{
		{none, good, []string{"original model", "none.onnx"}},
		{good, none, []string{"compressed model", "none.onnx"}},
		{good, other("z", "y", tensor.Float32, 3), []string{`"x"`, "cannot be compared"}},
		{good, other("x", "y", tensor.Float32, 3), []string{`"top"`, "cannot be compared"}},
		{other("x", "y", tensor.Float32, 3), other("x", "y", tensor.Float32, 4), []string{`"y"`, "[1 3]", "[1 4]", "row 0"}},
		{other("x", "y", tensor.Float32, 3), other("x", "y", tensor.Float64, 3), []string{`"x"`, "cannot be compared"}},
	} {
		_, err := Compare(context.Background(), lib, c.before, c.after, src, []int{0}, Options{})
		if err == nil {
			t.Errorf("%s and %s: no error, want one with %q", c.before, c.after, c.words)
			continue
		}
		for _, w := range c.words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %q lacks %q", err, w)
			}
		}
	}
	if _, err := Compare(context.Background(), lib, good, good, vectors(nil, []float32{1, 2, 3}), []int{0}, Options{}); err == nil || !strings.Contains(err.Error(), "float32[3]") {
		t.Errorf("a sample of the wrong shape: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Compare(ctx, lib, good, good, src, []int{0}, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestMappedWeights compares models whose weights stay in their files, inside of the model or beside it, and wants the same report.
func TestMappedWeights(t *testing.T) {
	lib := orttest.Open(t)
	net := func(seed uint64) string {
		b := testmodels.NewBuilder(seed, 17, 8)
		x := b.Input("x", tensor.Float32, "n", 33)
		b.Node("MatMul", []string{b.Linear(x, 33, 65, true), b.Weight("w", 65, 65, 7)})
		b.Output(b.Rename("y"), tensor.Float32, "n", 7)
		return save(t, b)
	}
	large := func(seed uint64) string {
		path := filepath.Join(t.TempDir(), "large.onnx")
		if err := testmodels.WriteLarge(path, seed, 1<<20, 64, true); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		made  func(seed uint64) string
		width int
	}{"inside": {net, 33}, "beside": {large, 64}} {
		var rows [][]float32
		r := rand.New(rand.NewPCG(1, 2))
		for range 5 {
			row := make([]float32, c.width)
			for i := range row {
				row[i] = r.Float32() - 0.5
			}
			rows = append(rows, row)
		}
		before, after := c.made(1), c.made(2)
		var reports []*Report
		for _, limit := range []int64{0, 1} {
			r, err := Compare(context.Background(), lib, before, after, vectors(nil, rows...), testkit.Count(5), Options{Memory: limit, Threads: 2})
			if err != nil {
				t.Fatalf("%s, limit %d: %v", name, limit, err)
			}
			reports = append(reports, r)
		}
		if a, b := reports[0].Outputs[0], reports[1].Outputs[0]; math.Abs(a.MeanRelative-b.MeanRelative) > 1e-4 || a.MeanRelative == 0 {
			t.Errorf("%s: relative error %v with loaded weights, %v with mapped ones", name, a.MeanRelative, b.MeanRelative)
		}
	}
}

// TestLimitBatch runs fewer samples at once where their outputs would take much of the memory, and says the same of them.
func TestLimitBatch(t *testing.T) {
	path := scores(t, "n", identity...)
	src := vectors(nil, []float32{1, 2}, []float32{3, 4}, []float32{5, 6})
	var most []int
	for _, limit := range []int64{0, 1 << 20, 1} {
		largest, before := 0, 0
		r, err := Compare(context.Background(), orttest.Open(t), path, path, src, testkit.Count(3), Options{Memory: limit, Progress: func(_ string, done, _ int) {
			largest, before = max(largest, done-before), done
		}})
		if err != nil {
			t.Fatal(err)
		}
		if o := r.Outputs[0]; o.Values != 9 || o.MaxRelative != 0 {
			t.Errorf("limit %d: %+v", limit, o)
		}
		most = append(most, largest)
	}
	if !slices.Equal(most, []int{3, 3, 1}) {
		t.Errorf("%v samples ran at once", most)
	}
}
