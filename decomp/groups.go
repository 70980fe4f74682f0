package decomp

import "github.com/onnx-compress/onnx-compress/linalg"

// group returns the matrix [O, K] of one group, which shares the kernel's numbers.
func (k Kernel) group(g int) *linalg.Matrix {
	rows, cols := k.Rows(), k.Cols()
	return &linalg.Matrix{Rows: rows, Cols: cols, Data: k.Weights[g*rows*cols : (g+1)*rows*cols]}
}

// groupsOf checks a kernel and its metric and makes something of every group's matrix.
func groupsOf[G any](method string, k Kernel, m Metric, build func(g int, w *linalg.Matrix) (G, error)) ([]G, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	if err := m.check(k.Shape); err != nil {
		return nil, err
	}
	var out []G
	for g := range k.Groups {
		made, err := build(g, k.group(g))
		if err != nil {
			return nil, refused(method, nil, g, k.Shape, err)
		}
		out = append(out, made)
	}
	return out, nil
}

// energyOf returns tr(G W A Wᵀ) summed over groups.
func energyOf[G interface{ total() float64 }](groups []G) float64 {
	sum := 0.0
	for _, g := range groups {
		sum += g.total()
	}
	return sum
}
