package decomp

import "github.com/onnx-compress/onnx-compress/linalg"

// tuckerGroup is one group's kernel, from which factors of any pair of ranks can be made.
//
// Under a metric the head of a pair is that of svd-in, which loses least where the outputs are free: given it, the
// best of what comes behind is known for every r2 at once, and little is won by a head of their own.
type tuckerGroup struct {
	*split
	size   tuckerSize
	basis  *pairGroup
	output whitening   // of G, lifted
	plain  *orthogonal // where A is the identity, else nil
	heads  map[int]opened
	found  answers[[2]int, tuckerFit] // of the iteration
}

// tuckerFit is W' = out · core · (head ⊗ I).
type tuckerFit struct {
	head *linalg.Matrix // P [r1, C]
	core *linalg.Matrix // Z [r2, r1·taps]; nil, with out, to be solved for when they are asked for
	out  *linalg.Matrix // U [O, r2]
	loss float64        // in the units of the split
	// subspaces are what the other two are made of, where A is the identity and they tell all.
	subspaces *iterated
}

func (f tuckerFit) lost() float64 { return f.loss }

func newTuckerGroup(basis *pairGroup, size tuckerSize) (*tuckerGroup, error) {
	g := &tuckerGroup{split: basis.split, basis: basis, size: size, heads: map[int]opened{}}
	var err error
	if g.output, err = basis.output(); err == nil && g.in == nil {
		g.plain, err = basis.turned()
	}
	return g, err
}

// lossAt returns what the factors of a pair lose.
func (g *tuckerGroup) lossAt(r [2]int) (float64, error) {
	if r == g.size.most {
		return 0, nil
	}
	if g.plain != nil {
		return g.found.loss(r, g.iterated)
	}
	o, err := known(g.heads, r[0], func() (opened, error) {
		v, err := g.basis.behindHead(r[0])
		if err != nil {
			return opened{}, err
		}
		f, err := g.leaves(g.output, v)
		return opened{head: v.head, worth: f.worth}, err // the rest takes too much room
	})
	if err != nil {
		return 0, err
	}
	if loss := g.energy - o.kept(r[1]); loss > cancels*g.energy {
		return loss, nil
	}
	f, err := g.whole(tuckerFit{head: o.head}, r[1])
	return f.loss, err
}

// at returns the factors of a pair.
func (g *tuckerGroup) at(r [2]int) (tuckerFit, error) {
	if r == g.size.most {
		return g.exact(), nil
	}
	if g.plain != nil {
		f, err := g.found.factors(r, g.iterated)
		if err != nil {
			return f, err
		}
		return g.whole(f, r[1])
	}
	if _, err := g.lossAt(r); err != nil {
		return tuckerFit{}, err
	}
	return g.whole(tuckerFit{head: g.heads[r[0]].head}, r[1])
}

func (g *tuckerGroup) held() []*linalg.Matrix {
	g.found.forget()
	return g.basis.held()
}

// iterated returns the factors of a pair where A is the identity. Where so little is lost that the energy does not tell
// how much, only the head is taken from the iteration.
func (g *tuckerGroup) iterated(r [2]int) (tuckerFit, error) {
	f, err := g.plain.iterate(r[0], r[1], mostIterations)
	if err != nil {
		return tuckerFit{}, err
	}
	fit := tuckerFit{head: g.plain.headOf(f.head, r[0]), subspaces: &f}
	if fit.loss = g.energy - (opened{worth: g.plain.worth(f.out, g.output)}).kept(r[1]); fit.loss > cancels*g.energy {
		return fit, nil
	}
	return g.whole(tuckerFit{head: fit.head}, r[1])
}

// exact returns the factors of the full pair, two of which only sort.
func (g *tuckerGroup) exact() tuckerFit {
	switch {
	case g.width > g.rows*g.taps:
		return tuckerFit{head: byTap(g.w, g.taps), core: fromTaps(linalg.Identity(g.rows*g.taps), g.taps), out: linalg.Identity(g.rows)}
	case g.rows > g.width*g.taps:
		return tuckerFit{head: linalg.Identity(g.width), core: linalg.Identity(g.width * g.taps), out: g.w}
	}
	return tuckerFit{head: linalg.Identity(g.width), core: g.w, out: linalg.Identity(g.rows)}
}

// whole returns factors with those that were left to be solved for, and the loss of all.
func (g *tuckerGroup) whole(f tuckerFit, r2 int) (tuckerFit, error) {
	if f.core != nil {
		return f, nil
	}
	if f.subspaces != nil {
		core, out := g.plain.tail(*f.subspaces, f.head.Rows, r2)
		f.core, f.out = core, times(g.b, g.output.inverse, out)
		return f, nil
	}
	o, err := g.leaves(g.output, g.through(f.head))
	if err != nil {
		return f, err
	}
	f.core, f.out = o.tail(g.b, g.output, r2)
	if f.loss = g.energy - o.kept(r2); f.loss <= cancels*g.energy {
		f.loss = g.exactLoss(o.seen, g.b.Mul(false, false, 1, f.out, f.core))
	}
	return f, nil
}

// resolve returns the best of what comes of a given head, of the group's own, and of a given head and core.
func (g *tuckerGroup) resolve(head, core *linalg.Matrix) (tuckerFit, error) {
	r := [2]int{head.Rows, core.Rows}
	if r == g.size.most {
		return g.exact(), nil
	}
	best := tuckerFit{head: head, core: core}
	var err error
	if best.out, best.loss, err = g.last(g.through(head), core); err != nil {
		return best, err
	}
	own, err := g.at(r)
	if err != nil {
		return best, err
	}
	if g.plain == nil {
		f, err := g.basis.lower(head, g.refitEffort(r[0]))
		if err != nil {
			return best, err
		}
		head = f.head
	}
	moved, err := g.whole(tuckerFit{head: head}, r[1])
	if err != nil {
		return best, err
	}
	for _, f := range []tuckerFit{own, moved} {
		if f.loss < best.loss {
			best = f
		}
	}
	return best, nil
}
