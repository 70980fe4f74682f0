package decomp

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// Change returns tr(G (W'−W″) A (W'−W″)ᵀ) summed over groups: how far the kernels of shape s that two chains stand for
// lie apart, shifts aside. Of a chain and the same chain rounded, it is to first order what rounding adds to the loss:
// a chain that is the best of its rank loses nothing to small changes but their own square.
func (m Metric) Change(b linalg.Backend, s Shape, one, other Chain) (float64, error) {
	w, err := one.product(b, s)
	if err != nil {
		return 0, err
	}
	v, err := other.product(b, s)
	if err != nil {
		return 0, err
	}
	d := Kernel{Shape: s, Weights: slices.Clone(w.Weights)}
	for i, x := range v.Weights {
		d.Weights[i] -= x
	}
	return m.Energy(b, d)
}

// product is Compose, by the backend where the chain is two matrices in every group.
func (c Chain) product(b linalg.Backend, s Shape) (Kernel, error) {
	if len(c) != 2 || c[0].Kernel.Groups != s.Groups || c[1].Kernel.Groups != s.Groups || !slices.Equal(c[0].Kernel.Window, s.Window) ||
		c[0].Kernel.In != s.In || c[1].Kernel.In != c[0].Kernel.Out || c[1].Kernel.Out != s.Out || c[1].Kernel.taps() != 1 {
		return c.Compose(s)
	}
	for _, f := range c {
		if err := f.Kernel.Check(); err != nil {
			return Kernel{}, err
		}
	}
	first, last := c[0].Kernel, c[1].Kernel
	out := Kernel{Shape: s, Weights: make([]float64, 0, s.Params())}
	r, k, o := first.Rows(), s.Cols(), s.Rows()
	for g := range s.Groups {
		out.Weights = append(out.Weights, b.Mul(false, false, 1,
			&linalg.Matrix{Rows: o, Cols: r, Data: last.Weights[g*o*r:][:o*r]},
			&linalg.Matrix{Rows: r, Cols: k, Data: first.Weights[g*r*k:][:r*k]}).Data...)
	}
	return out, nil
}
