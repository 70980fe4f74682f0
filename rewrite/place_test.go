package rewrite_test

import (
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// placements returns the chain with the stride and padding of every axis on every factor that could carry them: the
// one with the taps where there are several, else each in turn.
func placements(window []int, c decomp.Chain) []decomp.Chain {
	list := []decomp.Chain{c}
	for axis, taps := range window {
		if taps > 1 {
			continue
		}
		var next []decomp.Chain
		for _, c := range list {
			for at := range c {
				moved := slices.Clone(c)
				for i := range moved {
					moved[i].Axes = slices.Clone(moved[i].Axes)
					moved[i].Axes[axis] = i == at
				}
				next = append(next, moved)
			}
		}
		list = next
	}
	return list
}

// holdPlaces wants the chains of all schemes counted as cheap as the cheapest placement.
func holdPlaces(t *testing.T, m *onnxio.Model) {
	t.Helper()
	sites, _ := linear(t, m)
	site := &sites[0]
	for name, chain := range schemes(site.Kernel) {
		least := int64(-1)
		for _, c := range placements(site.Kernel.Window, chain) {
			if n := int64(site.Batch) * c.MACs(site.Geometry); least < 0 || n < least {
				least = n
			}
		}
		if got := site.MACs(chain); got != least {
			t.Errorf("%s: %d MACs, with the stride and padding elsewhere %d", name, got, least)
		}
	}
}

func TestCheapestPlace(t *testing.T) {
	for i, c := range convCases() {
		t.Run(c.String(), func(t *testing.T) { holdPlaces(t, c.model(t, i)) })
	}
}

// TestPlaceUnlocated wants a stride on the first factor, though the chain has it on the last, where sizes are not known.
func TestPlaceUnlocated(t *testing.T) {
	for _, c := range []struct {
		strides []int
		pads    []int
		want    int // the factor that has the attributes
	}{
		{[]int{2, 2}, []int{0, 0, 0, 0}, 0},
		{[]int{1, 1}, []int{1, 1, 1, 1}, 1},
	} {
		m := convCase{in: []int{8, 8}, window: []int{1, 1}, strides: c.strides, dilations: []int{1, 1}, pads: c.pads, groups: 1}.model(t, 1)
		sites, _ := linear(t, m)
		sites[0].Located = false
		chain := byHand(sites[0].Kernel)["core between"][1:]
		for i := range chain {
			chain[i].Axes = slices.Repeat([]bool{i != c.want}, 2)
		}
		p, err := rewrite.Replace(m, &sites[0], chain, graph.NewNameSet(m))
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range p.New {
			has := slices.ContainsFunc(n.Ints("strides"), func(v int) bool { return v != 1 }) ||
				slices.ContainsFunc(n.Ints("pads"), func(v int) bool { return v != 0 })
			if has != (i == c.want) {
				t.Errorf("strides %v, pads %v: factor %d has the attributes %v", c.strides, c.pads, i, n.Attrs())
			}
		}
	}
}
