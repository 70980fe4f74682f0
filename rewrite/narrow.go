package rewrite

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// Narrowing says which units of an axis stay.
type Narrowing struct {
	Axis *Axis
	Keep []int // numbers of units, ascending, at least one
}

// Fold is what a reader becomes: the map from its kept input channels that makes up for those that go.
type Fold struct {
	// Kernel has the reader's output channels, all of them, and the input channels that Left lists:
	// [Out, len(Left), Window...] row-major.
	Kernel decomp.Kernel
	// Shift is added to each output channel, beside what the reader adds; nil for nothing. The reader needs a place for it,
	// which Site.Bias tells.
	Shift []float64
	// Site is the site where it reads none of the axes to be narrowed, of which Kernel has all input channels then; nil for a reader.
	Site *Site
}

// Left returns the input channels of a site that stay when axes are narrowed, ascending: those that none of the axes has, or
// whose unit is kept on all that do.
func Left(s *Site, list []Narrowing) []int {
	return left(list, s.Kernel.In, func(a *Axis) []int {
		for _, port := range a.Readers {
			if port.Site.Node == s.Node {
				return port.Units
			}
		}
		return nil
	})
}

// LeftOut returns the output channels of a site that stay when axes are narrowed, ascending: those that it computes for none of
// them, or for a unit that is kept, as a producer or on the way from one, such as a table of angles. Of a convolution in groups between producers and readers, these are the groups' that stay.
func LeftOut(s *Site, list []Narrowing) []int {
	if s.Kernel.Groups > 1 {
		rows := s.Kernel.Rows()
		var out []int
		for _, g := range leftGroups(s, list) {
			for i := range rows {
				out = append(out, g*rows+i)
			}
		}
		return out
	}
	out, _ := s.channelAxes()
	return left(list, s.Kernel.Out, func(a *Axis) []int { return a.constants[operand{s.Node, s.weight.slot, out}] })
}

// leftGroups are the groups of a convolution that stay.
func leftGroups(s *Site, list []Narrowing) []int {
	k, right := s.Kernel, len(s.Kernel.Window)+1
	rows := k.Rows()
	if s.View.Transposed {
		rows = k.In / k.Groups
	}
	var out []int
	for _, i := range left(list, rows*k.Groups, func(a *Axis) []int { return a.constants[operand{s.Node, s.weight.slot, right}] }) {
		if i%rows == 0 {
			out = append(out, i/rows)
		}
	}
	return out
}

// left lists those of n entries that stay, where of tells the units of the entries on an axis, nil for none.
func left(list []Narrowing, n int, of func(*Axis) []int) []int {
	out := axes(n)
	for _, narrowing := range list {
		units := of(narrowing.Axis)
		if units == nil {
			continue
		}
		out = slices.DeleteFunc(out, func(i int) bool {
			_, kept := slices.BinarySearch(narrowing.Keep, units[i])
			return units[i] >= 0 && !kept
		})
	}
	return out
}

// NarrowedShape returns the kernel's shape that a site has when axes are narrowed, as producer, as reader, or as a
// convolution with groups between them.
func NarrowedShape(s *Site, list []Narrowing) decomp.Shape {
	k := s.Kernel
	along := func(n, right int) int {
		return len(left(list, n, func(a *Axis) []int { return a.constants[operand{s.Node, s.weight.slot, right}] }))
	}
	out, in := s.channelAxes()
	switch {
	case k.Groups == 1:
		k.Out, k.In = along(k.Out, out), along(k.In, in)
	case s.View.Transposed:
		k.Groups = along(k.In, len(k.Window)+1) * k.Groups / k.In
		k.Out, k.In = s.Kernel.Rows()*k.Groups, s.Kernel.In/s.Kernel.Groups*k.Groups
	default:
		k.Groups = along(k.Out, len(k.Window)+1) * k.Groups / k.Out
		k.Out, k.In = s.Kernel.Rows()*k.Groups, s.Kernel.In/s.Kernel.Groups*k.Groups
	}
	return k
}

// NarrowedValues returns shapes of values as they are when axes are narrowed; nil for nil.
func NarrowedValues(known map[string][]int, list []Narrowing) map[string][]int {
	out := maps.Clone(known)
	for v, before := range known {
		shape := slices.Clone(before)
		for _, n := range list {
			l, ok := n.Axis.values[v]
			if !ok || l.axis >= len(before) || before[l.axis] != len(l.units) {
				continue
			}
			for _, unit := range l.units {
				if _, stays := slices.BinarySearch(n.Keep, unit); unit >= 0 && !stays {
					shape[l.axis]--
				}
			}
		}
		out[v] = shape
	}
	return out
}

// Narrow returns the model in which only the units to keep are left of some axes, one Narrowing for each: producers
// compute their channels alone, what treats them on their way has fewer parameters, and readers read fewer columns, of their
// own kernels or, by the readers' names, of those in folds, which may have new kernels for other sites too. Axes may share sites: one's reader may be another's producer.
//
// No node is added and none changes its name. A constant is rewritten in its place where everything that reads it agrees,
// else a copy is made for those that differ, called NAME.narrow, or after the reader for the kernels of folds; the bytes of
// the numbers that stay are those of before, but for folds, which are rounded to the weight's type as by Replace. Declared
// shapes of values follow. Nothing in m changes, and the new model shares with it all that stays the same: with all units
// kept and no folds it equals m as a message.
func Narrow(m *onnxio.Model, list []Narrowing, folds map[string]Fold) (*onnxio.Model, error) {
	k, err := keeping(m, list)
	if err != nil {
		return nil, err
	}
	folded, now, err := foldReaders(m, list, folds)
	if err != nil {
		return nil, err
	}
	small, err := narrowed(folded, k, now)
	if err == nil {
		if err = small.Check(); err != nil {
			err = errors.Join(fmt.Errorf("after narrowing %d axes: %w", len(list), err), small.Close())
		}
	}
	if err := errors.Join(err, folded.Close()); err != nil {
		return nil, err
	}
	return small, nil
}

// kept says which entries stay.
type kept struct {
	values    map[position][]bool
	constants map[operand][]bool
	numbers   map[number]span
	shapes    *shapes.Shapes
}

// keeping works out what stays of values and constants when axes are narrowed; of those that stay whole it says nothing.
func keeping(m *onnxio.Model, list []Narrowing) (*kept, error) {
	k := &kept{values: map[position][]bool{}, constants: map[operand][]bool{}, numbers: map[number]span{}}
	seen := map[*Axis]bool{}
	for _, n := range list {
		a := n.Axis
		switch {
		case a.model != m:
			return nil, fmt.Errorf("axis %q belongs to another model", a.Name)
		case seen[a]:
			return nil, fmt.Errorf("axis %q is narrowed twice", a.Name)
		case len(n.Keep) == 0:
			return nil, fmt.Errorf("axis %q: no unit is kept; keep one at least", a.Name)
		}
		seen[a] = true
		stays := make([]bool, a.Units)
		for i, unit := range n.Keep {
			if unit < 0 || unit >= a.Units || i > 0 && unit <= n.Keep[i-1] {
				return nil, fmt.Errorf("axis %q: units to keep %v; ascending numbers below %d are wanted", a.Name, n.Keep, a.Units)
			}
			stays[unit] = true
		}
		if len(n.Keep) == a.Units {
			continue
		}
		for v, l := range a.values {
			limit(k.values, position{v, l.axis}, l.units, stays)
		}
		for o, units := range a.constants {
			limit(k.constants, o, units, stays)
		}
		maps.Copy(k.numbers, a.numbers)
		k.shapes = a.shapes
	}
	return k, nil
}

// limit leaves out the entries whose unit does not stay.
func limit[K comparable](all map[K][]bool, key K, units []int, stays []bool) {
	mask := all[key]
	if mask == nil {
		mask = slices.Repeat([]bool{true}, len(units))
		all[key] = mask
	}
	for i, unit := range units {
		mask[i] = mask[i] && (unit < 0 || stays[unit])
	}
}

// foldReaders returns the model with the kernels of folds, zeros in the columns that go, and the nodes that it has in the
// place of others. Without folds it is the model as it is.
func foldReaders(m *onnxio.Model, list []Narrowing, folds map[string]Fold) (*onnxio.Model, map[graph.Node]graph.Node, error) {
	readers := map[string]*Site{}
	for _, n := range list {
		for _, port := range n.Axis.Readers {
			readers[port.Site.Name] = port.Site
		}
	}
	now := map[graph.Node]graph.Node{}
	names := graph.NewNameSet(m)
	var patches []Patch
	for _, name := range slices.Sorted(maps.Keys(folds)) {
		s, ok := readers[name]
		if !ok && folds[name].Site != nil {
			s, ok = folds[name].Site, true
		}
		if !ok {
			return nil, nil, fmt.Errorf("a fold is given for %q, which reads none of the axes to be narrowed", name)
		}
		whole, err := unfolded(s, Left(s, list), folds[name].Kernel)
		if err != nil {
			return nil, nil, fmt.Errorf("the fold for %q: %w", name, err)
		}
		factor := decomp.Factor{Part: "fold", Kernel: whole, Axes: slices.Repeat([]bool{true}, len(whole.Window)), Shift: folds[name].Shift}
		p, err := Replace(m, s, decomp.Chain{factor}, names)
		if err != nil {
			return nil, nil, err
		}
		now[p.Old] = p.New[0]
		if p.Next != nil {
			now[p.Next.Old] = p.Next.New
		}
		patches = append(patches, p)
	}
	folded, err := Apply(m, patches, ApplyOptions{})
	return folded, now, err
}

// unfolded returns a kernel over all input channels of a site, from one over some of them.
func unfolded(s *Site, left []int, k decomp.Kernel) (decomp.Kernel, error) {
	want := s.Kernel
	want.In = len(left)
	if k.Out != want.Out || k.In != want.In || k.Groups != want.Groups || !slices.Equal(k.Window, want.Window) || int64(len(k.Weights)) != want.Params() {
		return decomp.Kernel{}, fmt.Errorf("it has %d numbers for the kernel %v, one of %v is wanted", len(k.Weights), k.Shape, want)
	}
	if len(left) == s.Kernel.In {
		return k, nil
	}
	return k.Among(s.Kernel, left), nil
}
