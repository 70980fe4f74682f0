package refit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// stage is one step under way.
type stage struct {
	w      *walk
	k      int
	choice *Choice
	site   *rewrite.Site

	own, other *segment // of the original and of the compressed model
	differs    bool     // whether the site's input is not that of the original
	shortcut   *shortcut
	why        string // why there is nothing to solve
	layouts    *layouts
	sums       *sums // nil where there is nothing to solve
}

// begin finds out what stage k has to run and to sum.
func (w *walk) begin(k int) (*stage, error) {
	st := &stage{w: w, k: k, choice: &w.choices[w.order[k]]}
	st.site = &st.choice.Site
	w.spread(k)
	st.differs = w.differs[st.site.Input]
	if c := w.plan.shortcuts[k]; c != nil && w.differs[c.operand] {
		st.shortcut = c
	}
	switch dense := st.choice.Chain == nil; {
	case st.site.View.Kind == rewrite.TableRows:
		st.why = "what it looks up by index does not change, so its factors are the best of their rank already"
	case dense && !st.differs && st.shortcut == nil:
		st.why = "it sees what it sees in the original"
	case dense && w.shared(st.site):
		st.why = "its weight is used elsewhere too"
	case w.needs(st.site) > w.o.Memory/2:
		st.why = fmt.Sprintf("its moments take %d MiB, more than half of the memory limit of %d MiB", w.needs(st.site)>>20, w.o.Memory>>20)
	default:
		if !w.inputs.match(st.site, st.choice.Felt) {
			w.inputs = newInputMoments(st.choice)
		}
		st.sums = newSums(st.site, w.inputs, st.shortcut != nil)
		st.layouts = newLayouts(st.site)
	}
	return st, st.cut()
}

// needs is about what the moments of a site take at most.
func (w *walk) needs(s *rewrite.Site) int64 {
	k, out := int64(s.Kernel.Cols()), int64(s.Kernel.Rows())
	one := 8 * int64(s.Kernel.Groups) * (k*k + 2*k*out + out*out)
	return one * 5
}

// spread notes which of the values that stage k computes differ from the original's.
func (w *walk) spread(k int) {
	for i, at := range w.plan.stages[compressed] {
		if at != k || !slices.ContainsFunc(w.plan.reads[i], func(v string) bool { return w.differs[v] }) {
			continue
		}
		for _, v := range w.plan.nodes[i].GetOutput() {
			w.differs[v] = true
		}
	}
}

// cut makes the segments of both models.
func (st *stage) cut() error {
	w := st.w
	other := st.otherPiece()
	var err error
	if st.own, err = w.newSegment(st.ownPiece(other)); err != nil {
		return err
	}
	other.form = func(v string) (tensor.Type, []int, error) {
		if w.differs[v] {
			return w.formOf(key{compressed, v})
		}
		if t, shape, ok := st.own.form(v); ok {
			return t, shape, nil
		}
		return w.formOf(key{original, v})
	}
	st.other, err = w.newSegment(other)
	return err
}

// formOf returns the type and shape of a value on the shelf.
func (w *walk) formOf(k key) (tensor.Type, []int, error) {
	if !w.shelf.has(k) {
		return 0, nil, fmt.Errorf("value %q is not at hand", k.value)
	}
	t, shape := w.shelf.form(k)
	return t, shape, nil
}

// ownPiece is what the original runs in this stage.
func (st *stage) ownPiece(other piece) piece {
	w := st.w
	c := piece{form: func(v string) (tensor.Type, []int, error) { return w.formOf(key{original, v}) }}
	want := map[string]bool{}
	if st.sums != nil {
		want[st.site.Input] = !st.differs
		want[st.site.Output] = true
		if st.shortcut != nil {
			want[st.shortcut.operand] = true
		}
	}
	for _, n := range other.nodes {
		for _, v := range reads(n.node, func(string) bool { return true }) {
			if !w.differs[v] {
				want[v] = true
			}
		}
	}
	for i, at := range w.plan.stages[original] {
		if at != st.k {
			continue
		}
		c.nodes = append(c.nodes, located{i, 0, w.plan.nodes[i]})
		w.result.nodes[original][i]++
		for _, v := range w.plan.nodes[i].GetOutput() {
			if v != "" && (want[v] || w.plan.needed(original, v, !w.differs[v]) > st.k) {
				c.wanted = append(c.wanted, v)
			}
		}
	}
	return c
}

// otherPiece is what the compressed model runs in this stage: only what differs, and the site as it was, on the new
// input.
func (st *stage) otherPiece() piece {
	w := st.w
	c := piece{weights: w.weights}
	want := map[string]bool{}
	if st.sums != nil {
		want[st.site.Input] = true
		if st.shortcut != nil {
			want[st.shortcut.operand] = true
		}
	}
	for i, at := range w.plan.stages[compressed] {
		n := w.plan.nodes[i]
		if at != st.k || !slices.ContainsFunc(n.GetOutput(), func(v string) bool { return w.differs[v] }) {
			continue
		}
		w.result.nodes[compressed][i]++
		switch {
		case w.patches[i] != nil:
			for sub, n := range w.patches[i].New {
				c.nodes = append(c.nodes, located{i, sub, n})
			}
		case w.swaps[i] != nil:
			c.nodes = append(c.nodes, located{i, 0, w.swaps[i]})
		default:
			c.nodes = append(c.nodes, located{i, 0, n})
		}
		for _, v := range n.GetOutput() {
			if v != "" && (want[v] || w.plan.needed(compressed, v, false) > st.k) {
				c.wanted = append(c.wanted, v)
			}
		}
	}
	if st.sums != nil && st.differs {
		c.nodes = append(c.nodes, located{st.site.Index, 0, st.site.Node})
		c.wanted = append(c.wanted, st.site.Output)
	}
	return c
}

func (st *stage) close() {
	st.own.close()
	st.other.close()
}

// sweep runs the stage on all samples, several runs side by side. The sums take the runs in their order.
func (st *stage) sweep(ctx context.Context) error {
	w := st.w
	group, ctx := errgroup.WithContext(ctx)
	turn := newTurn(ctx)
	var next atomic.Int64
	var mu sync.Mutex
	done := 0
	for range min(w.o.Threads, len(w.runs)) {
		group.Go(func() error {
			worker := &worker{backend: w.o.Backend}
			for ctx.Err() == nil {
				r := int(next.Add(1)) - 1
				if r >= len(w.runs) {
					return nil
				}
				if err := st.run(ctx, worker, turn, r); err != nil {
					return err
				}
				mu.Lock()
				done += w.runs[r].samples
				w.progress(st.k+1, done)
				mu.Unlock()
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// run takes one run of both models up to the site.
func (st *stage) run(ctx context.Context, worker *worker, turn *turn, r int) error {
	w := st.w
	own, other := map[string]tensor.Dense{}, map[string]tensor.Dense{}
	ownValue := func(v string) (tensor.Dense, error) {
		if t, ok := own[v]; ok {
			return t, nil
		}
		return w.shelf.get(key{original, v}, r)
	}
	otherValue := func(v string) (tensor.Dense, error) {
		if t, ok := other[v]; ok {
			return t, nil
		}
		if w.differs[v] {
			return w.shelf.get(key{compressed, v}, r)
		}
		return ownValue(v)
	}
	for _, part := range []struct {
		s     *segment
		input func(string) (tensor.Dense, error)
		to    map[string]tensor.Dense
	}{{st.own, ownValue, own}, {st.other, otherValue, other}} {
		results, err := part.s.run(ctx, part.input, part.to)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &CutError{st.site.Name, fmt.Errorf("sample %s: %w", w.runs[r].name, err)}
		}
		if results != nil {
			defer results.Close()
		}
	}
	if err := st.keep(own, other, r); err != nil {
		return err
	}
	if st.sums == nil {
		return nil
	}
	seen, err := st.see(ownValue, otherValue, other, r)
	if err != nil {
		return fmt.Errorf("refitting node %q, sample %s: %w", st.site.Name, w.runs[r].name, err)
	}
	return st.sums.add(ctx, worker, turn, r, w.runs[r].held, seen)
}

// keep puts what later stages need on the shelf.
func (st *stage) keep(own, other map[string]tensor.Dense, r int) error {
	p := st.w.plan
	var errs []error
	for v, t := range own {
		if p.needed(original, v, !st.w.differs[v]) > st.k {
			errs = append(errs, st.w.shelf.put(key{original, v}, r, t))
		}
	}
	for v, t := range other {
		if v != st.site.Output && p.needed(compressed, v, false) > st.k {
			errs = append(errs, st.w.shelf.put(key{compressed, v}, r, t))
		}
	}
	return errors.Join(errs...)
}

// observed is what one run shows at a site; its layout is nil where the run has to be left out.
type observed struct {
	layout *layout
	x      []float32
	own    []float32 // z − (W x̂ + b); nil where that is zero
	roots  []float32 // of the positions' weights, by which all was multiplied; nil where they weigh the same
	both   []float32 // the same, with what the other operand of the addition is short of; nil where there is none
}

// see takes the input and the errors of a run.
func (st *stage) see(ownValue, otherValue func(string) (tensor.Dense, error), other map[string]tensor.Dense, r int) (observed, error) {
	b := st.w.runs[r]
	x, err := otherValue(st.site.Input)
	if err != nil {
		return observed{}, err
	}
	z, err := ownValue(st.site.Output)
	if err != nil {
		return observed{}, err
	}
	shape := z.Shape
	x, okX := unfilled(st.site, x, false, b.size, b.count)
	z, okZ := unfilled(st.site, z, true, b.size, b.count)
	if !okX || !okZ || z.Len() == 0 {
		return observed{}, nil
	}
	var seen observed
	if seen.layout, err = st.layouts.of(x.Shape, z.Shape); err != nil {
		return observed{}, err
	}
	if seen.x = x.Float32s(); seen.x == nil {
		return observed{}, fmt.Errorf("the input is of type %v", x.Type)
	}
	if st.differs {
		y := other[st.site.Output]
		y, _ = unfilled(st.site, y, true, b.size, b.count)
		if seen.own, err = difference(z, y); err != nil {
			return observed{}, err
		}
	}
	if st.shortcut != nil {
		if seen.both, err = st.short(ownValue, otherValue, seen.own, shape, z, b); err != nil {
			return observed{}, err
		}
	}
	return st.weighed(seen, z, b)
}

// weighed multiplies all by the roots of the positions' weights.
func (st *stage) weighed(seen observed, z tensor.Dense, b batch) (observed, error) {
	k := st.site.Kernel
	if seen.roots = st.choice.Felt.Roots(b.indices, z.Len()/k.Out); seen.roots == nil {
		return seen, nil
	}
	for _, rows := range []*[]float32{&seen.x, &seen.own, &seen.both} {
		if *rows != nil {
			*rows = moments.Weigh(*rows, seen.roots)
		}
	}
	n := len(seen.x) / k.In
	var err error
	seen.layout, err = st.layouts.of([]int{n, k.In}, []int{n, k.Out})
	return seen, err
}

// short adds to the error own what the other operand of the addition is short of, where that has the shape of the
// site's output; filler is off z, but not off shape.
func (st *stage) short(ownValue, otherValue func(string) (tensor.Dense, error), own []float32, shape []int, z tensor.Dense, b batch) ([]float32, error) {
	s, err := ownValue(st.shortcut.operand)
	if err != nil {
		return nil, err
	}
	now, err := otherValue(st.shortcut.operand)
	if err != nil {
		return nil, err
	}
	out := make([]float32, z.Len())
	copy(out, own)
	if !slices.Equal(s.Shape, shape) || !slices.Equal(now.Shape, shape) {
		return out, nil // it is broadcast: what one position lacks, another would have to give
	}
	s, _ = unfilled(st.site, s, true, b.size, b.count)
	now, _ = unfilled(st.site, now, true, b.size, b.count)
	d, err := difference(s, now)
	if err != nil {
		return nil, err
	}
	axis := st.site.ChannelAxis(len(z.Shape))
	channels, inner := z.Shape[axis], product(z.Shape[axis+1:])
	for i, v := range d {
		if st.shortcut.scale != nil {
			scale := float32(st.shortcut.scale[i/inner%channels])
			if scale == 0 {
				continue
			}
			v /= scale
		}
		out[i] += v
	}
	return out, nil
}

// difference is a − b.
func difference(a, b tensor.Dense) ([]float32, error) {
	if !slices.Equal(a.Shape, b.Shape) {
		return nil, fmt.Errorf("a value has the shape %v in the original and %v in the compressed model", a.Shape, b.Shape)
	}
	x, y := a.Float32s(), b.Float32s()
	if len(x) != a.Len() || len(y) != b.Len() {
		return nil, fmt.Errorf("values of type %v cannot be compared", a.Type)
	}
	out := make([]float32, len(x))
	for i := range x {
		out[i] = x[i] - y[i]
	}
	return out, nil
}
