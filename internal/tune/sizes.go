package tune

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/samples"
)

// sizes sorts the samples that are learned from by their shapes: those of one shape run together.
type sizes struct {
	of map[int]string // the shapes of a sample by its number; nil where all are alike
	// elements are those of the inputs of a sample of some shapes.
	elements map[string]int
	// runs is how many an epoch has, and cut how many samples each of those of a shape.
	runs int
	cut  map[string]int
}

// spread is how many times the values of runs of the largest samples those of one run of each shape take.
func (s *sizes) spread() float64 {
	sum, most := 0, 0
	for _, n := range s.elements {
		sum, most = sum+n, max(most, n)
	}
	if most == 0 {
		return 1
	}
	return float64(sum) / float64(most)
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
	if err := t.shapes(ctx, first); err != nil {
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

// shapes finds the shapes of the samples that are learned from, unless the model fixes them or all have the same.
func (t *trainer) shapes(ctx context.Context, first *feed.Run) error {
	open := func(in samples.InputSpec) bool {
		return in.Shape == nil || len(in.Shape) > 1 && slices.Contains(in.Shape[1:], -1)
	}
	if first.Batch > 0 && !slices.ContainsFunc(t.inputs, open) {
		return nil
	}
	of, elements := map[int]string{}, map[string]int{}
	for _, i := range t.learn {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := t.src.Sample(i)
		if err != nil {
			return err
		}
		of[i] = feed.Shapes(s.Inputs)
		elements[of[i]] = elementsOf(s)
	}
	if len(elements) > 1 {
		t.sizes.of, t.sizes.elements = of, elements
	}
	return nil
}

// elementsOf counts those of all inputs.
func elementsOf(s samples.Sample) int {
	n := 0
	for _, d := range s.Inputs {
		n += d.Len()
	}
	return n
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

// first returns a run as the steps take them, of the largest samples.
func (t *trainer) first(ctx context.Context) (*feed.Run, error) {
	runs := t.sizes.deal(t.learn)
	largest := slices.MaxFunc(runs, func(a, b []int) int {
		return t.sizes.elements[t.sizes.of[a[0]]] - t.sizes.elements[t.sizes.of[b[0]]]
	})
	return t.load(ctx, t.src, largest)
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
