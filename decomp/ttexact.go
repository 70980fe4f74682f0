package decomp

import "github.com/onnx-compress/onnx-compress/linalg"

// exact writes the kernel as a train of the largest ranks: up to the bond where what lies behind becomes smaller than
// what lies before, the factors only sort; there the kernel itself stands, and behind it they sort again.
func (t *ttGroup) exact() train {
	taps := t.window
	lengths := append([]int{t.width}, taps...)
	turned := t.w.T() // [C·taps, O]
	rows, cols := t.width, len(turned.Data)/t.width
	placed := false
	factors := make([]*linalg.Matrix, len(lengths))
	for i, n := range lengths {
		if i > 0 {
			rows, cols = rows*n, cols/n
			if placed {
				rows = t.limits[i-1] * n
			}
		}
		switch {
		case placed || rows <= cols:
			factors[i] = linalg.Identity(rows) // [r', (r, k)]; behind the kernel (r', k) is the channel before
			if placed {
				factors[i] = nil
			}
		default:
			factors[i], placed = (&linalg.Matrix{Rows: rows, Cols: cols, Data: turned.Data}).T(), true
		}
	}
	return t.assembled(factors, lengths, turned, placed)
}

func (t *ttGroup) assembled(factors []*linalg.Matrix, lengths []int, turned *linalg.Matrix, placed bool) train {
	out := train{taps: t.window}
	for i, m := range factors {
		after := t.limits[i]
		if i == 0 {
			out.first = m
			continue
		}
		k, before := lengths[i], t.limits[i-1]
		core := linalg.New(after*k, before)
		if m == nil { // channel (tap, r') before becomes r' behind, at its tap
			for c := range after {
				for tap := range k {
					core.Set(c*k+tap, tap*after+c, 1)
				}
			}
		} else {
			core.Data = swapped(m, after, before, k).Data
		}
		out.window = append(out.window, core)
	}
	if placed {
		out.last = linalg.Identity(t.w.Rows)
	} else {
		out.last = &linalg.Matrix{Rows: t.w.Cols, Cols: t.w.Rows, Data: turned.Data}
	}
	return out
}
