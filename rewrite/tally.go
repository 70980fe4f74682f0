package rewrite

import (
	"fmt"
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Tally counts what a model costs when its axes are narrowed, without making that model: the size of a constant is the product
// of its dimensions, as the multiply-adds of a node are one of dimensions of values, and each of these is a sum of widths.
// It takes the widths alone, since all units of an axis cost the same.
//
// Of the constants it counts those that Narrow makes copies of once, integers that Narrow drops from lists, such as indices, as
// if they stayed, and the sizes that it gives to a Split without any in all cases.
type Tally struct {
	units []int // of the axes
	fixed Need  // of all that no axis changes
	terms []term
}

// Need is what a model needs, as Costs has it.
type Need struct {
	MACs, Params, Bytes int64
}

// term is a constant, or the work of a node, that widths change. With only set it is there when one of these axes is narrower.
type term struct {
	each    Need  // for one
	rest    int64 // the product of the dimensions that stay
	extents []extent
	only    []int
}

// extent is a dimension that is cut: entries that always stay, and so many for each unit of some axes.
type extent struct {
	fixed int
	axes  []int
	per   []int // for each of axes
}

// size is the dimension at some widths.
func (e extent) size(widths []int) int {
	n := e.fixed
	for i, a := range e.axes {
		n += e.per[i] * widths[a]
	}
	return n
}

// NewTally prepares to count the model that the axes were found in, under the same shapes. Where shifts says so, a reader of a
// narrower axis gets a shift of its output too, as with a Fold that has one.
func NewTally(m *onnxio.Model, s *shapes.Shapes, list []Axis, shifts func(*Site) bool) (*Tally, error) {
	b := tallying{finder: newFinder(m, s), list: list, cut: map[position]*extent{}, roots: map[string]map[int]*extent{}}
	t := &Tally{}
	for a := range list {
		if list[a].model != m {
			return nil, fmt.Errorf("axis %q belongs to another model", list[a].Name)
		}
		t.units = append(t.units, list[a].Units)
		b.axis(a)
	}
	before := MeasureCosts(m, s)
	t.terms = slices.Concat(b.constants(), b.work(before))
	whole := t.At(t.units)
	t.fixed = Need{before.MACs - whole.MACs, before.Params - whole.Params, before.Bytes - whole.Bytes}
	t.terms = slices.Concat(t.terms, b.shifted(shifts), b.splits())
	return t, nil
}

// tallying finds the terms of a Tally.
type tallying struct {
	*finder
	list  []Axis
	cut   map[position]*extent       // of values and constants, as nodes see them
	roots map[string]map[int]*extent // of constants, as they are stored
}

// axis notes the dimensions that an axis cuts.
func (b *tallying) axis(a int) {
	for value, l := range b.list[a].values {
		at := position{value, l.axis}
		b.cut[at] = b.add(b.cut[at], a, l.units)
	}
	for o, units := range b.list[a].constants {
		value := o.node.Input(o.slot)
		h, ok := b.hold(value)
		shape := h.shape()
		axis := len(shape) - 1 - o.right
		if !ok || axis < 0 || shape[axis] != len(units) {
			continue // there is none, or it is the same for all channels
		}
		at := position{value, axis}
		b.cut[at] = b.add(b.cut[at], a, units)
		if b.roots[h.root] == nil {
			b.roots[h.root] = map[int]*extent{}
		}
		stored := h.perm[axis]
		b.roots[h.root][stored] = b.add(b.roots[h.root][stored], a, units)
	}
}

// add adds the entries of an axis along a dimension, once.
func (b *tallying) add(e *extent, axis int, units []int) *extent {
	if e == nil {
		e = &extent{fixed: len(units)}
	}
	if slices.Contains(e.axes, axis) {
		return e
	}
	owned := 0
	for _, u := range units {
		if u >= 0 {
			owned++
		}
	}
	e.fixed -= owned
	e.axes, e.per = append(e.axes, axis), append(e.per, owned/b.list[axis].Units)
	return e
}

// constants are the terms of what is stored.
func (b *tallying) constants() []term {
	var out []term
	for _, root := range slices.Sorted(maps.Keys(b.roots)) {
		h, _ := b.hold(root)
		c := term{each: Need{0, 1, int64(h.dtype().Size())}, rest: 1}
		for dimension, n := range h.tensor.Shape() {
			c.times(b.roots[root][dimension], n)
		}
		out = append(out, c)
	}
	return out
}

// times multiplies with a dimension, of which e is nil where it stays.
func (c *term) times(e *extent, n int) {
	if e != nil {
		c.extents = append(c.extents, *e)
	} else {
		c.rest *= int64(n)
	}
}

// work are the terms of nodes.
func (b *tallying) work(before Costs) []term {
	var out []term
	for _, n := range before.Nodes {
		c := term{each: Need{MACs: 1}, rest: 1}
		factors, _ := b.factors(n.Node)
		for _, p := range factors {
			shape, _ := b.shapes.Of(p.value)
			c.times(b.cut[p], shape[p.axis])
		}
		if len(c.extents) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// shifted are the constants that shifts of readers' outputs make: as many numbers as the reader has outputs then.
func (b *tallying) shifted(wanted func(*Site) bool) []term {
	var out []term
	at := map[string]int{} // of readers
	for a := range b.list {
		for _, port := range b.list[a].Readers {
			s := port.Site
			if i, ok := at[s.Name]; ok {
				out[i].only = append(out[i].only, a)
				continue
			}
			if !wanted(s) || s.ShiftParams() <= 0 {
				continue
			}
			right, _ := s.channelAxes()
			weight := s.Node.Input(s.weight.slot)
			shape, _ := b.shapes.Of(weight)
			c := term{each: Need{0, 1, int64(s.Dtype.Size())}, rest: 1, only: []int{a}}
			c.times(b.cut[position{weight, len(shape) - 1 - right}], s.Kernel.Out)
			at[s.Name] = len(out)
			out = append(out, c)
		}
	}
	return out
}

// splits are the sizes that a Split without any is given where its parts are no longer equal.
func (b *tallying) splits() []term {
	var out []term
	for a := range b.list {
		for _, n := range b.list[a].Between {
			if n.Op() == "Split" && n.Input(1) == "" && b.opset >= 13 {
				out = append(out, term{each: Need{0, 1, int64(tensor.Int64.Size())}, rest: int64(len(n.Outputs())), only: []int{a}})
			}
		}
	}
	return out
}

// Shared returns what At counts of the narrowing of several axes once, and of that of each alone too: shifts of readers of more than
// one axis. For all axes, the sum of what single ones change is above the change by no more than this.
func (t *Tally) Shared() Need {
	var need Need
	for _, c := range t.terms {
		n := c.rest * int64(max(len(c.only)-1, 0))
		for _, e := range c.extents {
			n *= int64(e.size(t.units))
		}
		need.MACs, need.Params, need.Bytes = need.MACs+n*c.each.MACs, need.Params+n*c.each.Params, need.Bytes+n*c.each.Bytes
	}
	return need
}

// At returns what the model needs when so many units of each axis stay, in the order in which NewTally got them.
func (t *Tally) At(widths []int) Need {
	need := t.fixed
	for i := range t.terms {
		c := &t.terms[i]
		if c.only != nil && !slices.ContainsFunc(c.only, func(a int) bool { return widths[a] < t.units[a] }) {
			continue
		}
		n := c.rest
		for _, e := range c.extents {
			n *= int64(e.size(widths))
		}
		need.MACs, need.Params, need.Bytes = need.MACs+n*c.each.MACs, need.Params+n*c.each.Params, need.Bytes+n*c.each.Bytes
	}
	return need
}
