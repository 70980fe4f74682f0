package rewrite

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Heads are the channels of an axis that only moves and sums over positions lie between: attention does to the values of a head what
// it does to each of its channels. So any invertible map of a head's channels may be taken where they are computed, if its inverse is
// taken where they are read, and nothing between the two notices.
type Heads struct {
	Producer *Site
	Channels [][]int // output channels of the producer for each head, in the order of units
	Readers  []HeadReader
}

// HeadReader is a site that reads heads.
type HeadReader struct {
	Site     *Site
	Channels [][]int // its input channels, for each head that it reads, in the order of units
	Of       []int   // the producer's head that each is; one may be read several times, as keys and values of grouped queries are
}

// Heads returns the heads of an axis, false where it has none: where several sites compute it, or something treats its channels one by
// one on their way.
//
// For each number in a value it is worked out which output channel of the producer it comes from, through all nodes up to the
// readers; channels that meet in another way than as positions of one channel, and operators not listed here, end that.
func (a *Axis) Heads() (*Heads, bool) {
	if len(a.Producers) != 1 || len(a.Products) > 0 || len(a.Copied) > 0 {
		return nil, false
	}
	p := a.Producers[0]
	if !p.whole() || slices.ContainsFunc(a.Readers, func(r Port) bool {
		return r.Site.View.Kind != LastAxis || r.Site.Node == p.Site.Node
	}) {
		return nil, false
	}
	h := &Heads{Producer: p.Site, Channels: headsOf(p.Channels(a.Units))}
	o := a.origins()
	if h.Channels == nil || !o.trace(p.Site) {
		return nil, false
	}
	for _, r := range a.Readers {
		reader, ok := h.read(r, a.Units, o)
		if !ok {
			return nil, false
		}
		h.Readers = append(h.Readers, reader)
	}
	return h, true
}

// whole tells whether a producer writes its channels along the last axis, all of them units.
func (p Port) whole() bool { return p.Site.View.Kind == LastAxis && !slices.Contains(p.Units, -1) }

// headsOf lists the channels of each head: the first of every unit, the second, and so on; nil where units have not equally many.
func headsOf(units [][]int) [][]int {
	heads := make([][]int, len(units[0]))
	for _, channels := range units {
		if len(channels) != len(heads) {
			return nil
		}
		for i, c := range channels {
			heads[i] = append(heads[i], c)
		}
	}
	return heads
}

// read finds which of the heads a reader has where.
func (h *Heads) read(r Port, units int, o *origins) (HeadReader, bool) {
	out := HeadReader{Site: r.Site, Channels: headsOf(r.Channels(units))}
	from, ok := o.along(r.Site.Input)
	if !ok || out.Channels == nil || len(from) != r.Site.Kernel.In {
		return out, false
	}
	for _, channels := range out.Channels {
		head := -1
		for unit, c := range channels {
			if unit == 0 {
				head = slices.IndexFunc(h.Channels, func(of []int) bool { return of[0] == from[c] })
			}
			if head < 0 || h.Channels[head][unit] != from[c] {
				return out, false
			}
		}
		out.Of = append(out.Of, head)
	}
	return out, true
}

// origins says of each number of values which output channel of a site it comes from.
type origins struct {
	axis  *Axis
	graph *graph.Graph
	at    map[string][]int
}

func (a *Axis) origins() *origins {
	return &origins{axis: a, graph: graph.Of(a.model), at: map[string][]int{}}
}

// trace follows the numbers from a site to wherever its axis leads, and tells whether all nodes on the way only move them or sum over
// positions.
func (o *origins) trace(s *Site) bool {
	shape, ok := o.axis.shapes.Of(s.Output)
	if !ok || tensor.Product(shape) > maxEntries {
		return false
	}
	list := make([]int, tensor.Product(shape))
	for i := range list {
		list[i] = i % s.Kernel.Out
	}
	o.at[s.Output] = list
	queue := []string{s.Output}
	if b := s.findBias(); b.swap != nil { // what it adds is mapped with its output
		n := b.swap.Old
		if n.Op() != "Add" {
			return false
		}
		o.at[n.Output(0)], queue = list, []string{n.Output(0)}
	}
	for len(queue) > 0 {
		value := queue[0]
		queue = queue[1:]
		for _, u := range o.graph.Uses(value) {
			if u.Node.IsZero() || u.Nested {
				return false
			}
			if o.ends(u.Node, value) {
				continue
			}
			if _, known := o.at[u.Node.Output(0)]; known || u.Node.Op() == "Shape" {
				continue
			}
			moved, ok := o.move(u.Node, value, u.Slot)
			if !ok {
				return false
			}
			o.at[u.Node.Output(0)] = moved
			queue = append(queue, u.Node.Output(0))
		}
	}
	return true
}

// ends tells whether a node reads a value as what its axis leads to.
func (o *origins) ends(n graph.Node, value string) bool {
	return slices.Contains(o.axis.Products, n) || slices.ContainsFunc(o.axis.Readers, func(r Port) bool { return r.Site.Node == n && r.Site.Input == value })
}

// move carries the numbers of a value through a node that reads it.
func (o *origins) move(n graph.Node, value string, slot int) ([]int, bool) {
	in, inOK := o.axis.shapes.Of(value)
	out, outOK := o.axis.shapes.Of(n.Output(0))
	list := o.at[value]
	if !inOK || !outOK || tensor.Product(in) != len(list) || tensor.Product(out) > maxEntries {
		return nil, false
	}
	switch op := n.Op(); {
	case slot == 1 && op == "MatMul":
		return o.summed(list, in, out)
	case op == "Mul" || op == "Div" && slot == 0:
		by, ok := o.axis.shapes.Of(n.Input(1 - slot))
		return list, ok && tensor.Product(by) == 1 && len(list) == tensor.Product(out)
	case slot != 0:
		return nil, false
	case slices.Contains([]string{"Cast", "CastLike", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}, op):
		return list, len(list) == tensor.Product(out)
	case op == "Transpose":
		perm := turned(axes(len(in)), n.Ints("perm"))
		return permute(list, in, perm), len(perm) == len(in)
	case op == "Expand":
		return spreadOut(list, in, out), true
	}
	return nil, false
}

// summed carries [..., K, N] through a product from the left: of what is summed over, all has to be of the same channel.
func (o *origins) summed(list, in, out []int) ([]int, bool) {
	if len(in) < 2 || len(out) < len(in) {
		return nil, false
	}
	k, n := in[len(in)-2], in[len(in)-1]
	for i, c := range list {
		if c != list[i/(k*n)*(k*n)+i%n] {
			return nil, false
		}
	}
	one := slices.Clone(in)
	one[len(in)-2] = 1
	first := make([]int, 0, len(list)/max(k, 1))
	for i := 0; i < len(list); i += k * n {
		first = append(first, list[i:i+n]...)
	}
	return spreadOut(first, one, out), true
}

// spreadOut broadcasts a list of the shape in to the shape out.
func spreadOut(list, in, out []int) []int {
	spread := make([]int, tensor.Product(out))
	for i := range spread {
		spread[i] = list[offset(tensor.Coordinates(i, out), in)]
	}
	return spread
}

// along returns the channel that each entry along the last axis of a value comes from, false where that differs from position to
// position.
func (o *origins) along(value string) ([]int, bool) {
	shape, ok := o.axis.shapes.Of(value)
	list := o.at[value]
	if !ok || len(shape) == 0 || len(list) == 0 || len(list) != tensor.Product(shape) {
		return nil, false
	}
	n := shape[len(shape)-1]
	for i, c := range list {
		if c != list[i%n] {
			return nil, false
		}
	}
	return list[:n], true
}
