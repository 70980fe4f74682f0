package compress

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// forecast says from a table of costs what rungs of a model's sites take, in microseconds. What it was asked it remembers.
type forecast struct {
	table *costs.Table
	a     *Analysis
	whole float64 // of the model as it is
	known map[string]float64
}

// forecast is what a table says of the model of the analysis, whose file has the digest. Where the table lacks the model as a whole or
// one of its sites, the error wraps a *costs.MissingError.
func (a *Analysis) forecast(t *costs.Table, sha256 string) (*forecast, error) {
	f := &forecast{table: t, a: a, known: map[string]float64{}}
	var err error
	if f.whole, err = t.Whole(sha256); err != nil {
		return nil, fmt.Errorf("%s: %w", a.model.Path, err)
	}
	for i := range a.Sites {
		if _, err := f.site(&a.Sites[i], nil, nil); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// site is what stands at a site takes: the chain of a method at a rank, or the site as it is where the method is nil.
func (f *forecast) site(s *rewrite.Site, m *decomp.Method, r decomp.Rank) (float64, error) {
	chain, key := undivided(s.Kernel), s.Name
	if m != nil {
		if chain = m.Factors(s.Kernel, r); chain == nil {
			return 0, fmt.Errorf("node %q: %s has no rank %v", s.Name, m.Name, r)
		}
		key += fmt.Sprint(" ", m.Name, r)
	}
	if us, ok := f.known[key]; ok {
		return us, nil
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
	f.known[key] = us
	return us, nil
}

// plan is what the model takes once the sites are as options say, one a site: the original's time, less that of its sites, with what
// stands in their places.
func (f *forecast) plan(picks []option) (float64, error) {
	sum := f.whole
	for i, p := range picks {
		s := &f.a.Sites[i]
		before, err := f.site(s, nil, nil)
		if err != nil {
			return 0, err
		}
		after, err := f.site(s, p.method, p.rank)
		if err != nil {
			return 0, err
		}
		sum += after - before
	}
	return max(sum, 0), nil
}
