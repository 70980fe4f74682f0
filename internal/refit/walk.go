package refit

import (
	"context"
	"fmt"
	"sync"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
)

// walk is the state of one refit.
type walk struct {
	host     feed.Host
	model    *onnxio.Model
	choices  []Choice
	order    []int // choices in topological order: the site of stop k is that of choices[order[k]]
	o        Options
	schedule *schedule
	shared   func(*rewrite.Site) bool // whether a site's weight is used elsewhere too
	names    *graph.NameSet
	result   *Result

	shelf   *shelf
	runs    []batch
	samples int
	workers int // that run models side by side
	measure *measure
	told    int // of the progress

	// What the compressed model is so far.
	patches map[int]*rewrite.Patch // by the position of the node
	swaps   map[int]graph.Node     // likewise
	differs map[string]bool        // values that are not what they are in the original
	weights map[string]onnxio.Tensor
	inputs  *inputMoments // of the latest site
}

// batch is one run of the models.
type batch struct {
	name        string
	size, count int // of the stacked samples with and without filler; size is 0 where nothing was stacked
	samples     int
	indices     []int // the numbers of the samples in their source
	held        bool
}

func (w *walk) sites() []*rewrite.Site {
	out := make([]*rewrite.Site, len(w.order))
	for k, i := range w.order {
		out[k] = &w.choices[i].Site
	}
	return out
}

func (w *walk) close() {
	// Only temporary files could fail to close, and nothing is lost with them.
	w.shelf.close()
}

// Of every heldEvery blocks of samples, the last is held out.
const heldEvery = 8

// load cuts the samples into runs, and keeps the inputs of all.
func (w *walk) load(ctx context.Context, src samples.Source, indices []int) error {
	inputs, err := samples.Inputs(w.model)
	if err != nil {
		return err
	}
	block, err := w.fit(ctx, src, indices, inputs)
	if err != nil {
		return err
	}
	blocks := (len(indices) + block - 1) / block
	if blocks < 2 {
		return &TooFewError{len(indices)}
	}
	cut, err := feed.New(src, indices, inputs, block, w.o.Threads)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	runs := map[int]batch{}
	err = cut.Each(ctx, w.o.Threads, func(_ string, done, _ int) { w.progress(-1, done) }, func(context.Context) func(*feed.Run) error {
		return func(r *feed.Run) error {
			for name, t := range r.Inputs {
				if w.schedule.needed(original, name, true) == never {
					continue
				}
				if err := w.shelf.put(key{original, name}, r.Seq, t); err != nil {
					return err
				}
			}
			at := (r.Done - len(r.Samples)) / block
			mu.Lock()
			defer mu.Unlock()
			runs[r.Seq] = batch{
				name: r.Samples[0].Name, size: r.Batch, count: len(r.Samples), samples: len(r.Samples), indices: r.Indices,
				held: at%heldEvery == heldEvery-1 || blocks < heldEvery && at == blocks-1,
			}
			return nil
		}
	})
	if err != nil {
		return err
	}
	w.result.Fit, w.result.Held = 0, 0
	for i := range len(runs) {
		w.runs = append(w.runs, runs[i])
		if runs[i].held {
			w.result.Held += runs[i].samples
		} else {
			w.result.Fit += runs[i].samples
		}
	}
	return nil
}

// fit finds how many samples run at once, and sets how many runs do.
func (w *walk) fit(ctx context.Context, src samples.Source, indices []int, inputs []samples.InputSpec) (int, error) {
	first, err := feed.First(ctx, src, indices, inputs, 1)
	if err != nil {
		return 0, err
	}
	// At least sixteen runs, so that an eighth of them can be told from the rest.
	block, fixed := max(1, min(w.o.Batch, len(indices)/(2*heldEvery))), samples.Batch(inputs)
	runs := w.schedule.needs(w.model)
	defer runs.Close() // it shares the files of the model, which stays open
	live := feed.Live(runs, feed.Float32s(w.model, first.Inputs), nil)
	if block, w.workers = feed.Fit(live, fixed > 0, w.o.Memory, block, w.o.Threads); fixed > 0 {
		block = fixed
	}
	return block, nil
}

// progress tells that so many samples went through stop k; stop −1 is that of loading.
func (w *walk) progress(k, samples int) {
	w.tell(int(w.measure.share(k, float64(samples)/float64(w.samples)) * float64(w.work())))
}

// work is all there is to do, in samples times sites, loading among these.
func (w *walk) work() int { return (len(w.order) + 1) * w.samples }

// tell tells that so much is done, unless it was told already.
func (w *walk) tell(done int) {
	if done > w.told {
		w.told = done
		w.o.Progress("", done, w.work())
	}
}

// step runs stop k, solves its site, and moves the cut.
func (w *walk) step(ctx context.Context, k int) error {
	choice := &w.choices[w.order[k]]
	st, err := w.begin(k)
	if err != nil {
		return &CutError{choice.Site.Name, err}
	}
	defer st.close()
	if err := st.sweep(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	outcome := &w.result.Sites[w.order[k]]
	if k >= len(w.o.From.Sites) {
		if err := w.decide(ctx, st, outcome); err != nil {
			return err
		}
	}
	if err := w.settle(&choice.Site, outcome.Chain, st.differs); err != nil {
		return err
	}
	w.result.Spilled = max(w.result.Spilled, w.shelf.most)
	return w.shelf.sweep(func(key key) bool {
		return w.schedule.needed(key.side, key.value, key.side == original && !w.differs[key.value]) > k
	})
}

// decide finds what is to become of the site of a stop, and has it kept.
func (w *walk) decide(ctx context.Context, st *stop, outcome *Outcome) error {
	*outcome = Outcome{Site: st.site.Name, Chain: st.choice.Chain, Why: st.why}
	if st.sums != nil {
		err := w.solve(ctx, st, outcome)
		if unsolvable(err) {
			*outcome = Outcome{Site: st.site.Name, Chain: st.choice.Chain, Why: fmt.Sprintf("the numbers have no answer: %v", err)}
		} else if err != nil {
			return fmt.Errorf("refitting node %q: %w", st.site.Name, err)
		}
		if outcome.Chain, err = w.o.Away.Chain(outcome.Chain); err != nil {
			return err
		}
	}
	return w.keep(st.k)
}

// settle puts a site's chain into the compressed model.
func (w *walk) settle(s *rewrite.Site, chain decomp.Chain, differs bool) error {
	if chain == nil {
		if differs {
			w.differs[s.Output] = true
		}
		return nil
	}
	p, err := rewrite.Replace(w.model, s.Uncast(), chain, w.names)
	if err == nil {
		p.Weights, err = w.o.Away.Tensors(p.Weights)
	}
	if err != nil {
		return err
	}
	w.patches[s.Index] = &p
	for _, t := range p.Weights {
		w.weights[t.Name()] = t
	}
	if p.Next != nil {
		w.swaps[p.Next.Index] = p.Next.New
	}
	w.differs[s.Output] = true
	return nil
}
