package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// FactorPart factors one part of the sites of m, under the statistics that o.Stats names, and writes what it found to a file, which
// Options.Offers takes together with those of the other parts: what methods lose, with the factors of those in closed form, and in which
// order units leave axes. Sites and axes are dealt out by the arithmetic that they take. Every part is given the same options. A file that is
// there is left as it is where it holds the same, and else replaced, if it is one of a part.
//
// Errors: *UsageError for options that cannot be and for statistics of another calibration, the context's error when it ends first.
func FactorPart(ctx context.Context, env *Environment, m *onnxio.Model, o Options, p ShardPart, path string) (done Sharded, err error) {
	if err := o.checkPart(m, p); err != nil {
		return done, err
	}
	if o.Stats == "" {
		return done, &UsageError{Err: fmt.Errorf("the statistics to factor by are not named; give those that were merged with %s", OptionStats)}
	}
	o.FromPlan, o.Offers = nil, nil
	env, o = env.afresh(), o.WithDefaults()
	o.Source = o.kept()
	err = feed.OneByOne(o.Batch, func(batch int) (err error) {
		o.Batch = batch
		done, err = o.factorPart(ctx, env, m, p, path)
		return err
	})
	return done, err
}

func (o Options) factorPart(ctx context.Context, env *Environment, m *onnxio.Model, p ShardPart, path string) (done Sharded, err error) {
	o, a, err := o.analysedForPart(ctx, env, m)
	if err != nil {
		return done, err
	}
	stats, err := openMerged(ctx, env, a, o)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, stats.close()) }()
	return o.factorUnder(ctx, env, a, stats, p, path)
}

// openMerged opens the statistics that a part of a factoring goes by. It takes their word for which samples they are of but for the first ones: what
// writes the model reads all, and refuses a part under other statistics.
func openMerged(ctx context.Context, env *Environment, a *Analysis, o Options) (*statsFile, error) {
	fail := func(err error) (*statsFile, error) { return nil, fmt.Errorf("statistics %s: %w", o.Stats, err) }
	key, err := newPartKey(ctx, env, a, o)
	if err != nil {
		return fail(err)
	}
	said, err := statsHeadAt(o.Stats)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	_, data := said.key.apart()
	s := &statsFile{path: o.Stats, key: key.on(data)}
	there, err := readStatsFile(ctx, o.Stats, s.key)
	if err != nil {
		return fail(err)
	}
	if there == nil {
		return nil, s.wanted()
	}
	there.key = s.key
	return there, nil
}

// factorUnder writes what a part finds under statistics.
func (o Options) factorUnder(ctx context.Context, env *Environment, a *Analysis, stats *statsFile, p ShardPart, path string) (done Sharded, err error) {
	key, err := offersKey(stats, o)
	if err != nil {
		return done, err
	}
	head := partHead{Key: key, Part: p}.bytes(offersMagic)
	s := a.portion(p)
	done.Sites = s.sites
	if done.Found, err = foundSealed(ctx, path, offersMagic, head); err != nil || done.Found {
		return done, err
	}
	to, err := writeSealed(path, head)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	f := newFactoring(env, a, o)
	f.portion, f.stats = s, stats
	if s.shelf, err = newShelf(o.Memory); err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, s.shelf.Close()) }()
	err = f.run(ctx)
	if f.out.store != nil {
		defer f.out.close()
	}
	if err == nil {
		err = f.findRanks(ctx)
	}
	if err == nil {
		err = f.out.store.found.write(to, a, s)
	}
	if err != nil {
		return done, err
	}
	return done, to.commit(ctx)
}

// portion is what a part has of the sites and axes. The nil portion has all.
type portion struct {
	sites int          // how many it has
	of    []bool       // by site, whether it has it
	axes  []bool       // by axis
	also  map[int]bool // sites that its axes read or are read by
	shelf *shelf       // where factors wait for the file
}

// has tells whether a site is one of the part's.
func (s *portion) has(site int) bool { return s == nil || s.of[site] }

// hasAxis tells the same of an axis.
func (s *portion) hasAxis(axis int) bool { return s == nil || s.axes[axis] }

// reads tells whether a part needs what was seen at a site.
func (s *portion) reads(site int) bool { return s.has(site) || s.also[site] }

// unseen stands for the offer of a site that another part has.
func (a *Analysis) unseen(site int) offer {
	s := &a.Sites[site]
	return offer{ratio: 1, options: []option{dense(s)}, seen: &seen{site: *s, positions: 1, blind: true}}
}

// portion deals out the sites and axes by arithmetic, the largest first, each to the part that has the least so far. It hangs on the model and
// the number of parts alone. Axes whose heads are turned are left to whoever narrows them.
func (a *Analysis) portion(p ShardPart) *portion {
	type item struct {
		site, axis int // one of them, the other -1
		work       float64
	}
	var all []item
	for k := range a.Sites {
		all = append(all, item{k, -1, a.factoringWork(&a.Sites[k])})
	}
	for i := range a.Axes {
		if !turns(&a.Axes[i]) {
			all = append(all, item{-1, i, eliminationWork(&a.Axes[i])})
		}
	}
	slices.SortStableFunc(all, func(x, y item) int { return cmp.Compare(y.work, x.work) })
	taken := make([]float64, p.Of)
	s := &portion{of: make([]bool, len(a.Sites)), axes: make([]bool, len(a.Axes)), also: map[int]bool{}}
	for _, one := range all {
		part := 0
		for i, w := range taken {
			if w < taken[part] {
				part = i
			}
		}
		taken[part] += one.work
		switch {
		case part != p.Index-1:
		case one.site >= 0:
			s.of[one.site] = true
			s.sites++
		default:
			s.axes[one.axis] = true
			for _, port := range slices.Concat(a.Axes[one.axis].Readers, a.Axes[one.axis].Producers) {
				if k := a.numbered(port.Site); k >= 0 {
					s.also[k] = true
				}
			}
		}
	}
	return s
}

// turns tells whether an axis may have heads to turn.
func turns(axis *rewrite.Axis) bool {
	if _, heads := axis.Heads(); heads {
		return true
	}
	_, pairs := axis.Pairs()
	return len(axis.Products) > 0 && pairs
}

// descents is about how many products of a kernel with a moment of its inputs a method takes at a site that is in no closed form: it descends at
// several ranks. ResNet-20 takes 160 of them, SqueezeNet 100.
const descents = 128

// factoringWork is about what it takes to factor a site by all methods that take it.
func (a *Analysis) factoringWork(s *rewrite.Site) float64 {
	closed, sought := a.methodsWork(s)
	return closed + sought
}

// methodsWork is what methods in closed form take of that, an eigenproblem of the smaller side and products, and what those that descend do.
func (a *Analysis) methodsWork(s *rewrite.Site) (closed, sought float64) {
	small, one := float64(min(s.Kernel.Rows(), s.Kernel.Cols())), product(s.Kernel)
	if s.View.Kind == rewrite.TableRows { // whose moment is a diagonal: what is left is to multiply it with itself
		one = small * small * float64(max(s.Kernel.Rows(), s.Kernel.Cols()))
	}
	closed = one
	for i := range a.methods {
		switch m := &a.methods[i]; {
		case m.Accepts(s.Kernel) != nil:
		case m.Closed != nil:
			closed += one + 10*float64(s.Kernel.Groups)*small*small*small
		default:
			sought += descents * one
		}
	}
	return closed, sought
}

// eliminationWork is about what it takes to find the order in which units leave an axis.
func eliminationWork(axis *rewrite.Axis) float64 {
	work := 0.0
	for _, p := range axis.Readers {
		work += float64(axis.Units) * float64(p.Site.Kernel.Cols()) * float64(p.Site.Kernel.Cols())
	}
	return work
}

// findRanks finds what the methods that are not in closed form lose, at the ranks of the part's sites that could be worth choosing: those that, at
// what they need of multiply-adds or of parameters, may lose less than what lies between two ranks that are known. Whatever else turns out to be
// wanted is found by what chooses.
func (f *factoring) findRanks(ctx context.Context) error {
	if f.o.eight != nil {
		return nil // where more than losses is wanted
	}
	return f.env.stage(ctx, "factor", func(st *stage) error {
		for {
			var asked []*inquiry
			for k := range f.out.sites {
				if m, open := f.a.worthKnowing(&f.out.sites[k]); f.portion.has(k) && len(open) > 0 {
					asked = append(asked, &inquiry{site: k, method: m, open: open})
				}
			}
			if len(asked) == 0 {
				return nil
			}
			var err error
			if f.out, err = f.out.answer(ctx, st, f.a, asked); err != nil {
				return err
			}
		}
	})
}

// worthKnowing are the open options that could be worth choosing, of the first method that has any.
func (a *Analysis) worthKnowing(o *offer) (*decomp.Method, []option) {
	if len(o.open) == 0 {
		return nil, nil
	}
	macs := hullOf(o.options, func(c option) float64 { return float64(c.macs) })
	params := hullOf(o.options, func(c option) float64 { return float64(c.params) })
	for _, m := range a.inTurn() {
		var out []option
		for _, c := range o.openOf(m) {
			if macs.below(float64(c.macs), c.loss) || params.below(float64(c.params), c.loss) {
				out = append(out, c)
			}
		}
		if len(out) > 0 {
			return m, out
		}
	}
	return nil, nil
}

// hull is the lower edge of what is known at a site: points of rising cost and falling loss, each of which is the best at some price.
type hull [][2]float64

func hullOf(options []option, cost func(option) float64) hull {
	var points hull
	for _, c := range options {
		points = append(points, [2]float64{cost(c), c.loss})
	}
	slices.SortFunc(points, func(p, q [2]float64) int { return cmp.Or(cmp.Compare(p[0], q[0]), cmp.Compare(p[1], q[1])) })
	var out hull
	for _, p := range points {
		for n := len(out); n > 0; n-- {
			if q := out[n-1]; n > 1 && (q[1]-out[n-2][1])*(p[0]-out[n-2][0]) >= (p[1]-out[n-2][1])*(q[0]-out[n-2][0]) {
				out = out[:n-1] // it lies above the line between its neighbours
				continue
			}
			break
		}
		if n := len(out); n == 0 || p[1] < out[n-1][1] {
			out = append(out, p)
		}
	}
	return out
}

// below tells whether a point of a cost and a loss lies below the edge, or is cheaper than all of it.
func (h hull) below(cost, loss float64) bool {
	i := slices.IndexFunc(h, func(p [2]float64) bool { return p[0] > cost })
	switch {
	case i == 0:
		return true
	case i < 0:
		return loss < h[len(h)-1][1]
	}
	p, q := h[i-1], h[i]
	return loss < p[1]+(q[1]-p[1])*(cost-p[0])/(q[0]-p[0])
}
