package rewrite_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// step is a factor of a chain that is put together by hand: its output channels for each group of the site, whether
// it keeps all channels apart, and the axes that it carries.
type step struct {
	channels  int
	depthwise bool
	axes      []bool
}

// chainOf gives the steps numbers at random; the last has the channels of the kernel.
func chainOf(shape decomp.Shape, seed uint64, steps ...step) decomp.Chain {
	in := shape.In
	var c decomp.Chain
	for i, s := range steps {
		k := decomp.Shape{Out: s.channels * shape.Groups, In: in, Window: ones(len(shape.Window)), Groups: shape.Groups}
		if i == len(steps)-1 {
			k.Out = shape.Out
		}
		if s.depthwise {
			k.Groups = in
		}
		axes := slices.Repeat([]bool{false}, len(shape.Window))
		for a := range s.axes {
			if axes[a] = s.axes[a]; axes[a] {
				k.Window[a] = shape.Window[a]
			}
		}
		c = append(c, decomp.Factor{Part: fmt.Sprintf("hand.step%d", i), Kernel: decomp.Kernel{Shape: k}, Axes: axes})
		in = k.Out
	}
	return random(c, seed)
}

// random gives the factors of a chain weights such that products keep their variance.
func random(c decomp.Chain, seed uint64) decomp.Chain {
	r := rand.New(rand.NewPCG(seed, 5))
	out := slices.Clone(c)
	for i := range out {
		k := &out[i].Kernel
		k.Weights = make([]float64, k.Params())
		for j := range k.Weights {
			k.Weights[j] = (2*r.Float64() - 1) * 1.7 / float64(k.Cols())
		}
	}
	return out
}

// byHand returns chains in which every factor of a scheme carries what it can: a stride, padding or dilation before,
// after and between factors that carry others or none.
func byHand(shape decomp.Shape) map[string]decomp.Chain {
	n := len(shape.Window)
	only := func(axis int) []bool {
		axes := make([]bool, n)
		axes[axis] = true
		return axes
	}
	all, none := slices.Repeat([]bool{true}, n), make([]bool, n)
	chains := map[string]decomp.Chain{
		"core last":        chainOf(shape, 1, step{channels: 2, axes: none}, step{axes: all}),
		"core first":       chainOf(shape, 2, step{channels: 2, axes: all}, step{axes: none}),
		"core between":     chainOf(shape, 3, step{channels: 2, axes: none}, step{channels: 3, axes: all}, step{axes: none}),
		"depthwise core":   chainOf(shape, 4, step{channels: 3, axes: none}, step{channels: 3, depthwise: true, axes: all}, step{axes: none}),
		"depthwise spread": chainOf(shape, 5, step{channels: 2, axes: none}, step{channels: 4, depthwise: true, axes: all}, step{axes: none}),
	}
	if n < 2 {
		return chains
	}
	var ascending, descending, depthwise, between []step
	depthwise, between = append(depthwise, step{channels: 3, axes: none}), append(between, step{channels: 2, axes: none})
	for a := range n {
		ascending = append(ascending, step{channels: 2 + a, axes: only(a)})
		descending = append(descending, step{channels: 2 + a, axes: only(n - 1 - a)})
		depthwise = append(depthwise, step{channels: 3, depthwise: true, axes: only(a)})
		between = append(between, step{channels: 3 - a, axes: only(a)})
	}
	chains["axis by axis"] = chainOf(shape, 6, ascending...)
	chains["axis by axis, backwards"] = chainOf(shape, 7, descending...)
	chains["axis by axis, depthwise"] = chainOf(shape, 8, append(depthwise, step{axes: none})...)
	chains["axis by axis, between"] = chainOf(shape, 9, append(between, step{axes: none})...)
	return chains
}

// schemes returns chains for a kernel: by hand, and the smallest, a middle and the largest rank of every method, all
// with numbers at random.
func schemes(shape decomp.Shape) map[string]decomp.Chain {
	chains := byHand(shape)
	for _, m := range decomp.Methods() {
		if m.Accepts(shape) != nil {
			continue
		}
		ranks := m.Ranks(shape, 1)
		for i, r := range []decomp.Rank{ranks[0], ranks[len(ranks)/2], ranks[len(ranks)-1]} {
			chains[fmt.Sprintf("%s %v", m.Name, r)] = random(m.Factors(shape, r), uint64(i))
		}
	}
	return chains
}

// holdSchemes puts every chain in the place of the only site of a model. It has to compute what the node computes with
// the product of its factors, at the costs that the site foretells.
func holdSchemes(t *testing.T, lib *ort.Library, m *onnxio.Model) {
	t.Helper()
	sites, skips := linear(t, m)
	if len(sites) != 1 {
		t.Fatalf("%d sites, skips %v", len(sites), skips)
	}
	site := &sites[0]
	feeds, err := testmodels.Feeds(m, 7, nil, 3)
	if err != nil {
		t.Fatal(err)
	}
	for name, chain := range schemes(site.Kernel) {
		whole, err := chain.Compose(site.Kernel)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all := slices.Repeat([]bool{true}, len(site.Kernel.Window))
		dense := decomp.Chain{{Part: "whole", Kernel: whole, Axes: all}}
		var outputs [2][]tensor.Dense
		for i, c := range []decomp.Chain{dense, chain} {
			small := replaced(t, m, site, c)
			outputs[i] = execute(t, lib, small, feeds)
			costs := rewrite.MeasureCosts(small, infer(small))
			if costs.MACs != site.MACs(c) {
				t.Errorf("%s: the model has %d MACs, the chain counts %d", name, costs.MACs, site.MACs(c))
			}
			if i == 0 && costs.MACs != site.DenseMACs() {
				t.Errorf("%s: the model has %d MACs, the site counts %d", name, costs.MACs, site.DenseMACs())
			}
		}
		for i := range outputs[0] {
			if d := distance(t, outputs[0][i], outputs[1][i]); !(d <= 1e-4) {
				t.Errorf("%s: the output moves by %.2g", name, d)
			}
		}
	}
}

// replaced puts a chain in the place of a site.
func replaced(t testing.TB, m *onnxio.Model, s *rewrite.Site, c decomp.Chain) *onnxio.Model {
	t.Helper()
	p, err := rewrite.Replace(m, s, c, onnxio.NewNameSet(m))
	if err != nil {
		t.Fatal(err)
	}
	small, err := rewrite.Apply(m, []rewrite.Patch{p}, rewrite.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return small
}

// TestConvSchemes holds the chains of every scheme for every combination of attributes of a Conv.
func TestConvSchemes(t *testing.T) {
	lib := openRuntime(t)
	for i, c := range convCases() {
		t.Run(c.String(), func(t *testing.T) { holdSchemes(t, lib, c.model(t, i)) })
	}
}
