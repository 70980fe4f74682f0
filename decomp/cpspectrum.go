package decomp

import (
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

func (c cpScheme) spectrum(b linalg.Backend, k Kernel, m Metric) (*spectrum[*cpGroup], error) {
	if err := c.accepts(k.Shape); err != nil {
		return nil, err
	}
	groups, err := groupsOf(c.name, k, m, func(g int, w *linalg.Matrix) (*cpGroup, error) {
		group, err := newModeGroup(b, w, k.In/k.Groups, c.modes(k.Shape), of(m.In, g), of(m.Out, g))
		return &cpGroup{modeGroup: group, work: c.effort.scale(), rungs: c.rungs(k.Shape, 1), exact: c.exactRank(k.Shape), known: map[int]found[cpTerms]{}}, err
	})
	if err != nil {
		return nil, err
	}
	return &spectrum[*cpGroup]{
		method: c.name, check: c.check, factors: c.factors, hopeless: "no terms were found that lose less than a kernel of zeros",
		shape: k.Shape, groups: groups,
	}, nil
}

func (c *cpGroup) loss(r Rank) (float64, error) {
	f, err := c.at(r[0])
	return math.Ldexp(f.loss, c.lossBy), err
}

func (c *cpGroup) add(chain Chain, r Rank) error {
	f, err := c.at(r[0])
	if err == nil {
		c.append(chain, f.factors)
	}
	return err
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
		if x, err = c.swept(x, true, c.work); err != nil {
			return x, err
		}
	}
	return c.fitted(x, refitWork, leastFits, refits, c.work)
}

// refit improves the terms of a chain on another kernel. It never returns worse ones.
func (c cpScheme) refit(b linalg.Backend, target Kernel, m Metric, start Chain) (Chain, error) {
	s, err := c.spectrum(b, target, m)
	if err != nil {
		return nil, err
	}
	r := start.ranks(target.Groups)
	r = r[:min(len(r), 1)] // all are the same
	return s.refit(start, r, func(g *cpGroup, i int, chain Chain) error {
		x := g.terms(start, i, r[0])
		best, err := better(found[cpTerms]{factors: x, loss: g.lossOf(x.out, x.columns())}, func() (cpTerms, error) {
			return g.refined(g.whitened(x))
		}, g.measured)
		if err != nil {
			return err
		}
		best.factors.even()
		g.append(chain, best.factors)
		return nil
	})
}
