package tune

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// trainer is a tuning under way.
type trainer struct {
	o                    Options
	lib                  *ort.Library
	original, compressed *onnxio.Model
	src                  samples.Source
	inputs               []samples.InputSpec
	learn, held          []int

	shard   int // samples of a run
	shards  int // of a step
	shapes  map[string][]int
	terms   []term
	outputs int // how many of the terms are outputs; the others are values inside
	labels  *supervision
	teacher *teacher
	params  *parameters

	session   *ort.Session // of the training graph
	objective *objective
	graph     *grad.Graph

	start    []float32 // the parameters as they came
	weights  []float32
	gradient []float32
	descent  *descent
	average  *average
	schedule schedule

	step  int // taken
	curve []Point
	best  []float32 // parameters of the best state, nil while that is the start
	at    int       // its epoch
	end   End
	sum   float64 // of the losses of the epoch's steps
	pace  pace
	of    map[string]string // what checkpoints say that they are of
}

// newTrainer prepares everything up to the first step.
func newTrainer(ctx context.Context, lib *ort.Library, original, compressed *onnxio.Model, src samples.Source, indices []int, o Options) (*trainer, error) {
	t := &trainer{o: o, lib: lib, original: original, compressed: compressed, src: src}
	for _, step := range []func(context.Context) error{
		func(context.Context) error { return t.divide(indices) }, t.probe, t.weigh, t.differentiate, t.begin,
	} {
		if err := step(ctx); err != nil {
			t.close()
			return nil, err
		}
	}
	return t, nil
}

func (t *trainer) close() {
	if t.teacher != nil {
		t.teacher.session.Close()
	}
	if t.session != nil {
		t.session.Close()
	}
	if t.objective != nil {
		_ = t.objective.model.Close() // it only shares the maps of the compressed model
	}
}

// Bounds of the default number of held-out samples.
const fewestHeld, mostHeld = 16, 1000

// Split returns the samples that are learned from, and those that judge: held where that is given, else every
// tenth or so, at least 16 and at most 1,000, but never more than half.
func Split(indices, held []int) (learn, judge []int) {
	if held == nil {
		n := min(max(len(indices)/10, fewestHeld), mostHeld, len(indices)/2)
		for i, v := range indices {
			if i*n/len(indices) != (i+1)*n/len(indices) {
				held = append(held, v)
			}
		}
	}
	out := map[int]bool{}
	for _, v := range held {
		out[v] = true
	}
	for _, v := range indices {
		if !out[v] {
			learn = append(learn, v)
		}
	}
	return learn, held
}

// divide holds samples out.
func (t *trainer) divide(indices []int) error {
	t.learn, t.held = Split(indices, t.o.Held)
	if len(t.held) == 0 || len(t.learn) == 0 {
		return fmt.Errorf("%d samples are too few to learn from some and judge by others; give more", len(indices))
	}
	return nil
}

// probe runs the original once, to see what the samples and its outputs look like.
func (t *trainer) probe(ctx context.Context) error {
	var err error
	if t.inputs, err = samples.Inputs(t.compressed); err != nil {
		return err
	}
	if err := sameInputs(t.original, t.inputs); err != nil {
		return err
	}
	t.shard = min(max(t.o.Batch, 1), len(t.learn))
	if t.shard > mostShard {
		t.shard /= (t.shard + mostShard - 1) / mostShard
	}
	run, err := feed.First(ctx, t.src, t.learn, t.inputs, t.shard)
	if err != nil {
		return err
	}
	t.shard = len(run.Samples)
	if run.Batch > 0 && run.Batch != t.shard {
		return fmt.Errorf("the model takes batches of %d samples, and there are %d to learn from; give more", run.Batch, t.shard)
	}
	t.shards = min(max(t.o.Batch/t.shard, 1), len(t.learn)/t.shard)
	t.shapes = map[string][]int{}
	for name, d := range run.Inputs {
		t.shapes[name] = d.Shape
	}
	values, err := t.taught()
	if err != nil {
		return err
	}
	if t.teacher, err = newTeacher(t.lib, t.original, values); err != nil {
		return err
	}
	answers, err := t.teacher.ask(ctx, run, false) // not kept, for mirror images are not in it yet
	if err != nil {
		return err
	}
	if err := t.describe(values, answers); err != nil {
		return err
	}
	return t.reflect()
}

// reflect has the original's class scores averaged over mirror images, where that is wanted.
func (t *trainer) reflect() error {
	if t.o.Augment == nil || !t.o.Augment.Mirror {
		return nil
	}
	for _, term := range t.terms[:t.outputs] {
		if scores(term.shape) {
			t.teacher.scores = append(t.teacher.scores, term.value)
		}
	}
	if len(t.teacher.scores) == 0 {
		return errors.New("no output looks like class scores, so there is nothing to average over mirror images; augment with flip in place of mirror")
	}
	t.teacher.mirror = t.o.Augment.Mirrored
	return nil
}

// mostShard is how many samples run at once: so few that what a layer gives out stays in the processor's caches, as
// measured on networks for 32×32 and 224×224 images.
const mostShard = 16

// sameInputs checks that the original takes what the compressed model takes.
func sameInputs(m *onnxio.Model, inputs []samples.InputSpec) error {
	have, err := samples.Inputs(m)
	if err != nil {
		return err
	}
	for _, in := range inputs {
		i := slices.IndexFunc(have, func(s samples.InputSpec) bool { return s.Name == in.Name })
		if i < 0 || have[i].Type != in.Type {
			return fmt.Errorf("the compressed model has the input %s, the original does not", in)
		}
	}
	if len(have) != len(inputs) {
		return fmt.Errorf("the original has %d inputs, the compressed model %d", len(have), len(inputs))
	}
	return nil
}

// keeps tells whether what the original computes for a sample is the same in every epoch.
func (t *trainer) keeps() bool { return t.o.Augment == nil }

// taught lists the values that are held to the original's: outputs with a weight, then those inside.
func (t *trainer) taught() ([]string, error) {
	var out []string
	known := map[string]bool{}
	for _, v := range graph.Of(t.compressed).Outputs() {
		name := v.Name()
		known[name] = true
		if !graph.Of(t.original).IsOutput(name) {
			return nil, fmt.Errorf("the compressed model has the output %q, the original does not", name)
		}
		w, given := t.o.Weights[name]
		if w < 0 {
			return nil, fmt.Errorf("the weight of output %q is %g, want at least 0", name, w)
		}
		if elem := v.Type(); given && w == 0 || elem != tensor.Undefined && !elem.IsFloat() {
			continue
		}
		out = append(out, name)
	}
	for name := range t.o.Weights {
		if !known[name] {
			return nil, fmt.Errorf("a weight is given for output %q, which the model does not have%s", name, suggest.Phrase(name, slices.Sorted(maps.Keys(known))))
		}
	}
	for name := range t.o.Losses {
		if !known[name] {
			return nil, fmt.Errorf("a loss is given for output %q, which the model does not have%s", name, suggest.Phrase(name, slices.Sorted(maps.Keys(known))))
		}
	}
	if t.outputs = len(out); t.outputs == 0 {
		return nil, errors.New("no output of a floating-point type has a weight")
	}
	for _, v := range t.inside() {
		if _, ok := graph.Of(t.original).Producer(v); !ok {
			return nil, fmt.Errorf("the original has no value %q", v)
		}
		if _, ok := graph.Of(t.compressed).Producer(v); !ok {
			return nil, fmt.Errorf("the compressed model has no value %q", v)
		}
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out, nil
}

// inside lists the values inside the model that are held to the original's: those asked for, or where only their weight is
// given, what layers with weights give out in both models.
func (t *trainer) inside() []string {
	if t.o.Values != nil || t.o.Features == 0 {
		return t.o.Values
	}
	var out []string
	small := graph.Of(t.compressed)
	for _, n := range graph.Of(t.original).Nodes() {
		switch n.Op() {
		case "Conv", "ConvTranspose", "Gemm", "MatMul":
			v := n.Output(0)
			if _, ok := small.Producer(v); ok && !small.IsOutput(v) {
				out = append(out, v)
			}
		}
	}
	return out
}

// describe chooses the loss of every value.
func (t *trainer) describe(values []string, answers []tensor.Dense) error {
	for i, v := range values {
		a := answers[i]
		if len(a.Shape) == 0 || a.Shape[0]%t.shard != 0 && t.shard > 1 {
			return fmt.Errorf("output %q has the shape %v for %d samples, which does not begin with the samples; give it the weight 0", v, a.Shape, t.shard)
		}
		one := term{value: v, loss: MSE, weight: 1, shape: a.Shape}
		if i < t.outputs {
			if one.loss = t.o.Losses[v]; one.loss == AutoLoss {
				one.loss = t.o.Loss
			}
			if one.loss == AutoLoss {
				if one.loss = MSE; scores(a.Shape) {
					one.loss = Logits
				}
			}
			if one.loss != MSE && one.loss != Cosine && !scores(a.Shape) {
				return fmt.Errorf("output %q has the shape %v, which is not that of class scores; %s is no loss for it", v, a.Shape, one.loss)
			}
			if w, ok := t.o.Weights[v]; ok {
				one.weight = w
			}
		} else {
			one.weight = t.o.Features / float64(len(values)-t.outputs)
		}
		if t.o.Labels && t.labels == nil && i < t.outputs && scores(a.Shape) {
			t.labels = &supervision{value: v, shape: a.Shape, distill: t.o.Lambda}
		}
		t.terms = append(t.terms, one)
	}
	if t.o.Labels && t.labels == nil {
		return errors.New("no output looks like class scores, so labels are of no use")
	}
	return nil
}

// weigh divides squared distances by the variance of the original's values on the held-out samples.
func (t *trainer) weigh(ctx context.Context) error {
	spreads := make([]variance, len(t.terms))
	for i, term := range t.terms {
		spreads[i].loss = term.loss
	}
	err := t.each(ctx, func(ctx context.Context, r *feed.Run) (func(), error) {
		answers, err := t.teacher.ask(ctx, r, true)
		return func() {
			for i, a := range answers {
				for k := range r.Samples {
					spreads[i].add(row(a, r, k))
				}
			}
		}, err
	})
	for i := range t.terms {
		t.terms[i].weight *= spreads[i].weight()
	}
	return err
}

// prepare makes the objective and chooses the parameters.
func (t *trainer) prepare(ctx context.Context) (grad.Values, error) {
	var err error
	if t.objective, err = newObjective(t.compressed, t.terms, t.labels, t.o.Temperature); err != nil {
		return nil, err
	}
	example := map[string]tensor.Dense{}
	for _, in := range graph.Of(t.objective.model).Inputs() {
		name := in.Name()
		if shape, ok := t.shapes[name]; ok {
			i := slices.IndexFunc(t.inputs, func(s samples.InputSpec) bool { return s.Name == name })
			example[name] = tensor.New(t.inputs[i].Type, shape...)
		} else {
			var shape []int
			for _, d := range in.Dims() {
				shape = append(shape, max(d.Size, 0))
			}
			example[name] = tensor.New(tensor.Float32, shape...)
		}
	}
	values, err := grad.Observe(ctx, t.lib, t.objective.model, example)
	if err != nil {
		return nil, err
	}
	return values, t.choose(values)
}

// differentiate builds the graph of a step.
func (t *trainer) differentiate(ctx context.Context) error {
	values, err := t.prepare(ctx)
	if err != nil {
		return err
	}
	block, err := grad.ChannelBlock(ctx, t.lib)
	if err != nil {
		return err
	}
	if t.graph, err = t.objective.differentiate(values, t.params.names(), block); err != nil {
		return err
	}
	defer t.graph.Model.Close()
	if t.session, err = openModel(t.lib, t.graph.Model); err != nil {
		return fmt.Errorf("ONNX Runtime does not take the graph of a step: %w", err)
	}
	return nil
}
