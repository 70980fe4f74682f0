package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/internal/ordered"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Run is what one call of a model is fed with.
type Run struct {
	// Seq numbers the runs from 0, in the order of their samples.
	Seq int
	// Samples are the samples in it, in order.
	Samples []samples.Sample
	// Indices are the numbers of the samples in their source.
	Indices []int
	// Inputs are complete: stacked samples, or those of the only one.
	Inputs map[string]tensor.Dense
	// Batch is the size of axis 0 of the stacked inputs, 0 where nothing was stacked.
	// Where it is more than len(Samples), the last sample is repeated to fill the
	// batch of a model that takes no other.
	Batch int
	// Done is the number of samples up to and with this run.
	Done int
	// Block is the number of the block that the run was cut from, and Number that plus its place there: what depends on the number
	// of a run is the same in a feed of all blocks and in one of some (Feed.Between).
	Block, Number int

	chosen bool // the batch is not the model's own
}

// BatchError is what the runtime said of several samples at once. Some models say that their batch is free, and compute with
// that of their export all the same.
type BatchError struct {
	Batch int
	Err   error
}

func (e *BatchError) Error() string {
	return fmt.Sprintf("%v; %d samples ran at once, and the model may have been made for one at a time: try batch 1", e.Err, e.Batch)
}

func (e *BatchError) Unwrap() error { return e.Err }

// Explain returns a *BatchError where the batch of a run may be what the runtime's error comes of, else the error.
func (r *Run) Explain(err error) error {
	if refused := (*ort.Error)(nil); r.Batch > 1 && r.chosen && errors.As(err, &refused) && refused.Code != "NOT_IMPLEMENTED" {
		return &BatchError{Batch: r.Batch, Err: err}
	}
	return err
}

// OneByOne works with so many samples at once, or one by one where a model turns out not to take them: all anew, so that the
// result is that of a batch of 1.
func OneByOne(batch int, work func(batch int) error) error {
	err := work(batch)
	if refused := (*BatchError)(nil); errors.As(err, &refused) {
		return work(1)
	}
	return err
}

// Count is the number of examples in the run, without filler. A sample that is itself
// a batch counts by the length of axis 0 where all its inputs share that, else once.
func (r *Run) Count() int {
	if r.Batch > 0 {
		return len(r.Samples)
	}
	n := -1
	for _, t := range r.Inputs {
		if len(t.Shape) == 0 || n >= 0 && t.Shape[0] != n {
			return 1
		}
		n = t.Shape[0]
	}
	if !r.Samples[0].Whole || n < 1 {
		return 1
	}
	return n
}

// Feed cuts chosen samples of a source into runs. The cut depends on the samples, the
// model's inputs and the batch alone: consecutive samples make a block of one batch;
// they are stacked where all have the same shapes, else each runs alone. Samples are loaded ahead: a feed
// is to be closed, after which it asks its source for nothing more.
type Feed struct {
	src     samples.Source
	indices []int
	inputs  []samples.InputSpec
	batch   int // samples of a block
	fixed   int // the model's own batch, 0 where it is free
	ahead   int

	first, end int // the blocks that are given, from first (included) to end (excluded)

	mu      sync.Mutex
	started int           // the next block whose loading is to begin
	cutting int           // the next block to be cut
	loading []chan loaded // those not yet cut, in order
	ready   []*Run        // runs not yet handed out
	seq     int
	done    int
	err     error // what ended the feed early

	loads  sync.WaitGroup
	closed atomic.Bool
}

// loaded is a block of samples, or what went wrong.
type loaded struct {
	samples []samples.Sample
	err     error
}

// New returns a feed of the samples numbered by indices. A model whose first axis
// is fixed runs in that batch, other models in the given one. Up to ahead blocks are
// loaded side by side.
func New(src samples.Source, indices []int, inputs []samples.InputSpec, batch, ahead int) (*Feed, error) {
	f := &Feed{src: src, indices: indices, inputs: inputs, batch: max(batch, 1), ahead: max(ahead, 1)}
	for _, i := range indices {
		if i < 0 || i >= src.Len() {
			return nil, fmt.Errorf("sample %d is asked for; there are %d", i, src.Len())
		}
	}
	if f.fixed = samples.Batch(inputs); f.fixed > 0 {
		f.batch = f.fixed
	}
	f.end = f.Blocks()
	return f, nil
}

// Blocks is the number of blocks that all samples are cut into.
func (f *Feed) Blocks() int { return (len(f.indices) + f.batch - 1) / f.batch }

// Between leaves of a feed that nothing was asked of yet the blocks numbered from first (included) to end (excluded).
func (f *Feed) Between(first, end int) {
	f.first, f.end = first, end
	f.started, f.cutting, f.done = first, first, f.before(first)
}

// before is how many samples lie before a block.
func (f *Feed) before(block int) int { return min(block*f.batch, len(f.indices)) }

// First returns the first run that a feed would give.
func First(ctx context.Context, src samples.Source, indices []int, inputs []samples.InputSpec, batch int) (*Run, error) {
	f, err := New(src, indices, inputs, batch, 1)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Next(ctx)
}

// Close gives up what is being loaded, and waits until the source has given out the samples that it is at.
func (f *Feed) Close() {
	f.closed.Store(true)
	f.loads.Wait()
}

// Next returns the next run, or io.EOF after the last. It may be called from several
// goroutines; each run goes to one of them.
func (f *Feed) Next(ctx context.Context) (*Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.ready) == 0 && f.err == nil {
		f.start()
		if len(f.loading) == 0 {
			return nil, io.EOF
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case block := <-f.loading[0]:
			f.loading = f.loading[1:]
			if f.err = block.err; f.err == nil {
				f.err = f.cut(block.samples)
			}
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	r := f.ready[0]
	f.ready = f.ready[1:]
	return r, nil
}

// start begins to load blocks until enough are under way.
func (f *Feed) start() {
	for len(f.loading) < f.ahead && f.started < f.end {
		part := f.indices[f.started*f.batch:]
		part = part[:min(f.batch, len(part))]
		block := make(chan loaded, 1) // so that a load nobody waits for ends all the same
		f.loads.Go(func() { block <- f.load(part) })
		f.loading = append(f.loading, block)
		f.started++
	}
}

func (f *Feed) load(indices []int) loaded {
	var b loaded
	for _, i := range indices {
		if f.closed.Load() {
			return loaded{err: errors.New("the feed is closed")}
		}
		s, err := f.src.Sample(i)
		if err == nil {
			err = s.Check(f.inputs)
		}
		if err != nil {
			return loaded{err: err}
		}
		b.samples = append(b.samples, s)
	}
	return b
}

// cut makes runs of a block.
func (f *Feed) cut(list []samples.Sample) error {
	uniform := !slices.ContainsFunc(list, func(s samples.Sample) bool {
		return s.Alone(f.inputs) || !sameShapes(s, list[0], f.inputs)
	}) && (f.fixed > 0 || !slices.ContainsFunc(f.inputs, func(in samples.InputSpec) bool {
		return len(in.Shape) > 0 && in.Shape[0] >= 0 // which takes one sample at a time
	}))
	f.cutting++
	if uniform {
		return f.add(list, 0)
	}
	for i := range list {
		if err := f.add(list[i:i+1], i); err != nil {
			return err
		}
	}
	return nil
}

func sameShapes(a, b samples.Sample, inputs []samples.InputSpec) bool {
	return !slices.ContainsFunc(inputs, func(in samples.InputSpec) bool {
		return !slices.Equal(a.Inputs[in.Name].Shape, b.Inputs[in.Name].Shape)
	})
}

// add appends the run of samples that fit together, at a place of the block that is being cut.
func (f *Feed) add(list []samples.Sample, at int) error {
	f.done += len(list)
	r := &Run{Seq: f.seq, Samples: list, Indices: f.indices[f.done-len(list) : f.done], Done: f.done, chosen: f.fixed == 0}
	r.Block, r.Number = f.cutting-1, f.cutting-1+at
	f.seq++
	f.ready = append(f.ready, r)
	if list[0].Alone(f.inputs) {
		r.Inputs = list[0].Complete(f.inputs)
		return nil
	}
	r.Batch = max(len(list), f.fixed)
	var err error
	r.Inputs, err = samples.Stack(list, f.inputs, r.Batch)
	return err
}

// Each hands the runs out to workers, until the last is done or one fails. begin makes
// the function of one worker; its context ends when another worker fails. progress is
// told after each run how many of the samples are done. Each closes the feed: when it returns, also
// with an error, no call of the source is under way.
func (f *Feed) Each(ctx context.Context, workers int, progress samples.Progress, begin func(ctx context.Context) func(*Run) error) error {
	defer f.Close()
	var mu sync.Mutex
	done, all := 0, f.before(f.end)-f.before(f.first)
	g, ctx := errgroup.WithContext(ctx)
	for range workers {
		g.Go(func() error {
			work := begin(ctx)
			for {
				r, err := f.Next(ctx)
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				if err := work(r); err != nil {
					return r.Explain(err)
				}
				mu.Lock()
				done += len(r.Samples)
				progress("", done, all)
				mu.Unlock()
			}
		})
	}
	return g.Wait()
}

// Merge is Each for work whose results are brought together: what work returns is called once that of all runs before it
// has been, one at a time, so that the order is that of the runs whatever the number of workers.
func (f *Feed) Merge(ctx context.Context, workers int, progress samples.Progress, work func(context.Context, *Run) (func(), error)) error {
	var turns ordered.Turns
	return f.Each(ctx, workers, progress, func(ctx context.Context) func(*Run) error {
		return func(r *Run) error {
			merge, err := work(ctx, r)
			if err != nil {
				return err
			}
			return turns.Do(ctx, r.Seq, merge)
		}
	})
}
