package decomp

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// Eigenvalues of the metric below these fractions of the largest are lifted to them. Only the side whose inverse root
// is needed is lifted (see factorize), and only to choose the factors: losses are those under the metric itself.
const (
	liftIn  = 1e-6
	liftOut = 1e-4
)

func svd() Method {
	return Method{
		Name:  "svd",
		Title: "two factors by truncated singular value decomposition",
		Doc: "Splits one linear map into two with r channels between them. A convolution becomes a k×k convolution to r channels, " +
			"which keeps the stride, padding, dilation and groups, and a 1×1 convolution; a matrix becomes two matrices.\n\n" +
			"The split is the best there is of its rank in the metric of the site: with calibration data, errors count as much as " +
			"the inputs that the site really sees make them count. Without data, it is the singular value decomposition of the " +
			"weights alone. With groups, every group gets the same rank.",
		Formula:   "W' = G^-½ · U_r Σ_r V_rᵀ · A^-½, where U Σ Vᵀ = G^½ W A^½;  loss(r) = Σ_{i>r} σ_i²",
		ChainText: "Conv k×k (C→r; strides, pads, dilations, group) → Conv 1×1 (r→O; bias).  Gemm, MatMul: K→r → r→O.  Gather: rows of r numbers → MatMul r→O.",
		CostText:  "r·(K + O) weights and, at each output position, as many multiply-accumulates; dense: K·O.  K = C·k·k/groups.",
		Source: "Eckart and Young, The approximation of one matrix by another of lower rank, Psychometrika 1 (1936); " +
			"under input second moments: Zhang et al., Accelerating very deep convolutional networks, TPAMI 38 (2016)",
		Accepts: Shape.Check,
		Ranks:   svdRanks,
		Factors: svdFactors,
		Factor:  svdFactor,
		Refit:   svdRefit,
		Closed:  func(Metric) bool { return true },
		Floor:   svdFloor,
	}
}

// svdRefit needs nothing of start but its rank: the best chain of a rank is known in closed form.
func svdRefit(b linalg.Backend, target Kernel, m Metric, start Chain) (Chain, error) {
	if len(start) != 2 || target.Groups < 1 || start[0].Kernel.Groups != target.Groups {
		return nil, fmt.Errorf("decomp: svd refit of a chain with %d factors for a %v kernel: wanted 2", len(start), target.Shape)
	}
	r := Rank{start[0].Kernel.Out / target.Groups}
	if err := svdCheck(target.Shape, r); err != nil {
		return nil, err
	}
	groups, err := svdGroups(b, target, m, r[0])
	if err != nil {
		return nil, err
	}
	return (&svdSpectrum{shape: target.Shape, groups: groups}).Chain(r)
}

func svdRanks(s Shape, multiple int) []Rank {
	if s.Check() != nil {
		return nil
	}
	var ranks []Rank
	for r := max(multiple, 1); r <= s.FullRank(); r += max(multiple, 1) {
		ranks = append(ranks, Rank{r})
	}
	return ranks
}

// svdCheck reports a rank that the shape does not have.
func svdCheck(s Shape, r Rank) error { return oneNumber("svd", s, r, s.FullRank()) }

func svdFactors(s Shape, r Rank) Chain {
	if s.Check() != nil || svdCheck(s, r) != nil {
		return nil
	}
	return Chain{
		s.factor("svd.first", r[0]*s.Groups, s.In, s.Groups, everyAxis),
		s.factor("svd.last", s.Out, r[0]*s.Groups, s.Groups, noAxis),
	}
}

// svdSpectrum holds for each group the components of W = Σ_i last_i · first_iᵀ, most important first.
type svdSpectrum struct {
	shape  Shape
	groups []components
	losses []float64 // losses[r]: of rank r, for r = 0 to the full rank
}

// components are rank-one terms of an O×K matrix.
type components struct {
	first *linalg.Matrix // [n, K]
	last  *linalg.Matrix // [n, O]
	terms []float64      // what leaving out term i alone costs: loss(r) = Σ_{i≥r} terms[i]
	// lifted says that these terms need not be the best there are, since a moment was lifted to find them.
	lifted bool
}

// all stands for as many components as there are.
const all = math.MaxInt

// svdGroups finds the n leading components of each group, or more.
func svdGroups(b linalg.Backend, k Kernel, m Metric, n int) ([]components, error) {
	return groupsOf("svd", k, m, func(g int, w *linalg.Matrix) (components, error) {
		if through := of(m.Pullback, g); through != nil {
			return factorizeThrough(b, w, m.input(g), moment{full: through}, n)
		}
		return factorize(b, w, m.input(g), m.output(g), n)
	})
}

func svdFactor(b linalg.Backend, k Kernel, m Metric) (Spectrum, error) {
	groups, err := svdGroups(b, k, m, all)
	if err != nil {
		return nil, err
	}
	s := &svdSpectrum{shape: k.Shape, groups: groups, losses: make([]float64, k.FullRank()+1)}
	for _, c := range groups {
		axpy(s.losses, 1, tails(c.terms))
	}
	return s, nil
}

func (s *svdSpectrum) Energy() float64 { return s.losses[0] }

func (s *svdSpectrum) Loss(r Rank) (float64, error) {
	if err := svdCheck(s.shape, r); err != nil {
		return 0, err
	}
	return s.losses[r[0]], nil
}

func (s *svdSpectrum) Chain(r Rank) (Chain, error) {
	if err := svdCheck(s.shape, r); err != nil {
		return nil, err
	}
	if n := s.groups[0].first.Rows; r[0] > n {
		return nil, fmt.Errorf("decomp: svd at rank %d of a factorization that was kept to rank %d", r[0], n)
	}
	chain := svdFactors(s.shape, r)
	first, last := &chain[0].Kernel, &chain[1].Kernel
	first.Weights, last.Weights = make([]float64, 0, first.Params()), make([]float64, 0, last.Params())
	for _, c := range s.groups {
		first.Weights = append(first.Weights, c.first.RowRange(0, r[0]).Data...)
		last.Weights = append(last.Weights, c.last.RowRange(0, r[0]).T().Data...)
	}
	return chain, nil
}

func (s *svdSpectrum) Move(to func([]float64) ([]float64, error)) error {
	var all []*linalg.Matrix
	for _, c := range s.groups {
		all = append(all, c.first, c.last)
	}
	return move(all, to)
}

// factorize returns the components of W [O, K] under A [K, K] and G [O, O], nil for the identity: the n leading ones, or more.
//
// The textbook way takes the singular value decomposition of G^½ W A^½ and undoes both roots: both must be lifted
// to be invertible, and a K×K eigenproblem must be solved. One side is enough. With Q = G^½ (lifted) and the
// orthonormal eigenvectors U of the O×O matrix Q W A Wᵀ Q, the rank-r solution is W' = Q⁻¹ U_r · U_rᵀ Q W, the same
// matrix with A entering only as it is: no inverse of it, no lift, no error where it is singular. The error that is
// left, Q⁻¹ U_t Λ_t U_tᵀ Q⁻¹ as a second moment over the dropped components t, gives the loss under G itself
// exactly: Σ_{i in t} λ_i · u_iᵀ Q⁻¹ G Q⁻¹ u_i, in which the factors after λ_i are 1 where nothing was lifted.
// Where K < O, the same is done to Wᵀ, with A and G in each other's place; a K×K matrix is then smaller than W.
func factorize(b linalg.Backend, w *linalg.Matrix, a, g moment, n int) (components, error) {
	if w.Rows <= w.Cols {
		return oneSided(b, w, g, liftOut, a, n)
	}
	c, err := oneSided(b, w.T(), a, liftIn, g, n)
	c.first, c.last = c.last, c.first
	return c, err
}

// factorizeThrough returns the components of W [O, K] under A and WᵀGW, both [K, K]. With W' = W·P,
//
//	tr(G (W−W') A (W−W')ᵀ) = tr(WᵀGW (I−P) A (I−P)ᵀ),
//
// so that P are the components of the identity under these two, and what is O long enters with a single product.
func factorizeThrough(b linalg.Backend, w *linalg.Matrix, a, through moment, n int) (components, error) {
	c, err := oneSided(b, linalg.Identity(w.Cols), a, liftIn, through, n)
	if err != nil {
		return components{}, err
	}
	c.first, c.last = c.last, b.Mul(false, true, 1, c.first, w)
	balance(c.first, c.last, 0)
	n = min(len(c.terms), w.Rows, w.Cols)
	return components{first: c.first.RowRange(0, n), last: c.last.RowRange(0, n), terms: c.terms[:n], lifted: c.lifted}, nil
}

// oneSided does the work of factorize for W [p, q], p ≤ q: near [p, p] is the side with the root, lifted by the
// given fraction, far [q, q] the other. It finds the n leading components, or some more.
func oneSided(b linalg.Backend, w *linalg.Matrix, near moment, fraction float64, far moment, n int) (components, error) {
	n = min(n, w.Rows)
	w, scaleW := normalized(w)
	far, scaleFar := far.ranged()
	q, err := near.whitened(b, fraction)
	if err != nil {
		return components{}, err
	}
	whole := w // row i becomes u_iᵀ Q W
	if q.root != nil {
		whole = b.Mul(false, false, 1, q.root, w)
	}
	for {
		right := whole.Clone()
		u, terms, err := diagonalize(b, right, far, n)
		if err != nil {
			return components{}, err
		}
		right = right.RowRange(0, u.Rows)
		least := terms[u.Rows-1]         // no other component is worth more
		left := rotated(b, u, q.inverse) // row i becomes Q⁻¹ u_i
		if q.seen != nil {
			seen := b.Mul(false, false, 1, u, q.seen)
			for i := range terms {
				terms[i] *= squaredNorm(seen.Row(i))
			}
		}
		if q.seen != nil && u.Rows < w.Rows && nth(terms, n) < least {
			n = w.Rows
			continue
		}
		for i, v := range terms {
			if !near.identity() && q.root == nil {
				v = 0 // G = 0: nothing is ever lost
			}
			terms[i] = math.Ldexp(v, 2*scaleW+q.exponent+scaleFar)
		}
		balance(left, right, scaleW)
		return arranged(components{first: right, last: left, terms: terms, lifted: q.seen != nil}), nil
	}
}

// Limits of diagonalize.
const (
	resolved = 1e-6  // eigenvalues down to this fraction of a block's largest are taken from it
	nothing  = 1e-24 // eigenvalues below this fraction of the largest of all count as zero
)

// diagonalize finds orthonormal u [m, p], vectors in rows, that make u X M Xᵀ uᵀ diagonal for X [p, q] and M [q, q]: the n leading
// ones of all p, or some more. It returns them with the diagonal, not negative and falling. The first rows of X are replaced by u X.
//
// A Gram matrix squares the condition: its small eigenvalues drown in the rounding of its large ones. So only
// the vectors of the large ones are kept, and the Gram matrix of the rest is formed anew from X, in which their rows
// are as exact as any, and so on. The result is as accurate as a singular value decomposition of X M^½, without
// M^½. What M cannot tell apart from zero is arranged by its plain norm.
func diagonalize(b linalg.Backend, x *linalg.Matrix, m moment, n int) (u *linalg.Matrix, values []float64, err error) {
	p, done, largest := x.Rows, 0, 0.0
	for done < n {
		rest := x.RowRange(done, p)
		found, vectors, err := gramEig(b, rest, m)
		if err != nil {
			return nil, nil, err
		}
		top := found[len(found)-1]
		largest = max(largest, top)
		last := top <= nothing*largest
		if last && !m.identity() {
			if found, vectors, err = gramEig(b, rest, moment{}); err != nil {
				return nil, nil, err
			}
			clear(found)
		}
		reverseColumns(vectors)
		slices.Reverse(found)
		block := 1
		for block < len(found) && (last || found[block] >= resolved*top) {
			block++
		}
		turn := vectors.T()
		if done+block >= n {
			turn = turn.RowRange(0, block)
		}
		copy(rest.Data, b.Mul(false, false, 1, turn, rest).Data)
		if u == nil {
			u = turn
		} else {
			turned := b.Mul(false, false, 1, turn, u.RowRange(done, p))
			u = u.RowRange(0, done+turned.Rows)
			copy(u.RowRange(done, u.Rows).Data, turned.Data)
		}
		for _, v := range found[:block] {
			values = append(values, max(v, 0))
		}
		done += block
	}
	return u, values, nil
}

// gramEig returns the eigen-decomposition of X M Xᵀ.
func gramEig(b linalg.Backend, x *linalg.Matrix, m moment) ([]float64, *linalg.Matrix, error) {
	return symmetricEig(b, m.gram(b, x))
}

// symmetricEig is SymEig of a matrix that is symmetric but for its rounding.
func symmetricEig(b linalg.Backend, m *linalg.Matrix) ([]float64, *linalg.Matrix, error) {
	for i := range m.Rows {
		for j := range i {
			mean := (m.At(i, j) + m.At(j, i)) / 2
			m.Set(i, j, mean)
			m.Set(j, i, mean)
		}
	}
	return b.SymEig(m)
}

// nth is the n-th largest of some numbers.
func nth(v []float64, n int) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)-n]
}

func reverseColumns(m *linalg.Matrix) {
	for i := range m.Rows {
		slices.Reverse(m.Row(i))
	}
}

// balance scales the two vectors of every component to the same norm, and their product by 2^scale. Equal norms on
// both sides keep half-precision factors in range and gradients of both sides alike; component by component, they
// hold for every rank at once.
func balance(left, right *linalg.Matrix, scale int) {
	whole, odd := scale>>1, scale&1
	for i := range left.Rows {
		l, r := left.Row(i), right.Row(i)
		normL, normR := math.Sqrt(squaredNorm(l)), math.Sqrt(squaredNorm(r))
		toL, toR := 0.0, 0.0
		if normL > 0 && normR > 0 {
			half := math.Ldexp(math.Sqrt(math.Ldexp(1, odd)), whole) // 2^(scale/2)
			toL, toR = half*math.Sqrt(normR/normL), half*math.Sqrt(normL/normR)
		}
		scaleBy(l, toL)
		scaleBy(r, toR)
	}
}

// arranged sorts components by what they are worth under the metric itself, which the lift may have disturbed. Every
// choice of components has as its loss the sum of the terms left out, so this order is the best for every rank, and
// the losses are convex in it.
func arranged(c components) components {
	order := make([]int, len(c.terms))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(c.terms[j], c.terms[i]) })
	if slices.IsSorted(order) {
		return c
	}
	out := c
	out.first, out.last, out.terms = linalg.New(c.first.Rows, c.first.Cols), linalg.New(c.last.Rows, c.last.Cols), make([]float64, len(c.terms))
	for to, from := range order {
		copy(out.first.Row(to), c.first.Row(from))
		copy(out.last.Row(to), c.last.Row(from))
		out.terms[to] = c.terms[from]
	}
	return out
}
