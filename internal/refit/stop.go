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

// stop is one step under way.
type stop struct {
	w      *walk
	k      int
	choice *Choice
	site   *rewrite.Site

	own, other *segment // of the original and of the compressed model
	differs    bool     // whether the site's input is not that of the original
	shortcut   *shortcut
	why        string // why there is nothing to solve
	solved     bool   // whether the site is to be solved, or was in the refit that this one goes on from
	layouts    *layouts
	sums       *sums // nil where there is nothing left to solve
}

// begin finds out what stop k has to run and to sum.
func (w *walk) begin(k int) (*stop, error) {
	st := &stop{w: w, k: k, choice: &w.choices[w.order[k]]}
	st.site = &st.choice.Site
	w.noteDiffering(k)
	st.differs = w.differs[st.site.Input]
	if c := w.schedule.shortcuts[k]; c != nil && w.differs[c.operand] {
		st.shortcut = c
	}
	switch dense := st.choice.Chain == nil; {
	case w.left(st.choice) != "":
		st.why = w.left(st.choice)
	case dense && !st.differs && st.shortcut == nil:
		st.why = "it sees what it sees in the original"
	case dense && w.shared(st.site):
		st.why = "its weight is used elsewhere too"
	default:
		st.solved = true
		if k < len(w.o.From.Sites) {
			break // then nothing but the values behind it is wanted
		}
		if !w.inputs.match(st.site, st.choice.Felt) {
			w.inputs = newInputMoments(st.choice)
		}
		st.sums, st.layouts = newSums(st.site, w.inputs, st.shortcut != nil), newLayouts(st.site, w.thin(st.site))
	}
	return st, st.cut()
}

// fewest is how many columns a site shows for each of its inputs at least, where solving it anew can gain: with fewer, the ridge
// alone decides on most of its weights.
const fewest = 0.25

// thin says which positions of a site are summed. It is the same for sites that see the same columns.
func (w *walk) thin(s *rewrite.Site) moments.Thinning { return moments.ThinInputs(s, w.samples) }

// left says why a site is not to be solved whatever it reads, empty where it may be.
func (w *walk) left(c *Choice) string {
	s := &c.Site
	columns := int64(w.samples) * int64(max(s.Batch, 1)) * int64(tensor.Product(s.Geometry.Out))
	switch {
	case c.Left != "":
		return c.Left
	case s.View.Kind == rewrite.TableRows:
		return "what it looks up by index does not change, so its factors are the best of their rank already"
	case w.needs(s) > w.o.Memory/2:
		return fmt.Sprintf("its moments take %d MiB, more than half of the memory limit of %d MiB", w.needs(s)>>20, w.o.Memory>>20)
	case s.Located && float64(columns) < fewest*float64(s.Kernel.Cols()):
		return fmt.Sprintf("%d samples show its %d inputs %d columns, too few to solve it for", w.samples, s.Kernel.Cols(), columns)
	}
	return ""
}

// idle tells whether no site may be solved; then there is nothing to run for.
func (w *walk) idle() bool {
	return !slices.ContainsFunc(w.choices, func(c Choice) bool { return w.left(&c) == "" })
}

// needs is about what the moments of a site take at most.
func (w *walk) needs(s *rewrite.Site) int64 {
	k, out := int64(s.Kernel.Cols()), int64(s.Kernel.Rows())
	one := 8 * int64(s.Kernel.Groups) * (k*k + 2*k*out + out*out)
	return one * 5
}

// noteDiffering notes which of the values that stop k computes differ from the original's.
func (w *walk) noteDiffering(k int) {
	for i, at := range w.schedule.stops[compressed] {
		if at != k || !slices.ContainsFunc(w.schedule.reads[i], func(v string) bool { return w.differs[v] }) {
			continue
		}
		for _, v := range w.schedule.nodes[i].Outputs() {
			w.differs[v] = true
		}
	}
}

// cut makes the segments of both models.
func (st *stop) cut() error {
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

// ownPiece is what the original runs in this stop.
func (st *stop) ownPiece(other piece) piece {
	w := st.w
	c := piece{form: func(v string) (tensor.Type, []int, error) { return w.formOf(key{original, v}) }}
	want := map[string]bool{}
	if st.solved {
		want[st.site.Input] = !st.differs
		want[st.site.Output] = true
		if st.shortcut != nil {
			want[st.shortcut.operand] = true
		}
	}
	for _, n := range other.nodes {
		for _, v := range n.node.Reads() {
			if !w.differs[v] {
				want[v] = true
			}
		}
	}
	for i, at := range w.schedule.stops[original] {
		if at != st.k {
			continue
		}
		c.nodes = append(c.nodes, located{i, 0, w.schedule.nodes[i]})
		w.result.nodes[original][i]++
		for _, v := range w.schedule.nodes[i].Outputs() {
			if v != "" && (want[v] || w.schedule.needed(original, v, !w.differs[v]) > st.k) {
				c.wanted = append(c.wanted, v)
			}
		}
	}
	return c
}

// otherPiece is what the compressed model runs in this stop: only what differs, and the site as it was, on the new
// input.
func (st *stop) otherPiece() piece {
	w := st.w
	c := piece{weights: w.weights}
	want := map[string]bool{}
	if st.solved {
		want[st.site.Input] = true
		if st.shortcut != nil {
			want[st.shortcut.operand] = true
		}
	}
	for i, at := range w.schedule.stops[compressed] {
		n := w.schedule.nodes[i]
		if at != st.k || !slices.ContainsFunc(n.Outputs(), func(v string) bool { return w.differs[v] }) {
			continue
		}
		w.result.nodes[compressed][i]++
		switch {
		case w.patches[i] != nil:
			for sub, n := range w.patches[i].New {
				c.nodes = append(c.nodes, located{i, sub, n})
			}
		case !w.swaps[i].IsZero():
			c.nodes = append(c.nodes, located{i, 0, w.swaps[i]})
		default:
			c.nodes = append(c.nodes, located{i, 0, n})
		}
		for _, v := range n.Outputs() {
			if v != "" && (want[v] || w.schedule.needed(compressed, v, false) > st.k) {
				c.wanted = append(c.wanted, v)
			}
		}
	}
	if st.solved && st.differs {
		c.nodes = append(c.nodes, located{st.site.Index, 0, st.site.Node})
		c.wanted = append(c.wanted, st.site.Output)
	}
	return c
}

func (st *stop) close() {
	st.own.close()
	st.other.close()
}

// sweep runs the stop on all samples, several runs side by side. The sums take the runs in their order.
func (st *stop) sweep(ctx context.Context) error {
	w := st.w
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	var mu sync.Mutex
	done := 0
	for range min(w.workers, len(w.runs)) {
		group.Go(func() error {
			worker := &worker{backend: w.o.Backend}
			for ctx.Err() == nil {
				r := int(next.Add(1)) - 1
				if r >= len(w.runs) {
					return nil
				}
				if err := st.run(ctx, worker, r); err != nil {
					return err
				}
				mu.Lock()
				done += w.runs[r].samples
				w.progress(st.k, done)
				mu.Unlock()
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// run takes one run of both models up to the site.
func (st *stop) run(ctx context.Context, worker *worker, r int) error {
	w := st.w
	own, other := map[string]tensor.Dense{}, map[string]tensor.Dense{}
	shelved := w.shelf.loan(r)
	defer shelved.done()
	ownValue := func(v string) (tensor.Dense, error) {
		if t, ok := own[v]; ok {
			return t, nil
		}
		return shelved.get(key{original, v})
	}
	otherValue := func(v string) (tensor.Dense, error) {
		if t, ok := other[v]; ok {
			return t, nil
		}
		if w.differs[v] {
			return shelved.get(key{compressed, v})
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
	seen, err := st.see(worker, ownValue, otherValue, other, r)
	if err != nil {
		return fmt.Errorf("refitting node %q, sample %s: %w", st.site.Name, w.runs[r].name, err)
	}
	return st.sums.add(ctx, worker, r, w.runs[r].held, seen)
}

// keep puts what later stops need on the shelf.
func (st *stop) keep(own, other map[string]tensor.Dense, r int) error {
	p := st.w.schedule
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
