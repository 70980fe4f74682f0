package tune

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ordered"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// appraise judges the start.
func (t *trainer) appraise(ctx context.Context) error {
	var err error
	if t.start, err = t.params.load(t.compressed); err != nil {
		return err
	}
	if err := t.params.finite(t.start); err != nil {
		return err
	}
	v, err := t.judge(ctx, t.start)
	if err != nil {
		return err
	}
	t.curve, t.judged = []Point{t.point(v)}, v.each
	if held := t.curve[0].Held; math.IsNaN(held) || math.IsInf(held, 0) {
		return fmt.Errorf("the compressed model's loss on the held-out samples is %v before the first step", held)
	}
	return nil
}

// begin sets the state before the first step.
func (t *trainer) begin() (err error) {
	t.gradient = make([]float32, t.params.size)
	t.apportion(t.curve[0].Held)
	t.pose(0)
	t.renew()
	if t.o.Checkpoint != "" {
		if t.of, err = t.identity(); err != nil {
			return err
		}
	}
	if t.o.Resume {
		if err := t.resume(); err != nil {
			return err
		}
		if k := t.stageOf((t.step-1)/t.stepsPerEpoch() + 1); k != t.now {
			t.pose(k)
		}
	}
	t.pace = pace{began: time.Now(), from: t.step}
	return nil
}

func (t *trainer) stepsPerEpoch() int {
	if t.sizes.of == nil {
		return len(t.learn) / t.shard / t.shards
	}
	return t.sizes.runs / t.shards
}

// train walks the epochs.
func (t *trainer) train(ctx context.Context) error {
	done := t.step / t.stepsPerEpoch()
	if t.step == done*t.stepsPerEpoch() { // gone on from just before the judgement
		if err := t.settle(ctx, done); err != nil {
			return err
		}
	}
	for epoch := done + 1; epoch <= t.o.Epochs && t.end == ""; epoch++ {
		if k := t.stageOf(epoch); k != t.now {
			t.pose(k)
			t.renew()
		}
		err := t.epoch(ctx, epoch)
		if err == nil && t.end == "" {
			err = t.settle(ctx, epoch)
		}
		if err != nil && ctx.Err() != nil {
			return t.interrupt(context.WithoutCancel(ctx), epoch)
		}
		if err != nil {
			return err
		}
		if t.end == Diverged && t.now < len(t.stages)-1 {
			epoch = t.skip()
		}
		if err := t.save(); err != nil {
			return err
		}
	}
	if t.end == "" {
		t.end = Completed
	}
	return nil
}

// interrupt ends the tuning in an epoch. What the steps since the last point have brought is judged too, but not in
// the checkpoint: a tuning that goes on from there goes on as if nothing had been.
func (t *trainer) interrupt(ctx context.Context, epoch int) error {
	err := t.save()
	t.end = Interrupted
	return errors.Join(err, t.settle(ctx, epoch))
}

// epoch takes the steps of an epoch that are still to be taken.
func (t *trainer) epoch(ctx context.Context, epoch int) error {
	order := rand.New(rand.NewPCG(t.o.Seed, uint64(epoch))).Perm(len(t.learn))
	for i, k := range order {
		order[i] = t.learn[k]
	}
	done := t.step - (epoch-1)*t.stepsPerEpoch()
	parts := t.sizes.deal(order)[done*t.shards : t.stepsPerEpoch()*t.shards]
	src := t.src
	if t.o.Augment != nil {
		variant := epoch
		if t.o.Variants > 0 {
			variant = 1 + (epoch-1)%t.o.Variants
		}
		src = samples.Augmented{Source: src, By: t.o.Augment, Among: t.learn, Epoch: variant}
		t.teacher.variant = variant
		defer func() { t.teacher.variant = 0 }()
	}
	next, end, err := t.runs(src, parts)
	if err != nil {
		return err
	}
	defer end()
	for range len(parts) / t.shards {
		runs := make([]*feed.Run, t.shards)
		for i := range runs {
			if runs[i], err = next(ctx); err != nil {
				return err
			}
		}
		begin := time.Now()
		loss, err := t.take(ctx, runs)
		if err != nil {
			return err
		}
		t.pace.steps = append(t.pace.steps, time.Since(begin).Seconds())
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			t.end = Diverged
			return nil
		}
		t.sum += loss
		t.report(epoch, loss)
		if n := t.o.CheckpointSteps; n > 0 && t.step%n == 0 {
			if err := t.save(); err != nil {
				return err
			}
		}
	}
	return nil
}

// take takes one step on a batch, and returns its loss. When that is not finite, nothing changes.
func (t *trainer) take(ctx context.Context, runs []*feed.Run) (float64, error) {
	loss, weights, turns := 0., weightsOf(runs), ordered.Turns{}
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(t.beside)
	for i, r := range runs {
		g.Go(func() error {
			results, err := t.run(inner, r)
			if err != nil {
				return err
			}
			defer results.Close()
			return turns.Do(inner, i, func() {
				loss += float64(results.Get(0).Float32s()[0]) * weights[i]
				t.add(results, float32(weights[i]), i == 0)
			})
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	size := norm(t.gradient, t.o.Threads)
	if math.IsNaN(loss+size) || math.IsInf(loss+size, 0) {
		return math.NaN(), nil
	}
	t.step++
	t.descent.apply(t.weights, t.gradient, stride{t.step - t.schedule.from, t.schedule.at(t.step), clip(size, t.o.Clip), t.o.Decay})
	t.average.add(t.weights, t.step-t.schedule.from, t.o.Threads)
	return loss, nil
}

// run computes the loss and the gradients of one shard.
func (t *trainer) run(ctx context.Context, r *feed.Run) (*ort.Results, error) {
	p, done, err := t.plan(ctx, r)
	if err != nil {
		return nil, err
	}
	defer done()
	answers, err := t.teacher.ask(ctx, r, t.o.Augment == nil || t.o.Variants > 0)
	if err != nil {
		return nil, err
	}
	feeds := t.params.feeds(t.weights)
	for name, d := range r.Inputs {
		feeds[name] = d
	}
	counts, _ := t.boxCounts(r, answers)
	for i, name := range p.objective.teachers {
		feeds[name] = answers[i]
		if shares := p.objective.shares[i]; shares != "" {
			feeds[shares] = p.shares(i, r, counts)
		}
	}
	if p.labels != nil {
		feeds[p.objective.labels] = ones(r, p.labels)
	}
	for _, name := range p.graph.Cotangents {
		feeds[name] = tensor.FromFloat32([]int{}, []float32{1})
	}
	wanted := []string{p.objective.loss}
	for _, v := range t.params.list {
		wanted = append(wanted, p.graph.Gradients[v.name])
	}
	results, err := p.session.Run(ctx, feeds, wanted)
	if err != nil {
		return nil, fmt.Errorf("a step on sample %s and others: %w", r.Samples[0].Name, err)
	}
	return results, nil
}

// ones has a one at the class of every labelled sample, parted where two were blended.
func ones(r *feed.Run, shape []int) tensor.Dense {
	v := make([]float32, tensor.Product(shape))
	for k, s := range r.Samples {
		row := v[k*shape[1] : (k+1)*shape[1]]
		if s.Label >= 0 && s.Label < len(row) {
			row[s.Label] += float32(1 - s.Share)
		}
		if s.Share > 0 && s.Other >= 0 && s.Other < len(row) {
			row[s.Other] += float32(s.Share)
		}
	}
	return tensor.FromFloat32(shape, v)
}

// weightsOf are the shares that runs have in the samples of a step.
func weightsOf(runs []*feed.Run) []float64 {
	total, out := 0, make([]float64, len(runs))
	for _, r := range runs {
		total += len(r.Samples)
	}
	for i, r := range runs {
		out[i] = float64(len(r.Samples)) / float64(total)
	}
	return out
}

// add adds the gradients of a run, so many times, to those of the runs of a step before it: the mean over the samples when all are in. Only what
// runs side by side is so in memory at once.
func (t *trainer) add(results *ort.Results, weight float32, first bool) {
	inParallel(len(t.params.list), t.o.Threads, func(i int) {
		p := t.params.list[i]
		out := t.gradient[p.from:p.to]
		if first {
			clear(out)
		}
		for k, v := range results.Get(1 + i).Float32s() {
			out[k] += weight * v
		}
	})
}

// pace tells how fast steps are taken.
type pace struct {
	began time.Time
	from  int
	rate  float64   // samples per second
	steps []float64 // the seconds of each step
}

// median is that of the seconds of the steps.
func (p *pace) median() float64 {
	if len(p.steps) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(p.steps))[len(p.steps)/2]
}

func (t *trainer) report(epoch int, loss float64) {
	if took := time.Since(t.pace.began); took > 0 && t.step > t.pace.from {
		t.pace.rate = float64(t.step-t.pace.from) * float64(t.shard*t.shards) / took.Seconds()
	}
	last, what := t.curve[len(t.curve)-1], ""
	if len(t.ends) > 0 {
		what = fmt.Sprintf("%d blocks alone, ", len(t.ends)+1)
	}
	t.o.Progress(fmt.Sprintf("epoch %d/%d, %sloss %.4f, held out %.4f, agreement %.1f%%, %.0f samples/s",
		epoch, t.o.Epochs, what, loss, last.Held, 100*last.Agreement, t.pace.rate), t.step, t.o.Epochs*t.stepsPerEpoch())
}

// finish makes the result.
func (t *trainer) finish() *Result {
	d := &Result{
		Improved: t.best != nil, Best: t.at, Curve: t.curve, End: t.end, Parameters: t.params.size, Tensors: len(t.params.list),
		Learned: len(t.learn), Held: len(t.held), Steps: t.step, Batch: t.shard * t.shards,
		Optimizer: t.o.Optimizer, Rate: t.pace.rate, StepSeconds: t.pace.median(),
	}
	if d.Improved {
		d.Model = t.params.into(t.compressed, t.best)
	} else {
		d.Model = graph.Of(t.compressed).Parts().Model()
	}
	switch {
	case t.end == Diverged:
		d.Advice = fmt.Sprintf("the loss ran away at step %d; try a learning rate of %.2g, or a longer warm-up", t.step, t.o.Rate/10)
	case !d.Improved && t.end != Interrupted && t.o.Familiar && (t.o.Augment == nil || !t.o.Augment.Flip):
		d.Advice = "no state was better than the start on samples that it was calibrated on; leave some out of calibration (--calib-samples), or learn from others"
	case !d.Improved && t.end != Interrupted:
		d.Advice = fmt.Sprintf("no state was better than the start on held-out samples; try a learning rate of %.2g, or more samples", t.o.Rate/10)
	}
	return d
}
