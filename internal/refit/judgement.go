package refit

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// product is the kernel that a chain stands for, W' = left·right in each group, [O, r] and [r, K]. Where W' itself has fewer numbers,
// it is right, and left is nil.
type product struct{ left, right []*linalg.Matrix }

func (p *problem) product(c decomp.Chain) (product, error) {
	k, last := p.kernel, len(c)-1
	if end := c[last].Kernel; last > 0 && end.Groups == k.Groups && tensor.Product(end.Window) == 1 {
		inner := end.In / end.Groups
		if inner*(k.Rows()+k.Cols()) < k.Rows()*k.Cols() && end.Check() == nil {
			head, err := c[:last].Compose(p.backend, decomp.Shape{Out: end.In, In: k.In, Window: k.Window, Groups: k.Groups})
			if err == nil { // else what the factors before the last do is of other groups than the whole
				return product{left: groupsOf(end), right: groupsOf(head)}, nil
			}
		}
	}
	whole, err := c.Compose(p.backend, k.Shape)
	return product{right: groupsOf(whole)}, err
}

// groupsOf are the matrices of a kernel's groups.
func groupsOf(k decomp.Kernel) []*linalg.Matrix {
	var out []*linalg.Matrix
	for g, n := 0, k.Rows()*k.Cols(); n > 0 && len(k.Weights) > g*n; g++ {
		out = append(out, &linalg.Matrix{Rows: k.Rows(), Cols: k.Cols(), Data: k.Weights[g*n : (g+1)*n]})
	}
	return out
}

// times is W'x.
func (c product) times(g int, x []float64) []float64 {
	x = multiplied(c.right[g], x)
	if c.left != nil {
		x = multiplied(c.left[g], x)
	}
	return x
}

func multiplied(m *linalg.Matrix, x []float64) []float64 {
	out := make([]float64, m.Rows)
	for i := range out {
		out[i] = dot(m.Row(i), x)
	}
	return out
}

// judgement is what chains are judged by, on some moments: what the site is to give, v = e + Wx, in each group, about the means.
type judgement struct {
	xx     []*linalg.Matrix // E[x xᵀ]
	vx     []*linalg.Matrix // Cov(v, x)
	square float64          // tr G Cov(v)
	x, v   [][]float64      // the means
	// energy is tr G W Cov(x) Wᵀ, the variance of what the site computes, or its mean square where it takes no bias.
	energy float64
	plain  remainder  // of the weights as they are
	start  *remainder // of the chain that there was
}

// judgement of chains by the samples held out, whose moments these are.
func (p *problem) judgement(f facts) (*judgement, error) {
	out := &judgement{x: f.x}
	for g, w := range groupsOf(p.kernel) {
		ex := less(f.both.ex[g], f.both.e[g], f.x[g])
		moved, felt := p.covaried(w, f.xx[g], f.x[g]), w
		if m := p.weight(g); m != nil {
			felt = p.backend.Mul(false, false, 1, m, w)
		}
		mean := multiplied(w, f.x[g])
		energy := dot(felt.Data, moved.Data)
		out.plain.mean, out.plain.square = append(out.plain.mean, f.both.e[g]), out.plain.square+weighed(f.ee[g], p.weight(g))-p.norm(g, f.both.e[g])
		out.square += 2*dot(felt.Data, ex.Data) + energy
		if !p.shift {
			energy += p.norm(g, mean)
		}
		out.energy += energy
		accumulate(moved.Data, ex.Data)
		accumulate(mean, f.both.e[g])
		out.xx, out.vx, out.v = append(out.xx, f.xx[g]), append(out.vx, moved), append(out.v, mean)
	}
	out.square += out.plain.square
	out.energy = max(out.energy, math.SmallestNonzeroFloat64)
	var err error
	out.start, err = p.remainder(out, p.choice.Chain)
	return out, err
}

// covaried is m·Cov(x).
func (p *problem) covaried(m, xx *linalg.Matrix, x []float64) *linalg.Matrix {
	out := p.backend.Mul(false, false, 1, m, xx)
	for i, v := range multiplied(m, x) {
		row := out.Row(i)
		for j, w := range x {
			row[j] -= v * w
		}
	}
	return out
}

// remainder is what a chain leaves of both targets before its shift, on some moments: E[v − W'x] of each group, and the variance of
// v − W'x under G.
type remainder struct {
	mean   [][]float64
	square float64
}

// remainder of a chain; a nil one is that of the weights as they are.
func (p *problem) remainder(j *judgement, c decomp.Chain) (*remainder, error) {
	if c == nil {
		return &j.plain, nil
	}
	w, err := p.product(c)
	if err != nil {
		return nil, err
	}
	out := &remainder{square: j.square}
	for g, right := range w.right {
		mean := slices.Clone(j.v[g])
		for i, v := range w.times(g, j.x[g]) {
			mean[i] -= v
		}
		out.mean = append(out.mean, mean)
		// With W' = L·R, tr G (L·R Cov(x) Rᵀ − 2 Cov(v, x) Rᵀ) Lᵀ is what the chain adds.
		seen, crossed, left := p.covaried(right, j.xx[g], j.x[g]), j.vx[g], right
		if w.left != nil {
			left = w.left[g]
			seen = p.backend.Mul(false, false, 1, left, p.backend.Mul(false, true, 1, seen, right))
			crossed = p.backend.Mul(false, true, 1, crossed, right)
		}
		if m := p.weight(g); m != nil {
			left = p.backend.Mul(false, false, 1, m, left)
		}
		out.square += dot(seen.Data, left.Data) - 2*dot(crossed.Data, left.Data)
	}
	return out, nil
}

// left is the mean squared error tr G E[(v − W'x − s)(v − W'x − s)ᵀ] with the shift s, nil for none.
func (p *problem) left(r *remainder, shift []float64) float64 {
	total, rows := r.square, p.kernel.Rows()
	for g, mean := range r.mean {
		mean = slices.Clone(mean)
		if shift != nil {
			for i, s := range shift[g*rows : (g+1)*rows] {
				mean[i] -= s
			}
		}
		total += p.norm(g, mean)
	}
	return max(total, 0)
}

// norm is vᵀ G v.
func (p *problem) norm(g int, v []float64) float64 {
	if m := p.weight(g); m != nil {
		return dot(multiplied(m, v), v)
	}
	return dot(v, v)
}

// judge returns the mean squared error under G of what a chain leaves of both targets.
func (p *problem) judge(j *judgement, c decomp.Chain) (float64, error) {
	r, err := p.remainder(j, c)
	if err != nil {
		return 0, err
	}
	return p.left(r, shiftOf(c)), nil
}
