package refit

import (
	"context"
	"reflect"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/internal/ordered"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// worker is what a goroutine keeps from one run to the next.
type worker struct {
	backend          linalg.Backend
	scratch          moments.Scratch
	x, own, both, ee []float32
}

// sums are the first and second moments at one site: separately for the runs that are solved on and those held out.
type sums struct {
	turns  ordered.Turns
	site   *rewrite.Site
	errors bool // whether the site's input differs, so that there are errors of its own
	short  bool // whether there is a shortcut
	inputs *inputMoments
	parts  [2]*sumPart // fit, held out
}

// inputMoments are the moments of a site's input columns. Sites that cut the same value in the same way share them.
type inputMoments struct {
	site      *rewrite.Site
	felt      moments.Felt
	sum       [2]*moments.Sum
	columns   [2][]float64
	positions [2]int64
	done      [2][]*linalg.Matrix // the means of the products, when summed up
}

// sumPart has the sums that belong to a site's errors.
type sumPart struct {
	own, both crossSum
	ee        *moments.Sum // of the errors that are judged by: both, or own where there is no shortcut
}

// crossSum sums e xᵀ and e.
type crossSum struct {
	products []float64 // [Out, K]
	errors   []float64 // [Out]
}

func newSums(c *Choice, errors, short bool) *sums {
	s := &c.Site
	k := s.Kernel
	out := &sums{site: s, errors: errors, short: short, inputs: &inputMoments{site: s, felt: c.Felt}}
	for i := range out.parts {
		out.inputs.sum[i] = moments.NewSum(k.Groups, k.Cols())
		out.inputs.columns[i] = make([]float64, k.Groups*k.Cols())
		p := &sumPart{ee: moments.NewSum(k.Groups, k.Rows())}
		p.own, p.both = newCrossSum(s), newCrossSum(s)
		out.parts[i] = p
	}
	return out
}

func newCrossSum(s *rewrite.Site) crossSum {
	return crossSum{make([]float64, s.Kernel.Out*s.Kernel.Cols()), make([]float64, s.Kernel.Out)}
}

// match tells whether a site's columns are those whose moments are here, complete.
func (m *inputMoments) match(s *rewrite.Site, felt moments.Felt) bool {
	return m != nil && m.done[0] != nil && m.site.Input == s.Input && m.site.Kernel.In == s.Kernel.In &&
		m.site.Kernel.Groups == s.Kernel.Groups && m.site.ChannelAxis(2) == s.ChannelAxis(2) && reflect.DeepEqual(m.site.View, s.View) && m.felt.Equal(felt)
}

// add adds what a run shows.
func (s *sums) add(ctx context.Context, w *worker, run int, held bool, seen observed) error {
	at := 0
	if held {
		at = 1
	}
	l, part := seen.layout, s.parts[at]
	if l == nil {
		return s.turns.Do(ctx, run, func() {})
	}
	reuse := s.inputs.done[0] != nil
	columns := make([]float64, len(s.inputs.columns[at]))
	if !reuse {
		l.x.Run(w.backend, seen.x, l.nx, zero(&w.x, l.x.Size()), &w.scratch)
		columnSums(l.x, seen.x, l.nx, seen.roots, columns)
	}
	judged := seen.own
	if s.short {
		judged = seen.both
	}
	own := cross(w, seen, seen.own, &w.own, len(part.own.errors))
	var both []float64
	if s.short {
		both = cross(w, seen, seen.both, &w.both, len(part.both.errors))
	}
	if judged != nil {
		l.y.Run(w.backend, judged, l.ny, zero(&w.ee, l.y.Size()), &w.scratch)
	}
	return s.turns.Do(ctx, run, func() {
		if !reuse {
			s.inputs.sum[at].Add(l.x, w.x)
			s.inputs.positions[at] += l.x.Positions(l.nx)
			accumulate(s.inputs.columns[at], columns)
		}
		if own != nil {
			widen(part.own.products, w.own)
			accumulate(part.own.errors, own)
		}
		if both != nil {
			widen(part.both.products, w.both)
			accumulate(part.both.errors, both)
		}
		if judged != nil {
			part.ee.Add(l.y, w.ee)
		}
	})
}

// cross computes e xᵀ into partial, and returns the sums of e; nil where there are no errors.
func cross(w *worker, seen observed, e []float32, partial *[]float32, channels int) []float64 {
	if e == nil {
		return nil
	}
	l := seen.layout
	l.xy.Run(w.backend, e, seen.x, l.nxy, zero(partial, l.xy.Size()), &w.scratch)
	out := make([]float64, channels)
	columnSums(l.y, e, l.ny, seen.roots, out)
	return out
}

// columnSums adds the sums of n units' columns to sum, of rows that roots have weighed where there are any.
func columnSums(plan moments.Plan, rows []float32, n int, roots []float32, sum []float64) {
	if roots != nil {
		moments.Columns(rows, roots, sum)
		return
	}
	plan.Columns(rows, n, sum)
}

// zero returns n zeros over *buf, and leaves them there.
func zero(buf *[]float32, n int) []float32 {
	*buf = slices.Grow((*buf)[:0], n)[:n]
	clear(*buf)
	return *buf
}

func accumulate(to, from []float64) {
	for i, v := range from {
		to[i] += v
	}
}

func widen(to []float64, from []float32) {
	for i, v := range from {
		to[i] += float64(v)
	}
}
