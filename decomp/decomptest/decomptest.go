// Package decomptest holds the laws that every method of package decomp must keep, run over kernels and metrics
// that factorizations find hard.
package decomptest

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Specimen is a kernel and a metric to test on.
type Specimen struct {
	Name   string
	Kernel decomp.Kernel
	Metric decomp.Metric
	// Condition bounds how far the nonzero eigenvalues of one matrix of the metric lie apart; 0 where it is singular
	// or worse than any law can be expected to see through.
	Condition float64
}

// Loss returns tr(G (W−W') A (W−W')ᵀ) summed over groups, from its definition.
func Loss(w, approximation decomp.Kernel, m decomp.Metric) float64 {
	rows, cols, total := w.Rows(), w.Cols(), 0.0
	for g := range w.Groups {
		diff := linalg.New(rows, cols)
		for i := range diff.Data {
			diff.Data[i] = w.Weights[g*rows*cols+i] - approximation.Weights[g*rows*cols+i]
		}
		weighted := times(diff, input(m, g))
		if out := element(m.Out, g); out != nil {
			weighted = times(out, weighted)
		}
		for i, v := range weighted.Data {
			total += v * diff.Data[i]
		}
	}
	return total
}

func element(matrices []*linalg.Matrix, g int) *linalg.Matrix {
	if matrices == nil {
		return nil
	}
	return matrices[g]
}

// chainOf returns the chain of a rank at which there must be one.
func chainOf(t *testing.T, s decomp.Spectrum, r decomp.Rank) decomp.Chain {
	t.Helper()
	c, err := s.Chain(r)
	if err != nil {
		t.Fatalf("rank %v: %v", r, err)
	}
	return c
}

// input is A of a group from the definition of the form that it is given in, nil for the identity.
func input(m decomp.Metric, g int) *linalg.Matrix {
	sample := element(m.Sample, g)
	if m.Diagonal == nil || m.Diagonal[g] == nil {
		if sample == nil {
			return element(m.In, g)
		}
		return times(sample.T(), sample)
	}
	out := linalg.New(len(m.Diagonal[g]), len(m.Diagonal[g]))
	if sample != nil {
		out = times(sample.T(), sample)
	}
	for i, v := range m.Diagonal[g] {
		out.Set(i, i, out.At(i, i)+v)
	}
	return out
}

// times is a·b from its definition; b nil is the identity.
func times(a, b *linalg.Matrix) *linalg.Matrix {
	if b == nil {
		return a.Clone()
	}
	c := linalg.New(a.Rows, b.Cols)
	for i := range a.Rows {
		for k, v := range a.Row(i) {
			for j, w := range b.Row(k) {
				c.Data[i*c.Cols+j] += v * w
			}
		}
	}
	return c
}

// Run holds a method to all laws on all specimens.
func Run(t *testing.T, b linalg.Backend, m decomp.Method) {
	described(t, m)
	for _, s := range Zoo() {
		t.Run(s.Name, func(t *testing.T) { Laws(t, b, m, s) })
	}
}

// described wants every text that explains the method to people.
func described(t *testing.T, m decomp.Method) {
	t.Helper()
	for name, text := range map[string]string{
		"Name": m.Name, "Title": m.Title, "Doc": m.Doc, "Formula": m.Formula, "ChainText": m.ChainText, "CostText": m.CostText, "Source": m.Source,
	} {
		if text == "" {
			t.Errorf("method %q has no %s", m.Name, name)
		}
	}
}

// Laws holds a method to all laws on one specimen. It passes over shapes that the method does not accept.
func Laws(t *testing.T, b linalg.Backend, m decomp.Method, s Specimen) {
	t.Helper()
	if m.Accepts(s.Kernel.Shape) != nil {
		return
	}
	spectrum, err := m.Factor(b, s.Kernel, s.Metric)
	if err != nil {
		t.Fatalf("Factor: %v", err)
	}
	ranks := m.Ranks(s.Kernel.Shape, 1)
	if len(ranks) == 0 {
		t.Fatal("an accepted shape has no ranks")
	}
	zero := s.Kernel
	zero.Weights = make([]float64, len(s.Kernel.Weights))
	if want := Loss(s.Kernel, zero, s.Metric); !near(spectrum.Energy(), want, 1e-14*size(s)) {
		t.Errorf("Energy is %g, measured %g", spectrum.Energy(), want)
	}
	found := usable(t, spectrum, ranks)
	if len(found) == 0 || !slices.Equal(found[len(found)-1], ranks[len(ranks)-1]) {
		t.Fatalf("of the ranks %v, %v are usable; wanted the last", ranks, found)
	}
	last, squares, least := math.Inf(1), singularSquares(t, s), floors(t, b, s)
	for _, r := range found {
		chain := chainOf(t, spectrum, r)
		costsAgree(t, m, s, r, chain)
		balanced(t, r, chain)
		loss := lossOf(t, spectrum, r)
		lossAgrees(t, s, r, chain, loss)
		bounded(t, s, squares, r, chain, loss)
		above(t, least, s, r, chain, loss)
		if len(r) == 1 && loss > last { // of pairs and triples, which have no order, a spectrum finds local minima
			t.Errorf("loss rises from %g to %g at rank %v", last, loss, r)
		}
		last = loss
	}
	rebuilt(t, s, spectrum, ranks[len(ranks)-1])
	middle := found[len(found)/2]
	stationary(t, m, s, spectrum, middle)
	refits(t, b, m, s, spectrum, middle)
	nearby(t, m, s, middle)
	finer(t, m, s, spectrum, middle)
	deterministic(t, b, m, s, spectrum, []decomp.Rank{found[0], middle, found[len(found)-1]})
	based(t, b, m, s, spectrum, []decomp.Rank{found[0], middle, found[len(found)-1]})
	elsewhere(t, spectrum, []decomp.Rank{found[0], middle, found[len(found)-1]})
	refuses(t, spectrum)
}

// usable returns the ranks at which the method finds factors; its loss must be refused where its chain is.
func usable(t *testing.T, s decomp.Spectrum, ranks []decomp.Rank) []decomp.Rank {
	t.Helper()
	var out []decomp.Rank
	for _, r := range ranks {
		_, err := s.Loss(r)
		_, chainErr := s.Chain(r)
		var refused *decomp.RefusedError
		switch {
		case errors.As(err, &refused) && errors.As(chainErr, &refused):
		case err != nil || chainErr != nil:
			t.Fatalf("rank %v: loss says %v, chain says %v", r, err, chainErr)
		default:
			out = append(out, r)
		}
	}
	return out
}

// nearby: finer ranks are others that the shape has, and they end.
func nearby(t *testing.T, m decomp.Method, s Specimen, r decomp.Rank) {
	t.Helper()
	if m.Near == nil {
		return
	}
	const stages = 40
	for stage := 1; stage <= stages; stage++ {
		for _, multiple := range []int{1, 2} {
			near := m.Near(s.Kernel.Shape, r, stage, multiple)
			if stage == stages && len(near) > 0 {
				t.Errorf("stage %d still has the ranks %v near %v", stage, near, r)
			}
			for _, n := range near {
				odd := slices.ContainsFunc(n, func(v int) bool { return v%multiple != 0 })
				if m.Factors(s.Kernel.Shape, n) == nil || slices.Equal(n, r) || multiple > 1 && odd && !slices.ContainsFunc(r, func(v int) bool { return v%multiple != 0 }) {
					t.Errorf("near %v, stage %d, multiple %d: there is no rank %v", r, stage, multiple, n)
				}
			}
		}
	}
}

func lossOf(t *testing.T, s decomp.Spectrum, r decomp.Rank) float64 {
	t.Helper()
	loss, err := s.Loss(r)
	if err != nil {
		t.Fatalf("rank %v: %v", r, err)
	}
	return loss
}

func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance }

func compose(t *testing.T, s Specimen, r decomp.Rank, c decomp.Chain) decomp.Kernel {
	t.Helper()
	k, err := c.Compose(linalg.Gonum(), s.Kernel.Shape)
	if err != nil {
		t.Fatalf("rank %v: %v", r, err)
	}
	for i, v := range k.Weights {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Fatalf("rank %v: weight %d of the chain is %v", r, i, v)
		}
	}
	return k
}

// lossAgrees: the loss that a spectrum promises is the loss of its chain, but for the rounding of the matrices that it
// is made of.
func lossAgrees(t *testing.T, s Specimen, r decomp.Rank, c decomp.Chain, promised float64) {
	t.Helper()
	whole := s
	whole.Kernel = compose(t, s, r, c)
	measured, scale := Loss(s.Kernel, whole.Kernel, s.Metric), size(s)
	if strings.HasPrefix(s.Name, "degenerate") { // where factors may be large in directions that the metric does not see
		scale = max(scale, size(whole))
	}
	if promised < 0 || !near(promised, measured, 1e-8*promised+1e-14*scale) {
		t.Errorf("rank %v: promised loss %g, measured %g (of numbers of size %g)", r, promised, measured, scale)
	}
}

// bounded: no chain loses less than the best matrix of the rank that its last factor leaves to W (Eckart and Young). squares
// are those of the singular values of G^½ W A^½, by group.
func bounded(t *testing.T, s Specimen, squares [][]float64, r decomp.Rank, c decomp.Chain, loss float64) {
	t.Helper()
	last := c[len(c)-1].Kernel
	if last.Groups != s.Kernel.Groups {
		return
	}
	bound := 0.0
	for _, group := range squares {
		for _, v := range group[min(len(group), last.Cols()):] {
			bound += v
		}
	}
	if loss < bound*(1-1e-6)-1e-13*size(s) {
		t.Errorf("rank %v: loss %g, and no matrix of rank %d loses less than %g", r, loss, last.Cols(), bound)
	}
}

// singularSquares returns the squares of the singular values of G^½ W A^½ of every group.
func singularSquares(t *testing.T, s Specimen) [][]float64 {
	t.Helper()
	var out [][]float64
	rows := s.Kernel.Rows() * s.Kernel.Cols()
	for g := range s.Kernel.Groups {
		w := &linalg.Matrix{Rows: s.Kernel.Rows(), Cols: s.Kernel.Cols(), Data: s.Kernel.Weights[g*rows:][:rows]}
		seen := times(w, root(t, input(s.Metric, g)))
		if g := root(t, element(s.Metric.Out, g)); g != nil {
			seen = times(g, seen)
		}
		_, values, _, err := linalg.Gonum().SVD(seen)
		if err != nil {
			t.Fatalf("bounds: %v", err)
		}
		for i, v := range values {
			values[i] = v * v
		}
		out = append(out, values)
	}
	return out
}

// root returns the symmetric root of a second moment, nil for the identity.
func root(t *testing.T, m *linalg.Matrix) *linalg.Matrix {
	t.Helper()
	if m == nil {
		return nil
	}
	values, v, err := linalg.Gonum().SymEig(m)
	if err != nil {
		t.Fatal(err)
	}
	scaled := v.Clone()
	for i := range scaled.Data {
		scaled.Data[i] *= math.Sqrt(max(values[i%v.Cols], 0))
	}
	return times(scaled, v.T())
}

// size returns ‖G‖·‖W‖²·‖A‖ summed over groups: the scale of the rounding in tr(G W A Wᵀ).
func size(s Specimen) float64 {
	rows, total := s.Kernel.Rows()*s.Kernel.Cols(), 0.0
	for g := range s.Kernel.Groups {
		w := norm(s.Kernel.Weights[g*rows : (g+1)*rows])
		product := w * w
		for _, m := range []*linalg.Matrix{input(s.Metric, g), element(s.Metric.Out, g)} {
			if m != nil {
				product *= norm(m.Data)
			}
		}
		total += product
	}
	return total
}

func norm(v []float64) float64 {
	n := 0.0
	for _, x := range v {
		n = math.Hypot(n, x)
	}
	return n
}

// refits wants a chain of the same sizes that lies no further from another target than the chain it starts from.
func refits(t *testing.T, b linalg.Backend, m decomp.Method, s Specimen, spectrum decomp.Spectrum, r decomp.Rank) {
	t.Helper()
	start := chainOf(t, spectrum, r)
	target := s.Kernel
	target.Weights = slices.Clone(target.Weights)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range target.Weights {
		target.Weights[i] *= 1 + 0.3*random.NormFloat64()
	}
	chain, err := m.Refit(b, target, s.Metric, start)
	if err != nil {
		t.Fatalf("refit at rank %v: %v", r, err)
	}
	if len(chain) != len(start) || chain.Params() != start.Params() {
		t.Fatalf("refit at rank %v: %d factors of %d weights, the start has %d of %d", r, len(chain), chain.Params(), len(start), start.Params())
	}
	loss := func(c decomp.Chain) float64 {
		k, err := c.Compose(b, target.Shape)
		if err != nil {
			t.Fatalf("refit at rank %v: %v", r, err)
		}
		return Loss(target, k, s.Metric)
	}
	if before, after := loss(start), loss(chain); !(after <= before*(1+1e-6)+1e-12*size(s)) {
		t.Errorf("refit at rank %v: loss %g, the start has %g", r, after, before)
	}
}

// finer: where ranks nest, one near a rank of the ladder is no worse than that if it is larger.
func finer(t *testing.T, m decomp.Method, s Specimen, spectrum decomp.Spectrum, r decomp.Rank) {
	t.Helper()
	if m.Near == nil || len(r) != 1 {
		return
	}
	for _, n := range m.Near(s.Kernel.Shape, r, 1, 1) {
		if n[0] < r[0] || len(usable(t, spectrum, []decomp.Rank{n})) == 0 {
			continue
		}
		if at, fine := lossOf(t, spectrum, r), lossOf(t, spectrum, n); fine > at {
			t.Errorf("loss rises from %g at rank %v to %g at rank %v", at, r, fine, n)
		}
	}
}

// costsAgree: shapes without numbers cost what the numbers cost, and every axis is carried once.
func costsAgree(t *testing.T, m decomp.Method, s Specimen, r decomp.Rank, c decomp.Chain) {
	t.Helper()
	shapes, axes := m.Factors(s.Kernel.Shape, r), len(s.Kernel.Window)
	geometry := decomp.Geometry{In: make([]int, axes), Out: make([]int, axes)}
	for i := range axes {
		geometry.In[i], geometry.Out[i] = 20+i, 10+i
	}
	var numbers int64
	carried := make([]int, axes)
	for i, f := range c {
		numbers += int64(len(f.Kernel.Weights))
		if len(f.Axes) != axes {
			t.Fatalf("rank %v: factor %s has %d axes, wanted %d", r, f.Part, len(f.Axes), axes)
		}
		for a, on := range f.Axes {
			if on {
				carried[a]++
			} else if f.Kernel.Window[a] != 1 {
				t.Errorf("rank %v: factor %s has a window on axis %d and does not carry it", r, f.Part, a)
			}
		}
		if i < len(shapes) && (shapes[i].Part != f.Part || shapes[i].Kernel.String() != f.Kernel.String() || !slices.Equal(shapes[i].Axes, f.Axes)) {
			t.Errorf("rank %v: factor %d is declared %s %v, made %s %v", r, i, shapes[i].Part, shapes[i].Kernel.Shape, f.Part, f.Kernel.Shape)
		}
	}
	if len(shapes) != len(c) || shapes.Params() != numbers || c.Params() != numbers || shapes.MACs(geometry) != c.MACs(geometry) {
		t.Errorf("rank %v: shapes say %d weights and %d MACs, the chain has %d weights and %d MACs",
			r, shapes.Params(), shapes.MACs(geometry), numbers, c.MACs(geometry))
	}
	for a, n := range carried {
		if n != 1 {
			t.Errorf("rank %v: axis %d is carried by %d factors, wanted 1", r, a, n)
		}
	}
}

// balanced: all factors carry the same norm.
func balanced(t *testing.T, r decomp.Rank, c decomp.Chain) {
	t.Helper()
	norms := make([]float64, len(c))
	for i, f := range c {
		norms[i] = norm(f.Kernel.Weights)
	}
	for _, n := range norms {
		if !near(n, norms[0], 1e-9*norms[0]) {
			t.Errorf("rank %v: factors have the norms %v, wanted them equal", r, norms)
			return
		}
	}
}

// rebuilt: the last rank gives the kernel itself, whatever the metric.
func rebuilt(t *testing.T, s Specimen, spectrum decomp.Spectrum, r decomp.Rank) {
	t.Helper()
	k, largest, worst := compose(t, s, r, chainOf(t, spectrum, r)), 0.0, 0.0
	for i, w := range s.Kernel.Weights {
		largest, worst = max(largest, math.Abs(w)), max(worst, math.Abs(w-k.Weights[i]))
	}
	if worst > 1e-10*largest {
		t.Errorf("rank %v misses the kernel by %g of its largest weight", r, worst/largest)
	}
}

// deterministic: a second factorization gives the same bytes, whatever ranks it is asked for and in whichever order, and
// neither leaves its mark on the input.
func deterministic(t *testing.T, b linalg.Backend, m decomp.Method, s Specimen, spectrum decomp.Spectrum, ranks []decomp.Rank) {
	t.Helper()
	again, err := m.Factor(b, s.Kernel, s.Metric)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range slices.Backward(ranks) {
		c1, c2 := chainOf(t, spectrum, r), chainOf(t, again, r)
		if first, second := lossOf(t, spectrum, r), lossOf(t, again, r); first != second {
			t.Errorf("rank %v: losses %v and %v from the same input", r, first, second)
		}
		for i := range c1 {
			if !slices.Equal(c1[i].Kernel.Weights, c2[i].Kernel.Weights) {
				t.Errorf("rank %v: factor %s differs from one run to the next", r, c1[i].Part)
			}
		}
	}
}

// refuses: a rank that there is not has no loss and no chain.
func refuses(t *testing.T, spectrum decomp.Spectrum) {
	t.Helper()
	for _, r := range []decomp.Rank{nil, {0}, {-1}, {math.MaxInt32}, {1, 1, 1, 1, 1}} {
		c, err := spectrum.Chain(r)
		loss, lossErr := spectrum.Loss(r)
		if err == nil || lossErr == nil {
			t.Errorf("rank %v: got loss %g and a chain of %d factors, wanted errors", r, loss, len(c))
		}
	}
}

// Random returns a specimen of the given shape with random weights and a random metric of full rank.
func Random(seed uint64, s decomp.Shape) Specimen {
	r := rand.New(rand.NewPCG(seed, 1))
	out := Specimen{Name: fmt.Sprintf("random %v", s), Kernel: kernel(r, s), Condition: 100}
	out.Metric.In = moments(r, s.Groups, s.Cols(), 0.1)
	out.Metric.Out = moments(r, s.Groups, s.Rows(), 0.1)
	return out
}

// Formed returns specimens of a shape without a window whose input second moment is given by a sample, of fewer rows than
// columns and of more, by a diagonal, and by both.
func Formed(seed uint64, s decomp.Shape) []Specimen {
	r := rand.New(rand.NewPCG(seed, 2))
	var out []Specimen
	for _, form := range []struct {
		name      string
		condition float64
		metric    decomp.Metric
	}{
		{"wide sample", 0, decomp.Metric{Sample: samples(r, s.Groups, s.Cols(), (s.Cols()+1)/2)}},
		{"tall sample", 100, decomp.Metric{Sample: samples(r, s.Groups, s.Cols(), 9*s.Cols())}},
		{"diagonal", 100, decomp.Metric{Diagonal: diagonals(r, s.Groups, s.Cols())}},
		{"wide sample and diagonal", 1000, decomp.Metric{Sample: samples(r, s.Groups, s.Cols(), (s.Cols()+1)/2), Diagonal: diagonals(r, s.Groups, s.Cols())}},
	} {
		plain := Specimen{Name: fmt.Sprintf("%s %v", form.name, s), Kernel: kernel(r, s), Metric: form.metric, Condition: form.condition}
		out = append(out, plain)
		plain.Name += " and outputs"
		plain.Metric.Out = moments(r, s.Groups, s.Rows(), 0.1)
		out = append(out, plain)
	}
	return out
}
