package decomp

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// fieldMoment returns the second moment of k×k patches of random images: channels mixed, neighbours correlated, and
// cut off below zero, which couples taps and channels as a network's activations do.
func fieldMoment(r *rand.Rand, channels, k int) *linalg.Matrix {
	const size, images = 10, 12
	mix := randomMatrix(r, channels, channels)
	patches := linalg.New(images*(size-k)*(size-k), channels*k*k)
	row := 0
	for range images {
		field := smooth(r, channels, size)
		mixed := linalg.Gonum().Mul(false, false, 1, mix, field)
		for i, v := range mixed.Data {
			mixed.Data[i] = max(v+0.3*float64(channels), 0)
		}
		for y := range size - k {
			for x := range size - k {
				for c := range channels {
					for t := range k * k {
						patches.Set(row, c*k*k+t, mixed.At(c, (y+t/k)*size+x+t%k))
					}
				}
				row++
			}
		}
	}
	return linalg.Gonum().Mul(true, false, 1/float64(patches.Rows), patches, patches)
}

// smooth returns images whose pixels resemble their upper and left neighbours, [channels, size·size].
func smooth(r *rand.Rand, channels, size int) *linalg.Matrix {
	m := linalg.New(channels, size*size)
	for c := range channels {
		for i := range size * size {
			v := r.NormFloat64()
			if i%size > 0 {
				v += 0.6 * m.At(c, i-1)
			}
			if i >= size {
				v += 0.3 * m.At(c, i-size)
			}
			m.Set(c, i, v)
		}
	}
	return m
}

// plainRoots returns Ā^½ and Ā^-½ for the channels alone, the mean over all taps, and G^½.
func plainRoots(t *testing.T, a, g *linalg.Matrix, channels int) (in, out whitening) {
	t.Helper()
	taps := a.Rows / channels
	mean := linalg.New(channels, channels)
	for c := range channels {
		for d := range channels {
			for i := range taps {
				mean.Data[c*channels+d] += a.At(c*taps+i, d*taps+i) / float64(taps)
			}
		}
	}
	in, err := whiten(linalg.Gonum(), mean, liftIn)
	if err != nil {
		t.Fatal(err)
	}
	if out, err = whiten(linalg.Gonum(), g, liftOut); err != nil {
		t.Fatal(err)
	}
	return in, out
}

// plainHead returns the head of the plain construction: the truncated singular value decomposition of the kernel with
// its channels whitened and its taps left as they are.
func plainHead(t *testing.T, w *linalg.Matrix, in, out whitening, headTaps, taps, r int) *linalg.Matrix {
	t.Helper()
	b := linalg.Gonum()
	channels := in.root.Rows
	onChannels := func(m, by *linalg.Matrix) *linalg.Matrix { // m [n, channels·headTaps]
		return fromTaps(b.Mul(false, false, 1, byTap(m, headTaps), by), headTaps)
	}
	white := onChannels(byTap(b.Mul(false, false, 1, out.root, w), taps), in.root)
	if white.Cols != channels*headTaps {
		t.Fatalf("%d columns", white.Cols)
	}
	_, _, vt, err := b.SVD(white)
	if err != nil {
		t.Fatal(err)
	}
	return onChannels(vt.RowRange(0, r), in.inverse)
}

// TestBetterThanPlain holds every scheme against the plain construction, SVD of the kernel with whitened channels
// and the last factor by least squares: never worse, and better by a margin on average.
func TestBetterThanPlain(t *testing.T) {
	b := linalg.Gonum()
	for _, c := range []struct {
		pair
		headTaps, taps int
		margin         float64
	}{{pair{"svd-in", pointwise, Normal}, 1, 9, 0.08}, {pair{"spatial", cut, Normal}, 3, 3, 0.25}} {
		sum, n := 0.0, 0
		for seed := range uint64(4) {
			r := rand.New(rand.NewPCG(seed, 1))
			k := Kernel{Shape: Shape{Out: 10 + int(seed), In: 8, Window: []int{3, 3}, Groups: 1}}
			k.Weights = randomMatrix(r, k.Rows(), k.Cols()).Data
			a, g := fieldMoment(r, k.In, 3), randomMoment(r, k.Out)
			s, err := c.spectrum(b, k, Metric{In: []*linalg.Matrix{a}, Out: []*linalg.Matrix{g}})
			if err != nil {
				t.Fatal(err)
			}
			in, out := plainRoots(t, a, g, k.In)
			w := &linalg.Matrix{Rows: k.Rows(), Cols: k.Cols(), Data: k.Weights}
			for _, rank := range c.ranks(k.Shape, 1) {
				if rank[0] == s.groups[0].full() {
					continue
				}
				group := s.groups[0]
				plain, err := group.try(plainHead(t, w, in, out, c.headTaps, c.taps, rank[0]))
				if err != nil {
					t.Fatal(err)
				}
				got, err := s.Loss(rank)
				if err != nil {
					t.Fatal(err)
				}
				want := group.unit(plain.loss)
				if !(got <= want*(1+1e-9)) {
					t.Errorf("%s, seed %d, rank %v: loss %g, the plain construction has %g", c.name, seed, rank, got, want)
				}
				sum += math.Log(got / want)
				n++
			}
		}
		mean := math.Exp(sum / float64(n))
		if mean > 1-c.margin {
			t.Errorf("%s: on average %.3f of the plain construction's loss, wanted at most %.3f", c.name, mean, 1-c.margin)
		}
	}
}

// plainTucker returns the loss of the plain construction: two rounds of orthogonal iteration with the channels whitened
// and the taps left as they are, then the core by least squares.
func plainTucker(t *testing.T, g *tuckerGroup, in, out whitening, r1, r2 int) float64 {
	t.Helper()
	b := linalg.Gonum()
	white := b.Mul(false, false, 1, byTap(b.Mul(false, false, 1, out.root, g.w), g.taps), in.root) // [O·a, C]
	rows := &linalg.Matrix{Rows: g.rows, Cols: g.taps * g.width, Data: white.Data}
	leading := func(m *linalg.Matrix, n int) *linalg.Matrix { // of the rows of m
		_, v, err := b.SymEig(b.Mul(false, true, 1, m, m))
		if err != nil {
			t.Fatal(err)
		}
		return leadingRows(v, n)
	}
	u, p := leading(rows, r2), leading(white.T(), r1)
	for range 2 {
		seen := b.Mul(false, true, 1, white, p)
		u = leading(&linalg.Matrix{Rows: g.rows, Cols: g.taps * r1, Data: seen.Data}, r2)
		left := b.Mul(false, false, 1, u, rows)
		p = leading((&linalg.Matrix{Rows: r2 * g.taps, Cols: g.width, Data: left.Data}).T(), r1)
	}
	v := g.through(b.Mul(false, false, 1, p, in.inverse))
	best, err := g.bestTail(v)
	if err != nil {
		t.Fatal(err)
	}
	q := b.Mul(false, true, 1, out.inverse, u)
	gq := g.weighted(q)
	core, err := b.SolveSPD(b.Mul(true, false, 1, q, gq), b.Mul(true, false, 1, gq, best))
	if err != nil {
		t.Fatal(err)
	}
	return g.lossOf(v, b.Mul(false, false, 1, q, core))
}

func TestBetterThanPlainTucker(t *testing.T) {
	sum, n := 0.0, 0
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		k := Kernel{Shape: Shape{Out: 10 + int(seed), In: 8, Window: []int{3, 3}, Groups: 1}}
		k.Weights = randomMatrix(r, k.Rows(), k.Cols()).Data
		a, g := fieldMoment(r, k.In, 3), randomMoment(r, k.Out)
		s, err := newTuckerSpectrum(Normal, linalg.Gonum(), k, Metric{In: []*linalg.Matrix{a}, Out: []*linalg.Matrix{g}})
		if err != nil {
			t.Fatal(err)
		}
		in, out := plainRoots(t, a, g, k.In)
		for _, rank := range tuckerRanks(k.Shape, 1) {
			if [2]int{rank[0], rank[1]} == s.groups[0].size.most {
				continue
			}
			got, err := s.Loss(rank)
			if err != nil {
				t.Fatal(err)
			}
			want := s.groups[0].unit(plainTucker(t, s.groups[0], in, out, rank[0], rank[1]))
			if !(got <= want*(1+1e-9)) {
				t.Errorf("seed %d, rank %v: loss %g, the plain construction has %g", seed, rank, got, want)
			}
			sum += math.Log(got / want)
			n++
		}
	}
	if mean := math.Exp(sum / float64(n)); mean > 0.8 {
		t.Errorf("on average %.3f of the plain construction's loss, wanted at most 0.8", mean)
	} else {
		t.Logf("on average %.3f of the plain construction's loss", mean)
	}
}
