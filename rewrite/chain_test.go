package rewrite_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// splitAxes writes a kernel exactly as a factor that carries spatial axis 0, and one that
// carries the others: the first shifts each tap of axis 0 into a channel of its own.
func splitAxes(k decomp.Kernel) decomp.Chain {
	n := len(k.Window)
	first, last := ones(n), slices.Clone(k.Window)
	first[0], last[0] = k.Window[0], 1
	c, taps, rows := k.In/k.Groups, k.Window[0], k.Out
	rest := k.Cols() / c / taps
	middle := c * taps // channels of each group
	a := decomp.Kernel{
		Shape:   decomp.Shape{Out: middle * k.Groups, In: k.In, Window: first, Groups: k.Groups},
		Weights: make([]float64, middle*k.Groups*c*taps),
	}
	for g := range k.Groups {
		for i := range middle {
			a.Weights[(g*middle+i)*middle+i] = 1
		}
	}
	b := decomp.Kernel{
		Shape:   decomp.Shape{Out: rows, In: middle * k.Groups, Window: last, Groups: k.Groups},
		Weights: make([]float64, rows*middle*rest),
	}
	copy(b.Weights, k.Weights) // [O, c, taps, rest] is [O, middle, 1, rest] already
	carries := make([]bool, n)
	carries[0] = true
	others := make([]bool, n)
	for i := range others {
		others[i] = i > 0
	}
	return decomp.Chain{{Part: "split.first", Kernel: a, Axes: carries}, {Part: "split.last", Kernel: b, Axes: others}}
}

// pointwiseFirst writes a kernel exactly as 1×1, the window, 1×1, the outer two scaling only.
func pointwiseFirst(k decomp.Kernel) decomp.Chain {
	n := len(k.Window)
	diagonal := func(channels int, v float64) decomp.Kernel {
		each := channels / k.Groups
		d := decomp.Kernel{
			Shape:   decomp.Shape{Out: channels, In: channels, Window: ones(n), Groups: k.Groups},
			Weights: make([]float64, channels*each),
		}
		for i := range channels {
			d.Weights[i*each+i%each] = v
		}
		return d
	}
	core := decomp.Kernel{Shape: k.Shape, Weights: slices.Clone(k.Weights)}
	for i := range core.Weights {
		core.Weights[i] *= 0.5
	}
	all := slices.Repeat([]bool{true}, n)
	return decomp.Chain{
		{Part: "three.first", Kernel: diagonal(k.In, 4), Axes: make([]bool, n)},
		{Part: "three.core", Kernel: core, Axes: all},
		{Part: "three.last", Kernel: diagonal(k.Out, 0.5), Axes: make([]bool, n)},
	}
}

func ones(n int) []int { return slices.Repeat([]int{1}, n) }

// TestConvChains puts chains in the place of a Conv whose factors share out its spatial
// axes in other ways than svd does, over all combinations of attributes.
func TestConvChains(t *testing.T) {
	lib := orttest.Open(t)
	for i, c := range convCases() {
		t.Run(c.String(), func(t *testing.T) {
			m := c.model(t, i)
			sites, _ := linear(t, m)
			kernel, err := sites[0].Load()
			if err != nil {
				t.Fatal(err)
			}
			feeds, err := testmodels.Feeds(m, 7, nil, 3)
			if err != nil {
				t.Fatal(err)
			}
			want := execute(t, lib, m, feeds)
			for _, chain := range []decomp.Chain{splitAxes(kernel), pointwiseFirst(kernel)} {
				p, err := rewrite.Replace(m, &sites[0], chain, graph.NewNameSet(m))
				if err != nil {
					t.Fatal(err)
				}
				small, err := rewrite.Apply(m, []rewrite.Patch{p}, rewrite.ApplyOptions{})
				if err != nil {
					t.Fatal(err)
				}
				compare(t, want, execute(t, lib, small, feeds))
				if got := rewrite.MeasureCosts(small, infer(small)).MACs; got != sites[0].MACs(chain) {
					t.Errorf("%s: the model has %d MACs, the chain counts %d", chain[0].Part, got, sites[0].MACs(chain))
				}
			}
		})
	}
}

// TestReplaceRefuses gives Replace chains that do not fit.
func TestReplaceRefuses(t *testing.T) {
	m := testkit.Zoo(t, "conv_everything")
	sites, _ := linear(t, m)
	site := &sites[0]
	good := factor(t, site, 2)
	for _, c := range []struct {
		name string
		edit func(decomp.Chain) decomp.Chain
		want string
	}{
		{"no factors", func(decomp.Chain) decomp.Chain { return nil }, "no factors"},
		{"half", func(c decomp.Chain) decomp.Chain { return c[:1] }, "output channels"},
		{"reversed", func(c decomp.Chain) decomp.Chain { slices.Reverse(c); return c }, "input channels"},
		{"no weights", func(c decomp.Chain) decomp.Chain { c[1].Kernel.Weights = nil; return c }, "weights"},
		{"NaN", func(c decomp.Chain) decomp.Chain { c[0].Kernel.Weights[3] = nan(); return c }, "NaN"},
		{"axis not carried", func(c decomp.Chain) decomp.Chain { c[0].Axes = []bool{true, false}; return c }, "window"},
		{"axis carried twice", func(c decomp.Chain) decomp.Chain {
			c[1].Axes = []bool{true, false}
			c[1].Kernel.Window = []int{3, 1}
			c[1].Kernel.Weights = make([]float64, c[1].Kernel.Params())
			return c
		}, "carry spatial axis 0"},
		{"other rank", func(c decomp.Chain) decomp.Chain { c[0].Axes = []bool{true}; return c }, "spatial axes"},
		{"too large for the type", func(c decomp.Chain) decomp.Chain { c[0].Kernel.Weights[0] = 1e300; return c }, "svd.first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			chain := slices.Clone(good)
			for i := range chain {
				chain[i].Kernel.Weights = slices.Clone(chain[i].Kernel.Weights)
			}
			_, err := rewrite.Replace(m, site, c.edit(chain), graph.NewNameSet(m))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), site.Name) {
				t.Errorf("error %v, wanted one with %q and the site's name", err, c.want)
			}
		})
	}
	if _, err := rewrite.Replace(testkit.Zoo(t, "conv_everything"), site, good, graph.NewNameSet(m)); err == nil {
		t.Error("a site of another model was replaced")
	}
}
