package calib

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// All runnable models of the zoo, fed with whole inputs.
func TestCollectOverZoo(t *testing.T) {
	lib := orttest.Open(t)
	for _, c := range testmodels.All() {
		if !c.Runs {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			m, err := c.Build(3)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			feeds, err := testmodels.Feeds(m, 3, map[string]int{"N": 2}, 16)
			if err != nil {
				t.Fatal(err)
			}
			s := samples.Sample{Name: "feed", Label: -1, Inputs: feeds, Whole: true}
			sites := sitetest.Sites(t, m, s)
			stats, err := Collect(context.Background(), lib, m, sites, memory{s}, []int{0}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for i, st := range stats {
				if sites[i].Op == "Gather" {
					if len(st.Counts) != sites[i].Kernel.In || st.A != nil {
						t.Errorf("%s: counts of %d rows, moments %v; want counts of %d", st.Site, len(st.Counts), st.A, sites[i].Kernel.In)
					}
					continue
				}
				if len(st.A) != sites[i].Kernel.Groups {
					t.Errorf("%s: %d groups, want %d", st.Site, len(st.A), sites[i].Kernel.Groups)
				}
				for _, a := range st.A {
					if a.Rows != sites[i].Kernel.Cols() || a.MaxAbs() == 0 {
						t.Errorf("%s: a moment of order %d with the largest entry %v, want order %d", st.Site, a.Rows, a.MaxAbs(), sites[i].Kernel.Cols())
					}
				}
			}
		})
	}
}

func zooModel(t testing.TB, name string) *onnxio.Model {
	t.Helper()
	c, ok := testmodels.Get(name)
	if !ok {
		t.Fatalf("no model %q", name)
	}
	m, err := c.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestThreadsDoNotMatter(t *testing.T) {
	lib, m := orttest.Open(t), zooModel(t, "cnn")
	src := random(41, "image", tensor.Float32, 3, 16, 16)
	sites := sitetest.Sites(t, m, src[0])
	var first []Stats
	for _, threads := range []int{1, 2, 5, 16} {
		stats, err := Collect(context.Background(), lib, m, sites, src, testkit.Count(41), Options{Batch: 4, Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = stats
			continue
		}
		for i := range stats {
			if !slices.EqualFunc(stats[i].A, first[i].A, func(a, b *linalg.Matrix) bool { return slices.Equal(a.Data, b.Data) }) {
				t.Errorf("%d threads: the moments of %s are other bytes than with one", threads, stats[i].Site)
			}
		}
	}
}

// Sites that read the same columns share one sum.
func TestSharedColumns(t *testing.T) {
	lib := orttest.Open(t)
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, "N", 6)
	b.Node("Add", []string{b.Linear(x, 6, 8, false), b.Linear(x, 6, 8, false)})
	b.Output(b.Rename("y"), tensor.Float32, "N", 8)
	m := testkit.Built(t, b)
	src := random(3, "x", tensor.Float32, 6)
	stats, err := Collect(context.Background(), lib, m, sitetest.Sites(t, m, src[0]), src, testkit.Count(3), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(stats) != 2 || stats[0].A[0] != stats[1].A[0] || stats[0].Site == stats[1].Site {
		t.Errorf("two sites on one input: %+v", stats)
	}
}

// fixedConv is a convolution with a fixed batch, and behind it a matrix product whose
// input has the batch as its axis 1.
func fixedConv(t *testing.T, batch any) *onnxio.Model { return convWith(t, batch, false) }

// convWith is a convolution, and a matrix behind an axis of size 1, whose output is the mean over all samples where that is said.
func convWith(t *testing.T, batch any, mean bool) *onnxio.Model {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, batch, 3, 6, 6)
	x = b.ConvBias(x, 3, 5, []int{3, 3}, "")
	x = b.Node("GlobalAveragePool", []string{x})
	x = b.Node("Flatten", []string{x})
	x = b.Node("Unsqueeze", []string{x, b.Ints("axes", 0)})
	b.Node("MatMul", []string{x, b.Weight("w", 5, 5, 4)})
	if mean {
		b.Node("ReduceMean", []string{b.Rename("rows")}, graph.Ints("axes", 1), graph.Int("keepdims", 0))
		b.Output(b.Rename("y"), tensor.Float32, 1, 4)
		return testkit.Built(t, b)
	}
	b.Output(b.Rename("y"), tensor.Float32, 1, batch, 4)
	return testkit.Built(t, b)
}

func TestFixedBatch(t *testing.T) {
	lib := orttest.Open(t)
	src := random(6, "x", tensor.Float32, 3, 6, 6)
	collect := func(m *onnxio.Model, o Options) []Stats {
		stats, err := Collect(context.Background(), lib, m, sitetest.Sites(t, m, src[0]), src, testkit.Count(6), o)
		if err != nil {
			t.Fatal(err)
		}
		return stats
	}
	fixed, free := collect(fixedConv(t, 4), Options{}), collect(fixedConv(t, "N"), Options{Batch: 4})
	if fixed[0].Samples != 6 || fixed[0].Positions != 6*16 {
		t.Errorf("%d samples and %d positions at the convolution, want 6 and 96", fixed[0].Samples, fixed[0].Positions)
	}
	if d := worst(fixed[0].A[0], free[0].A[0]); d > 1e-6 {
		t.Errorf("the moments differ by %.2g from those without filler", d)
	}
	if fixed[1].Samples != 4 {
		t.Errorf("%d samples where filler cannot be told apart, want the 4 of the full batch", fixed[1].Samples)
	}
	if want := []int{5, 4, 4}; !slices.Equal(fixed[0].OutputShape, want) {
		t.Errorf("output shape %v, want %v", fixed[0].OutputShape, want)
	}
}

// Samples of different sizes run alone; their sums agree with those of runs by size.
func TestSamplesOfSeveralSizes(t *testing.T) {
	lib, m := orttest.Open(t), zooModel(t, "conv_dynamic")
	var src memory
	for i := range 9 {
		src = append(src, random(i+1, "x", tensor.Float32, 6, 5+i%3, 7)[i])
	}
	sites := sitetest.Sites(t, m, src[0])
	collect := func(batch int, indices ...int) Stats {
		stats, err := Collect(context.Background(), lib, m, sites, src, indices, Options{Batch: batch, Threads: 3})
		if err != nil {
			t.Fatal(err)
		}
		return stats[0]
	}
	mixed := collect(4, testkit.Count(9)...)
	sum := collect(4, 0, 3, 6)
	for first := 1; first < 3; first++ {
		var err error
		if sum, err = Add(sum, collect(4, first, first+3, first+6)); err != nil {
			t.Fatal(err)
		}
	}
	if d := worst(mixed.A[0], sum.A[0]); !(d <= 1e-6) || mixed.Positions != sum.Positions || mixed.Samples != 9 {
		t.Errorf("moments differ by %.2g; %d positions, want %d; %d samples, want 9", d, mixed.Positions, sum.Positions, mixed.Samples)
	}
}

func TestCollectErrors(t *testing.T) {
	lib, m := orttest.Open(t), zooModel(t, "cnn")
	good := random(8, "image", tensor.Float32, 3, 16, 16)
	sites := sitetest.Sites(t, m, good[0])
	with := func(change func(*samples.Sample)) memory {
		src := random(8, "image", tensor.Float32, 3, 16, 16)
		change(&src[5])
		return src
	}
	huge := func(s *samples.Sample) {
		v := slices.Repeat([]float32{3e38}, 3*16*16)
		s.Inputs["image"] = tensor.FromFloat32([]int{3, 16, 16}, v)
	}
	for _, c := range []struct {
		name  string
		src   memory
		words []string
	}{
		{
			"shape", with(func(s *samples.Sample) { s.Inputs = random(1, "image", tensor.Float32, 3, 8, 16)[0].Inputs }),
			[]string{"sample 5", "image: float32[?,3,16,16]", "float32[3,8,16]"},
		},
		{
			"type", with(func(s *samples.Sample) { s.Inputs = random(1, "image", tensor.Float64, 3, 16, 16)[0].Inputs }),
			[]string{"sample 5", "float64[3,16,16]", "convert"},
		},
		{
			"name", with(func(s *samples.Sample) { s.Inputs = random(1, "picture", tensor.Float32, 3, 16, 16)[0].Inputs }),
			[]string{"sample 5", "picture", "image"},
		},
		{
			"not finite", with(func(s *samples.Sample) { s.Inputs["image"].Float32s()[7] = float32(math.NaN()) }),
			[]string{"sample 5", "element 7", "NaN"},
		},
	} {
		for _, threads := range []int{1, 4} {
			t.Run(fmt.Sprint(c.name, threads), func(t *testing.T) {
				_, err := Collect(context.Background(), lib, m, sites, c.src, testkit.Count(8), Options{Batch: 2, Threads: threads})
				testkit.WantError(t, err, c.words...)
			})
		}
	}
	// Of numbers that are not finite, the site that reads them makes nothing, and the others what they can.
	stats, err := Collect(context.Background(), lib, m, sites, with(huge), testkit.Count(8), Options{Batch: 2})
	if err != nil || stats[0].A != nil || !strings.Contains(stats[0].Unusable, "not finite") {
		t.Errorf("where a moment overflows: %v, %q", err, stats[0].Unusable)
	}
	_, err = Collect(context.Background(), lib, m, sites, good, nil, Options{})
	testkit.WantError(t, err, "no samples")
	_, err = Collect(context.Background(), lib, m, sites, good, []int{8}, Options{})
	testkit.WantError(t, err, "sample 8", "there are 8")
}

func TestCancel(t *testing.T) {
	lib, m := orttest.Open(t), zooModel(t, "cnn")
	src := random(64, "image", tensor.Float32, 3, 16, 16)
	sites := sitetest.Sites(t, m, src[0])
	for after := 1; after <= 64; after += 7 {
		ctx, cancel := context.WithCancel(context.Background())
		watched := &testkit.Watched[samples.Sample]{Memory: src}
		stats, err := Collect(ctx, lib, m, sites, watched, testkit.Count(64), Options{Batch: 1, Threads: 3, Progress: func(_ string, done, total int) {
			if done >= after {
				cancel()
			}
		}})
		watched.Returned(t)
		if after < 60 && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %d samples: %v, %d statistics", after, err, len(stats))
		}
		cancel()
	}
}

func TestProgress(t *testing.T) {
	lib, m := orttest.Open(t), zooModel(t, "cnn")
	src := random(10, "image", tensor.Float32, 3, 16, 16)
	var seen []int
	_, err := Collect(context.Background(), lib, m, sitetest.Sites(t, m, src[0]), src, testkit.Count(10), Options{Batch: 3, Threads: 2, Progress: func(_ string, done, total int) {
		if total != 10 {
			t.Errorf("total %d, want 10", total)
		}
		seen = append(seen, done)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(seen) || len(seen) != 4 || seen[3] != 10 {
		t.Errorf("progress %v, want four rising numbers up to 10", seen)
	}
}

func TestProbeModel(t *testing.T) {
	m := zooModel(t, "if")
	before, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	conditional := graph.Of(m).Nodes()[1].Output(0)
	p := probed(m, []string{conditional})
	if got, want := len(p.Nodes), len(graph.Of(m).Nodes())-1; got != want {
		t.Errorf("%d nodes, want %d: all but the last", got, want)
	}
	if out := p.Outputs; len(out) != 1 || out[0].Name() != conditional {
		t.Errorf("outputs %v, want %s", out, conditional)
	}
	if after, err := m.Marshal(); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the original has changed (%v)", err)
	}
	// The body of the If reads the value that the Relu before it makes.
	if first := p.Nodes[0].Op(); first != "Relu" {
		t.Errorf("the first node is %s, want Relu", first)
	}
}

func TestGroups(t *testing.T) {
	lib, m := orttest.Open(t), zooModel(t, "cnn")
	src := random(8, "image", tensor.Float32, 3, 16, 16)
	sites := sitetest.Sites(t, m, src[0])
	const fixed = 8 << 20 // what a worker takes besides its partial sum
	all, err := Groups(sites, Options{})
	if err != nil || len(all) != 1 || !slices.Equal(all[0], testkit.Count(len(sites))) {
		t.Fatalf("groups %v (%v), want one of all %d sites", all, err, len(sites))
	}
	var largest int64
	for i := range sites {
		largest = max(largest, InputBytes(&sites[i], 0))
	}
	several, err := Groups(sites, Options{Memory: fixed + 2*largest, Threads: 7})
	if err != nil {
		t.Fatal(err)
	}
	if flat := slices.Concat(several...); !slices.Equal(flat, testkit.Count(len(sites))) {
		t.Errorf("groups %v, want every site once and in order", several)
	}
	_, err = Groups(sites, Options{Memory: fixed + 2*largest - 1})
	var large *TooLargeError
	if !errors.As(err, &large) || large.Needed != fixed+2*largest {
		t.Errorf("%v, want that a site needs %d bytes", err, fixed+2*largest)
	}
	whole, err := Collect(context.Background(), lib, m, sites, src, testkit.Count(8), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range sites {
		alone, err := Collect(context.Background(), lib, m, sites[i:i+1], src, testkit.Count(8), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for g := range alone[0].A {
			// The runtime fuses nodes whose values nobody asks for, which moves the last bits.
			if d := worst(alone[0].A[g], whole[i].A[g]); d > 1e-5 {
				t.Errorf("%s: moments alone and in a group differ by %.2g", sites[i].Name, d)
			}
		}
	}
}

func TestGroupsFillHalfTheMemory(t *testing.T) {
	m := zooModel(t, "cnn")
	sites := sitetest.Sites(t, m, random(1, "image", tensor.Float32, 3, 16, 16)[0])
	many := slices.Repeat(sites[:1], 100)
	for i := range many {
		many[i].Input = fmt.Sprint("value ", i)
	}
	each := InputBytes(&many[0], 0)
	groups, err := Groups(many, Options{Memory: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if each*100 > 32<<20 || len(groups) != 1 {
		t.Fatalf("100 sites of %d bytes make %d groups, want 1", each, len(groups))
	}
	limit := int64(9 << 20)
	per := int(limit / 2 / each)
	for i := range many {
		many[i].Kernel.In *= 16 // 256 times the bytes
	}
	groups, err = Groups(many, Options{Memory: limit * 256})
	if err != nil {
		t.Fatal(err)
	}
	if want := (100 + per - 1) / per; len(groups) != want {
		t.Errorf("%d groups, want %d of %d sites", len(groups), want, per)
	}
}

func TestWorkersFitMemory(t *testing.T) {
	m := zooModel(t, "cnn")
	in := specs(t, m)
	sites := sitetest.Sites(t, m, random(1, "image", tensor.Float32, 3, 16, 16)[0])
	for _, c := range []struct{ memory, threads, workers int64 }{
		{1 << 30, 4, 4}, {30 << 20, 4, 3}, {1, 4, 1},
	} {
		o := Options{Memory: c.memory, Threads: int(c.threads)}.withDefaults()
		all := newCollector(sites, in, o)
		batch := all.batch()
		workers := all.workers(in, batch, 0)
		o.Threads = 1
		if other := newCollector(sites, in, o).batch(); other != batch {
			t.Errorf("memory %d: batch %d with %d threads and %d with one", c.memory, batch, c.threads, other)
		}
		if int64(workers) != c.workers {
			t.Errorf("memory %d, %d threads: %d workers, want %d", c.memory, c.threads, workers, c.workers)
		}
		if fewer := all.workers(in, 1000, 0); fewer > workers || workers > 1 && c.memory == 30<<20 && fewer == workers {
			t.Errorf("memory %d, %d threads: %d workers with %d samples a run, %d with 1000", c.memory, c.threads, workers, batch, fewer)
		}
		if fewer := all.workers(in, batch, c.memory/2); fewer > 2 {
			t.Errorf("memory %d, %d threads: %d workers whose runs hold half of it each", c.memory, c.threads, fewer)
		}
	}
}
