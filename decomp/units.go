package decomp

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// Reader is a kernel that reads an axis of units: hidden units of a perceptron, channels between two convolutions,
// dimensions of a head. When units leave, it loses their input channels.
type Reader struct {
	Kernel Kernel
	Metric Metric  // at the reader's input and output, in any of its forms
	Scale  float64 // what a loss under the metric counts: the number of output positions of a sample, say
	// Channels holds for each unit the kernel's input channels that carry it, any number of them, none included; of a kernel
	// in groups, equally many in each group. Channels of no unit always stay. nil says that channel u carries unit u.
	Channels [][]int
}

// Elimination is an order in which the units of an axis leave, worked out once. It then answers for every number of
// units that stay: which, at what loss, and with what kernels in the readers.
//
// Let S be the columns of A that stay at a reader (those of the kept channels, all taps). The activations that left are
// estimated from those that stay by least squares, and the estimate is folded into the reader:
//
//	W'_S = W A_:S (A_SS)⁻¹,  W' = 0 elsewhere;  loss = Σ_readers Scale · Σ_groups tr(G (W−W') A (W−W')ᵀ)
//
// which is Scale · tr(G W R Wᵀ) with R = A − A_:S (A_SS)⁻¹ A_S:. Nothing is added to the graph: the axis is narrower.
type Elimination struct {
	b       linalg.Backend
	readers []*reader
	order   []int     // units, the one that stays longest first
	losses  []float64 // by the number of units that stay, from 0 on
	energy  float64
}

// Eliminate finds the order in which units leave an axis: one at a time, each time the one whose leaving raises the loss least,
// of several the one with the lowest number. This is the block form of the optimal brain surgeon (Hassibi and Stork,
// NIPS 5, 1993): where B = (A_SS)⁻¹ and F is the fold so far, taking out the block of columns c costs
// tr(G F_c (B_cc)⁻¹ F_cᵀ), and B and F are downdated by that block.
//
// Every step is the exact best single step, up to rounding; the sequence of them need not be the best choice of k units
// together. To choose, A is lifted by a share of its diagonal, so that the inverse exists whatever A is. Losses come from a
// Cholesky factorization of their own, not from the sum of the steps.
//
// The work is some 1.2·K³ + 2·O·K·(O + K) multiply-adds for each reader and group, O being no more than K; the memory some four
// matrices [K, K]. The readers may hold on to the numbers of their kernels and metrics, which are to be left as they are.
func Eliminate(b linalg.Backend, units int, readers []Reader) (*Elimination, error) {
	e, err := newElimination(b, units, readers)
	if err != nil {
		return nil, err
	}
	if e.order, err = eliminate(b, units, e.groups()); err != nil {
		return nil, fmt.Errorf("decomp: elimination of %d units: %w", units, err)
	}
	return e.weighed()
}

// EliminateInOrder is Eliminate in an order that is given, the unit that stays longest first: one that Eliminate once found and
// Order returned, so that nothing else needs to be kept of it, or that somebody else chose.
func EliminateInOrder(b linalg.Backend, order []int, readers []Reader) (*Elimination, error) {
	e, err := newElimination(b, len(order), readers)
	if err != nil {
		return nil, err
	}
	for i, u := range slices.Sorted(slices.Values(order)) {
		if i != u {
			return nil, fmt.Errorf("decomp: elimination of units in the order %v, wanted each of %d units once", order, len(order))
		}
	}
	e.order = slices.Clone(order)
	return e.weighed()
}

// newElimination takes readers apart.
func newElimination(b linalg.Backend, units int, readers []Reader) (*Elimination, error) {
	if units < 1 || len(readers) == 0 {
		return nil, fmt.Errorf("decomp: elimination of units: %d units with %d readers, wanted at least one of each", units, len(readers))
	}
	e := &Elimination{b: b}
	for i, r := range readers {
		made, err := newReader(b, units, r)
		if err != nil {
			return nil, fmt.Errorf("decomp: elimination of units: reader %d: %w", i, err)
		}
		e.readers = append(e.readers, made)
	}
	return e, nil
}

// groups returns the groups of all readers.
func (e *Elimination) groups() []*seenUnits {
	var all []*seenUnits
	for _, r := range e.readers {
		all = append(all, r.groups...)
	}
	return all
}

// weighed finds the losses, with the order known.
func (e *Elimination) weighed() (*Elimination, error) {
	all := e.groups()
	var terms [][]float64
	for _, s := range all {
		own, err := s.terms(e.b, e.order)
		if err != nil {
			return nil, fmt.Errorf("decomp: losses of %d units: %w", e.Units(), err)
		}
		terms = append(terms, own)
	}
	e.losses, e.energy = lossesOf(all, terms)
	return e, nil
}

// Units returns the number of units before any left.
func (e *Elimination) Units() int { return len(e.order) }

// Order returns the units, the one that stays longest first.
func (e *Elimination) Order() []int { return slices.Clone(e.order) }

// Energy returns Σ_readers Scale·tr(G W A Wᵀ), what replacing the readers' kernels by zero costs.
func (e *Elimination) Energy() float64 { return e.energy }

// Widths returns the numbers of units to look at, ascending: the multiples of step, and all units.
func (e *Elimination) Widths(step int) []int {
	var widths []int
	for k := max(step, 1); k < e.Units(); k += max(step, 1) {
		widths = append(widths, k)
	}
	return append(widths, e.Units())
}

// Loss returns the loss with k units, which falls with k, to 0 where all stay. It is that of Fold's kernels under the metrics as
// they were given, or, where moments have no inverse, hardly above it.
func (e *Elimination) Loss(k int) (float64, error) {
	if err := e.check(k); err != nil {
		return 0, err
	}
	return e.losses[k], nil
}

// LossesUnder returns what every number of units loses, from 0 to all, under other metrics than the units were chosen and the
// kernels folded under, one for each reader: with those of samples held back, it tells what is lost on samples that were not
// seen. Losses so small that there were too few columns to tell (where inputs have one column a sample, say) come out large.
// They need not fall with the number of units. It takes about as long as Eliminate, and some seven matrices [K, K].
func (e *Elimination) LossesUnder(metrics []Metric) ([]float64, error) {
	if len(metrics) != len(e.readers) {
		return nil, fmt.Errorf("decomp: losses of units under %d metrics, wanted one for each of %d readers", len(metrics), len(e.readers))
	}
	var all []*seenUnits
	var terms [][]float64
	for i, r := range e.readers {
		if err := metrics[i].check(r.kernel.Shape); err != nil {
			return nil, fmt.Errorf("decomp: losses of units: reader %d: %w", i, err)
		}
		for g, s := range r.groups {
			seen := seeUnits(e.b, g, r.kernel, metrics[i], r.scale)
			own, err := s.termsUnder(e.b, e.order, seen)
			if err != nil {
				return nil, fmt.Errorf("decomp: losses of %d units: %w", e.Units(), err)
			}
			all, terms = append(all, seen), append(terms, own)
		}
	}
	losses, _ := lossesOf(all, terms)
	return losses, nil
}

// Kept returns the k units that stay, ascending. Those of a larger k contain them.
func (e *Elimination) Kept(k int) ([]int, error) {
	if err := e.check(k); err != nil {
		return nil, err
	}
	return slices.Sorted(slices.Values(e.order[:k])), nil
}

// Channels returns the input channels that stay of a reader's kernel with k units, ascending.
func (e *Elimination) Channels(k, reader int) ([]int, error) {
	if err := e.checkReader(k, reader); err != nil {
		return nil, err
	}
	return e.readers[reader].channels(e.order[:k]), nil
}

// Fold returns a reader's kernel over the channels that stay with k units, in ascending order, by least squares; its
// outputs, window and groups are those of the kernel as it was.
func (e *Elimination) Fold(k, reader int) (Kernel, error) {
	if err := e.checkReader(k, reader); err != nil {
		return Kernel{}, err
	}
	folded, err := e.readers[reader].fold(e.b, e.order[:k])
	if err != nil {
		return Kernel{}, fmt.Errorf("decomp: fold of reader %d with %d of %d units: %w", reader, k, e.Units(), err)
	}
	return folded, nil
}

// BiasShift returns (W−W')·μ of a reader, one number for each output channel: what to add to its bias when fold, which Fold
// returned for k units, takes the place of its kernel. mean holds μ, the mean input patch of every group. See Chain.BiasShift.
func (e *Elimination) BiasShift(k, reader int, fold Kernel, mean [][]float64) ([]float64, error) {
	if err := e.checkReader(k, reader); err != nil {
		return nil, err
	}
	whole, err := e.readers[reader].expanded(e.order[:k], fold)
	if err != nil {
		return nil, fmt.Errorf("decomp: bias shift of reader %d with %d of %d units: %w", reader, k, e.Units(), err)
	}
	return Chain{{Part: "fold", Kernel: whole}}.BiasShift(e.readers[reader].kernel, mean)
}

// check reports a number of units that cannot stay.
func (e *Elimination) check(k int) error {
	if k < 1 || k > e.Units() {
		return fmt.Errorf("decomp: %d of %d units, wanted 1 to %d", k, e.Units(), e.Units())
	}
	return nil
}

func (e *Elimination) checkReader(k, reader int) error {
	if reader < 0 || reader >= len(e.readers) {
		return fmt.Errorf("decomp: reader %d of %d, wanted 0 to %d", reader, len(e.readers), len(e.readers)-1)
	}
	return e.check(k)
}
