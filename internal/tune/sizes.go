package tune

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// sizes sorts the samples that are learned from by their shapes: those of one shape run together.
type sizes struct {
	of map[int]string // the shapes of a sample by its number; nil where all are alike
	// runs is how many an epoch has, and cut how many samples each of those of a shape.
	runs int
	cut  map[string]int
}

// size sorts the samples, and chooses how many a run and a step take.
func (t *trainer) size(ctx context.Context) error {
	first, err := feed.First(ctx, t.src, t.learn[:1], t.inputs, 1)
	if err != nil {
		return err
	}
	fixed := samples.Batch(t.inputs)
	switch {
	case first.Batch == 0: // it runs by itself
		t.shard = 1
	case fixed > 0:
		t.shard = fixed
	default:
		t.shard = min(max(t.o.Batch, 1), len(t.learn))
		if t.shard > t.most {
			t.shard /= (t.shard + t.most - 1) / t.most
		}
	}
	t.sizes = sizes{cut: map[string]int{}}
	if t.sizes.of, err = t.shapes(ctx, first); err != nil {
		return err
	}
	counts := map[string]int{}
	for _, i := range t.learn {
		counts[t.sizes.of[i]]++
	}
	for key, n := range counts {
		cut := t.shard
		if len(counts) > 1 && first.Batch > 0 && fixed == 0 {
			cut = n / ((n + t.shard - 1) / t.shard) // so that no run is much smaller than the others
		}
		t.sizes.cut[key] = cut
		t.sizes.runs += n / cut
	}
	if t.sizes.runs == 0 {
		return fmt.Errorf("the model takes batches of %d samples, and there are %d to learn from; give more", t.shard, len(t.learn))
	}
	t.shards = min(max(t.o.Batch/t.shard, 1), t.sizes.runs)
	return nil
}

// copies is how many values of the size of a vocabulary's scores a step holds at once: both models' scores, softened, their probabilities and the
// logarithms of these, and the cotangents of them.
const copies = 12

// confine has as many texts run at once, and runs side by side, as leave their scores of a vocabulary within the memory: those of a first run
// are for so many texts.
func (t *trainer) confine(ctx context.Context, texts int) error {
	var each int64 // of a text
	for _, term := range t.terms {
		if term.words > 0 {
			each += copies * 4 * int64(tensor.Product(term.shape)) / int64(texts)
		}
	}
	if each == 0 {
		return nil
	}
	room := t.o.Memory / 2 / each
	if room >= int64(t.beside*t.shard) {
		return nil
	}
	t.beside = int(min(max(room/int64(min(t.shard, 2)), 1), int64(t.beside)))
	t.most = int(max(room/int64(t.beside), 1))
	return t.size(ctx)
}

// shapes finds the shapes of the samples that are learned from; nil where the model fixes them, or all have the same.
func (t *trainer) shapes(ctx context.Context, first *feed.Run) (map[int]string, error) {
	open := func(in samples.InputSpec) bool {
		return in.Shape == nil || len(in.Shape) > 1 && slices.Contains(in.Shape[1:], -1)
	}
	if first.Batch > 0 && !slices.ContainsFunc(t.inputs, open) {
		return nil, nil
	}
	out, several := map[int]string{}, map[string]bool{}
	for _, i := range t.learn {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := t.src.Sample(i)
		if err != nil {
			return nil, err
		}
		out[i] = feed.Shapes(s.Inputs)
		several[out[i]] = true
	}
	if len(several) == 1 {
		return nil, nil
	}
	return out, nil
}

// deal parts samples, in a given order, into runs. What does not fill one is left out.
func (s *sizes) deal(order []int) [][]int {
	parts := map[string][]int{}
	var out [][]int
	for _, i := range order {
		key := s.of[i]
		if parts[key] = append(parts[key], i); len(parts[key]) == s.cut[key] {
			out = append(out, parts[key])
			parts[key] = nil
		}
	}
	return out
}

// first returns a run as the steps take them.
func (t *trainer) first(ctx context.Context) (*feed.Run, error) {
	return t.load(ctx, t.src, t.sizes.deal(t.learn)[0])
}

// load returns the run of the samples with the given numbers.
func (t *trainer) load(ctx context.Context, src samples.Source, part []int) (*feed.Run, error) {
	return feed.First(ctx, src, part, t.inputs, len(part))
}

// runs returns what gives out the runs of the parts, in their order, and what ends it.
func (t *trainer) runs(src samples.Source, parts [][]int) (next func(context.Context) (*feed.Run, error), done func(), err error) {
	if t.sizes.of != nil {
		return func(ctx context.Context) (*feed.Run, error) {
			part := parts[0]
			parts = parts[1:]
			return t.load(ctx, src, part)
		}, func() {}, nil
	}
	f, err := feed.New(src, slices.Concat(parts...), t.inputs, t.shard, 2*t.shards)
	if err != nil {
		return nil, nil, err
	}
	return f.Next, f.Close, nil
}
