package decomp

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// Change returns tr(G (W'−W″) A (W'−W″)ᵀ) summed over groups: how far the kernels of shape s that two chains stand for
// lie apart, shifts aside. Of a chain and the same chain rounded, it is to first order what rounding adds to the loss:
// a chain that is the best of its rank loses nothing to small changes but their own square.
func (m Metric) Change(b linalg.Backend, s Shape, one, other Chain) (float64, error) {
	w, err := one.Compose(b, s)
	if err != nil {
		return 0, err
	}
	v, err := other.Compose(b, s)
	if err != nil {
		return 0, err
	}
	d := Kernel{Shape: s, Weights: slices.Clone(w.Weights)}
	for i, x := range v.Weights {
		d.Weights[i] -= x
	}
	return m.Energy(b, d)
}
