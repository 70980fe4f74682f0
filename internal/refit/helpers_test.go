package refit

import (
	"context"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/sitetest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
)

// memory is a source of given samples.
type memory = testkit.Memory[samples.Sample]

// choose makes choices of sites: a rank each, 0 for the dense site.
func choose(t testing.TB, sites []rewrite.Site, ranks ...int) []Choice {
	t.Helper()
	out := make([]Choice, len(sites))
	for i := range sites {
		out[i] = Choice{Site: sites[i], Method: sitetest.SVD(t)}
		if i < len(ranks) && ranks[i] > 0 {
			out[i].Chain = sitetest.Chain(t, &sites[i], ranks[i])
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
	names := graph.NewNameSet(m)
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

// moved is the mean squared difference of a model's output from the original's.
func moved(t testing.TB, lib *ort.Library, a, b *onnxio.Model, src memory, output string) float64 {
	t.Helper()
	x, y := sitetest.Watch(t, lib, a, src, output), sitetest.Watch(t, lib, b, src, output)
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
