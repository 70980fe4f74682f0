package decomp

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

func tucker2(e Effort) Method {
	return Method{
		Name:  "tucker2",
		Title: "three factors by partial Tucker decomposition of the two channel modes",
		Doc: "Splits a convolution into a 1×1 convolution from the input channels to r1, a k×k convolution from those to r2, which keeps the stride, " +
			"padding and dilation, and a 1×1 convolution to the outputs. It has two ranks, and saves most where both channel modes have few " +
			"directions that count; with r2 at its full size it is svd-in, with r1 at its full size it is svd.\n\n" +
			"Given the first factor, the other two are the truncated singular value decomposition of the best map of what it lets through, so " +
			"the first factor is all there is to look for. With data it is that of svd-in with r1, and serves every r2. Without " +
			"data, subspaces of both modes are found together, by higher-order orthogonal iteration. With groups, every group gets the same ranks.",
		Formula: "W'[o,c,i,j] = Σ_s Σ_q U[o,q] Z[q,s,i,j] P[s,c];  min tr(G (W−W') A (W−W')ᵀ): for the map M of a head P, U Z = G^-½ [G^½ L B^½]_r2 B^-½ " +
			"with B = M A Mᵀ, L = W A Mᵀ B⁻¹ and [·]_r the truncated SVD; tr(G (W−L M) A (W−L M)ᵀ) lowered over P by limited-memory BFGS",
		ChainText: "Conv 1×1 (C→r1; group) → Conv k×k (r1→r2; strides, pads, dilations, group) → Conv 1×1 (r2→O; group; bias).",
		CostText: "C·r1 + r1·r2·k·k + r2·O weights a group; the first factor runs at each position of the input, the others at each of the output. " +
			"dense: C·O·k·k.",
		Source: "Kim et al., Compression of deep convolutional neural networks for fast and low power mobile applications, ICLR 2016, arXiv 1511.06530 " +
			"(equations 2 to 5); De Lathauwer, De Moor and Vandewalle, On the best rank-1 and rank-(R1, …, RN) approximation of " +
			"higher-order tensors, SIAM J. Matrix Anal. Appl. 21 (2000)",
		Accepts: tuckerAccepts,
		Ranks:   tuckerRanks,
		Near:    tuckerNear,
		Factors: tuckerFactors,
		Factor:  func(b linalg.Backend, k Kernel, m Metric) (Spectrum, error) { return newTuckerSpectrum(e, b, k, m) },
		Basis:   svdInName,
		From:    func(basis Spectrum) (Spectrum, error) { return onBasis("tucker2", basis, tuckerFrom) },
		Refit: func(b linalg.Backend, target Kernel, m Metric, start Chain) (Chain, error) {
			return tuckerRefit(e, b, target, m, start)
		},
	}
}

// tuckerSize is what bounds the ranks at a shape.
type tuckerSize struct {
	rows, channels, taps int
	most                 [2]int // the full pair: r1 and r2
}

func tuckerSizeOf(s Shape) (tuckerSize, error) {
	if err := s.Check(); err != nil {
		return tuckerSize{}, err
	}
	t := tuckerSize{rows: s.Rows(), channels: s.In / s.Groups, taps: s.taps()}
	if t.taps == 1 {
		return t, fmt.Errorf("decomp: a %v kernel has no window of several taps: its tucker2 is svd with a factor too many", s)
	}
	if t.rows == 1 || t.channels == 1 {
		return t, fmt.Errorf("decomp: tucker2 of a %v kernel: one channel a group on one side leaves nothing to split there", s)
	}
	t.most = [2]int{min(t.channels, t.rows*t.taps), min(t.rows, t.channels*t.taps)}
	return t, nil
}

func tuckerAccepts(s Shape) error {
	_, err := tuckerSizeOf(s)
	return err
}

// has reports whether there is a pair: beyond these bounds a smaller one does as well.
func (t tuckerSize) has(r1, r2 int) bool {
	return r1 >= 1 && r2 >= 1 && r1 <= t.most[0] && r2 <= t.most[1] && r1 <= r2*t.taps && r2 <= r1*t.taps
}

func (t tuckerSize) params(r1, r2 int) int {
	return t.channels*r1 + r1*r2*t.taps + r2*t.rows
}

// worth reports whether a pair has fewer weights than the dense kernel, and neither rank at its full size, where svd or
// svd-in does the same with a factor less; the full pair is the exception.
func (t tuckerSize) worth(r1, r2 int) bool {
	if [2]int{r1, r2} == t.most {
		return true
	}
	return t.has(r1, r2) && r1 < t.channels && r2 < t.rows && t.params(r1, r2) < t.rows*t.channels*t.taps
}

// tuckerRungs is about how many numbers the coarse ladder has for each of the two ranks.
const tuckerRungs = 8

// side returns the coarse numbers of one of the two ranks.
func (t tuckerSize) side(i, multiple int) []int {
	return coarse(tuckerRungs, t.most[i], t.most[i], multiple)
}

func tuckerRanks(s Shape, multiple int) []Rank {
	t, err := tuckerSizeOf(s)
	if err != nil {
		return nil
	}
	multiple = max(multiple, 1)
	var out []Rank
	for _, r1 := range t.side(0, multiple) {
		for _, r2 := range t.side(1, multiple) {
			if t.worth(r1, r2) {
				out = append(out, Rank{r1, r2})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Rank) int { return cmp.Compare(t.params(a[0], a[1]), t.params(b[0], b[1])) })
	return out
}

func tuckerNear(s Shape, r Rank, stage, multiple int) []Rank {
	t, err := tuckerSizeOf(s)
	if err != nil || len(r) != 2 || stage < 1 {
		return nil
	}
	multiple = max(multiple, 1)
	sides := [2][]int{}
	for i := range sides {
		sides[i] = append(nearby(t.side(i, multiple), r[i], stage, t.most[i], multiple), r[i])
	}
	var out []Rank
	for _, r1 := range sides[0] {
		for _, r2 := range sides[1] {
			if t.worth(r1, r2) && (r1 != r[0] || r2 != r[1]) {
				out = append(out, Rank{r1, r2})
			}
		}
	}
	return out
}

// tuckerCheck reports a rank that the shape does not have.
func tuckerCheck(s Shape, r Rank) error {
	t, err := tuckerSizeOf(s)
	if err != nil {
		return err
	}
	if len(r) != 2 || !t.has(r[0], r[1]) {
		return fmt.Errorf("decomp: tucker2 rank %v of a %v kernel: wanted two numbers from 1 to %d and %d, neither more than %d times the other",
			[]int(r), s, t.most[0], t.most[1], t.taps)
	}
	return nil
}

func tuckerFactors(s Shape, r Rank) Chain {
	if tuckerCheck(s, r) != nil {
		return nil
	}
	g := s.Groups
	return Chain{
		s.factor("tucker2.first", r[0]*g, s.In, g, noAxis),
		s.factor("tucker2.core", r[1]*g, r[0]*g, g, everyAxis),
		s.factor("tucker2.last", s.Out, r[1]*g, g, noAxis),
	}
}

func newTuckerSpectrum(e Effort, b linalg.Backend, k Kernel, m Metric) (*spectrum[*tuckerGroup], error) {
	if _, err := tuckerSizeOf(k.Shape); err != nil {
		return nil, err
	}
	basis, err := inputPair(e).spectrum(b, k, m)
	if err != nil {
		return nil, err
	}
	return tuckerFrom(basis)
}

func tuckerFrom(basis *spectrum[*pairGroup]) (*spectrum[*tuckerGroup], error) {
	size, err := tuckerSizeOf(basis.shape)
	if err != nil {
		return nil, err
	}
	groups, err := groupsOn(basis, "tucker2", func(g *pairGroup) (*tuckerGroup, error) { return newTuckerGroup(g, size) })
	if err != nil {
		return nil, err
	}
	return &spectrum[*tuckerGroup]{method: "tucker2", check: tuckerCheck, factors: tuckerFactors, shape: basis.shape, groups: groups}, nil
}

func (g *tuckerGroup) loss(r Rank) (float64, error) {
	loss, err := g.lossAt([2]int{r[0], r[1]})
	return g.unit(loss), err
}

func (g *tuckerGroup) add(chain Chain, r Rank) error {
	f, err := g.at([2]int{r[0], r[1]})
	if err == nil {
		f.appendTo(chain, g.split)
	}
	return err
}

// tuckerRefit starts from the first two factors of a chain, or from those of a new factorization where they lie closer.
func tuckerRefit(e Effort, b linalg.Backend, target Kernel, m Metric, start Chain) (Chain, error) {
	s, err := newTuckerSpectrum(e, b, target, m)
	if err != nil {
		return nil, err
	}
	return s.refit(start, start.ranks(target.Groups), func(g *tuckerGroup, i int, chain Chain) error {
		head, _ := normalized(start[0].Kernel.group(i))
		core, _ := normalized(start[1].Kernel.group(i))
		f, err := g.resolve(head, core)
		if err == nil {
			f.appendTo(chain, g.split)
		}
		return err
	})
}

// appendTo writes a group's factors to the end of the chain's weights: the rows of the first and the columns of the last
// of one norm, and all three factors of one norm.
func (f tuckerFit) appendTo(c Chain, s *split) {
	first, core, last := f.head.Clone(), f.core.Clone(), f.out.T()
	for i := range first.Rows {
		size := unitRow(first.Row(i))
		for q := range core.Rows {
			scaleBy(core.Row(q)[i*s.taps:(i+1)*s.taps], size)
		}
	}
	for q := range last.Rows {
		scaleBy(core.Row(q), unitRow(last.Row(q)))
	}
	whole := floorDiv(s.scale, 3)
	rest := math.Exp2(float64(s.scale-3*whole) / 3)
	norms := [3]float64{}
	parts := [3]*linalg.Matrix{first, core, last}
	product := 1.0
	for i, m := range parts {
		norms[i] = math.Sqrt(squaredNorm(m.Data))
		product *= norms[i]
	}
	each := math.Ldexp(math.Cbrt(product)*rest, whole)
	for i, m := range parts {
		by := 0.0
		if product > 0 {
			by = each / norms[i]
		}
		scaleBy(m.Data, by)
	}
	for i, m := range []*linalg.Matrix{first, core, last.T()} {
		c[i].Kernel.Weights = append(c[i].Kernel.Weights, m.Data...)
	}
}

// floorDiv returns ⌊a/b⌋ for a positive b.
func floorDiv(a, b int) int { return (a - ((a%b)+b)%b) / b }
