package decomp

import "github.com/onnx-compress/onnx-compress/linalg"

// Energy returns tr(G W A Wᵀ) summed over groups, what replacing the kernel by zero costs, without factoring it.
func (m Metric) Energy(b linalg.Backend, k Kernel) (float64, error) {
	if err := k.Check(); err != nil {
		return 0, err
	}
	if err := m.check(k.Shape); err != nil {
		return 0, err
	}
	energy := 0.0
	for g := range k.Groups {
		w, out, through := k.group(g), of(m.Out, g), of(m.Pullback, g)
		if through == nil && out == nil && w.Rows > w.Cols {
			through = b.Mul(true, false, 1, w, w) // smaller than what has the order of the outputs
		}
		if through != nil {
			energy += m.input(g).inner(b, through)
			continue
		}
		gram := m.input(g).gram(b, w)
		for i := range gram.Rows {
			if out == nil {
				energy += gram.At(i, i)
				continue
			}
			for c, v := range out.Row(i) {
				energy += v * gram.At(i, c)
			}
		}
	}
	return max(energy, 0), nil
}
