package rewrite

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
)

// reason is why some channels are fixed.
type reason struct {
	text     string
	channels int
}

// reasons counts those channels of the first site that are on no axis, for each reason.
func (p *spread) reasons(origin []int, done []bool) []reason {
	var out []reason
	for i, c := range origin {
		if c < 0 {
			continue
		}
		text := p.pinned[p.find(c)]
		switch {
		case text != "":
		case done != nil && done[i]:
			continue
		default:
			text = "they are one unit, and no other lies at the same places: there is nothing to choose from"
		}
		at := slices.IndexFunc(out, func(r reason) bool { return r.text == text })
		if at < 0 {
			at = len(out)
			out = append(out, reason{text: text})
		}
		out[at].channels++
	}
	return out
}

// place is a list of which entry is of which channel, wherever it stands.
type place struct {
	units    []int
	producer *Site
	reader   *Site
	value    string
	axis     int
	constant operand
}

// places lists where the channels lie, in one order whatever way they were found.
func (p *spread) places() []place {
	var out []place
	bySite := func(a, b *Site) int { return a.Index - b.Index }
	for _, s := range slices.SortedFunc(maps.Keys(p.producers), bySite) {
		out = append(out, place{producer: s, units: p.producers[s]})
	}
	for _, s := range slices.SortedFunc(maps.Keys(p.readers), bySite) {
		out = append(out, place{reader: s, units: p.readers[s]})
	}
	for _, v := range slices.Sorted(maps.Keys(p.values)) {
		out = append(out, place{value: v, axis: p.values[v].axis, units: p.values[v].units})
	}
	for _, o := range slices.SortedFunc(maps.Keys(p.constants), p.order) {
		out = append(out, place{constant: o, units: p.constants[o]})
	}
	return out
}

// order compares operands by where they stand in the graph.
func (p *spread) order(a, b operand) int {
	return cmp.Or(p.graph.Position(a.node)-p.graph.Position(b.node), a.slot-b.slot, a.right-b.right)
}

// found returns the free channels as units, those that lie at the same places as one axis.
func (p *spread) found() []Axis {
	if p.free == 0 {
		return nil
	}
	places := p.places()
	unit := make([]int, len(p.parent)) // of a root, -1 for a fixed one
	n := 0
	for c := range p.parent {
		unit[c] = -1
		if p.find(c) == c && p.pinned[c] == "" {
			unit[c] = n
			n++
		}
	}
	for i := range places {
		list := make([]int, len(places[i].units))
		for k, c := range places[i].units {
			list[k] = -1
			if c >= 0 {
				list[k] = unit[p.find(c)]
			}
		}
		places[i].units = list
	}
	groups := grouped(places, n)
	var out []Axis
	for i, size := range groups.sizes {
		if size > 1 { // with one unit there is nothing to choose
			out = append(out, p.axis(places, groups, i))
		}
	}
	return out
}

// grouping says for each of many units which group it is in and where there.
type grouping struct {
	n         int
	of, place []int
	sizes     []int
}

// grouped groups units that lie at the same places, as often each.
func grouped(places []place, units int) grouping {
	signs, count := make([][]byte, units), make([]uint64, units)
	for i, at := range places {
		for _, u := range at.units {
			if u >= 0 {
				count[u]++
			}
		}
		for _, u := range at.units {
			if u >= 0 && count[u] > 0 {
				signs[u] = binary.AppendUvarint(binary.AppendUvarint(signs[u], uint64(i)), count[u])
				count[u] = 0
			}
		}
	}
	g := grouping{of: make([]int, units), place: make([]int, units)}
	known := map[string]int{}
	for u, sign := range signs {
		k, ok := known[string(sign)]
		if !ok {
			k = g.n
			known[string(sign)] = k
			g.sizes = append(g.sizes, 0)
			g.n++
		}
		g.of[u], g.place[u] = k, g.sizes[k]
		g.sizes[k]++
	}
	return g
}

// axis returns one group of units.
func (p *spread) axis(places []place, g grouping, which int) Axis {
	a := Axis{Units: g.sizes[which], model: p.model, values: map[string]lie{}, constants: map[operand][]int{}, numbers: map[number]span{}, shapes: p.shapes}
	for _, at := range places {
		list, some := make([]int, len(at.units)), false
		for i, u := range at.units {
			list[i] = -1
			if u >= 0 && g.of[u] == which {
				list[i], some = g.place[u], true
			}
		}
		switch {
		case !some:
		case at.producer != nil:
			a.Producers = append(a.Producers, Port{at.producer, list})
		case at.reader != nil:
			a.Readers = append(a.Readers, Port{at.reader, list})
		case at.value != "":
			a.values[at.value] = lie{at.axis, list}
		default:
			a.constants[at.constant] = list
		}
	}
	for n, of := range p.numbers {
		if l, ok := a.values[of.value]; ok && l.axis == of.axis {
			a.numbers[n] = of
		}
	}
	a.Between, a.Copied = p.between(&a), p.copied(&a)
	for _, n := range p.products {
		v := n.Input(0)
		if l, on := a.values[v]; on {
			if shape, ok := p.shapes.Of(v); ok && l.axis == len(shape)-1 {
				a.Products = append(a.Products, n)
			}
		}
	}
	slices.SortFunc(a.Products, func(a, b graph.Node) int { return p.graph.Position(a) - p.graph.Position(b) })
	a.Residual = slices.ContainsFunc(p.sums, func(n graph.Node) bool { return p.meets(n, &a) })
	return a
}

// on tells whether an entry is of a unit.
func on(unit int) bool { return unit >= 0 }

// between lists the nodes other than producers and readers that change with an axis.
func (p *spread) between(a *Axis) []graph.Node {
	nodes := map[graph.Node]bool{}
	for o, units := range a.constants {
		h, ok := p.hold(o.node.Input(o.slot))
		if shape := h.shape(); ok && len(shape) > o.right && shape[len(shape)-1-o.right] == len(units) {
			nodes[o.node] = true
		}
	}
	for n, of := range a.numbers {
		if slices.ContainsFunc(a.values[of.value].units[of.from:of.to], on) {
			nodes[n.node] = true
		}
	}
	for _, port := range slices.Concat(a.Producers, a.Readers) {
		delete(nodes, port.Site.Node)
	}
	return slices.SortedFunc(maps.Keys(nodes), func(a, b graph.Node) int { return p.graph.Position(a) - p.graph.Position(b) })
}

// copied lists the constants that something needs whole beside what an axis cuts.
func (p *spread) copied(a *Axis) []string {
	cut := map[input]bool{}
	roots := map[string]bool{}
	for o, units := range a.constants {
		h, ok := p.hold(o.node.Input(o.slot))
		if shape := h.shape(); ok && len(shape) > o.right && shape[len(shape)-1-o.right] == len(units) {
			cut[input{o.node, o.slot}] = true
			roots[h.root] = true
		}
	}
	var out []string
	for _, root := range slices.Sorted(maps.Keys(roots)) {
		alike := true
		if !p.eachReader(root, func(at input) bool { alike = alike && cut[at]; return alike }) || !alike {
			out = append(out, root)
		}
	}
	return out
}

// meets tells whether a node adds what different producers of an axis have computed.
func (p *spread) meets(n graph.Node, a *Axis) bool {
	var first map[graph.Node]bool
	for _, v := range n.Inputs() {
		if _, ok := a.values[v]; !ok {
			continue
		}
		made := map[graph.Node]bool{}
		p.makers(v, a, made, map[string]bool{})
		if first == nil {
			first = made
		} else if !maps.Equal(first, made) {
			return true
		}
	}
	return false
}

// makers collects the producers of an axis that a value of it comes from.
func (p *spread) makers(value string, a *Axis, made map[graph.Node]bool, seen map[string]bool) {
	if _, on := a.values[value]; !on || seen[value] {
		return
	}
	seen[value] = true
	n, ok := p.graph.Producer(value)
	if !ok {
		return
	}
	if slices.ContainsFunc(a.Producers, func(port Port) bool { return port.Site.Node == n }) {
		made[n] = true
		return
	}
	for _, v := range n.Inputs() {
		p.makers(v, a, made, seen)
	}
}
