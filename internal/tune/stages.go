package tune

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// stage is a part of a tuning: for so many epochs the terms are learned, and no gradient goes through the values of
// ends. One loop takes the stages one after another, each from the best state so far, so that one that was worth nothing on the held-out samples
// is taken back.
type stage struct {
	epochs int
	rate   float64
	terms  []term // the outputs first
	ends   []string
}

// lay makes the stages of the terms: the blocks, each held to what the original gives at its end, then the whole. How
// long they are and how large their steps is left open by options that say nothing of it.
func (t *trainer) lay() {
	outputs := t.terms[:t.outputs]
	of := func(values []string, weight float64) []term {
		list := slices.Clone(outputs)
		for _, v := range values {
			i := slices.IndexFunc(t.terms, func(other term) bool { return other.value == v })
			if i < t.outputs {
				continue
			}
			one := t.terms[i]
			one.weight *= weight
			list = append(list, one)
		}
		return list
	}
	if len(t.ends) > 0 {
		t.stages = append(t.stages, stage{terms: of(t.ends, 1), ends: t.ends})
	}
	inside := t.inside()
	t.stages = append(t.stages, stage{terms: of(inside, max(t.o.Features, 0)/float64(max(len(inside), 1)))})
	t.pose(len(t.stages) - 1)
}

// apportion says how long the stages are, and how large their steps, by the loss of the start on the held-out samples.
func (t *trainer) apportion(loss float64) {
	if t.o.Epochs < 1 {
		t.o.Epochs = epochs(t.stepsPerEpoch(), loss)
	}
	if t.o.Rate == 0 {
		t.o.Rate = t.o.Optimizer.rate(t.o.Epochs*t.stepsPerEpoch(), loss)
	}
	alone := 0
	if len(t.stages) > 1 {
		alone = min(t.o.Blocks, t.o.Epochs-1)
	}
	t.stages[0].epochs = alone
	t.stages[len(t.stages)-1].epochs = t.o.Epochs - alone
	for k := range t.stages {
		t.stages[k].rate = t.o.Rate
	}
	if t.stages[0].epochs == 0 {
		t.stages = t.stages[1:]
	}
}

// astray is in how many epochs blocks learn alone first where nothing is said of it: a third of them where the start has lost half of the original's
// variance or more in the mean over the outputs, as without a refit. Where a refit was, it has done so already, and the whole gets on faster. With labels,
// or where it is no squared distance, the loss does not say how far off the start is.
func (t *trainer) astray() int {
	loss := t.curve[0].Held
	squared := !slices.ContainsFunc(t.terms[:t.outputs], func(one term) bool { return !one.loss.squared() })
	if t.labels != nil || !squared || loss < lost*float64(max(t.outputs, 1)) || len(ends(t.original, t.compressed)) == 0 {
		return 0
	}
	if t.o.Epochs < 1 {
		return epochs(t.stepsPerEpoch(), loss) / 3
	}
	return t.o.Epochs / 3
}

// lost is the loss of a start that is hardly the original any more.
const lost = 0.5

// How many epochs there are where nothing is said of it. A start that is far from the original by a share far of the variance or more is given
// enoughSteps; the nearer it is, the fewer.
const (
	fewestEpochs, mostEpochs = 20, 120
	enoughSteps              = 1600
	far                      = 0.06
)

// epochs is how often every sample is seen, where an epoch has so many steps and the start such a loss.
func epochs(steps int, loss float64) int {
	wanted := int(enoughSteps * min(loss/far, 1))
	return min(max((wanted+steps-1)/steps, fewestEpochs), mostEpochs)
}

// stageOf is the number of the stage that an epoch, from 1, belongs to.
func (t *trainer) stageOf(epoch int) int {
	k := 0
	for epoch > t.stages[k].epochs && k < len(t.stages)-1 {
		epoch -= t.stages[k].epochs
		k++
	}
	return k
}

// pose has steps learn what a stage is about.
func (t *trainer) pose(k int) {
	s, from := t.stages[k], 0
	for _, before := range t.stages[:k] {
		from += before.epochs * t.stepsPerEpoch()
	}
	t.plans.Close()
	t.plans = feed.NewPool(mostPlans, (*plan).close)
	t.now, t.terms, t.ends = k, s.terms, s.ends
	var values []string
	numbers := 0 // of a run
	for _, one := range s.terms {
		values = append(values, one.value)
		numbers += tensor.Product(one.shape)
	}
	t.teacher.turn(values, numbers/t.told*(len(t.learn)+len(t.held)))
	steps := s.epochs * t.stepsPerEpoch()
	t.schedule = schedule{rate: s.rate, from: from, warmUp: warmUp(t.o.WarmUp, steps), steps: steps}
}

// skip gives up what is left of a stage that has run away, for the next one, and returns its last epoch.
func (t *trainer) skip() int {
	last := 0
	for _, s := range t.stages[:t.now+1] {
		last += s.epochs
	}
	t.step, t.sum, t.end = last*t.stepsPerEpoch(), 0, ""
	return last
}

// renew begins a stage from the best state so far, with an optimizer that knows nothing yet.
func (t *trainer) renew() {
	t.weights = slices.Clone(t.best)
	if t.best == nil {
		t.weights = slices.Clone(t.start)
		balance(t.original, t.compressed, t.params, t.weights)
	}
	t.descent = newDescent(t.o.Optimizer, t.o.Backend, t.params, t.o.Threads)
	t.average = newAverage(t.o.Average, t.weights)
}

// shared keeps those of the values that both models give in the same shape, samples first, as float32: of these the smallest, as many as
// leave a run within an eighth of the memory.
func (t *trainer) shared(ctx context.Context, r *feed.Run, values []string) ([]string, error) {
	if len(values) == 0 {
		return nil, nil
	}
	shapes := make([]map[string][]int, 2)
	for i, m := range []*onnxio.Model{t.original, t.compressed} {
		s, err := sessionFor(t.host, m, values)
		if err != nil {
			return nil, fmt.Errorf("the values inside of %s: %w", m.Path, err)
		}
		defer s.Close()
		results, err := s.Run(ctx, r.Inputs, values)
		if err != nil {
			return nil, r.Explain(fmt.Errorf("%s on sample %s: %w", m.Path, r.Samples[0].Name, err))
		}
		defer results.Close()
		shapes[i] = map[string][]int{}
		for k, v := range values {
			if d := results.Get(k); d.Type == tensor.Float32 && len(d.Shape) > 1 && d.Shape[0] == r.Batch {
				shapes[i][v] = d.Shape
			}
		}
	}
	small := slices.DeleteFunc(slices.Clone(values), func(v string) bool {
		return shapes[0][v] == nil || !slices.Equal(shapes[0][v], shapes[1][v])
	})
	slices.SortStableFunc(small, func(a, b string) int { return tensor.Product(shapes[0][a]) - tensor.Product(shapes[0][b]) })
	room := int(t.o.Memory / 8 / (4 * atOnce))
	for i, v := range small {
		if room -= tensor.Product(shapes[0][v]); room < 0 {
			small = small[:i]
			break
		}
	}
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !slices.Contains(small, v) }), nil
}

// atOnce is how many values of the size of one inside a step holds beside those of the model: both models', their difference, and its cotangent.
const atOnce = 4
