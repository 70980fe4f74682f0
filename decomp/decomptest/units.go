package decomptest

import (
	"math"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Axis is an axis of units with its readers, to test on.
type Axis struct {
	Name    string
	Units   int
	Readers []decomp.Reader
	Dead    []int // units that cost nothing to take out
	// Exact says that moments are sound enough for folds to be compared number by number, and that no two units cost the same.
	Exact bool
}

// RunUnits holds decomp.Eliminate to all laws on all axes.
func RunUnits(t *testing.T, b linalg.Backend) {
	for _, a := range Axes() {
		t.Run(a.Name, func(t *testing.T) { UnitLaws(t, b, a) })
	}
	betterThanMagnitude(t, b)
}

// UnitLaws holds decomp.Eliminate to all laws on one axis.
func UnitLaws(t *testing.T, b linalg.Backend, a Axis) {
	t.Helper()
	e := eliminated(t, b, a)
	zero := 0.0
	for _, r := range a.Readers {
		nothing := decomp.Kernel{Shape: r.Kernel.Shape, Weights: make([]float64, len(r.Kernel.Weights))}
		zero += r.Scale * Loss(r.Kernel, nothing, r.Metric)
	}
	if !near(e.Energy(), zero, 1e-9*zero+1e-14*axisSize(a)) {
		t.Errorf("Energy is %g, measured %g", e.Energy(), zero)
	}
	unitsNest(t, a, e)
	for k := 1; k <= a.Units; k++ {
		folded := folds(t, a, e, k)
		if got, loss := lossOfUnits(a, folded), widthLoss(t, e, k); !near(got, loss, 1e-6*zero+1e-13*axisSize(a)) {
			t.Errorf("%d units: promised loss %g, measured %g of %g", k, loss, got, zero)
		}
	}
	for _, k := range slices.Compact([]int{1, (a.Units + 1) / 2, max(a.Units-1, 1)}) {
		leastSquares(t, a, e, k, zero)
	}
	firstIsBest(t, a, e, zero)
	everyStepIsBest(t, b, a, e)
	deadLeaveFirst(t, a, e, zero)
	lossesElsewhere(t, a, e, zero)
	unitsPermute(t, b, a, e)
	unitsScale(t, b, a, e)
	unitsInOrder(t, b, a, e)
	unitsRepeat(t, b, a, e)
	unitsKeepMeans(t, a, e)
	unitsRefuse(t, b, a, e)
}

func eliminated(t *testing.T, b linalg.Backend, a Axis) *decomp.Elimination {
	t.Helper()
	e, err := decomp.Eliminate(b, a.Units, a.Readers)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func widthLoss(t *testing.T, e *decomp.Elimination, k int) float64 {
	t.Helper()
	loss, err := e.Loss(k)
	if err != nil {
		t.Fatal(err)
	}
	return loss
}

func keptUnits(t *testing.T, e *decomp.Elimination, k int) []int {
	t.Helper()
	kept, err := e.Kept(k)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// axisSize is the scale of the rounding in the losses of an axis.
func axisSize(a Axis) float64 {
	total := 0.0
	for _, r := range a.Readers {
		total += r.Scale * size(Specimen{Kernel: r.Kernel, Metric: r.Metric})
	}
	return total
}

// unitsNest: those that stay are in those of one more, losses fall to nothing, and widths are multiples and the whole.
func unitsNest(t *testing.T, a Axis, e *decomp.Elimination) {
	t.Helper()
	if e.Units() != a.Units {
		t.Fatalf("%d units, wanted %d", e.Units(), a.Units)
	}
	more, last := keptUnits(t, e, a.Units), 0.0
	if loss := widthLoss(t, e, a.Units); loss != 0 {
		t.Errorf("all units lose %g", loss)
	}
	for u := range a.Units {
		if more[u] != u {
			t.Fatalf("of %d units %v are kept", a.Units, more)
		}
	}
	for k := a.Units - 1; k >= 1; k-- {
		kept, loss := keptUnits(t, e, k), widthLoss(t, e, k)
		if len(kept) != k || !slices.IsSorted(kept) || len(slices.Compact(slices.Clone(kept))) != k ||
			slices.ContainsFunc(kept, func(u int) bool { return !slices.Contains(more, u) }) {
			t.Errorf("%d units: %v are kept, of %v with one more", k, kept, more)
		}
		if !(loss >= last) {
			t.Errorf("the loss falls from %g to %g where the unit %d of %d leaves", last, loss, k+1, a.Units)
		}
		more, last = kept, loss
	}
	for _, step := range []int{0, 1, 3, a.Units, a.Units + 1} {
		for i, k := range e.Widths(step) {
			if want := (i + 1) * max(step, 1); k != min(want, a.Units) {
				t.Errorf("widths in steps of %d: %v", step, e.Widths(step))
			}
		}
	}
}

// folds returns the kernels of all readers with k units, over all channels.
func folds(t *testing.T, a Axis, e *decomp.Elimination, k int) []decomp.Kernel {
	t.Helper()
	var out []decomp.Kernel
	for i, r := range a.Readers {
		fold, err := e.Fold(k, i)
		if err != nil {
			t.Fatal(err)
		}
		channels, err := e.Channels(k, i)
		if err != nil {
			t.Fatal(err)
		}
		if want := staying(r, keptUnits(t, e, k)); !slices.Equal(channels, want) {
			t.Fatalf("%d units, reader %d: the channels %v stay, wanted %v", k, i, channels, want)
		}
		if fold.Out != r.Kernel.Out || fold.In != len(channels) || fold.Groups != r.Kernel.Groups || !slices.Equal(fold.Window, r.Kernel.Window) {
			t.Fatalf("%d units: reader %d of %v folds to %v", k, i, r.Kernel.Shape, fold.Shape)
		}
		if err := fold.Check(); err != nil {
			t.Fatal(err)
		}
		out = append(out, spread(r.Kernel.Shape, fold, channels))
	}
	return out
}

// staying returns the channels of a reader that carry some units or none at all.
func staying(r decomp.Reader, units []int) []int {
	leaving := map[int]bool{}
	for u := range unitsOf(r) {
		for _, c := range channelsOf(r, u) {
			leaving[c] = !slices.Contains(units, u)
		}
	}
	var out []int
	for c := range r.Kernel.In {
		if !leaving[c] {
			out = append(out, c)
		}
	}
	return out
}

func unitsOf(r decomp.Reader) int {
	if r.Channels == nil {
		return r.Kernel.In
	}
	return len(r.Channels)
}

func channelsOf(r decomp.Reader, unit int) []int {
	if r.Channels == nil {
		return []int{unit}
	}
	return r.Channels[unit]
}

// spread puts a fold back over all channels, with zeros for those that left.
func spread(s decomp.Shape, fold decomp.Kernel, channels []int) decomp.Kernel {
	out := decomp.Kernel{Shape: s, Weights: make([]float64, s.Params())}
	width, taps := s.In/s.Groups, s.Cols()/(s.In/s.Groups)
	for g := range s.Groups {
		inside := slices.DeleteFunc(slices.Clone(channels), func(c int) bool { return c/width != g })
		for o := range s.Rows() {
			for i, c := range inside {
				from := ((g*s.Rows()+o)*len(inside) + i) * taps
				copy(out.Weights[((g*s.Rows()+o)*width+c%width)*taps:], fold.Weights[from:from+taps])
			}
		}
	}
	return out
}

// lossOfUnits is Σ Scale·tr(G (W−W') A (W−W')ᵀ) from its definition.
func lossOfUnits(a Axis, approximations []decomp.Kernel) float64 {
	total := 0.0
	for i, r := range a.Readers {
		total += r.Scale * Loss(r.Kernel, approximations[i], r.Metric)
	}
	return total
}

// leastSquares: the fold is the best there is over these columns.
func leastSquares(t *testing.T, a Axis, e *decomp.Elimination, k int, energy float64) {
	t.Helper()
	got := folds(t, a, e, k)
	want := exactFolds(t, a, keptUnits(t, e, k))
	if loss, least := lossOfUnits(a, got), lossOfUnits(a, want); loss > least*(1+1e-8)+1e-8*energy+1e-13*axisSize(a) {
		t.Errorf("%d units: the folds lose %g, least squares %g of %g", k, loss, least, energy)
	}
	if !a.Exact {
		return
	}
	for i := range got {
		scale := norm(want[i].Weights)
		for c, v := range got[i].Weights {
			if !near(v, want[i].Weights[c], 1e-8*scale) {
				t.Fatalf("%d units, reader %d: weight %d is %g, by least squares %g", k, i, c, v, want[i].Weights[c])
			}
		}
	}
}

// exactFolds are the folds by pseudoinverses of the moments, scaled to a diagonal of one.
func exactFolds(t *testing.T, a Axis, units []int) []decomp.Kernel {
	t.Helper()
	var out []decomp.Kernel
	for _, r := range a.Readers {
		s := r.Kernel.Shape
		whole := decomp.Kernel{Shape: s, Weights: make([]float64, s.Params())}
		width, taps, channels := s.In/s.Groups, s.Cols()/(s.In/s.Groups), staying(r, units)
		for g := range s.Groups {
			var columns []int
			for c := range s.Cols() {
				if slices.Contains(channels, g*width+c/taps) {
					columns = append(columns, c)
				}
			}
			exactFold(t, input(r.Metric, g), r.Kernel.Weights[g*s.Rows()*s.Cols():], whole.Weights[g*s.Rows()*s.Cols():], s.Rows(), s.Cols(), columns)
		}
		out = append(out, whole)
	}
	return out
}

// exactFold writes W A_:S (A_SS)⁺ to the columns S of out.
func exactFold(t *testing.T, moment *linalg.Matrix, w, out []float64, rows, cols int, columns []int) {
	t.Helper()
	if moment == nil {
		moment = linalg.Identity(cols)
	}
	scale, n := moment.MaxAbs(), len(columns)
	root := make([]float64, cols)
	for i := range root {
		if v := moment.At(i, i) / scale; v > 1e-20 {
			root[i] = math.Sqrt(v)
		}
	}
	scaled := func(i, j int) float64 {
		if root[i] == 0 || root[j] == 0 {
			return 0
		}
		return moment.At(i, j) / scale / root[i] / root[j]
	}
	inner, right := linalg.New(n, n), linalg.New(rows, n)
	for i, c := range columns {
		for j, d := range columns {
			inner.Set(i, j, scaled(c, d))
		}
		for o := range rows {
			for d := range cols {
				right.Data[o*n+i] += w[o*cols+d] * root[d] * scaled(d, c)
			}
		}
	}
	values, vectors, err := linalg.Gonum().SymEig(inner)
	if err != nil {
		t.Fatal(err)
	}
	turned := times(right, vectors)
	for i := range turned.Data {
		if v := values[i%n]; v > 1e-12*values[n-1] {
			turned.Data[i] /= v
		} else {
			turned.Data[i] = 0
		}
	}
	solved := times(turned, vectors.T())
	for o := range rows {
		for i, c := range columns {
			if out[o*cols+c] = w[o*cols+c]; root[c] > 0 {
				out[o*cols+c] = solved.At(o, i) / root[c]
			}
		}
	}
}

// firstIsBest: no single unit could leave at a lower loss than the one that does.
func firstIsBest(t *testing.T, a Axis, e *decomp.Elimination, energy float64) {
	t.Helper()
	if a.Units < 2 || a.Units > 31 {
		return
	}
	loss := lossOfUnits(a, folds(t, a, e, a.Units-1))
	for u := range a.Units {
		others := slices.DeleteFunc(keptUnits(t, e, a.Units), func(v int) bool { return v == u })
		if least := lossOfUnits(a, exactFolds(t, a, others)); loss > least*(1+1e-6)+1e-7*energy+1e-13*axisSize(a) {
			t.Errorf("all but one unit lose %g, and all but unit %d %g of %g", loss, u, least, energy)
		}
	}
}

// everyStepIsBest: units leave in the order of the textbook's steps.
func everyStepIsBest(t *testing.T, b linalg.Backend, a Axis, e *decomp.Elimination) {
	t.Helper()
	if !a.Exact {
		return
	}
	order, err := PlainOrder(b, a)
	if err != nil {
		t.Fatal(err)
	}
	for i := range order {
		want := slices.Sorted(slices.Values(order[i:]))
		if got := keptUnits(t, e, len(want)); !slices.Equal(got, want) {
			t.Fatalf("%d units: %v are kept, by plain steps %v", len(want), got, want)
		}
	}
}

func deadLeaveFirst(t *testing.T, a Axis, e *decomp.Elimination, energy float64) {
	t.Helper()
	k := a.Units - len(a.Dead)
	if k < 1 {
		return
	}
	if loss := widthLoss(t, e, k); loss > 1e-12*energy {
		t.Errorf("%d dead units leave at %g of %g", len(a.Dead), loss, energy)
	}
	for _, u := range keptUnits(t, e, k) {
		if slices.Contains(a.Dead, u) {
			t.Errorf("%d of %d units are kept, the dead unit %d among them", k, a.Units, u)
		}
	}
}
