package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

func newTTSpectrum(e Effort, b linalg.Backend, k Kernel, m Metric) (*spectrum[*ttGroup], error) {
	if err := ttAccepts(k.Shape); err != nil {
		return nil, err
	}
	basis, err := inputPair(e).spectrum(b, k, m)
	if err != nil {
		return nil, err
	}
	return ttFrom(basis)
}

func ttFrom(basis *spectrum[*pairGroup]) (*spectrum[*ttGroup], error) {
	s := basis.shape
	if err := ttAccepts(s); err != nil {
		return nil, err
	}
	var window []int
	for _, a := range windowAxes(s) {
		window = append(window, s.Window[a])
	}
	groups, err := groupsOn(basis, "tt", func(g *pairGroup) (*ttGroup, error) { return newTTGroup(g, window, ttLimits(s)) })
	if err != nil {
		return nil, err
	}
	return &spectrum[*ttGroup]{method: "tt", check: ttCheck, factors: ttFactors, shape: s, groups: groups}, nil
}

func (t *ttGroup) loss(r Rank) (float64, error) {
	loss, err := t.lossAt(r)
	return t.unit(loss), err
}

func (t *ttGroup) add(chain Chain, r Rank) error {
	f, err := t.at(r)
	if err == nil {
		t.append(chain, f.train)
	}
	return err
}

// append adds one group's train to the weights of a chain, each factor with its part of the scale.
func (t *ttGroup) append(chain Chain, x train) {
	factors := []*linalg.Matrix{x.first}
	for i, m := range x.window {
		factors = append(factors, swapped(m, m.Rows/x.taps[i], x.taps[i], m.Cols))
	}
	factors = append(factors, x.last.T())
	each := math.Exp2(float64(t.scale) / float64(len(factors)))
	for i, f := range factors {
		for _, v := range f.Data {
			chain[i].Kernel.Weights = append(chain[i].Kernel.Weights, v*each)
		}
	}
}

// read returns the factors of one group of a chain for a kernel of this group's scale, the last one apart.
func (t *ttGroup) read(chain Chain, group int) (factors []*linalg.Matrix, last *linalg.Matrix) {
	each := math.Exp2(-float64(t.scale) / float64(len(chain)))
	for _, f := range chain {
		m := f.Kernel.group(group).Clone()
		scaleBy(m.Data, each)
		factors = append(factors, m)
	}
	n := len(factors) - 1
	return factors[:n], factors[n]
}

// ttRefit starts from the factors of a chain but the last, from those but the last two, or from those of a new
// factorization, whatever lies closest.
func ttRefit(e Effort, b linalg.Backend, target Kernel, m Metric, start Chain) (Chain, error) {
	s, err := newTTSpectrum(e, b, target, m)
	if err != nil {
		return nil, err
	}
	r := start.ranks(target.Groups)
	return s.refit(start, r, func(t *ttGroup, i int, chain Chain) error {
		best, err := t.at(r)
		if err != nil {
			return err
		}
		factors, _ := t.read(start, i)
		given, err := t.given(factors)
		if err != nil {
			return err
		}
		if given.loss < best.loss {
			best = given
		}
		t.append(chain, best.train)
		return nil
	})
}
