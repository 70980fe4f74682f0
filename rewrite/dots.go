package rewrite

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
)

// Dot is a product that sums over the units of an axis, as attention multiplies queries and keys, and the site whose channels it has the
// left operand from. Where these are zero for a unit, what the product sums of the unit is zero: a unit that leaves does what zeros in
// the site's channels, with all that is added to them, would do.
type Dot struct {
	Product  graph.Node
	Site     *Site
	Channels [][]int // output channels of the site for each unit
}

// Dots returns the products of an axis that nothing but products reads, false where one has its left operand from anything but channels
// of a site that are turned among those of a unit, moved and scaled on their way, as rotary embeddings do.
func (a *Axis) Dots() ([]Dot, bool) {
	if len(a.Products) == 0 || len(a.Readers) > 0 || len(a.Copied) > 0 {
		return nil, false
	}
	var out []Dot
	g := graph.Of(a.model)
	for _, port := range a.Producers {
		value := port.Site.Output
		if b := port.Site.findBias(); b.swap != nil { // what it adds leaves with the unit
			if b.swap.Old.Op() != "Add" {
				return nil, false
			}
			value = b.swap.Old.Output(0)
		}
		zero := a.zeros(g, value)
		for _, n := range a.Products {
			if !zero[n.Input(0)] {
				continue
			}
			if slices.ContainsFunc(out, func(d Dot) bool { return d.Product == n }) {
				return nil, false
			}
			out = append(out, Dot{n, port.Site, port.Channels(a.Units)})
		}
	}
	return out, len(out) == len(a.Products)
}

// zeros are the values of an axis that are zero where all of a unit is zero in one value.
func (a *Axis) zeros(g *graph.Graph, from string) map[string]bool {
	zero, queue := map[string]bool{from: true}, []string{from}
	for len(queue) > 0 {
		value := queue[0]
		queue = queue[1:]
		for _, u := range g.Uses(value) {
			if u.Node.IsZero() || u.Nested || !a.keepsZeros(u, zero) {
				continue
			}
			for _, v := range u.Node.Outputs() {
				if _, on := a.values[v]; on && !zero[v] {
					zero[v], queue = true, append(queue, v)
				}
			}
		}
	}
	return zero
}

// keepsZeros tells whether a node computes zeros for a unit of which it reads zeros.
func (a *Axis) keepsZeros(u graph.Use, zero map[string]bool) bool {
	switch u.Node.Op() {
	case "Mul":
		return true
	case "Add", "Concat", "Sub", "Sum":
		return !slices.ContainsFunc(u.Node.Inputs(), func(v string) bool {
			_, on := a.values[v]
			return !zero[v] && (on || u.Node.Op() != "Concat") // of what is joined, some need be on no axis
		})
	case "Cast", "CastLike", "Div", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Neg", "Reshape", "Slice", "Split", "Squeeze",
		"Transpose", "Unsqueeze":
		return u.Slot == 0
	}
	return false
}
