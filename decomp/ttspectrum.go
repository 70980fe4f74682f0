package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

func newTTSpectrum(b linalg.Backend, k Kernel, m Metric) (*spectrum[*ttGroup], error) {
	if err := ttAccepts(k.Shape); err != nil {
		return nil, err
	}
	var taps []int
	for _, a := range windowAxes(k.Shape) {
		taps = append(taps, k.Window[a])
	}
	groups, err := groupsOf("tt", k, m, func(g int, w *linalg.Matrix) (*ttGroup, error) {
		group, err := newModeGroup(b, w, k.In/k.Groups, taps, of(m.In, g), of(m.Out, g))
		return newTTGroup(group, ttLimits(k.Shape)), err
	})
	if err != nil {
		return nil, err
	}
	return &spectrum[*ttGroup]{method: "tt", check: ttCheck, factors: ttFactors, hopeless: "the factors are not finite", shape: k.Shape, groups: groups}, nil
}

func (t *ttGroup) loss(r Rank) (float64, error) {
	f, err := t.at(r)
	return math.Ldexp(f.loss, t.lossBy), err
}

func (t *ttGroup) add(chain Chain, r Rank) error {
	f, err := t.at(r)
	if err == nil {
		t.append(chain, f.factors)
	}
	return err
}

// append adds one group's train to the weights of a chain.
func (t *ttGroup) append(chain Chain, x train) {
	factors := []*linalg.Matrix{x.first}
	for i, m := range x.window {
		factors = append(factors, swapped(m, m.Rows/x.taps[i], x.taps[i], m.Cols))
	}
	t.write(chain, append(factors, x.last.T()))
}

// train is the reverse of append: the train of one group of a chain, for a kernel of this group's scale.
func (t *ttGroup) train(chain Chain, group int) train {
	factors := make([]*linalg.Matrix, len(chain))
	for i, f := range chain {
		factors[i] = t.read(chain, i, group, f.Kernel.Rows(), f.Kernel.Cols())
	}
	last := len(factors) - 1
	out := train{first: factors[0], last: factors[last].T(), taps: t.space.window}
	for i, m := range factors[1:last] {
		k := out.taps[i]
		core := swapped(m, m.Rows, m.Cols/k, k)
		out.window = append(out.window, &linalg.Matrix{Rows: m.Rows * k, Cols: m.Cols / k, Data: core.Data})
	}
	return out
}

// ttRefit improves the train of a chain on another kernel. It never returns a worse one.
func ttRefit(b linalg.Backend, target Kernel, m Metric, start Chain) (Chain, error) {
	s, err := newTTSpectrum(b, target, m)
	if err != nil {
		return nil, err
	}
	return s.refit(start, start.ranks(target.Groups), func(t *ttGroup, i int, chain Chain) error {
		x := t.train(start, i)
		best, err := better(found[train]{factors: x.even(), loss: t.lossOf(x.last, x.columns(b))}, func() (train, error) {
			return t.improved(t.rotated(x, func(w whitening) *linalg.Matrix { return w.root }))
		}, t.measured)
		if err == nil {
			t.append(chain, best.factors)
		}
		return err
	})
}
