package decomp

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// Floor is what a method in closed form loses at every rank, and with that a bound for all other chains.
//
// Cut a kernel in two sides: the input channels with some axes of the window, the output channels with the others. Of the
// matrix between them, no approximation of rank r loses less than the truncated singular value decomposition (Eckart and
// Young, Psychometrika 1, 1936). What a chain gives has there at most the rank of its channels at any point, times the taps
// that lie on the other side of that point than of the cut.
type Floor struct {
	Losses []float64 // by rank, from 0 on: those of the method's own chains
	Bounds []float64 // by rank: what no approximation loses less than
	Inputs []bool    // for each axis of the window, whether its taps lie with the input channels
}

// Least returns what a chain of these factors for a kernel of shape s cannot lose less than, whatever their numbers are.
func (f *Floor) Least(s Shape, c Chain) float64 {
	rank := len(f.Bounds) - 1
	for i := range c[:len(c)-1] {
		n := c[i].Kernel.Out / s.Groups
		for axis, taps := range s.Window {
			before := slices.ContainsFunc(c[:i+1], func(f Factor) bool { return f.Kernel.Window[axis] == taps })
			if taps > 1 && before != f.Inputs[axis] {
				n *= taps
			}
		}
		rank = min(rank, n)
	}
	return f.Bounds[rank]
}

// floorBelow is what rounding may take off a bound, as a share of it and of the energy.
const floorBelow, floorNothing = 1e-9, 1e-13

// newFloor takes the losses of a method whose first factor carries the axes of one, and the least there are, both by rank.
func newFloor(s Shape, first Kernel, losses, least []float64) Floor {
	f := Floor{Losses: losses, Bounds: slices.Clone(least), Inputs: make([]bool, len(s.Window))}
	for i, v := range f.Bounds {
		f.Bounds[i] = max(v*(1-floorBelow)-floorNothing*losses[0], 0)
	}
	for axis, taps := range s.Window {
		f.Inputs[axis] = first.Window[axis] == taps
	}
	return f
}

// tails returns for every rank from 0 on the sum of what follows.
func tails(terms []float64) []float64 {
	out := make([]float64, len(terms)+1)
	for r := len(terms) - 1; r >= 0; r-- { // smallest first loses the least to rounding
		out[r] = out[r+1] + terms[r]
	}
	return out
}

// svdFloor bounds all chains by the matrix of a group's outputs and its whole inputs.
func svdFloor(b linalg.Backend, k Kernel, m Metric) (Floor, Spectrum, error) {
	if m.In == nil && m.Sample == nil && m.Diagonal == nil && m.Out == nil && m.Pullback == nil {
		f, err := plainFloor(b, k, "svd", svdFactors, func(w *linalg.Matrix) *linalg.Matrix { return w })
		return f, nil, err
	}
	made, err := svdFactor(b, k, m)
	if err != nil {
		return Floor{}, nil, err
	}
	s := made.(*svdSpectrum)
	least := s.losses
	if slices.ContainsFunc(s.groups, func(c components) bool { return c.lifted }) {
		least = make([]float64, len(s.losses))
		for g, c := range s.groups {
			terms := c.terms
			if c.lifted {
				w, out := k.group(g), m.output(g)
				if through := of(m.Pullback, g); through != nil {
					w, out = linalg.Identity(w.Cols), moment{full: through}
				}
				if terms, err = leastTerms(b, w, m.input(g), out); err != nil {
					return Floor{}, nil, err
				}
			}
			axpy(least, 1, tails(terms[:k.FullRank()]))
		}
	}
	return newFloor(k.Shape, svdFactors(k.Shape, Rank{1})[0].Kernel, s.losses, least), s, nil
}

// plainFloor is the floor of the weights alone, for which no vectors are needed: cut lays out a group's matrix between the two
// sides of a method. The Gram matrix squares the condition: digits of what the smallest values add up to are lost, and nothing
// is decided by them.
func plainFloor(b linalg.Backend, k Kernel, method string, factors func(Shape, Rank) Chain, cut func(*linalg.Matrix) *linalg.Matrix) (Floor, error) {
	groups, err := groupsOf(method, k, Metric{}, func(_ int, w *linalg.Matrix) ([]float64, error) {
		w, scale := normalized(cut(w))
		wide := w.Rows <= w.Cols
		values, err := b.SymEigValues(b.Mul(!wide, wide, 1, w, w))
		slices.Reverse(values)
		for i, v := range values {
			values[i] = math.Ldexp(max(v, 0), 2*scale)
		}
		return tails(values), err
	})
	if err != nil {
		return Floor{}, err
	}
	losses := make([]float64, len(groups[0]))
	for _, g := range groups {
		axpy(losses, 1, g)
	}
	return newFloor(k.Shape, factors(k.Shape, Rank{1})[0].Kernel, losses, losses), nil
}

// leastTerms returns the eigenvalues of G^½ W A Wᵀ G^½, or those of A^½ Wᵀ G W A^½ that are as many, falling. Unlike those of
// factorize they are of the metric as it is, with nothing lifted that an inverse would need.
func leastTerms(b linalg.Backend, w *linalg.Matrix, a, g moment) ([]float64, error) {
	if w.Rows > w.Cols {
		w, a, g = w.T(), g, a
	}
	root, err := whiten(b, g.matrix(b), rootLift)
	if err != nil {
		return nil, err
	}
	x := w.Clone()
	if root.root != nil {
		x = b.Mul(false, false, 1, root.root, w)
	}
	_, terms, err := diagonalize(b, x, a, x.Rows)
	if err == nil && root.root == nil && !g.identity() {
		clear(terms)
	}
	return terms, err
}

// floor bounds all chains by the matrix of the two sides between which the pair is cut, where it is a singular value
// decomposition.
func (p pair) floor(b linalg.Backend, k Kernel, m Metric) (Floor, Spectrum, error) {
	if m.Out == nil {
		l, err := p.layout(k.Shape)
		if err != nil {
			return Floor{}, nil, err
		}
		f, err := plainFloor(b, k, p.name, p.factors, func(w *linalg.Matrix) *linalg.Matrix { return byTap(l.columns(w), l.taps) })
		return f, nil, err
	}
	s, err := p.spectrum(b, k, m)
	if err != nil {
		return Floor{}, nil, err
	}
	losses := make([]float64, s.groups[0].full()+1)
	for i, g := range s.groups {
		if err := g.prepare(); err != nil {
			return Floor{}, nil, refused(p.name, nil, i, k.Shape, err)
		}
		for r, v := range tails(g.squares) {
			losses[r] += g.unit(v)
		}
	}
	return newFloor(k.Shape, p.factors(k.Shape, Rank{1})[0].Kernel, losses, losses), s, nil
}

// closed says whether a pair is a singular value decomposition under a metric.
func (p pair) closed(m Metric) bool {
	return !slices.ContainsFunc(m.In, func(a *linalg.Matrix) bool { return a != nil }) && m.Sample == nil && m.Diagonal == nil && m.Pullback == nil
}
