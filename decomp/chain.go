package decomp

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// Rank is what a method is asked for: one number for each rank it has. With groups, it is the rank of
// every group.
type Rank []int

// Factor is one step of a chain: a smaller kernel of the same kind as the one it helps to replace.
type Factor struct {
	Part   string // what the step's node is called after its parent: "svd.first"
	Kernel Kernel
	// Axes says for each spatial axis whether this step carries the site's stride, padding and dilation
	// along it. Every axis is carried by exactly one step; the others have one tap there.
	Axes []bool
	// Shift is added to each output channel of the last step, beside the site's own bias; nil for nothing. A
	// factorization has none: it comes from fitting a chain to inputs whose mean counts.
	Shift []float64
}

// factor lays out one step of a chain for s, without its numbers: with the taps of the axes that it carries, one along
// the others.
func (s Shape) factor(part string, out, in, groups int, carries func(axis int) bool) Factor {
	f := Factor{Part: part, Axes: make([]bool, len(s.Window)), Kernel: Kernel{Shape: Shape{Out: out, In: in, Window: slices.Clone(s.Window), Groups: groups}}}
	for i := range f.Axes {
		if f.Axes[i] = carries(i); !f.Axes[i] {
			f.Kernel.Window[i] = 1
		}
	}
	return f
}

func everyAxis(int) bool { return true }

func noAxis(int) bool { return false }

// flat tells of an axis whether it has one tap only.
func (s Shape) flat(axis int) bool { return s.Window[axis] == 1 }

// Chain replaces a kernel: its factors are applied in order, the first to the site's input. The bias of
// the site belongs to the last.
type Chain []Factor

// Params returns the number of weights of all factors.
func (c Chain) Params() int64 {
	var n int64
	for _, f := range c {
		n += f.Kernel.Params()
	}
	return n
}

// MACs returns the multiply-accumulates of the chain for one sample: for each factor, its weights times
// the positions at which it is applied. Along an axis that no factor up to this one carries, the data
// still has the extent of the site's input; behind the one that carries it, that of the output. That one itself
// works at each position of the output, or, transposed, at each of the input.
func (c Chain) MACs(g Geometry) int64 {
	carried := make([]bool, len(g.Out))
	var total int64
	for _, f := range c {
		positions := int64(1)
		for i := range g.Out {
			carries := i >= len(f.Axes) || f.Axes[i]
			if carried[i] || carries && !g.Transposed {
				positions *= int64(g.Out[i])
			} else {
				positions *= int64(g.In[i])
			}
			carried[i] = carried[i] || carries
		}
		total += f.Kernel.Params() * positions
	}
	return total
}

// Compose multiplies the chain out to the kernel of shape s that it stands for, shifts aside.
func (c Chain) Compose(b linalg.Backend, s Shape) (Kernel, error) {
	if err := s.Check(); err != nil {
		return Kernel{}, err
	}
	if len(c) == 0 {
		return Kernel{}, errors.New("decomp: a chain without factors cannot be composed")
	}
	for i, f := range c {
		if err := f.Kernel.Check(); err != nil {
			return Kernel{}, fmt.Errorf("factor %d (%s): %w", i, f.Part, err)
		}
	}
	if s.Groups > 1 && !slices.ContainsFunc(c, func(f Factor) bool { return f.Kernel.Groups != s.Groups }) {
		return c.composeGroups(b, s)
	}
	whole, err := c.compose(b)
	if err != nil {
		return Kernel{}, err
	}
	if err := whole.fits(s); err != nil {
		return Kernel{}, err
	}
	return whole.grouped(s.Groups)
}

// compose multiplies factors out to a kernel of one group.
func (c Chain) compose(b linalg.Backend) (Kernel, error) {
	whole := c[0].Kernel.ungrouped()
	for i, f := range c[1:] {
		var err error
		if whole, err = then(b, whole, f.Kernel); err != nil {
			return Kernel{}, fmt.Errorf("factor %d (%s): %w", i+1, f.Part, err)
		}
	}
	return whole, nil
}

// fits refuses a composed kernel that is not of the shape wanted, groups aside.
func (k Kernel) fits(s Shape) error {
	if k.Out != s.Out || k.In != s.In || !slices.Equal(k.Window, s.Window) {
		return fmt.Errorf("decomp: the chain composes to a kernel of %v, wanted %v", k.Shape, s)
	}
	return nil
}

// composeGroups is Compose for factors that all have the groups of s: each group is a chain of its own, and nothing between groups
// is written out, which in a depthwise kernel is nearly everything.
func (c Chain) composeGroups(b linalg.Backend, s Shape) (Kernel, error) {
	out := Kernel{Shape: s, Weights: make([]float64, 0, s.Params())}
	one := Shape{Out: s.Out / s.Groups, In: s.In / s.Groups, Window: s.Window, Groups: 1}
	part := slices.Clone(c)
	for g := range s.Groups {
		for i, f := range c {
			k, n := f.Kernel, len(f.Kernel.Weights)/s.Groups
			part[i].Kernel = Kernel{
				Shape:   Shape{Out: k.Out / k.Groups, In: k.In / k.Groups, Window: k.Window, Groups: 1},
				Weights: k.Weights[g*n : (g+1)*n],
			}
		}
		whole, err := part.compose(b)
		if err != nil {
			return Kernel{}, err
		}
		if err := whole.fits(one); err != nil {
			return Kernel{}, err
		}
		out.Weights = append(out.Weights, whole.Weights...)
	}
	return out, nil
}

// ungrouped spreads the kernel out to one group, with zeros between channels of different groups.
func (k Kernel) ungrouped() Kernel {
	out := Kernel{Shape: Shape{Out: k.Out, In: k.In, Window: k.Window, Groups: 1}}
	out.Weights = make([]float64, out.Params())
	cols := k.Cols()
	for o := range k.Out {
		at := o*k.In*k.taps() + o/k.Rows()*cols
		copy(out.Weights[at:at+cols], k.Weights[o*cols:(o+1)*cols])
	}
	return out
}

// grouped is the reverse of ungrouped; weights between different groups must be zero.
func (k Kernel) grouped(groups int) (Kernel, error) {
	out := Kernel{Shape: Shape{Out: k.Out, In: k.In, Window: k.Window, Groups: groups}}
	cols, all := out.Cols(), k.Cols()
	for o := range k.Out {
		row, first := k.Weights[o*all:(o+1)*all], o/out.Rows()*cols
		for i, v := range row {
			if v != 0 && (i < first || i >= first+cols) {
				return Kernel{}, fmt.Errorf("decomp: the chain connects channels of different groups of the %v kernel", out.Shape)
			}
		}
		out.Weights = append(out.Weights, row[first:first+cols]...)
	}
	return out, nil
}

// then returns the one kernel that acts as first (of one group) followed by next. Along each axis at most one of
// the two may have more than one tap: a stride between two windows on one axis has no single kernel.
func then(b linalg.Backend, first, next Kernel) (Kernel, error) {
	if next.In != first.Out || len(next.Window) != len(first.Window) {
		return Kernel{}, fmt.Errorf("decomp: a %v factor cannot follow one with %d outputs and %d spatial axes", next.Shape, first.Out, len(first.Window))
	}
	window := make([]int, len(first.Window))
	for i := range window {
		window[i] = first.Window[i] * next.Window[i]
		if first.Window[i] > 1 && next.Window[i] > 1 {
			return Kernel{}, fmt.Errorf("decomp: two factors have several taps along spatial axis %d", i)
		}
	}
	out := Kernel{Shape: Shape{Out: next.Out, In: first.In, Window: window, Groups: 1}}
	out.Weights = make([]float64, out.Params())
	inner, ft, nt, taps := next.In/next.Groups, first.taps(), next.taps(), out.taps()
	at := tapTable(first.Window, next.Window, window)
	for g := range next.Groups {
		// Of a group the product [outputs · taps, inputs · taps] has all; its taps are to be sorted.
		product := b.Mul(false, false, 1, next.byTaps(g), &linalg.Matrix{
			Rows: inner, Cols: first.In * ft, Data: first.Weights[g*inner*first.In*ft:][:inner*first.In*ft],
		})
		for i := range product.Rows {
			o, n := g*next.Rows()+i/nt, i%nt
			to := out.Weights[o*first.In*taps:][:first.In*taps]
			for j, v := range product.Row(i) {
				to[j/ft*taps+at[j%ft*nt+n]] = v
			}
		}
	}
	return out, nil
}

// byTaps are the weights of one group as a matrix with a row for each output and tap, [outputs · taps, inputs].
func (k Kernel) byTaps(g int) *linalg.Matrix {
	rows, inner, taps := k.Rows(), k.In/k.Groups, k.taps()
	weights := k.Weights[g*rows*inner*taps:][:rows*inner*taps]
	if taps == 1 {
		return &linalg.Matrix{Rows: rows, Cols: inner, Data: weights}
	}
	out := linalg.New(rows*taps, inner)
	for i, v := range weights {
		o, m, n := i/(inner*taps), i/taps%inner, i%taps
		out.Data[(o*taps+n)*inner+m] = v
	}
	return out
}

// tapTable maps tap f of the first window and tap n of the next to their tap of the combined window, at f·taps(next)+n.
func tapTable(first, next, window []int) []int {
	ft, nt := Shape{Window: first}.taps(), Shape{Window: next}.taps()
	table := make([]int, ft*nt)
	for f := range ft {
		for n := range nt {
			at, step, restF, restN := 0, 1, f, n
			for i := len(window) - 1; i >= 0; i-- {
				at += step * (restF%first[i] + restN%next[i])
				restF, restN, step = restF/first[i], restN/next[i], step*window[i]
			}
			table[f*nt+n] = at
		}
	}
	return table
}
