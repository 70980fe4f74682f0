package decomp

import (
	"fmt"
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// ttSpectrum finds the trains of a rank when it is first asked for them.
type ttSpectrum struct {
	shape  Shape
	groups []*ttGroup
	found  map[string]ttRung
}

// ttRung is the trains of all groups at one rank.
type ttRung struct {
	trains []train
	loss   float64
}

func ttFactor(b linalg.Backend, k Kernel, m Metric) (Spectrum, error) {
	s, err := newTTSpectrum(b, k, m)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func newTTSpectrum(b linalg.Backend, k Kernel, m Metric) (*ttSpectrum, error) {
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
	return &ttSpectrum{shape: k.Shape, groups: groups, found: map[string]ttRung{}}, nil
}

func (s *ttSpectrum) Energy() float64 { return energyOf(s.groups) }

// at returns the trains of all groups at a rank.
func (s *ttSpectrum) at(r Rank) (ttRung, error) {
	if err := ttCheck(s.shape, r); err != nil {
		return ttRung{}, err
	}
	key := fmt.Sprint(r)
	if known, ok := s.found[key]; ok {
		return known, nil
	}
	rung := ttRung{}
	for i, g := range s.groups {
		f, err := g.at(r)
		if err != nil {
			return rung, refused("tt", r, i, s.shape, err)
		}
		rung.trains = append(rung.trains, f.train)
		rung.loss += math.Ldexp(f.loss, g.lossBy)
	}
	if math.IsInf(rung.loss, 1) {
		return rung, &RefusedError{Method: "tt", Rank: r, Reason: "the factors are not finite"}
	}
	s.found[key] = rung
	return rung, nil
}

func (s *ttSpectrum) Loss(r Rank) (float64, error) {
	rung, err := s.at(r)
	return rung.loss, err
}

func (s *ttSpectrum) Chain(r Rank) (Chain, error) {
	rung, err := s.at(r)
	if err != nil {
		return nil, err
	}
	chain := ttFactors(s.shape, r)
	for i, g := range s.groups {
		g.append(chain, rung.trains[i])
	}
	return chain, nil
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
	var r Rank
	for _, f := range start[:max(len(start)-1, 0)] {
		r = append(r, f.Kernel.Out/target.Groups)
	}
	chain := ttFactors(target.Shape, r)
	if err := sameSizes("tt", start, chain, target.Shape); err != nil {
		return nil, err
	}
	for i, g := range s.groups {
		x := g.train(start, i)
		best := ttFound{train: x.even(), loss: g.lossOf(x.last, x.columns(b))}
		better, err := g.improved(g.turned(x, func(w whitening) *linalg.Matrix { return w.root }))
		if err != nil && !unanswered(err) {
			return nil, refused("tt", r, i, target.Shape, err)
		}
		if err == nil {
			if f := g.measured(better); f.loss < best.loss {
				best = f
			}
		}
		g.append(chain, best.train)
	}
	return chain, nil
}

// sameSizes reports a chain to refit that is none of the method's for the shape.
func sameSizes(method string, start, wanted Chain, s Shape) error {
	if wanted == nil || len(start) != len(wanted) {
		return fmt.Errorf("decomp: %s refit of a chain of %d factors that it does not give for a %v kernel", method, len(start), s)
	}
	for i, f := range start {
		if f.Kernel.String() != wanted[i].Kernel.String() {
			return fmt.Errorf("decomp: %s refit of a chain whose factor %d is %v, wanted %v", method, i, f.Kernel.Shape, wanted[i].Kernel.Shape)
		}
		if err := f.Kernel.Check(); err != nil {
			return fmt.Errorf("decomp: %s refit: factor %d: %w", method, i, err)
		}
	}
	return nil
}
