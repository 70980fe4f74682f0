package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// fit lowers the loss under the metric from x: with D always the best for the others (variable projection, Golub and
// Pereyra, SIAM J. Numer. Anal. 10, 1973), it descends in all others together. It returns x with a better D where
// nothing else helps.
func (s *modeSpace) fit(x cpTerms, evaluations int) (cpTerms, error) {
	x = x.clone()
	limit := cpLastBound * s.energy
	x.even()
	wanted := s.wanted()
	energy := dot(wanted.Data, s.target.Data)
	free := cpTerms{out: linalg.New(x.out.Rows, 0), in: x.in, window: x.window}
	at, _, err := descend(flat(free.all()), effort{evaluations: evaluations, gain: 1e-4}, func(numbers []float64) (float64, []float64, error) {
		y := cpOf(unflat(free.all(), numbers))
		v, err := s.bestLast(y.columns(), math.Inf(1))
		if err != nil {
			return 0, nil, err
		}
		if y.out = v.out; y.size() > limit {
			return 0, nil, &boundError{}
		}
		return energy - dot(v.out.Data, v.right.Data), y.ontoFactors(free.out, s.slope(v, wanted)), nil
	})
	if err == nil {
		better := cpOf(unflat(free.all(), at))
		better.out = linalg.New(x.out.Rows, x.out.Cols)
		if err = s.finish(better); err == nil {
			return better, nil
		}
	}
	if unanswered(err) {
		return x, s.finish(x) // D is the best within the bound, but without it another is
	}
	return x, err
}

// finish sets D to its best under the metric.
func (s *modeSpace) finish(x cpTerms) error {
	for _, m := range x.inner() {
		unitRows(m, x.out)
	}
	v, err := s.bestLast(x.columns(), cpLastBound*s.energy)
	if err == nil {
		copy(x.out.Data, v.out.Data)
	}
	return err
}

// ontoFactors carries the derivative by the columns [r, K] over to the vectors that they are products of.
func (x cpTerms) ontoFactors(none, slope *linalg.Matrix) []float64 {
	g := cpTerms{out: none, in: overLast(slope, x.taps())}
	slope = overFirst(slope, x.in)
	for i := range x.window {
		g.window = append(g.window, x.overOthers(slope, i))
	}
	return flat(g.all())
}
