package rewrite_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
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

// schemes returns chains for a kernel: by hand, and a middle rank of every method, all with numbers at random.
func schemes(shape decomp.Shape) map[string]decomp.Chain {
	chains := byHand(shape)
	for _, m := range decomp.Methods() {
		if m.Accepts(shape) != nil {
			continue
		}
		ranks := m.Ranks(shape, 1)
		r := ranks[len(ranks)/2]
		chains[fmt.Sprintf("%s %v", m.Name, r)] = random(m.Factors(shape, r), 3)
	}
	return chains
}

// holdSchemes puts every chain in the place of the only node of a model. It has to compute what the node computes with
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
	names := graph.NewNameSet(m)
	var labels []string
	var patches []rewrite.Patch
	for name, chain := range schemes(site.Kernel) {
		whole, err := chain.Compose(linalg.Gonum(), site.Kernel)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all := slices.Repeat([]bool{true}, len(site.Kernel.Window))
		dense := decomp.Chain{{Part: "whole", Kernel: whole, Axes: all}}
		for _, c := range []decomp.Chain{dense, chain} {
			p, err := rewrite.Replace(m, site, c, names)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			labels, patches = append(labels, name), append(patches, p)
			holdCosts(t, name, m, site, c, p)
		}
		if site.MACs(dense) != site.DenseMACs() {
			t.Errorf("%s: one factor has %d MACs, the site %d", name, site.MACs(dense), site.DenseMACs())
		}
	}
	outputs := execute(t, lib, sideBySide(m, patches), feeds)
	for i := 0; i < len(outputs); i += 2 {
		if d := distance(t, outputs[i], outputs[i+1]); !(d <= 1e-4) {
			t.Errorf("%s: the output moves by %.2g", labels[i], d)
		}
	}
}

// holdCosts counts the model with a patch applied.
func holdCosts(t *testing.T, name string, m *onnxio.Model, s *rewrite.Site, c decomp.Chain, p rewrite.Patch) {
	t.Helper()
	small, err := rewrite.Apply(m, []rewrite.Patch{p}, rewrite.ApplyOptions{})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if costs := rewrite.MeasureCosts(small, infer(small)); costs.MACs != s.MACs(c) {
		t.Errorf("%s: the model has %d MACs, the chain counts %d", name, costs.MACs, s.MACs(c))
	}
}

// sideBySide makes a model that computes all patches of a model's only node, each to an output of its own.
func sideBySide(m *onnxio.Model, patches []rewrite.Patch) *onnxio.Model {
	p := graph.Of(m).Parts()
	y := p.Outputs[0]
	p.Nodes, p.Outputs, p.Values = nil, nil, nil
	for i, patch := range patches {
		name := fmt.Sprint("y", i)
		nodes := slices.Clone(patch.New)
		change(&nodes[len(nodes)-1], func(n *graph.Spec) { n.Name, n.Outputs = name, []string{name} })
		p.Nodes = append(p.Nodes, nodes...)
		p.Initializers = append(p.Initializers, patch.Weights...)
		p.Outputs = append(p.Outputs, graph.NewValue(name, y.Type(), y.Dims()))
	}
	return p.Model()
}

// TestConvSchemes holds the chains of every scheme for every combination of attributes of a Conv.
func TestConvSchemes(t *testing.T) {
	lib := orttest.Open(t)
	for i, c := range convCases() {
		t.Run(c.String(), func(t *testing.T) { holdSchemes(t, lib, c.model(t, i)) })
	}
}
