package decomptest

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// lossesElsewhere: under the metrics of the choice, losses are those of the choice; under others, those of its folds.
func lossesElsewhere(t *testing.T, a Axis, e *decomp.Elimination, energy float64) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(a.Units), 7))
	var own, others []decomp.Metric
	other := a
	other.Readers = slices.Clone(a.Readers)
	for i := range other.Readers {
		m, s := &other.Readers[i].Metric, a.Readers[i].Kernel.Shape
		own = append(own, *m)
		*m = decomp.Metric{In: moments(r, s.Groups, s.Cols(), 0.01), Out: m.Out}
		others = append(others, *m)
	}
	same, err := e.LossesUnder(own)
	if err != nil {
		t.Fatal(err)
	}
	away, err := e.LossesUnder(others)
	if err != nil {
		t.Fatal(err)
	}
	if len(same) != a.Units+1 || len(away) != a.Units+1 {
		t.Fatalf("%d and %d losses of %d units", len(same), len(away), a.Units)
	}
	for k := 1; k <= a.Units; k++ {
		if want := widthLoss(t, e, k); !near(same[k], want, 1e-6*energy+1e-13*axisSize(a)) {
			t.Errorf("%d units lose %g, under the same metric %g of %g", k, want, same[k], energy)
		}
		if !a.Exact {
			continue
		}
		if want := lossOfUnits(other, folds(t, a, e, k)); !near(away[k], want, 1e-7*(want+away[0])) {
			t.Errorf("%d units lose %g under another metric, measured %g", k, away[k], want)
		}
	}
	if _, err := e.LossesUnder(own[1:]); err == nil {
		t.Error("there are losses under too few metrics")
	}
	own[0] = decomp.Metric{In: []*linalg.Matrix{linalg.New(0, 1)}}
	if _, err := e.LossesUnder(own); err == nil {
		t.Error("there are losses under a metric that does not fit")
	}
}

// unitsPermute: other numbers for the units change nothing but their numbers.
func unitsPermute(t *testing.T, b linalg.Backend, a Axis, e *decomp.Elimination) {
	t.Helper()
	if !a.Exact {
		return
	}
	permuted, to := a, rand.New(rand.NewPCG(uint64(a.Units), 5)).Perm(a.Units)
	permuted.Readers = nil
	for _, r := range a.Readers {
		channels := make([][]int, a.Units)
		for u := range a.Units {
			channels[to[u]] = channelsOf(r, u)
		}
		r.Channels = channels
		permuted.Readers = append(permuted.Readers, r)
	}
	p := eliminated(t, b, permuted)
	for k := 1; k <= a.Units; k++ {
		var want []int
		for _, u := range keptUnits(t, e, k) {
			want = append(want, to[u])
		}
		slices.Sort(want)
		if got := keptUnits(t, p, k); !slices.Equal(got, want) {
			t.Fatalf("%d units: under other numbers %v are kept, wanted %v", k, got, want)
		}
		if got, want := widthLoss(t, p, k), widthLoss(t, e, k); !near(got, want, 1e-9*e.Energy()) {
			t.Errorf("%d units: loss %g, under other numbers %g", k, want, got)
		}
	}
}

// unitsScale: powers of two in kernels, metrics and what losses count go through all of it, and change no choice.
func unitsScale(t *testing.T, b linalg.Backend, a Axis, e *decomp.Elimination) {
	t.Helper()
	const weights, moments, counts = 0.5, 8, 4
	scaled := a
	scaled.Readers = nil
	for _, r := range a.Readers {
		r.Kernel.Weights = slices.Clone(r.Kernel.Weights)
		multiply(r.Kernel.Weights, weights)
		r.Metric.Out = each(len(r.Metric.Out), func() *linalg.Matrix { return nil })
		original := a.Readers[len(scaled.Readers)].Metric
		if r.Metric.Out = nil; original.Out != nil {
			for _, g := range original.Out {
				if g != nil {
					g = g.Clone()
					multiply(g.Data, moments)
				}
				r.Metric.Out = append(r.Metric.Out, g)
			}
		}
		if original.Out == nil || slices.Contains(r.Metric.Out, nil) {
			r.Metric.Out = original.Out
			r.Scale *= moments
		}
		r.Scale *= counts
		scaled.Readers = append(scaled.Readers, r)
	}
	p := eliminated(t, b, scaled)
	for k := 1; k <= a.Units; k++ {
		if got, want := keptUnits(t, p, k), keptUnits(t, e, k); !slices.Equal(got, want) {
			t.Fatalf("%d units: scaled, %v are kept, wanted %v", k, got, want)
		}
		if got, want := widthLoss(t, p, k), widthLoss(t, e, k)*weights*weights*moments*counts; got != want && !(want < 1e-290) {
			t.Errorf("%d units: scaled, loss %g, wanted %g", k, got, want)
		}
	}
}

// unitsInOrder: from the order alone come the same losses and folds.
func unitsInOrder(t *testing.T, b linalg.Backend, a Axis, e *decomp.Elimination) {
	t.Helper()
	again, err := decomp.EliminateInOrder(b, e.Order(), a.Readers)
	if err != nil {
		t.Fatal(err)
	}
	for k := 1; k <= a.Units; k++ {
		if !slices.Equal(keptUnits(t, again, k), keptUnits(t, e, k)) || widthLoss(t, again, k) != widthLoss(t, e, k) {
			t.Errorf("%d units: %v at %g, from the order %v at %g", k, keptUnits(t, e, k), widthLoss(t, e, k), keptUnits(t, again, k), widthLoss(t, again, k))
		}
	}
	k := (a.Units + 1) / 2
	for i, fold := range folds(t, a, again, k) {
		if !slices.Equal(fold.Weights, folds(t, a, e, k)[i].Weights) {
			t.Errorf("%d units: reader %d folds to other numbers from the order", k, i)
		}
	}
	wrong := e.Order()
	wrong[0] = a.Units
	if _, err := decomp.EliminateInOrder(b, wrong, a.Readers); err == nil {
		t.Errorf("the order %v of %d units has an answer", wrong, a.Units)
	}
}

// unitsRepeat: the same bytes, however many are at work.
func unitsRepeat(t *testing.T, b linalg.Backend, a Axis, e *decomp.Elimination) {
	t.Helper()
	k := (a.Units + 1) / 2
	want := folds(t, a, e, k)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			again, err := decomp.Eliminate(b, a.Units, a.Readers)
			if err != nil {
				t.Error(err)
				return
			}
			for k := 1; k <= a.Units; k++ {
				one, _ := e.Loss(k)
				other, _ := again.Loss(k)
				if one != other {
					t.Errorf("%d units: loss %g, and again %g", k, one, other)
				}
			}
			for i, r := range a.Readers {
				fold, err := again.Fold(k, i)
				if err != nil {
					t.Error(err)
					return
				}
				channels, _ := again.Channels(k, i)
				if !slices.Equal(spread(r.Kernel.Shape, fold, channels).Weights, want[i].Weights) {
					t.Errorf("%d units: reader %d folds to other numbers each time", k, i)
				}
			}
		})
	}
	all.Wait()
}

// unitsKeepMeans: with its shift, a fold gives for the mean input what the kernel gave.
func unitsKeepMeans(t *testing.T, a Axis, e *decomp.Elimination) {
	t.Helper()
	k, r := (a.Units+1)/2, rand.New(rand.NewPCG(uint64(a.Units), 6))
	whole := folds(t, a, e, k)
	for i, reader := range a.Readers {
		s := reader.Kernel.Shape
		mean := each(s.Groups, func() []float64 { return each(s.Cols(), r.NormFloat64) })
		fold, err := e.Fold(k, i)
		if err != nil {
			t.Fatal(err)
		}
		shift, err := e.BiasShift(k, i, fold, mean)
		if err != nil {
			t.Fatal(err)
		}
		for o, got := range shift {
			want, scale, at := 0.0, 0.0, o*s.Cols()
			for c, v := range mean[o/s.Rows()] {
				want += (reader.Kernel.Weights[at+c] - whole[i].Weights[at+c]) * v
				scale += (math.Abs(reader.Kernel.Weights[at+c]) + math.Abs(whole[i].Weights[at+c])) * math.Abs(v)
			}
			if !near(got, want, 1e-12*scale) {
				t.Errorf("reader %d: the shift of output %d is %g, wanted %g", i, o, got, want)
			}
		}
		fold.In++
		if _, err := e.BiasShift(k, i, fold, mean); err == nil {
			t.Errorf("reader %d: a fold of another size has a shift", i)
		}
	}
}

// unitsRefuse: numbers of units and readers that there are not, and readers that are unsound, are errors.
func unitsRefuse(t *testing.T, b linalg.Backend, a Axis, e *decomp.Elimination) {
	t.Helper()
	for _, k := range []int{-1, 0, a.Units + 1} {
		_, lossErr := e.Loss(k)
		_, keptErr := e.Kept(k)
		_, channelsErr := e.Channels(k, 0)
		_, foldErr := e.Fold(k, 0)
		_, shiftErr := e.BiasShift(k, 0, decomp.Kernel{}, nil)
		if lossErr == nil || keptErr == nil || channelsErr == nil || foldErr == nil || shiftErr == nil {
			t.Errorf("%d of %d units: got %v, %v, %v, %v, %v", k, a.Units, lossErr, keptErr, channelsErr, foldErr, shiftErr)
		}
	}
	for _, reader := range []int{-1, len(a.Readers)} {
		if _, err := e.Fold(1, reader); err == nil {
			t.Errorf("there is a fold of reader %d of %d", reader, len(a.Readers))
		}
	}
	first, channels := a.Readers[0], make([][]int, a.Units)
	for u := range channels {
		channels[u] = channelsOf(first, u)
	}
	change := func(with func(r *decomp.Reader)) []decomp.Reader {
		r := first
		r.Channels = slices.Clone(channels)
		with(&r)
		return []decomp.Reader{r}
	}
	for name, readers := range map[string][]decomp.Reader{
		"no readers":       nil,
		"no scale":         change(func(r *decomp.Reader) { r.Scale = 0 }),
		"infinite scale":   change(func(r *decomp.Reader) { r.Scale = math.Inf(1) }),
		"short kernel":     change(func(r *decomp.Reader) { r.Kernel.Weights = r.Kernel.Weights[1:] }),
		"unfit metric":     change(func(r *decomp.Reader) { r.Metric = decomp.Metric{In: []*linalg.Matrix{linalg.New(0, 1)}} }),
		"one unit fewer":   change(func(r *decomp.Reader) { r.Channels = r.Channels[1:] }),
		"unknown channel":  change(func(r *decomp.Reader) { r.Channels[0] = []int{r.Kernel.In} }),
		"negative channel": change(func(r *decomp.Reader) { r.Channels[0] = []int{-1} }),
		"shared channel":   change(func(r *decomp.Reader) { r.Channels[0] = []int{0, 0} }),
	} {
		if _, err := decomp.Eliminate(b, a.Units, readers); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := decomp.Eliminate(b, 0, a.Readers); err == nil {
		t.Error("no units: no error")
	}
}
