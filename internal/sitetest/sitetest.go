// Package sitetest has what the tests of packages that work on the sites of a model have in common.
package sitetest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// memory is a source of given samples.
type memory = testkit.Memory[samples.Sample]

// Sites returns every site of a model, at the sizes of the sample.
func Sites(t testing.TB, m *onnxio.Model, s samples.Sample) []rewrite.Site {
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

// Draws makes n samples with one float32 tensor of the given shape, whose entries have the given mean and vary
// together, so that one tells something about another.
func Draws(n int, input string, mean float64, shape ...int) memory {
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

// SVD is the method.
func SVD(t testing.TB) decomp.Method {
	t.Helper()
	methods := decomp.Methods()
	i := slices.IndexFunc(methods, func(m decomp.Method) bool { return m.Name == "svd" })
	if i < 0 {
		t.Fatal("there is no svd")
	}
	return methods[i]
}

// Chain splits a site's weight at a rank, the full one for 0.
func Chain(t testing.TB, s *rewrite.Site, rank int) decomp.Chain {
	t.Helper()
	kernel, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	spectrum, err := SVD(t).Factor(linalg.Gonum(), kernel, decomp.Metric{})
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

// Watch runs a model on every sample alone and returns the named values.
func Watch(t testing.TB, lib *ort.Library, m *onnxio.Model, src samples.Source, names ...string) [][]tensor.Dense {
	t.Helper()
	p := graph.Of(m).Parts()
	p.Outputs, p.Values = nil, nil
	for _, name := range names {
		p.Outputs = append(p.Outputs, graph.NewValue(name, tensor.Undefined, nil))
	}
	data, err := p.Marshal()
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
	runs, err := feed.New(src, testkit.Count(src.Len()), inputs, 1, 1)
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

// Apart is the largest |a−b| relative to the largest |b|.
func Apart(a, b []float64) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	worst, largest := 0., 0.
	for i := range b {
		worst, largest = max(worst, math.Abs(a[i]-b[i])), max(largest, math.Abs(b[i]))
	}
	return worst / max(largest, 1e-30)
}
