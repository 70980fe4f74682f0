package compress

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// forecast says from a table of costs what rungs of a model's sites take. What it was asked it remembers.
type forecast struct {
	table *costs.Table
	a     *Analysis                // at the batch of the table
	sites map[string]*rewrite.Site // all whose time is known
	whole float64                  // of the model, in microseconds
	cut   []shaped                 // those of the sites that narrower axes change
	axes  []string                 // their names
	units []int                    // of the axes
	memo  *memo
}

// memo is what a forecast was asked: of options at sites, and, more often, of what narrower nodes save.
type memo struct {
	mu    sync.Mutex
	known map[asked]int64
	saved map[narrowed]int64
}

func newMemo() *memo { return &memo{known: map[asked]int64{}, saved: map[narrowed]int64{}} }

// narrowed is a node, by its number among those that axes change, with so many channels.
type narrowed struct{ node, out, in int }

// asked is an option at a site whose kernel has so many channels.
type asked struct {
	site            string
	out, in, groups int
	option          string
}

// timed is the analysis that knows from the options' table of costs what its sites take. Those whose sizes are unknown are left alone
// where a target is about time; of one that the table lacks, or of a model that it has not timed, the error says so.
func (a *Analysis) timed(ctx context.Context, o Options) (*Analysis, error) {
	if o.Costs == nil {
		return nil, &UsageError{Err: fmt.Errorf("a target of latency needs a table of costs (%s)", OptionCosts)}
	}
	f, err := a.foretell(ctx, o)
	if err != nil {
		return nil, a.mistimed(err)
	}
	next := a.without(func(s *rewrite.Site) string {
		if _, known := f.sites[s.Name]; !known && o.latency() != nil {
			return "how long it takes is unknown, as are its sizes"
		}
		return ""
	})
	next.forecast = f
	return next, nil
}

// mistimed says that a table does not fit the model.
func (a *Analysis) mistimed(err error) error {
	return &UsageError{Err: fmt.Errorf("%s: %w; make a table for this model, as it is and at its size, with `onnx-compress time`", a.model.Path, err)}
}

// foretell reads the table for the sites of the model.
func (a *Analysis) foretell(ctx context.Context, o Options) (*forecast, error) {
	at, err := a.atBatch(ctx, o)
	if err != nil {
		return nil, err
	}
	file, err := describe(ctx, a.model.Path, a.Costs)
	if err != nil {
		return nil, err
	}
	f := &forecast{table: o.Costs, a: at, sites: map[string]*rewrite.Site{}, memo: newMemo()}
	whole, err := o.Costs.Model(file.SHA256)
	if err != nil {
		return nil, err
	}
	if whole.Int8 != o.int8.word() {
		return nil, fmt.Errorf("the table of costs is of int8 models (%s)", whole.Int8)
	}
	f.whole = whole.Micros
	all, _, err := rewrite.Linear(at.model, at.Shapes)
	if err != nil {
		return nil, err
	}
	for i := range all {
		s := &all[i]
		_, err := f.measured(s, nil, nil)
		if errors.As(err, new(*costs.MissingError)) && a.numbered(s) >= 0 {
			return nil, err
		}
		if err == nil {
			f.sites[s.Name] = s
		}
	}
	return f, nil
}

// atBatch is the analysis of the model at the batch of the table.
func (a *Analysis) atBatch(ctx context.Context, o Options) (*Analysis, error) {
	sizes, _ := shapes.InputShapes(a.model, a.inputs)
	sizes = maps.Clone(sizes)
	for _, in := range graph.Of(a.model).Feeds() {
		shape, dims := sizes[in.Name()], in.Dims()
		if len(shape) > 0 && len(dims) > 0 && dims[0].Size < 0 {
			sizes[in.Name()] = append([]int{o.Costs.Batch}, shape[1:]...)
		}
	}
	return Analyse(ctx, a.model, Options{InputShapes: sizes, int8: o.int8})
}

// along is the analysis whose forecast knows what narrower axes save. Of what lies between their sites it counts nothing as saved, but
// for convolutions of single channels.
func (a *Analysis) along() (*Analysis, error) {
	next, f := *a, *a.forecast
	next.forecast = &f
	f.units, f.memo = a.units(), newMemo()
	for i := range a.Axes {
		f.axes = append(f.axes, a.Axes[i].Name)
	}
	for _, name := range slices.Sorted(maps.Keys(f.sites)) {
		if by := follows(f.sites[name], a.Axes); len(by) > 0 {
			f.cut = append(f.cut, shaped{f.sites[name], by})
		}
	}
	for _, c := range f.cut {
		narrow := *c.site
		narrow.Kernel = c.kernel(func(int) int { return 1 })
		if _, err := f.measured(&narrow, nil, nil); errors.As(err, new(*costs.MissingError)) {
			return nil, a.mistimed(err)
		}
	}
	return &next, nil
}

// measured is what the chain of a method at a rank takes at a site, or the site as it is where the method is nil, in microseconds.
func (f *forecast) measured(s *rewrite.Site, m *decomp.Method, r decomp.Rank) (float64, error) {
	chain := undivided(s.Kernel)
	if m != nil {
		if chain = m.Factors(s.Kernel, r); chain == nil {
			return 0, fmt.Errorf("node %q: %s has no rank %v", s.Name, m.Name, r)
		}
	}
	probes, err := f.a.probes(s, chain)
	if err != nil {
		return 0, err
	}
	pieces := make([]costs.Piece, len(probes))
	for i := range probes {
		pieces[i] = probes[i].Piece
	}
	us, err := f.table.Chain(pieces)
	if err != nil {
		return 0, fmt.Errorf("node %q: %w", s.Name, err)
	}
	return us, nil
}

// beyond is what an option takes that the table says nothing about, as a multiple of the whole model: no search takes it.
const beyond = 1000

// nanos is what an option takes at a site, which may be narrower than in the model.
func (f *forecast) nanos(s *rewrite.Site, o option) int64 {
	f.memo.mu.Lock()
	defer f.memo.mu.Unlock()
	return f.asked(s, o)
}

// asked is nanos for whoever has the memo.
func (f *forecast) asked(s *rewrite.Site, o option) int64 {
	key := asked{s.Name, s.Kernel.Out, s.Kernel.In, s.Kernel.Groups, o.key()}
	ns, known := f.memo.known[key]
	if !known {
		at := *f.sites[s.Name]
		at.Kernel = s.Kernel
		us, err := f.measured(&at, o.method, o.rank)
		if err != nil {
			us = beyond * f.whole
		}
		ns = int64(1000 * us)
		f.memo.known[key] = ns
	}
	return ns
}

// saved is what the model takes less where axes have widths.
func (f *forecast) saved(widths []int) int64 {
	f.memo.mu.Lock()
	defer f.memo.mu.Unlock()
	sum := int64(0)
	for i := range f.cut {
		c := &f.cut[i]
		k := c.kernel(func(axis int) int { return f.units[axis] - widths[axis] })
		if k.Out == c.site.Kernel.Out && k.In == c.site.Kernel.In {
			continue
		}
		key := narrowed{i, k.Out, k.In}
		ns, known := f.memo.saved[key]
		if !known {
			narrow := *c.site
			narrow.Kernel = k
			ns = f.asked(c.site, option{}) - f.asked(&narrow, option{})
			f.memo.saved[key] = ns
		}
		sum += ns
	}
	return sum
}

// narrowed is the forecast of the model with narrower axes, which need not be those of the same model: one with turned heads has axes of the
// same names. It is nil for nil.
func (f *forecast) narrowed(list []rewrite.Narrowing) *forecast {
	if f == nil || len(list) == 0 {
		return f
	}
	widths := slices.Clone(f.units)
	for _, n := range list {
		widths[slices.Index(f.axes, n.Axis.Name)] = len(n.Keep)
	}
	return f.beside(widths)
}

// beside is the forecast of the model whose axes have widths.
func (f *forecast) beside(widths []int) *forecast {
	next := *f
	next.whole -= float64(f.saved(widths)) / 1000
	next.cut = nil
	return &next
}

// plan is what the model takes in nanoseconds once the sites are as options say, one a site: its time, less that of its sites, with what
// stands in their places.
func (f *forecast) plan(sites []rewrite.Site, picks []option) int64 {
	sum := int64(1000 * f.whole)
	for i, p := range picks {
		if p.method != nil {
			sum += f.nanos(&sites[i], p) - f.nanos(&sites[i], option{})
		}
	}
	return max(sum, 0)
}

// knows tells whether the time is known of all sites at which something else than the site was picked.
func (f *forecast) knows(sites []rewrite.Site, picks []option) bool {
	for i, p := range picks {
		if p.method != nil && f.sites[sites[i].Name] == nil {
			return false
		}
	}
	return true
}

// foreseen is what the table of costs says of a choice, in nanoseconds.
func (a *Analysis) foreseen(c *Choice) int64 {
	switch {
	case c.at != nil:
		return c.at.a.forecast.plan(c.at.a.Sites, c.picks)
	case len(a.Axes) > 0 && len(c.widths) > 0:
		return a.forecast.beside(c.widths).plan(a.Sites, c.picks)
	}
	return a.forecast.plan(a.Sites, c.picks)
}
