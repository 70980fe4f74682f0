package decomp

import "slices"

// Columns returns the columns, of the matrix [O, K] of one group, of those of some input channels that belong to it.
func (s Shape) Columns(group int, channels []int) []int {
	taps, width := s.taps(), s.In/s.Groups
	var out []int
	for _, c := range channels {
		for t := 0; c/width == group && t < taps; t++ {
			out = append(out, c%width*taps+t)
		}
	}
	return out
}

// Some returns the kernel over some of its input channels, ascending, of each group equally many.
func (k Kernel) Some(channels []int) Kernel {
	out := Kernel{Shape: k.Shape}
	out.In = len(channels)
	for g := range k.Groups {
		from, columns := k.group(g), k.Columns(g, channels)
		for o := range from.Rows {
			for _, c := range columns {
				out.Weights = append(out.Weights, from.At(o, c))
			}
		}
	}
	return out
}

// Among returns a kernel of the shape of whole that is k at these input channels, ascending, of each group equally many, and
// zero at the others: the reverse of Some.
func (k Kernel) Among(whole Shape, channels []int) Kernel {
	out := Kernel{Shape: whole, Weights: make([]float64, whole.Params())}
	for g := range whole.Groups {
		to, from := out.group(g), k.group(g)
		for i, c := range whole.Columns(g, channels) {
			for o := range to.Rows {
				to.Set(o, c, from.At(o, i))
			}
		}
	}
	return out
}

// SomeRows returns the kernel over some of its output channels, ascending. It has no groups.
func (k Kernel) SomeRows(channels []int) Kernel {
	out := Kernel{Shape: k.Shape}
	out.Out = len(channels)
	for _, o := range channels {
		out.Weights = append(out.Weights, k.group(0).Row(o)...)
	}
	return out
}

// AmongRows returns a kernel with so many output channels that is k at these, ascending, and zero at the others: the reverse of
// SomeRows.
func (k Kernel) AmongRows(whole int, channels []int) Kernel {
	out := Kernel{Shape: k.Shape}
	out.Out = whole
	out.Weights = make([]float64, out.Params())
	for i, o := range channels {
		copy(out.group(0).Row(o), k.group(0).Row(i))
	}
	return out
}

// Some returns the chain that reads only some input channels and computes only some output channels, both ascending, of a site
// without groups: its first factor has the columns of these, its last the rows, and of its shift the numbers.
func (c Chain) Some(in, out []int) Chain {
	next := slices.Clone(c)
	first, last := &next[0], &next[len(c)-1]
	first.Kernel = first.Kernel.Some(in)
	last.Kernel = last.Kernel.SomeRows(out)
	if last.Shift != nil {
		last.Shift = picked(last.Shift, out)
	}
	return next
}

// Among returns the chain for a site of the shape of whole that is c at these input and output channels, and zero at the others:
// the reverse of Some.
func (c Chain) Among(whole Shape, in, out []int) Chain {
	next := slices.Clone(c)
	first, last := &next[0], &next[len(c)-1]
	shape := first.Kernel.Shape
	shape.In = whole.In
	first.Kernel = first.Kernel.Among(shape, in)
	last.Kernel = last.Kernel.AmongRows(whole.Out, out)
	if last.Shift != nil {
		shift := make([]float64, whole.Out)
		for i, o := range out {
			shift[o] = last.Shift[i]
		}
		last.Shift = shift
	}
	return next
}

// picked are the numbers at some places.
func picked(v []float64, places []int) []float64 {
	out := make([]float64, len(places))
	for i, p := range places {
		out[i] = v[p]
	}
	return out
}
