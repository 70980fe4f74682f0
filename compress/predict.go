package compress

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	a     *Analysis // at the batch of the table
	sites map[string]*rewrite.Site
	whole float64 // of the model as it is, in microseconds

	mu    sync.Mutex
	known map[string]float64
}

// timed is the analysis that knows from the options' table of costs what its sites take. Those whose sizes are unknown are left alone;
// of one that the table lacks, or of a model that it has not timed, the error says so.
func (a *Analysis) timed(ctx context.Context, o Options) (*Analysis, error) {
	if o.Costs == nil {
		return nil, &UsageError{Err: fmt.Errorf("a target of latency needs a table of costs (%s)", OptionCosts)}
	}
	f, err := a.foretell(ctx, o)
	if err != nil {
		return nil, &UsageError{Err: fmt.Errorf("%s: %w; make a table for this model, as it is and at its size, with `onnx-compress time`", a.model.Path, err)}
	}
	next := a.without(func(s *rewrite.Site) string {
		if _, known := f.sites[s.Name]; !known {
			return "how long it takes is unknown, as are its sizes"
		}
		return ""
	})
	next.forecast = f
	return next, nil
}

// foretell reads the table for the sites of the model.
func (a *Analysis) foretell(ctx context.Context, o Options) (*forecast, error) {
	sizes, _ := shapes.InputShapes(a.model, a.inputs)
	sizes = maps.Clone(sizes)
	for _, in := range graph.Of(a.model).Feeds() {
		shape, dims := sizes[in.Name()], in.Dims()
		if len(shape) > 0 && len(dims) > 0 && dims[0].Size < 0 {
			sizes[in.Name()] = append([]int{o.Costs.Batch}, shape[1:]...)
		}
	}
	at, err := Analyse(ctx, a.model, Options{InputShapes: sizes, Methods: o.Methods, RankMultiple: o.RankMultiple})
	if err != nil {
		return nil, err
	}
	file, err := describe(ctx, a.model.Path, a.Costs)
	if err != nil {
		return nil, err
	}
	f := &forecast{table: o.Costs, a: at, sites: map[string]*rewrite.Site{}, known: map[string]float64{}}
	if f.whole, err = o.Costs.Whole(file.SHA256); err != nil {
		return nil, err
	}
	for i := range at.Sites {
		s := &at.Sites[i]
		_, err := f.measured(s, nil, nil)
		if errors.As(err, new(*costs.MissingError)) {
			return nil, err
		}
		if err == nil {
			f.sites[s.Name] = s
		}
	}
	return f, nil
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

// nanos is what an option takes at the site of a name.
func (f *forecast) nanos(site string, o option) int64 {
	key := site + " " + o.key()
	f.mu.Lock()
	defer f.mu.Unlock()
	us, known := f.known[key]
	if !known {
		var err error
		if us, err = f.measured(f.sites[site], o.method, o.rank); err != nil {
			us = beyond * f.whole
		}
		f.known[key] = us
	}
	return int64(1000 * us)
}

// plan is what the model takes in nanoseconds once the sites are as options say, one a site: the original's time, less that of its sites,
// with what stands in their places.
func (f *forecast) plan(sites []rewrite.Site, picks []option) int64 {
	sum := int64(1000 * f.whole)
	for i, p := range picks {
		if p.method != nil {
			sum += f.nanos(sites[i].Name, p) - f.nanos(sites[i].Name, option{})
		}
	}
	return max(sum, 0)
}
