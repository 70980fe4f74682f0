package decomp

import (
	"fmt"
	"math"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// solver is one group's kernel, from which factors of any rank can be made.
type solver interface {
	// total is what replacing the group by zero costs.
	total() float64
	// loss finds the factors of a rank, and says what they lose.
	loss(Rank) (float64, error)
	// add writes the factors of a rank to the end of the weights of a chain.
	add(Chain, Rank) error
	// held lets go of what can be found again, and returns the matrices that are kept, some more than once; nil for none.
	held() []*linalg.Matrix
}

// spectrum answers for each rank with what the groups of a kernel find when they are first asked.
type spectrum[G solver] struct {
	method  string
	check   func(Shape, Rank) error // reports a rank that the shape does not have
	factors func(Shape, Rank) Chain
	// hopeless is why a rank is refused at which the loss is infinite.
	hopeless string
	shape    Shape
	groups   []G
}

// group returns the matrix [O, K] of one group, which shares the kernel's numbers.
func (k Kernel) group(g int) *linalg.Matrix {
	rows, cols := k.Rows(), k.Cols()
	return &linalg.Matrix{Rows: rows, Cols: cols, Data: k.Weights[g*rows*cols : (g+1)*rows*cols]}
}

// groupsOf checks a kernel and its metric and makes something of every group's matrix.
func groupsOf[G any](method string, k Kernel, m Metric, build func(g int, w *linalg.Matrix) (G, error)) ([]G, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	if err := m.check(k.Shape); err != nil {
		return nil, err
	}
	var out []G
	for g := range k.Groups {
		made, err := build(g, k.group(g))
		if err != nil {
			return nil, refused(method, nil, g, k.Shape, err)
		}
		out = append(out, made)
	}
	return out, nil
}

// groupsOn makes something of every group of another method's spectrum.
func groupsOn[G any](basis *spectrum[*pairGroup], method string, build func(*pairGroup) (G, error)) ([]G, error) {
	var out []G
	for i, g := range basis.groups {
		made, err := build(g)
		if err != nil {
			return nil, refused(method, nil, i, basis.shape, err)
		}
		out = append(out, made)
	}
	return out, nil
}

// onBasis is a method's From.
func onBasis[G solver](method string, basis Spectrum, build func(*spectrum[*pairGroup]) (*spectrum[G], error)) (Spectrum, error) {
	pairs, ok := basis.(*spectrum[*pairGroup])
	if !ok || pairs.method != svdInName {
		return nil, fmt.Errorf("decomp: %s from a factorization that is none by %s", method, svdInName)
	}
	return build(pairs)
}

func (s *spectrum[G]) Energy() float64 {
	sum := 0.0
	for _, g := range s.groups {
		sum += g.total()
	}
	return sum
}

func (s *spectrum[G]) Loss(r Rank) (float64, error) {
	if err := s.check(s.shape, r); err != nil {
		return 0, err
	}
	sum := 0.0
	for i, g := range s.groups {
		loss, err := g.loss(r)
		if err != nil {
			return 0, refused(s.method, r, i, s.shape, err)
		}
		sum += loss
	}
	if s.hopeless != "" && math.IsInf(sum, 1) {
		return 0, &RefusedError{Method: s.method, Rank: r, Reason: s.hopeless}
	}
	return sum, nil
}

func (s *spectrum[G]) Move(to func([]float64) ([]float64, error)) error {
	for _, g := range s.groups {
		if err := move(g.held(), to); err != nil {
			return err
		}
	}
	return nil
}

// move has the numbers of matrices lie where to puts them; those that several share, once.
func move(matrices []*linalg.Matrix, to func([]float64) ([]float64, error)) error {
	longest, moved := map[*float64][]float64{}, map[*float64][]float64{}
	for _, m := range matrices {
		if m == nil || len(m.Data) == 0 {
			continue
		}
		if at := &m.Data[0]; len(m.Data) > len(longest[at]) {
			longest[at] = m.Data
		}
	}
	done := map[*linalg.Matrix]bool{nil: true}
	for _, m := range matrices {
		if done[m] || len(m.Data) == 0 {
			continue
		}
		done[m] = true
		at := &m.Data[0]
		if moved[at] == nil {
			var err error
			if moved[at], err = to(longest[at]); err != nil {
				return err
			}
		}
		if to := moved[at]; &to[0] != at { // what stays may be read by others meanwhile
			m.Data = to[:len(m.Data)]
		}
	}
	return nil
}

func (s *spectrum[G]) Chain(r Rank) (Chain, error) {
	if _, err := s.Loss(r); err != nil {
		return nil, err
	}
	return s.filled(r, func(g G, _ int, chain Chain) error { return g.add(chain, r) })
}

// filled returns the chain of a rank with the weights that add gives it, group by group.
func (s *spectrum[G]) filled(r Rank, add func(g G, i int, chain Chain) error) (Chain, error) {
	chain := s.factors(s.shape, r)
	for i, g := range s.groups {
		if err := add(g, i, chain); err != nil {
			return nil, refused(s.method, r, i, s.shape, err)
		}
	}
	return chain, nil
}

// refit returns a chain of the same sizes as start, which must be one of the method's at rank r; add makes the weights
// of each group of what start has there.
func (s *spectrum[G]) refit(start Chain, r Rank, add func(g G, i int, chain Chain) error) (Chain, error) {
	if err := s.check(s.shape, r); err != nil {
		return nil, fmt.Errorf("decomp: %s refit of a chain of %d factors: %w", s.method, len(start), err)
	}
	wanted := s.factors(s.shape, r)
	if len(start) != len(wanted) {
		return nil, fmt.Errorf("decomp: %s refit of a chain of %d factors for a %v kernel: wanted %d", s.method, len(start), s.shape, len(wanted))
	}
	for i, f := range start {
		if f.Kernel.String() != wanted[i].Kernel.String() {
			return nil, fmt.Errorf("decomp: %s refit of a chain whose factor %d is %v, wanted %v", s.method, i, f.Kernel.Shape, wanted[i].Kernel.Shape)
		}
		if err := f.Kernel.Check(); err != nil {
			return nil, fmt.Errorf("decomp: %s refit: factor %d: %w", s.method, i, err)
		}
	}
	return s.filled(r, add)
}

// ranks returns the channels of a group between the factors of a chain.
func (c Chain) ranks(groups int) Rank {
	var r Rank
	for _, f := range c[:max(len(c)-1, 0)] {
		r = append(r, f.Kernel.Out/groups)
	}
	return r
}

// found are the factors of a group at one rank, in the kernel's own coordinates.
type found[X any] struct {
	factors X
	loss    float64 // infinite where nothing better than zero was found
}

// better returns what came of improving factors, or those given where that did not serve.
func better[X any](given found[X], improve func() (X, error), measured func(X) found[X]) (found[X], error) {
	x, err := improve()
	if unanswered(err) {
		return given, nil
	}
	if err != nil {
		return given, err
	}
	if f := measured(x); f.loss < given.loss {
		return f, nil
	}
	return given, nil
}

// known returns what was found for a key, and finds it first where nothing was.
func known[K comparable, V any](all map[K]V, key K, find func() (V, error)) (V, error) {
	if v, ok := all[key]; ok {
		return v, nil
	}
	v, err := find()
	if err == nil {
		all[key] = v
	}
	return v, err
}
