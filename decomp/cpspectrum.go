package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// cpSpectrum finds the terms of a rank when it is first asked for them.
type cpSpectrum struct {
	scheme cpScheme
	shape  Shape
	groups []*cpGroup
}

func (c cpScheme) factor(b linalg.Backend, k Kernel, m Metric) (Spectrum, error) {
	s, err := c.spectrum(b, k, m)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (c cpScheme) spectrum(b linalg.Backend, k Kernel, m Metric) (*cpSpectrum, error) {
	if err := c.accepts(k.Shape); err != nil {
		return nil, err
	}
	groups, err := groupsOf(c.name, k, m, func(g int, w *linalg.Matrix) (*cpGroup, error) {
		group, err := newModeGroup(b, w, k.In/k.Groups, c.modes(k.Shape), of(m.In, g), of(m.Out, g))
		return &cpGroup{modeGroup: group, rungs: c.rungs(k.Shape, 1), exact: c.exactRank(k.Shape), found: map[int]cpFound{}}, err
	})
	if err != nil {
		return nil, err
	}
	return &cpSpectrum{scheme: c, shape: k.Shape, groups: groups}, nil
}

func (s *cpSpectrum) Energy() float64 { return energyOf(s.groups) }

// at returns the terms of all groups at a rank, and their loss.
func (s *cpSpectrum) at(r Rank) ([]cpFound, float64, error) {
	n, err := s.scheme.rank(s.shape, r)
	if err != nil {
		return nil, 0, err
	}
	var all []cpFound
	loss := 0.0
	for i, g := range s.groups {
		f, err := g.at(n)
		if err != nil {
			return nil, 0, refused(s.scheme.name, r, i, s.shape, err)
		}
		all, loss = append(all, f), loss+math.Ldexp(f.loss, g.lossBy)
	}
	if math.IsInf(loss, 1) {
		return nil, 0, &RefusedError{Method: s.scheme.name, Rank: r, Reason: "no terms were found that lose less than a kernel of zeros"}
	}
	return all, loss, nil
}

func (s *cpSpectrum) Loss(r Rank) (float64, error) {
	_, loss, err := s.at(r)
	return loss, err
}

func (s *cpSpectrum) Chain(r Rank) (Chain, error) {
	all, _, err := s.at(r)
	if err != nil {
		return nil, err
	}
	chain := s.scheme.factors(s.shape, r)
	for i, g := range s.groups {
		g.append(chain, all[i].terms)
	}
	return chain, nil
}

// append adds one group's terms to the weights of a chain.
func (c *cpGroup) append(chain Chain, x cpTerms) {
	c.write(chain, append(x.inner(), x.out.T()))
}

// terms is the reverse of append: the terms of one group of a chain, for a kernel of this group's scale.
func (c *cpGroup) terms(chain Chain, group, rank int) cpTerms {
	all := make([]*linalg.Matrix, len(chain))
	for i, f := range chain {
		rows, cols := rank, len(f.Kernel.Weights)/f.Kernel.Out
		if i == len(chain)-1 {
			rows, cols = c.w.Rows, rank
		}
		all[i] = c.read(chain, i, group, rows, cols)
	}
	last := len(all) - 1
	return cpOf(append([]*linalg.Matrix{all[last].T()}, all[:last]...))
}

// refined improves terms in whitened coordinates that are near their best.
func (c *cpGroup) refined(x cpTerms) (cpTerms, error) {
	if c.space.metric == nil {
		var err error
		if x, err = c.swept(x); err != nil {
			return x, err
		}
	}
	return c.fitted(x, refitWork, refits)
}

// refit improves the terms of a chain on another kernel. It never returns worse ones.
func (c cpScheme) refit(b linalg.Backend, target Kernel, m Metric, start Chain) (Chain, error) {
	s, err := c.spectrum(b, target, m)
	if err != nil {
		return nil, err
	}
	var r Rank
	if len(start) > 0 {
		r = Rank{start[0].Kernel.Out / target.Groups}
	}
	chain := c.factors(target.Shape, r)
	if err := sameSizes(c.name, start, chain, target.Shape); err != nil {
		return nil, err
	}
	for i, g := range s.groups {
		x := g.terms(start, i, r[0])
		best := cpFound{terms: x, loss: g.lossOf(x.out, x.columns())}
		better, err := g.refined(g.whitened(x))
		if err != nil && !unanswered(err) {
			return nil, refused(c.name, r, i, target.Shape, err)
		}
		if err == nil {
			if f := g.measured(better); f.loss < best.loss {
				best = f
			}
		}
		best.terms.even()
		g.append(chain, best.terms)
	}
	return chain, nil
}
