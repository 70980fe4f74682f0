package decomp_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

func method(t testing.TB, name string) decomp.Method {
	t.Helper()
	for _, m := range decomp.Methods() {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("no method %s", name)
	return decomp.Method{}
}

func factor(t testing.TB, k decomp.Kernel, m decomp.Metric) decomp.Spectrum {
	t.Helper()
	s, err := method(t, "svd").Factor(linalg.Gonum(), k, m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// root returns M^½ for a specimen's first group, the identity of order n where there is no M.
func root(t *testing.T, m []*linalg.Matrix, n int) *linalg.Matrix {
	t.Helper()
	if m == nil {
		return linalg.Identity(n)
	}
	values, v, err := linalg.Gonum().SymEig(m[0])
	if err != nil {
		t.Fatal(err)
	}
	scaled := v.Clone()
	for i := range scaled.Data {
		scaled.Data[i] *= math.Sqrt(max(values[i%v.Cols], 0))
	}
	return linalg.Gonum().Mul(false, true, 1, scaled, v)
}

// tails returns for every r the least loss that rank r can have: Σ_{i>r} σ_i² of G^½ W A^½.
func tails(t *testing.T, s decomptest.Specimen) []float64 {
	t.Helper()
	b, w := linalg.Gonum(), &linalg.Matrix{Rows: s.Kernel.Rows(), Cols: s.Kernel.Cols(), Data: s.Kernel.Weights}
	white := b.Mul(false, false, 1, b.Mul(false, false, 1, root(t, s.Metric.Out, w.Rows), w), root(t, s.Metric.In, w.Cols))
	_, sigma, _, err := b.SVD(white)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float64, len(sigma)+1)
	for r := len(sigma) - 1; r >= 0; r-- {
		out[r] = out[r+1] + sigma[r]*sigma[r]
	}
	return out
}

// TestEckartYoung holds every loss against the least that its rank can have: with metrics that need no lift they are
// equal, and with one that does the loss may be a little above.
func TestEckartYoung(t *testing.T) {
	for _, shape := range []decomp.Shape{
		{Out: 13, In: 7, Window: []int{3, 3}, Groups: 1},
		{Out: 31, In: 5, Window: []int{2}, Groups: 1},
		{Out: 17, In: 17, Groups: 1},
	} {
		both := decomptest.Random(11, shape)
		for name, c := range map[string]struct {
			metric    decomp.Metric
			tolerance float64
		}{
			"weights alone": {decomp.Metric{}, 1e-12},
			"input":         {decomp.Metric{In: both.Metric.In}, 1e-11},
			"output":        {decomp.Metric{Out: both.Metric.Out}, 1e-11},
			"both":          {both.Metric, 1e-11},
			"lifted":        {decomp.Metric{In: nearSingular(both.Metric.In), Out: nearSingular(both.Metric.Out)}, 1e-2},
		} {
			s := decomptest.Specimen{Kernel: both.Kernel, Metric: c.metric}
			spectrum, least := factor(t, s.Kernel, s.Metric), tails(t, s)
			for r := 1; r <= shape.FullRank(); r++ {
				got, want := loss(t, spectrum, decomp.Rank{r}), least[r]
				if got < want*(1-1e-10)-1e-14*least[0] || got > want*(1+c.tolerance)+(1e-14+1e-8*c.tolerance)*least[0] {
					t.Errorf("%v, %s, rank %d: loss %g, the least possible is %g", shape, name, r, got, want)
				}
			}
		}
	}
}

// TestSmallLosses wants losses right far below the rounding of the energy, where a Gram matrix alone sees nothing.
func TestSmallLosses(t *testing.T) {
	const n = 20
	r := rand.New(rand.NewPCG(3, 1))
	b := linalg.Gonum()
	noise := func() *linalg.Matrix {
		m := linalg.New(n, n)
		for i := range m.Data {
			m.Data[i] = r.NormFloat64()
		}
		u, _, _, err := b.SVD(m)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	graded := noise()
	for i := range graded.Data {
		graded.Data[i] *= math.Pow(10, -float64(i%n)/2) // σ_i = 10^(−i/2)
	}
	k := decomp.Kernel{Shape: decomp.Shape{Out: n, In: n, Groups: 1}, Weights: b.Mul(false, true, 1, graded, noise()).Data}
	for name, metric := range map[string]decomp.Metric{"no metric": {}, "metric": {In: []*linalg.Matrix{linalg.Identity(n)}}} {
		spectrum := factor(t, k, metric)
		for rank := 1; rank < n; rank++ {
			want := math.Pow(10, -float64(rank)) * (1 - math.Pow(10, -float64(n-rank))) / 0.9
			if got := loss(t, spectrum, decomp.Rank{rank}); math.Abs(got-want) > 1e-7*want { // the kernel's own rounding over its least σ
				t.Errorf("%s, rank %d: loss %g, wanted %g", name, rank, got, want)
			}
		}
	}
}

// TestUnseenDirections wants what the metric cannot see arranged as plain least squares would.
func TestUnseenDirections(t *testing.T) {
	s := decomptest.Random(5, decomp.Shape{Out: 9, In: 14, Groups: 1})
	seen := linalg.New(14, 14)
	seen.Set(0, 0, 2) // the first input is all that was ever seen
	spectrum := factor(t, s.Kernel, decomp.Metric{In: []*linalg.Matrix{seen}})

	// Rank 1 rebuilds the first column; the rest is the plain problem for what is orthogonal to it.
	rest, column, length := linalg.New(9, 14), make([]float64, 9), 0.0
	for i := range column {
		column[i] = s.Kernel.Weights[i*14]
		length = math.Hypot(length, column[i])
	}
	for j := range 14 {
		dot := 0.0
		for i := range column {
			dot += column[i] * s.Kernel.Weights[i*14+j]
		}
		for i := range column {
			rest.Set(i, j, s.Kernel.Weights[i*14+j]-column[i]*dot/length/length)
		}
	}
	_, sigma, _, err := linalg.Gonum().SVD(rest)
	if err != nil {
		t.Fatal(err)
	}
	for r := 1; r < 9; r++ {
		c, err := spectrum.Chain(decomp.Rank{r})
		if err != nil {
			t.Fatal(err)
		}
		w, err := c.Compose(linalg.Gonum(), s.Kernel.Shape)
		if err != nil {
			t.Fatal(err)
		}
		want := 0.0
		for _, v := range sigma[r-1:] {
			want += v * v
		}
		if got := decomptest.Loss(s.Kernel, w, decomp.Metric{}); math.Abs(got-want) > 1e-9*want {
			t.Errorf("rank %d: the plain error is %g, wanted %g", r, got, want)
		}
		if loss := loss(t, spectrum, decomp.Rank{r}); loss > 1e-20 {
			t.Errorf("rank %d: loss %g where every input ever seen is rebuilt", r, loss)
		}
	}
}

// TestConvex wants diminishing returns from every further rank, on the hardest of metrics too.
func TestConvex(t *testing.T) {
	for _, s := range decomptest.Zoo() {
		spectrum, full := factor(t, s.Kernel, s.Metric), s.Kernel.FullRank()
		before, last := math.Inf(1), spectrum.Energy()
		for r := 1; r <= full; r++ {
			loss := loss(t, spectrum, decomp.Rank{r})
			if gain := last - loss; gain > before*(1+1e-12)+1e-15*spectrum.Energy() {
				t.Errorf("%s: rank %d gains %g, the one before it %g", s.Name, r, gain, before)
			} else {
				before, last = gain, loss
			}
		}
	}
}

// nearSingular returns second moments with the first row and column divided by 300: their least eigenvalue is below
// what is lifted on the output side.
func nearSingular(moments []*linalg.Matrix) []*linalg.Matrix {
	m := moments[0].Clone()
	for i := range m.Rows {
		m.Set(0, i, m.At(0, i)/300)
		m.Set(i, 0, m.At(i, 0)/300)
	}
	return []*linalg.Matrix{m}
}

func TestFactorRefuses(t *testing.T) {
	shape := decomp.Shape{Out: 4, In: 6, Window: []int{3}, Groups: 2}
	good := decomptest.Random(1, shape)
	weights := func(i int, v float64) decomp.Kernel {
		k := decomp.Kernel{Shape: shape, Weights: append([]float64(nil), good.Kernel.Weights...)}
		k.Weights[i] = v
		return k
	}
	input := func(m ...*linalg.Matrix) decomp.Metric { return decomp.Metric{In: m} }
	nan, negative := linalg.Identity(9), linalg.Identity(9)
	nan.Set(2, 3, math.NaN())
	negative.Set(4, 4, -1e-9)
	for name, c := range map[string]struct {
		kernel decomp.Kernel
		metric decomp.Metric
		want   string
	}{
		"NaN":             {weights(5, math.NaN()), decomp.Metric{}, "weight 5"},
		"infinite":        {weights(7, math.Inf(-1)), decomp.Metric{}, "weight 7"},
		"short":           {decomp.Kernel{Shape: shape, Weights: good.Kernel.Weights[1:]}, decomp.Metric{}, "35 weights, wanted 36"},
		"no outputs":      {decomp.Kernel{Shape: decomp.Shape{In: 1, Groups: 1}}, decomp.Metric{}, "must be positive"},
		"odd groups":      {decomp.Kernel{Shape: decomp.Shape{Out: 4, In: 6, Groups: 3}}, decomp.Metric{}, "3 groups do not divide"},
		"no groups":       {decomp.Kernel{Shape: decomp.Shape{Out: 4, In: 6}}, decomp.Metric{}, "0 groups do not divide"},
		"empty window":    {decomp.Kernel{Shape: decomp.Shape{Out: 4, In: 6, Window: []int{3, 0}, Groups: 1}}, decomp.Metric{}, "window [3 0]"},
		"overflow":        {decomp.Kernel{Shape: decomp.Shape{Out: 1 << 40, In: 1 << 40, Groups: 1}}, decomp.Metric{}, "at most"},
		"one moment":      {good.Kernel, input(linalg.Identity(9)), "1 input second moments for the 2 groups"},
		"moment's size":   {good.Kernel, input(nil, linalg.Identity(8)), "group 1 is 8×8, wanted 9×9"},
		"moment is NaN":   {good.Kernel, input(linalg.Identity(9), nan), "(2, 3)"},
		"moment negative": {good.Kernel, input(negative, nil), "(4, 4)"},
	} {
		if _, err := method(t, "svd").Factor(linalg.Gonum(), c.kernel, c.metric); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, wanted one that says %q", name, err, c.want)
		}
	}
}

func BenchmarkFactor(b *testing.B) {
	for _, shape := range []decomp.Shape{
		{Out: 64, In: 64, Window: []int{3, 3}, Groups: 1},
		{Out: 256, In: 128, Window: []int{3, 3}, Groups: 1},
	} {
		s := decomptest.Random(1, decomp.Shape{Out: shape.Out, In: shape.In, Groups: 1})
		s.Kernel = decomp.Kernel{Shape: shape, Weights: make([]float64, shape.Params())}
		for i := range s.Kernel.Weights {
			s.Kernel.Weights[i] = math.Sin(float64(i * i))
		}
		s.Metric.In = []*linalg.Matrix{linalg.Identity(shape.Cols())}
		b.Run(shape.String(), func(b *testing.B) {
			for b.Loop() {
				factor(b, s.Kernel, s.Metric)
			}
		})
	}
}

func loss(t *testing.T, s decomp.Spectrum, r decomp.Rank) float64 {
	t.Helper()
	v, err := s.Loss(r)
	if err != nil {
		t.Fatalf("rank %v: %v", r, err)
	}
	return v
}
