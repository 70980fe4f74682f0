package compress

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// turning is how the channels of an axis' heads are turned before some are left out, so that the first of each say the most.
type turning struct {
	heads   int
	outputs []turnedSite // what computes the channels
	inputs  []turnedSite // what reads them
}

// turnedSite is a site with the turn of its outputs, or of its inputs.
type turnedSite struct {
	site *rewrite.Site
	turn decomp.Turn
}

// turned finds how an axis' heads are to be turned, and turns what reads them. It is nil for an axis without heads, and where what
// computes them has no place for another bias.
func (f *factoring) turned(axis *rewrite.Axis, readers []decomp.Reader) (*turning, error) {
	heads, ok := axis.Heads()
	if !ok {
		return nil, nil
	}
	if _, ok := heads.Producer.Addend(); !ok {
		return nil, nil
	}
	list := make([]decomp.HeadReader, len(readers))
	for i, r := range heads.Readers {
		list[i] = decomp.HeadReader{Reader: readers[i], Heads: r.Channels, Of: r.Of}
	}
	by, err := decomp.TurnHeads(f.env.Algebra, len(heads.Channels), list)
	if err != nil {
		return nil, err
	}
	t := &turning{heads: len(by), outputs: []turnedSite{{heads.Producer, decomp.Turn{Channels: heads.Channels, By: by}}}}
	for i, r := range heads.Readers {
		turn := decomp.Turn{Channels: r.Channels}
		for _, head := range r.Of {
			turn.By = append(turn.By, by[head])
		}
		t.inputs = append(t.inputs, turnedSite{r.Site, turn})
		readers[i].Kernel = turn.Inputs(f.env.Algebra, readers[i].Kernel)
		readers[i].Metric = turn.InputMetric(f.env.Algebra, readers[i].Metric)
	}
	return t, nil
}

// inOrder are n units, the first to stay longest.
func inOrder(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// ground is what narrowings act on: the model itself or, where heads become narrower, one that computes the same with these turned, and
// what its sites offer. They have the numbers of those of the model itself.
type ground struct {
	a    *Analysis
	of   *Offers
	list []rewrite.Narrowing
}

// ground finds what narrowings of the model's axes act on. It lasts as long as the offers.
func (of *Offers) ground(a *Analysis, o Options, list []rewrite.Narrowing) (*ground, error) {
	var turns []*turning
	var names []string
	for _, n := range list {
		for i := range of.axes {
			if x := &of.axes[i]; x.axis == n.Axis && x.turn != nil {
				turns, names = append(turns, x.turn), append(names, n.Axis.Name)
			}
		}
	}
	if len(turns) == 0 {
		return &ground{a, of, list}, nil
	}
	g, err := of.store.ground(strings.Join(names, "\x00"), func() (*ground, error) { return of.turn(a, o, turns) })
	if err != nil {
		return nil, fmt.Errorf("%s: turning the heads of %s: %w", a.model.Path, strings.Join(names, ", "), err)
	}
	here := &ground{a: g.a, of: of.on(g)}
	for _, n := range list {
		i := slices.IndexFunc(g.a.Axes, func(x rewrite.Axis) bool { return x.Name == n.Axis.Name })
		if i < 0 {
			return nil, fmt.Errorf("%s: axis %q is no axis any more with its heads turned; please report this", a.model.Path, n.Axis.Name)
		}
		here.list = append(here.list, rewrite.Narrowing{Axis: &g.a.Axes[i], Keep: n.Keep})
	}
	return here, nil
}

// on are the offers as they are now, of the sites of a model with turned heads.
func (of *Offers) on(g *ground) *Offers {
	next := *of
	next.store, next.sites = g.of.store, slices.Clone(of.sites)
	for k := range next.sites {
		next.sites[k].seen = g.of.sites[k].seen
	}
	return &next
}

// turn makes the model in which heads are turned, and what its sites saw.
func (of *Offers) turn(a *Analysis, o Options, turns []*turning) (*ground, error) {
	store, err := of.store.beside(o.Memory)
	if err != nil {
		return nil, err
	}
	w := &turner{b: of.store.algebra, of: of, folds: map[string]rewrite.Fold{}, seen: map[string]*seen{}, store: store}
	for _, t := range turns {
		if err := w.add(a, t); err != nil {
			return nil, err
		}
	}
	m, err := rewrite.Narrow(a.model, nil, w.folds)
	if err != nil {
		return nil, err
	}
	g := &ground{of: &Offers{store: store, sites: slices.Clone(of.sites)}}
	if g.a, err = a.beside(m, nil); err != nil {
		return nil, err
	}
	if g.a.Axes, _, err = rewrite.Axes(m, g.a.Shapes); err != nil {
		return nil, err
	}
	for k := range g.of.sites {
		s := *of.sites[k].seen
		if turned := w.seen[s.site.Name]; turned != nil {
			s = *turned
		}
		s.site = g.a.Sites[k]
		g.of.sites[k].seen = &s
	}
	return g, nil
}

// turner gathers what becomes of the sites at which heads are turned.
type turner struct {
	b     linalg.Backend
	of    *Offers
	folds map[string]rewrite.Fold
	seen  map[string]*seen
	store *store
}

// add turns the heads of one axis.
func (w *turner) add(a *Analysis, t *turning) error {
	for _, o := range t.outputs {
		kernel, err := w.kernel(o.site)
		if err != nil {
			return err
		}
		fold := rewrite.Fold{Kernel: o.turn.Outputs(w.b, kernel), Site: o.site, Shift: w.folds[o.site.Name].Shift}
		if adds, _ := o.site.Addend(); adds != nil {
			fold.Shift = o.turn.Vector(w.b, adds)
			for i, v := range adds {
				fold.Shift[i] -= v
			}
		}
		w.folds[o.site.Name] = fold
		if at := a.numbered(o.site); at >= 0 {
			if err := w.sees(at, func(m decomp.Metric, _ *seen) decomp.Metric { return o.turn.OutputMetric(w.b, m) }); err != nil {
				return err
			}
		}
	}
	for _, i := range t.inputs {
		kernel, err := w.kernel(i.site)
		if err != nil {
			return err
		}
		fold := w.folds[i.site.Name]
		fold.Kernel, fold.Site = i.turn.Inputs(w.b, kernel), i.site
		w.folds[i.site.Name] = fold
		err = w.sees(a.numbered(i.site), func(m decomp.Metric, s *seen) decomp.Metric {
			if s.mean != nil {
				s.mean = [][]float64{i.turn.Vector(w.b, s.mean[0])}
			}
			return i.turn.InputMetric(w.b, m)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// kernel is that of a site as it is so far.
func (w *turner) kernel(s *rewrite.Site) (decomp.Kernel, error) {
	if fold, ok := w.folds[s.Name]; ok {
		return fold.Kernel, nil
	}
	return s.Load()
}

// sees changes what a site saw.
func (w *turner) sees(at int, change func(decomp.Metric, *seen) decomp.Metric) error {
	before := w.of.sites[at].seen
	s := *before
	if now := w.seen[s.site.Name]; now != nil {
		s = *now
	}
	metric, err := w.store.put(s.site.Name, change(w.store.metric(s.site.Name), &s))
	s.output, s.floors, s.refused = metric.Out, nil, nil
	w.seen[s.site.Name] = &s
	return err
}

// close releases the model, which only shares the maps of the original, and what is kept of its sites.
func (g *ground) close() {
	g.of.close()
	_ = g.a.model.Close()
}
