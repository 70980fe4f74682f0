package calib

import (
	"context"
	"maps"
	"sync"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// sharing is how many samples tell well enough how much outputs vary.
const sharing = 256

// Shares returns the weights with which every output of a model that counts has the same share in the loss, whatever the size of
// its numbers: o.Weights, divided by how much the output varies among the samples numbered by indices, Σ(f−f̄)² a sample with f̄ the
// mean of its numbers. So the change of an output counts as a share of its variance. Where one output alone counts its share is
// all there is, and the weights are o.Weights.
//
// Of the options Batch, Threads, Classes and Weights count.
func Shares(ctx context.Context, lib *ort.Library, m *onnxio.Model, src samples.Source, indices []int, o Options) (map[string]float64, error) {
	out, err := newOutputs(lib, m, src, o)
	if err != nil {
		return nil, err
	}
	if len(out.targets) < 2 {
		return o.Weights, nil
	}
	session, err := out.open(m)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	if len(out.targets) < 2 || len(indices) == 0 {
		return o.Weights, nil
	}
	if err := out.fit(ctx, m, session, indices); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	runs, scores := map[int][]outputSpread{}, map[int][]int{}
	err = out.each(ctx, session, indices[:min(len(indices), sharing)], func(string, int, int) {}, func(r *feed.Run, values []tensor.Dense) error {
		part := make([]outputSpread, len(values))
		_, beside, err := countingOf(out.targets, out.axes, r, values)
		if err != nil {
			return err
		}
		for i, v := range values {
			if v, ok := r.WithoutFiller(out.axes, out.targets[i].name, v); ok {
				part[i].add(out.targets[i], v, r)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		runs[r.Seq], scores[r.Seq] = part, beside
		return nil
	})
	if err != nil {
		return nil, err
	}
	weights := maps.Clone(o.Weights)
	if weights == nil {
		weights = map[string]float64{}
	}
	for i, t := range out.targets {
		var sum outputSpread
		for n := range len(runs) {
			sum.merge(runs[n][i])
		}
		if v := sum.variance(); v > 0 {
			weights[t.name] = min(t.weight/v, maxWeight)
		}
	}
	if beside := scores[0]; len(beside) > 1 { // boxes, whose changes count in the unit of their scores'
		box, score := out.targets[beside[0]], out.targets[beside[1]]
		if w, ok := weights[score.name]; ok && score.weight > 0 {
			weights[box.name] = min(box.weight*w/score.weight, maxWeight)
		}
	}
	return weights, nil
}

// outputSpread sums up how much an output varies.
type outputSpread struct{ samples, numbers, sum, squares float64 }

func (s *outputSpread) add(t target, v tensor.Dense, r *feed.Run) {
	x := append([]float32{}, v.Float32s()...)
	t.telling(x, v.Shape, r.Inputs)
	s.samples += float64(r.Count())
	s.numbers += float64(len(x))
	for _, x := range x {
		s.sum += float64(x)
		s.squares += float64(x) * float64(x)
	}
}

func (s *outputSpread) merge(o outputSpread) {
	s.samples += o.samples
	s.numbers += o.numbers
	s.sum += o.sum
	s.squares += o.squares
}

// variance is that of the output of a sample, summed over its numbers.
func (s *outputSpread) variance() float64 {
	if s.numbers == 0 || s.samples == 0 {
		return 0
	}
	mean := s.sum / s.numbers
	return max(s.squares/s.numbers-mean*mean, 0) * s.numbers / s.samples
}
