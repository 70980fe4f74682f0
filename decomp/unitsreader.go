package decomp

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// reader is a Reader that was found to be sound.
type reader struct {
	kernel   Kernel
	scale    float64
	assigned [][]int      // the input channels of every unit
	unbound  []int        // the input channels of no unit, ascending
	groups   []*seenUnits // of the kernel
}

// newReader checks a reader of an axis of so many units and takes it apart.
func newReader(b linalg.Backend, units int, from Reader) (*reader, error) {
	if err := from.Kernel.Check(); err != nil {
		return nil, err
	}
	if err := from.Metric.check(from.Kernel.Shape); err != nil {
		return nil, err
	}
	if !(from.Scale > 0) || math.IsInf(from.Scale, 1) {
		return nil, fmt.Errorf("a loss counts %g, wanted a positive number", from.Scale)
	}
	r := &reader{kernel: from.Kernel, scale: from.Scale, assigned: from.Channels}
	if r.assigned == nil {
		r.assigned = make([][]int, from.Kernel.In)
		for c := range r.assigned {
			r.assigned[c] = []int{c}
		}
	}
	if err := r.assign(units); err != nil {
		return nil, err
	}
	for g := range from.Kernel.Groups {
		s := seeUnits(b, g, from.Kernel, from.Metric, from.Scale)
		for _, channels := range r.assigned {
			s.units = append(s.units, r.kernel.Columns(g, channels))
		}
		s.unbound, s.root = r.kernel.Columns(g, r.unbound), s.roots()
		s.kernel = columnsTimes(s.kernel, s.root)
		r.groups = append(r.groups, s)
	}
	return r, nil
}

// assign checks which channels carry which units, and finds those that carry none.
func (r *reader) assign(units int) error {
	if len(r.assigned) != units {
		return fmt.Errorf("%d units are named by their channels of a %v kernel, wanted %d", len(r.assigned), r.kernel.Shape, units)
	}
	owner, width := map[int]int{}, r.kernel.In/r.kernel.Groups
	for u, channels := range r.assigned {
		share := make([]int, r.kernel.Groups)
		for _, c := range channels {
			if c < 0 || c >= r.kernel.In {
				return fmt.Errorf("unit %d has the channel %d of the %d inputs of a %v kernel", u, c, r.kernel.In, r.kernel.Shape)
			}
			if other, taken := owner[c]; taken {
				return fmt.Errorf("units %d and %d both have the input channel %d of a %v kernel", other, u, c, r.kernel.Shape)
			}
			owner[c] = u
			share[c/width]++
		}
		if slices.Min(share) != slices.Max(share) {
			return fmt.Errorf("unit %d has between %d and %d channels of the groups of a %v kernel, wanted equally many of each", u, slices.Min(share), slices.Max(share), r.kernel.Shape)
		}
	}
	for c := range r.kernel.In {
		if _, taken := owner[c]; !taken {
			r.unbound = append(r.unbound, c)
		}
	}
	return nil
}

// channels returns the input channels that carry some units, and those that carry none, ascending.
func (r *reader) channels(units []int) []int {
	out := slices.Clone(r.unbound)
	for _, u := range units {
		out = append(out, r.assigned[u]...)
	}
	slices.Sort(out)
	return out
}

// narrowed is the shape of the kernel with so many input channels.
func (r *reader) narrowed(channels int) Shape {
	s := r.kernel.Shape
	s.In = channels
	return s
}

// fold returns the kernel over the channels that stay with these units.
func (r *reader) fold(b linalg.Backend, units []int) (Kernel, error) {
	channels := r.channels(units)
	if len(channels) == 0 {
		return Kernel{}, fmt.Errorf("no input channel of the %v kernel carries any of the units that stay", r.kernel.Shape)
	}
	out := Kernel{Shape: r.narrowed(len(channels))}
	for g, s := range r.groups {
		w, err := s.fold(b, r.kernel.group(g), r.kernel.Columns(g, channels))
		if err != nil {
			return Kernel{}, err
		}
		out.Weights = append(out.Weights, w.Data...)
	}
	return out, nil
}

// expanded returns a fold as a kernel over all channels, with zeros for those that left.
func (r *reader) expanded(units []int, fold Kernel) (Kernel, error) {
	channels := r.channels(units)
	if want := r.narrowed(len(channels)); fold.String() != want.String() || fold.Check() != nil {
		return Kernel{}, fmt.Errorf("the fold is a %v kernel of %d weights, wanted %v", fold.Shape, len(fold.Weights), want)
	}
	return fold.Among(r.kernel.Shape, channels), nil
}
