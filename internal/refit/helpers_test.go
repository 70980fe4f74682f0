package refit

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// memory is a source of given samples.
type memory = testkit.Memory[samples.Sample]

// sitesOf returns every site of a model, at the sizes of the sample.
func sitesOf(t testing.TB, m *onnxio.Model, s samples.Sample) []rewrite.Site {
	t.Helper()
	inputs, err := samples.Inputs(m)
	if err != nil {
		t.Fatal(err)
	}
	sites, _, err := rewrite.Linear(m, shapes.Infer(m, s.Shapes(inputs)))
	if err != nil {
		t.Fatal(err)
	}
	return sites
}

// draws makes n samples with one float32 tensor of the given shape, whose entries have the given mean and vary
// together, so that one tells something about another.
func draws(n int, input string, mean float64, shape ...int) memory {
	r := rand.New(rand.NewPCG(uint64(n), 11))
	var out memory
	for i := range n {
		d := tensor.New(tensor.Float32, shape...)
		v := d.Float32s()
		var common [5]float64
		for j := range common {
			common[j] = r.NormFloat64()
		}
		for k := range v {
			x := 0.3*r.NormFloat64() + mean
			for j, c := range common {
				x += 0.5 * c * math.Sin(float64((k+1)*(j+1)))
			}
			v[k] = float32(x)
		}
		out = append(out, samples.Sample{Name: fmt.Sprint("sample ", i), Label: -1, Inputs: map[string]tensor.Dense{input: d}})
	}
	return out
}

func svd(t testing.TB) decomp.Method {
	t.Helper()
	methods := decomp.Methods()
	i := slices.IndexFunc(methods, func(m decomp.Method) bool { return m.Name == "svd" })
	if i < 0 {
		t.Fatal("there is no svd")
	}
	return methods[i]
}

// chainOf splits a site's weight at a rank, the full one for 0.
func chainOf(t testing.TB, s *rewrite.Site, rank int) decomp.Chain {
	t.Helper()
	kernel, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	spectrum, err := svd(t).Factor(linalg.Gonum(), kernel, decomp.Metric{})
	if err != nil {
		t.Fatal(err)
	}
	if full := s.Kernel.FullRank(); rank == 0 || rank > full {
		rank = full
	}
	chain, err := spectrum.Chain(decomp.Rank{rank})
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// choose makes choices of sites: a rank each, 0 for the dense site.
func choose(t testing.TB, sites []rewrite.Site, ranks ...int) []Choice {
	t.Helper()
	out := make([]Choice, len(sites))
	for i := range sites {
		out[i] = Choice{Site: sites[i], Method: svd(t)}
		if i < len(ranks) && ranks[i] > 0 {
			out[i].Chain = chainOf(t, &sites[i], ranks[i])
		}
	}
	return out
}

// halves are ranks of about half the full one.
func halves(sites []rewrite.Site) []int {
	out := make([]int, len(sites))
	for i := range sites {
		out[i] = (sites[i].Kernel.FullRank() + 1) / 2
	}
	return out
}

// refit runs Run on all samples.
func refit(t testing.TB, lib *ort.Library, m *onnxio.Model, choices []Choice, src memory, o Options) *Result {
	t.Helper()
	r, err := Run(context.Background(), lib, m, choices, src, testkit.Count(len(src)), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// compress puts chains in the places of their sites; a nil chain leaves one alone.
func compress(t testing.TB, m *onnxio.Model, choices []Choice, chains []decomp.Chain) *onnxio.Model {
	t.Helper()
	names := onnxio.NewNameSet(m)
	var patches []rewrite.Patch
	for i := range choices {
		if chains[i] == nil {
			continue
		}
		p, err := rewrite.Replace(m, &choices[i].Site, chains[i], names)
		if err != nil {
			t.Fatal(err)
		}
		patches = append(patches, p)
	}
	small, err := rewrite.Apply(m, patches, rewrite.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { small.Close() })
	return small
}

func before(choices []Choice) []decomp.Chain {
	out := make([]decomp.Chain, len(choices))
	for i, c := range choices {
		out[i] = c.Chain
	}
	return out
}

func after(r *Result) []decomp.Chain {
	out := make([]decomp.Chain, len(r.Sites))
	for i, s := range r.Sites {
		out[i] = s.Chain
	}
	return out
}

// watch runs a model on every sample alone and returns the named values.
func watch(t testing.TB, lib *ort.Library, m *onnxio.Model, src memory, names ...string) [][]tensor.Dense {
	t.Helper()
	p := onnxio.Shallow(m.Proto)
	p.Graph = onnxio.Shallow(m.Graph())
	p.Graph.Output = nil
	for _, name := range names {
		p.Graph.Output = append(p.Graph.Output, &onnxpb.ValueInfoProto{Name: &name})
	}
	p.Graph.ValueInfo = nil
	d := m.Derive(p)
	defer d.Close()
	data, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	session, err := lib.NewSession(data, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	inputs, err := samples.Inputs(m)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := feed.New(src, testkit.Count(len(src)), inputs, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]tensor.Dense
	err = runs.Each(context.Background(), 1, func(string, int, int) {}, func(ctx context.Context) func(*feed.Run) error {
		return func(r *feed.Run) error {
			results, err := session.Run(ctx, r.Inputs, names)
			if err != nil {
				return err
			}
			defer results.Close()
			row := make([]tensor.Dense, len(names))
			for i := range names {
				d := results.Get(i)
				row[i] = tensor.Dense{Type: d.Type, Shape: slices.Clone(d.Shape), Data: slices.Clone(d.Data)}
			}
			out = append(out, row)
			return nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// moved is the mean squared difference of a model's output from the original's.
func moved(t testing.TB, lib *ort.Library, a, b *onnxio.Model, src memory, output string) float64 {
	t.Helper()
	x, y := watch(t, lib, a, src, output), watch(t, lib, b, src, output)
	sum, n := 0., 0
	for i := range x {
		p, q := x[i][0].Float32s(), y[i][0].Float32s()
		for k := range p {
			d := float64(p[k]) - float64(q[k])
			sum += d * d
		}
		n += len(p)
	}
	return sum / float64(n)
}

// equal tells whether two chains have the same numbers, bit by bit.
func equal(a, b decomp.Chain) bool {
	return slices.EqualFunc(a, b, func(x, y decomp.Factor) bool {
		return slices.Equal(x.Kernel.Weights, y.Kernel.Weights) && slices.Equal(x.Shift, y.Shift)
	})
}

// apart is the largest |a−b| relative to the largest |b|.
func apart(a, b []float64) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	worst, largest := 0., 0.
	for i := range b {
		worst, largest = max(worst, math.Abs(a[i]-b[i])), max(largest, math.Abs(b[i]))
	}
	return worst / max(largest, 1e-30)
}
