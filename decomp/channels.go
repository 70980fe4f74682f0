package decomp

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
