package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
)

// Factor looks at the sites under what they see of the samples, and gives for each what could be had at the ranks that a
// search looks at first: what it would lose where a method has a closed form, else a bound for that, by which a choice tells
// which factors it has to find. Second moments are summed for one group of sites at a time, as many as the memory limit holds.
// The caller closes the offers; those that come of them later share what they were factored from.
func Factor(ctx context.Context, env *Environment, a *Analysis, o Options) (*Offers, error) {
	f := newFactoring(env, a, o)
	if err := f.run(ctx); err != nil {
		if f.out.store != nil {
			f.out.close()
		}
		return nil, err
	}
	return f.out, nil
}

func newFactoring(env *Environment, a *Analysis, o Options) *factoring {
	return &factoring{env: env, a: a, o: o.WithDefaults(), out: &Offers{sites: make([]offer, len(a.Sites)), forecast: a.forecast}}
}

// factoring is a call of Factor on its way.
type factoring struct {
	env *Environment
	a   *Analysis
	o   Options
	out *Offers
	// portion is what of it a part has, nil for all.
	portion *portion
	stats   *statsFile // that are open already, nil for those that are to be opened
}

func (f *factoring) run(ctx context.Context) (err error) {
	hold := len(f.a.Groups) <= 1 && f.a.holdable(f.o)
	if f.out.store, err = newStore(f.env.Algebra, hold, f.o.Memory); err != nil {
		return err
	}
	if f.o.Source == nil {
		all := make([]int, len(f.a.Sites))
		for i := range all {
			all[i] = i
		}
		var stats []calib.Stats
		if stats, err = f.hidden(); err == nil {
			err = f.group(ctx, "factor", all, stats, 0, 1)
		}
	} else {
		err = f.calibrated(ctx)
	}
	if c := f.out.Calibration; err == nil && c != nil {
		f.out.Calibration = c.wanting(f.out)
	}
	if err == nil {
		err = f.narrow(ctx)
	}
	if err != nil || bytesTarget(f.o.Targets) < 0 {
		return err
	}
	return f.out.weigh(f.a)
}

// calibrated factors the sites under what they see of the samples.
func (f *factoring) calibrated(ctx context.Context) (err error) {
	c := &Calibration{Source: f.o.Source.Describe()}
	f.out.Calibration = c
	if len(f.a.Groups) == 0 {
		return nil
	}
	lib, err := f.env.need("calibration")
	if err != nil {
		return err
	}
	cache := f.stats
	if cache == nil {
		if cache, err = openStats(ctx, f.env, f.a, f.o); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, cache.close()) }()
	}
	defer func() {
		c.Source = samples.Account(f.o.Source)
	}()
	if f.o.Weights, err = shares(ctx, f.env, lib, f.a, f.o); err != nil {
		return err
	}
	if f.o.probes() > 0 {
		f.out.weights = f.o.Weights
	}
	if f.out.store.found, err = f.findings(ctx, cache); err != nil {
		return err
	}
	c.Samples, c.Sweeps, c.Cached = len(f.a.Calibrate), len(f.a.sweeps), cache.cached()
	from := &sweeping{env: f.env, lib: lib, a: f.a, o: f.o}
	defer from.close()
	f.env.outlook.plans(f.a.effort(f.o, cache.cached()))
	for g, group := range f.a.Groups {
		turn := f.a.turn(g)
		var stats []calib.Stats
		err := f.env.stage(ctx, "calibrate"+turn, func(st *stage) (err error) {
			st.covers(f.a.swept(g))
			stats, err = cache.collect(ctx, from, st, g)
			return err
		})
		if err != nil {
			return err
		}
		all := float64(len(f.a.Groups))
		if err := f.group(ctx, "factor"+turn, group, stats, float64(g)/all, float64(g+1)/all); err != nil {
			return err
		}
	}
	return cache.commit(ctx)
}

// findings are those of the parts that are named, and for a part of its own what it will find.
func (f *factoring) findings(ctx context.Context, stats *statsFile) (*findings, error) {
	if f.portion != nil {
		return &findings{sites: map[string]*finding{}, axes: map[string]*axisFinding{}, keep: f.portion.shelf.numbers}, nil
	}
	if len(f.o.Offers) == 0 {
		return nil, nil
	}
	if err := stats.wanted(); err != nil {
		return nil, err
	}
	key, err := offersKey(stats, f.o)
	if err != nil {
		return nil, err
	}
	return openOffers(ctx, f.a, f.o.Offers, key)
}

// group are the sites numbered in group.
func (a *Analysis) group(group []int) []rewrite.Site {
	sites := make([]rewrite.Site, len(group))
	for i, k := range group {
		sites[i] = a.Sites[k]
	}
	return sites
}

// turn is what the name of a stage ends with that is done for one group of several.
func (a *Analysis) turn(g int) string {
	if len(a.Groups) < 2 {
		return ""
	}
	return fmt.Sprintf(" %d/%d", g+1, len(a.Groups))
}

// shares are the weights with which all outputs have the same share in the loss, where there are sensitivities, else those that are asked for.
func shares(ctx context.Context, env *Environment, lib *ort.Library, a *Analysis, o Options) (map[string]float64, error) {
	if o.probes() == 0 {
		return o.Weights, nil
	}
	shares, err := calib.Shares(ctx, lib, a.judged(a.model), o.Source, a.Calibrate, env.calibOptions(a, o))
	if err != nil {
		return nil, fmt.Errorf("%s: how much its outputs vary: %w", a.model.Path, err)
	}
	return shares, nil
}

// calibOptions are the options of calibration.
func (e *Environment) calibOptions(a *Analysis, o Options) calib.Options {
	return calib.Options{
		Batch: a.batch(o), Threads: e.Threads, Memory: rss.Room(o.Memory), Backend: e.Algebra,
		Probes: o.probes(), Seed: o.Seed, Samples: len(a.Calibrate), Classes: o.Classes, Weights: o.Weights, Kinds: o.Kinds,
	}
}

// group makes offers of the sites numbered in group. stats is nil or has one
// entry per site of the group. from and to are the share of all that is done before and after it.
func (f *factoring) group(ctx context.Context, name string, group []int, stats []calib.Stats, from, to float64) error {
	return f.env.stage(ctx, name, func(st *stage) (err error) {
		st.covers(from, to)
		means := centres{}
		var closed []*closing
		for i, k := range group {
			var saw calib.Stats
			if stats != nil {
				saw = stats[i]
			}
			if !f.portion.reads(k) {
				f.out.sites[k] = f.a.unseen(k)
				continue
			}
			var metric decomp.Metric
			if f.out.sites[k], metric, err = f.offer(&f.a.Sites[k], saw, means); err != nil {
				return fmt.Errorf("%s: %w", f.a.model.Path, err)
			}
			if f.portion.has(k) {
				closed = append(closed, f.a.closings(k, &f.out.sites[k], metric)...)
			}
		}
		if err := f.out.floors(ctx, st, f.a, closed); err != nil {
			return err
		}
		for _, k := range group {
			if f.portion.has(k) {
				f.out.sites[k] = f.a.first(f.out, k, f.o)
			}
		}
		return nil
	})
}

// offer prepares one site to be factored under what calibration saw there; the zero
// Stats is none.
func (f *factoring) offer(s *rewrite.Site, saw calib.Stats, means centres) (o offer, metric decomp.Metric, err error) {
	found := f.out.store.found.site(s.Name)
	if found == nil {
		if found, err = f.loaded(s); err != nil {
			return o, metric, err
		}
	}
	saw.Unusable = cmp.Or(found.Unusable, saw.Unusable)
	o = offer{ratio: 1, options: []option{dense(s)}, seen: &seen{site: *s, positions: 1, note: saw.Note, output: saw.G, pulled: saw.Pullback != nil, felt: saw.Felt}}
	if saw.Unusable != "" {
		o.note, o.blind = "left alone: "+saw.Unusable, true
		return o, metric, nil
	}
	if saw.Sensitive() {
		o.sensitive, o.positions = true, saw.PositionsPerSample()*float64(max(s.Repeats, 1)) // the last iteration stands for all
	}
	o.columns = saw.Positions
	if metric, o.mean, err = f.metric(s, saw, means); err != nil {
		return o, metric, err
	}
	if saw.G != nil {
		o.output = metric.Out // on the shelf, so that nothing else holds what calibration saw
	}
	for _, n := range saw.Noise {
		o.noise = max(o.noise, n.Whole)
	}
	if found.kernel != nil {
		if found.Energy, err = f.energy(s, *found.kernel, o.mean, saw.Mean, metric); err != nil {
			return o, metric, err
		}
	}
	o.energy = float64(found.Energy)
	err = f.out.store.found.note(s.Name, func(at *finding) error {
		at.Energy = found.Energy
		return nil
	})
	if err != nil {
		return o, metric, err
	}
	o.eight, err = f.o.eightAt(f.env.Algebra, o.seen, metric)
	return o, metric, err
}

// loaded is a site of which nothing was found yet but its weight.
func (f *factoring) loaded(s *rewrite.Site) (*finding, error) {
	kernel, err := s.Load()
	found := &finding{Site: s.Name, kernel: &kernel}
	if infinite := (*rewrite.NotFiniteError)(nil); errors.As(err, &infinite) && math.IsInf(infinite.Value, 0) {
		found.Unusable, err = fmt.Sprintf("element %v of its weight is %v, as in a mask, which no factors can hold", infinite.At, infinite.Value), nil
	}
	if err != nil {
		return nil, err
	}
	return found, f.out.store.found.note(s.Name, func(at *finding) error {
		at.Unusable = found.Unusable
		return nil
	})
}

// energy is the variance of a site's output, or its second moment where a shift does not take up the mean.
func (f *factoring) energy(s *rewrite.Site, kernel decomp.Kernel, mean, saw [][]float64, metric decomp.Metric) (exact, error) {
	whole, err := metric.Energy(f.env.Algebra, kernel)
	if err != nil {
		return 0, fmt.Errorf("node %q (weight %q): %w", s.Name, s.Weight, err)
	}
	var constant float64
	if mean == nil {
		constant = constantEnergy(kernel, saw, metric)
	}
	return exact(max(whole-constant, leastEnergy*whole)), nil
}

// centres keeps the metrics of the inputs by what they are made of, so that sites that share the latter share the former.
type centres map[centre]decomp.Metric

// centre is the first of a site's moments, or of its columns, and whether it is taken about the mean.
type centre struct {
	from  any
	about bool
}

// metric puts into the store by what errors of the site are weighed, and returns it, with the mean of its inputs
// where a shift of the output is to follow. Where a constant can take up the mean
// error, errors are measured about the mean: the shift b' = b + (W−W')·E[x] makes up
// for the rest at no cost.
func (f *factoring) metric(s *rewrite.Site, saw calib.Stats, known centres) (m decomp.Metric, mean [][]float64, err error) {
	about := takesShift(s) && saw.Mean != nil && saw.Counts == nil
	if about {
		mean = saw.Mean
	}
	key := centre{about: about}
	switch {
	case len(saw.A) > 0:
		key.from = saw.A[0]
	case len(saw.Columns.Data) > 0:
		key.from = &saw.Columns.Data[0]
	}
	m, shared := known[key]
	if !shared {
		if m, err = f.out.store.shelf.metric(saw.Input(about)); err != nil {
			return m, mean, err
		}
		if key.from != nil {
			known[key] = m
		}
	}
	if m.Out, m.Pullback = saw.G, saw.Pullback; !saw.Sensitive() {
		m.Out = s.OutputMetric()
	}
	m, err = f.out.store.put(s.Name, m)
	return m, mean, err
}

// takesShift says whether a constant behind the site's product can take a shift
// at no more than one new parameter per output channel.
func takesShift(s *rewrite.Site) bool {
	place := s.Bias()
	return place == rewrite.BiasFree || place == rewrite.BiasGrows && s.Op == "Conv"
}

// leastEnergy bounds an output's variance from below, as a share of its second
// moment: a site whose output hardly varies would otherwise count without limit.
const leastEnergy = 1e-6

// constantEnergy is μᵀWᵀ G W μ, the part of the second moment of a site's output
// that is the square of its mean, μ = E[x]. mean and metric have one entry per
// group; nil means no mean, and the identity.
func constantEnergy(k decomp.Kernel, mean [][]float64, metric decomp.Metric) float64 {
	rows, cols := k.Rows(), k.Cols()
	var energy float64
	y := make([]float64, rows)
	for g, x := range mean {
		if metric.Pullback != nil {
			energy += quadratic(metric.Pullback[g], x)
			continue
		}
		for i := range rows {
			y[i] = 0
			for c, v := range k.Weights[(g*rows+i)*cols:][:cols] {
				y[i] += v * x[c]
			}
		}
		var weight *linalg.Matrix
		if metric.Out != nil {
			weight = metric.Out[g]
		}
		energy += quadratic(weight, y)
	}
	return energy
}

// quadratic is yᵀMy, and yᵀy for nil.
func quadratic(m *linalg.Matrix, y []float64) float64 {
	sum := 0.0
	for i, v := range y {
		if m == nil {
			sum += v * v
			continue
		}
		for c, u := range y {
			sum += v * m.At(i, c) * u
		}
	}
	return sum
}
