package calib

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/internal/ordered"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// station sums the columns that one or more sites read, or keeps them: those of a plain
// matrix with more inputs than it will meet columns, and of a table how often each row is
// looked up.
type station struct {
	turns   ordered.Turns
	site    *rewrite.Site // the first of them
	reading reading
	cut     cut
	seen    pending[*shown]

	planning   sync.Mutex
	summations map[string]moments.Summation
	thin       moments.Thinning
}

func newStation(s *rewrite.Site, o Options) *station {
	st := &station{site: s, summations: map[string]moments.Summation{}, thin: moments.ThinInputs(s, o.Samples)}
	st.reading = reading{Input: s.Input, Groups: s.Kernel.Groups, Columns: s.Kernel.Cols(), Table: s.View.Kind == rewrite.TableRows, Wide: wide(s, o.Samples)}
	if st.reading.Table {
		st.reading.Columns = s.Kernel.In
	}
	st.seen.begin = func() *shown { return newShown(st.reading, o.Backend, st.seen.slots) }
	return st
}

// wide tells whether a site is a plain matrix with more inputs K than the columns that so
// many samples show it, going by the sizes that it was analysed at.
func wide(s *rewrite.Site, samples int) bool {
	switch s.View.Kind {
	case rewrite.LastAxis, rewrite.SecondLastAxis, rewrite.FirstAxis:
	default:
		return false
	}
	if !s.Located || s.Kernel.Groups != 1 || len(s.Geometry.In) != 1 {
		return false
	}
	columns := int64(samples) * int64(s.Batch) * int64(s.Geometry.In[0])
	return columns > 0 && columns < int64(s.Kernel.Cols())
}

// worker is what a goroutine keeps from one run to the next.
type worker struct {
	backend linalg.Backend
	scratch moments.Scratch
	partial []float32
	gram    []float32
	off     []float32 // a site's input without the pilot
	pulled  []float32 // gradients at a site's inputs
	thinned []float32 // and those at some of its outputs
	part    moments.Part
}

// add takes in the site's input x of a run, with the weights of its positions, nil for all equal.
// Partial sums are computed side by side, but enter the sum in the order of their runs. The first run of a chunk sets its pilot, for
// which the others wait.
func (st *station) add(ctx context.Context, w *worker, r *feed.Run, x tensor.Dense, weights []float32) error {
	wrong := func(err error) error {
		return fmt.Errorf("node %q: its input %q: %w", st.site.Name, st.site.Input, err)
	}
	if st.reading.Table {
		if err := st.count(ctx, r, x, weights); err != nil {
			return wrong(err)
		}
		return nil
	}
	roots := moments.Roots(weights)
	shape, summation, n, values, err := st.prepare(r, x, roots)
	if err != nil {
		return wrong(err)
	}
	chunk := st.cut.of(r.Block)
	to := st.seen.at(chunk)
	var kept run
	if !st.reading.Wide {
		if r.Block == st.cut.first(chunk) && r.Number == r.Block {
			to.pilot.Set(summation, values, n, roots)
		}
		if err := to.pilot.Wait(ctx); err != nil {
			return err
		}
	}
	switch {
	case summation == nil:
	case st.reading.Wide:
		kept = keep(st.site, shape, values, roots, r.Number%2)
	default:
		to.sums.Run(w.backend, summation, to.pilot.Off(summation, values, n, roots, &w.off), n, roots, &w.part, &w.scratch)
	}
	return st.seen.turn(ctx, &st.turns, r.Seq, chunk, func() {
		if summation == nil {
			return
		}
		if st.reading.Wide {
			to.keep(kept)
		} else {
			to.sums.Add(r.Number%2, &w.part)
		}
		positions := summation.Positions(n)
		if st.thin != nil {
			positions = moments.Windows(st.site, shape[2:]).Positions(n)
		}
		to.saw(r, positions, x, weights)
	})
}

// prepare checks the input of a run, takes off the filler of a batch, weighs its positions, and
// tells how it is summed: n units of the summation. The summation is nil where there is nothing to sum.
func (st *station) prepare(r *feed.Run, x tensor.Dense, roots []float32) (shape []int, summation moments.Summation, n int, values []float32, err error) {
	shape, values, err = trim(r, st.site.View.Kind, st.site.View.Stack, x)
	if shape == nil || err != nil {
		return nil, nil, 0, nil, err
	}
	summation, n, err = st.summationFor(shape, r.Number)
	if err == nil && roots != nil {
		if n != len(roots) {
			return nil, nil, 0, nil, fmt.Errorf("it has %d positions, and the output of the node has %d", n, len(roots))
		}
		values, n = moments.Weigh(values, roots), felt(roots)
		shape = []int{n, st.site.Kernel.In}
	}
	if err == nil && summation.Positions(n) == 0 {
		summation = nil // nothing to see, such as a sequence of length 0
	}
	return shape, summation, n, values, err
}

// trim returns the shape and the numbers of a site's input or output without the filler
// of the batch. The shape is nil where filler cannot be told from samples: such a run is
// left out.
func trim(r *feed.Run, kind rewrite.ViewKind, stack int, x tensor.Dense) (shape []int, values []float32, err error) {
	if err := x.Check(); err != nil {
		return nil, nil, err
	}
	if values = x.Float32s(); values == nil && x.Len() > 0 {
		return nil, nil, fmt.Errorf("it is of type %s, whose second moments cannot be taken", x.Type)
	}
	shape = unfilled(r, kind, stack, x.Shape)
	if shape == nil {
		return nil, nil, nil
	}
	return shape, values[:tensor.Product(shape)], nil
}

// unfilled returns a shape without the filler of the batch, nil where axis 0 is not the
// batch but part of the columns, or one of the axes of a stack of matrices.
func unfilled(r *feed.Run, kind rewrite.ViewKind, stack int, shape []int) []int {
	shape = append([]int{}, shape...)
	if r.Batch > len(r.Samples) {
		spare := map[rewrite.ViewKind]int{rewrite.ConvPatches: 1, rewrite.LastAxis: 1, rewrite.SecondLastAxis: 2, rewrite.TableRows: 0}
		axes, ok := spare[kind]
		if stack > 0 {
			axes = stack + 2
		}
		if !ok || len(shape) <= axes || shape[0] != r.Batch {
			return nil
		}
		shape[0] = len(r.Samples)
	}
	return shape
}

// summationFor returns the summation of a run for an input of that shape, and of how many units it is.
func (st *station) summationFor(shape []int, run int) (moments.Summation, int, error) {
	k, kind := st.site.Kernel.In, st.site.View.Kind
	if kind == rewrite.ConvPatches && len(shape) == 2+len(st.site.View.Window) && shape[1] == k {
		return st.cached(shape[2:], run), shape[0], nil
	}
	if summation, n := matrixSummation(st.site, kind, shape, k); summation != nil {
		return summation, n, nil
	}
	return nil, 0, fmt.Errorf("its shape is %s, which does not fit the weight of %d input channels", tensor.ShapeText(shape), k)
}

// matrixSummation is the summation for the input or output, of so many channels, of a matrix or a stack of them; nil where
// the shape does not fit.
func matrixSummation(s *rewrite.Site, kind rewrite.ViewKind, shape []int, channels int) (moments.Summation, int) {
	last := len(shape) - 1
	vector := last == 0 && kind != rewrite.ConvPatches
	switch {
	case s.View.Stack > 0:
		return stacked(s, shape, channels, kind == rewrite.LastAxis)
	case (kind == rewrite.LastAxis && last >= 0 || vector) && shape[last] == channels:
		return moments.Rows(channels, 1), tensor.Product(shape[:last])
	case kind == rewrite.SecondLastAxis && last > 0 && shape[last-1] == channels:
		return moments.Direct(moments.Pixels(channels, 1, shape[last])), tensor.Product(shape[:last-1])
	case kind == rewrite.FirstAxis && last > 0 && shape[0] == channels:
		return moments.Direct(moments.Pixels(channels, 1, tensor.Product(shape)/max(channels, 1))), 1
	}
	return nil, 0
}

// stacked is the summation for the input or output, of so many channels over all groups, of a stack of
// matrices, whose columns run along the last axis or, unless inRows is set, the one before;
// nil where the shape does not fit.
func stacked(s *rewrite.Site, shape []int, channels int, inRows bool) (moments.Summation, int) {
	groups, lead := s.Kernel.Groups, len(shape)-2-s.View.Stack
	if lead < 0 || tensor.Product(shape[lead:len(shape)-2]) != groups {
		return nil, 0
	}
	k, n := shape[len(shape)-1], shape[len(shape)-2]
	if !inRows {
		k, n = n, k
	}
	switch {
	case k*groups != channels:
		return nil, 0
	case inRows:
		return moments.StackedRows(k, groups, n), tensor.Product(shape[:lead])
	}
	return moments.Direct(moments.Pixels(channels, groups, n)), tensor.Product(shape[:lead])
}

// cached returns the summation of a run for a convolution's spatial sizes. A few are kept, since
// samples mostly come in few sizes.
func (st *station) cached(in []int, run int) moments.Summation {
	const most = 8
	st.planning.Lock()
	defer st.planning.Unlock()
	p := moments.Windows(st.site, in).Thinned(st.thin, run)
	key := fmt.Sprint(in, p.PadBegin)
	if p, ok := st.summations[key]; ok {
		return p
	}
	if len(st.summations) >= most {
		clear(st.summations)
	}
	summation := moments.Conv
	if st.site.View.Transposed {
		summation = moments.Transposed
	}
	made := summation(p)
	st.summations[key] = made
	return made
}

// finish returns what was shown, as the statistics of no site yet; or that it is of no use.
func (s *shown) finish() Stats {
	if s == nil || s.positions == 0 {
		return Stats{Unusable: "it saw no samples: give at least as many as a batch of the model has, and none that are empty"}
	}
	out := Stats{Positions: s.positions, Samples: s.samples, Counts: s.counts, Felt: s.felt}
	switch {
	case s.counts != nil:
		out.Mean = [][]float64{frequencies(s.counts, s.positions)}
		return out
	case len(s.kept) > 0:
		first := s.together(&out)
		out.Noise = []Noise{columnNoise(s.backend, out.Columns, out.Roots, out.Mean[0], first, s.samples)}
	default:
		s.meet(&out)
	}
	if g, err := out.finite(); err != nil {
		return Stats{Positions: s.positions, Unusable: fmt.Sprintf("the second moments of its input %q (group %d) are not finite, so the model computes infinite or undefined numbers on these samples (%v; look at how they are scaled)", s.reading.Input, g, err)}
	}
	return out
}

// outputShape is the shape of the site's output for an input of the given shape,
// without the batch axis.
func outputShape(s *rewrite.Site, in []int) []int {
	out := slices.Clone(in)
	last := len(out) - 1
	switch kind := s.View.Kind; {
	case kind == rewrite.TableRows:
		return append(out[min(1, len(out)):], s.Kernel.Out)
	case kind == rewrite.ConvPatches:
		return append([]int{s.Kernel.Out}, s.View.Output(in[2:])...)
	case s.View.Stack > 0:
		if kind == rewrite.SecondLastAxis {
			last--
		}
		out[last] = s.Kernel.Rows()
		if len(out) == s.View.Stack+2 {
			return out // one stack: no axis is a batch
		}
	case last == 0:
		return []int{s.Kernel.Out}
	case kind == rewrite.FirstAxis:
		return []int{s.Kernel.Out} // of [M, Out]
	case kind == rewrite.SecondLastAxis:
		out[last-1] = s.Kernel.Out
		if last == 1 {
			return out // a single matrix: no axis is a batch
		}
	default:
		out[last] = s.Kernel.Out
	}
	return out[1:]
}
