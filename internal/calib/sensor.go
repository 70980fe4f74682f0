package calib

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/internal/ordered"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// sensor sums the sensitivities of one site's output. It has a turn for every probe of
// every run.
type sensor struct {
	turns   ordered.Turns
	site    *rewrite.Site
	feeling feeling
	cut     cut
	seen    pending[*sensed]
	through *pullback
	thin    moments.Thinning
}

// feeling says how the sensitivities of a site are summed: over groups, of so many rows of its kernel, or pulled back to as many inputs.
type feeling struct {
	Groups, Order int
	Pulled        bool
}

// newSensor sums G or, where that is too large for so much memory, WᵀGW, of so many samples.
func newSensor(s *rewrite.Site, memory int64, samples int) *sensor {
	n := &sensor{site: s, feeling: feeling{Groups: s.Kernel.Groups, Order: s.Kernel.Rows()}}
	if pulled(s, memory) {
		n.feeling, n.through = feeling{Groups: 1, Order: s.Kernel.Cols(), Pulled: true}, &pullback{site: s}
	} else {
		n.thin = moments.ThinOutputs(s, samples)
	}
	n.seen.begin = func() *sensed { return newSensed(n.feeling, n.seen.slots) }
	return n
}

// add sums the gradient of a run with respect to the site's output, where those positions
// count that have a weight; nil stands for all. Where there is no gradient, why says so.
func (s *sensor) add(ctx context.Context, w *worker, r *feed.Run, probe, probes int, g tensor.Dense, weights []float32, why string) error {
	number, chunk := r.Number*probes+probe, s.cut.of(r.Block)
	to := s.seen.at(chunk)
	var summation moments.Summation
	var positions int64
	var seen variance
	if why == "" {
		var units int
		shape, values, err := trim(r, outputKind(s.site), s.site.View.Stack, g)
		channels := s.site.Kernel.Out
		if err == nil && len(shape) == 2+len(s.thin) {
			values, shape = s.thin.Outputs(values, shape, number, &w.thinned), s.thin.Left(shape, number)
		}
		if err == nil && shape != nil && s.through != nil {
			channels = s.site.Kernel.In
			shape, values, err = s.through.rows(w, shape, values)
		}
		if err == nil && shape != nil {
			summation, units, err = outputSummation(s.site, shape, channels)
		}
		if err != nil {
			return fmt.Errorf("node %q: the gradient of its output %q: %w", s.site.Name, s.site.Output, err)
		}
		if summation == nil {
			why = "its output does not have the batch as its first axis, and every batch is filled up"
		} else {
			w.partial = slices.Grow(w.partial[:0], summation.Size())[:summation.Size()]
			clear(w.partial)
			summation.Run(w.backend, values, units, w.partial, &w.scratch)
			if positions = summation.Positions(units); weights != nil {
				positions = int64(felt(weights))
			}
			for _, b := range outputBlocks(s.site, shape, values, channels, r) {
				n := b.positions()
				if weights != nil {
					weights, n = weights[n:], felt(weights[:n])
				}
				seen.add(b.offDiagonal(w), n)
			}
		}
	}
	return s.seen.turn(ctx, &s.turns, r.Seq*probes+probe, chunk, func() {
		if summation != nil {
			to.sums.Add(summation, w.partial)
			to.positions += positions
			to.spread.merge(&seen)
		}
		if to.why == "" {
			to.why = why
		}
	})
}

// outputKind says along which axis the columns of a site's output run: for a matrix product
// the last one where the input is on the left, else the one before.
func outputKind(s *rewrite.Site) rewrite.ViewKind {
	in := s.Node.Inputs()
	switch {
	case s.View.Kind == rewrite.ConvPatches:
		return rewrite.ConvPatches
	case s.View.Kind == rewrite.TableRows:
		return rewrite.LastAxis
	case len(in) > 1 && in[0] != s.Input && in[1] == s.Input:
		return rewrite.SecondLastAxis
	}
	return rewrite.LastAxis
}

// outputSummation sums the second moments of the columns of a site's output of that shape, one
// per position and of so many channels, and says of how many units it is.
func outputSummation(s *rewrite.Site, shape []int, o int) (moments.Summation, int, error) {
	kind := outputKind(s)
	if kind == rewrite.ConvPatches && len(shape) >= 2 && shape[1] == o {
		return moments.Direct(moments.Pixels(o, s.Kernel.Groups, tensor.Product(shape[2:]))), shape[0], nil
	}
	if summation, n := matrixSummation(s, kind, shape, o); summation != nil {
		return summation, n, nil
	}
	return nil, 0, fmt.Errorf("its shape is %s, which does not fit the weight of %d output channels", tensor.ShapeText(shape), o)
}

// outputBlocks cuts a site's output, or its gradient, of that shape and so many channels into samples, or into what
// is laid out apart in a sample.
func outputBlocks(s *rewrite.Site, shape []int, values []float32, o int, r *feed.Run) []block {
	last := len(shape) - 1
	count, turned := shape[0], false
	switch kind := outputKind(s); {
	case s.View.Stack > 0:
		count, turned = tensor.Product(shape[:last-1-s.View.Stack]), kind == rewrite.LastAxis
	case kind == rewrite.SecondLastAxis && last > 0:
		count = tensor.Product(shape[:last-1])
	case kind != rewrite.ConvPatches:
		if turned = true; last == 0 || shape[0] != len(r.Samples) {
			count = 1
		}
	}
	var out []block
	for i := range count {
		one := values[len(values)/count*i : len(values)/count*(i+1)]
		b := block{turned: turned}
		n, rows := len(one)/max(o, 1), o/s.Kernel.Groups
		for g := range s.Kernel.Groups {
			data := one[g*rows*n : (g+1)*rows*n]
			if turned {
				b.groups = append(b.groups, linalg.Block32{Rows: n, Cols: rows, Stride: rows, Data: data})
			} else {
				b.groups = append(b.groups, linalg.Block32{Rows: rows, Cols: n, Stride: n, Data: data})
			}
		}
		out = append(out, b)
	}
	return out
}
