package tune

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// trainer is a tuning under way.
type trainer struct {
	o                    Options
	host                 feed.Host
	original, compressed *onnxio.Model
	src                  samples.Source
	inputs               []samples.InputSpec
	learn, held          []int

	shard   int // samples of a run
	most    int // of these
	beside  int // runs side by side
	shards  int // of a step
	sizes   sizes
	kinds   map[string]outputs.Output
	terms   []term
	told    int      // samples of the run whose shapes the terms have
	outputs int      // how many of the terms are outputs; the others are values inside
	boxes   []int    // the terms with a detector's boxes and their scores; none where there is no such output
	ends    []string // between blocks, through which no gradient goes
	stages  []stage
	now     int // the stage under way, whose are the terms and the ends
	labels  *supervision
	teacher *teacher
	params  *parameters
	block   int // of channels
	plans   *feed.Pool[plan]

	start    []float32 // the parameters as they came
	judged   []float64 // what they lose on each held-out sample
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
	t := idle(lib, original, compressed, src, o)
	for _, step := range []func(context.Context) error{
		func(context.Context) error { return t.divide(indices) }, t.probe, t.weigh, t.open, t.appraise,
	} {
		if err := step(ctx); err != nil {
			t.close()
			return nil, err
		}
	}
	if o.Blocks == 0 && t.astray() > 0 {
		o.Blocks = t.astray()
		t.close()
		return newTrainer(ctx, lib, original, compressed, src, indices, o)
	}
	if err := t.begin(); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// idle is a trainer that has not begun with anything.
func idle(lib *ort.Library, original, compressed *onnxio.Model, src samples.Source, o Options) *trainer {
	return &trainer{o: o, most: mostShard, beside: o.Threads, host: feed.Host{Library: lib, Memory: o.Memory}, original: original, compressed: compressed, src: src, plans: feed.NewPool(mostPlans, (*plan).close)}
}

func (t *trainer) close() {
	if t.teacher != nil {
		t.teacher.session.Close()
	}
	t.plans.Close()
}

// Bounds of how many samples judge by default.
const FewestJudges, mostJudges = 16, 1000

// Judges is how many of n samples judge by default: every tenth or so, at least 16 and at most 1,000, but never more than half.
func Judges(n int) int { return min(max(n/10, FewestJudges), mostJudges, n/2) }

// Split returns the samples that are learned from, and those that judge: of those that are not seen, as many as Judges says or all that
// there are, or where these are fewer than 16, of all.
func Split(indices []int, seen map[int]bool) (learn, judge []int) {
	fresh := slices.DeleteFunc(slices.Clone(indices), func(i int) bool { return seen[i] })
	if len(fresh) < FewestJudges {
		fresh = indices
	}
	n := min(Judges(len(indices)), len(fresh))
	for i, v := range fresh {
		if i*n/len(fresh) != (i+1)*n/len(fresh) {
			judge = append(judge, v)
		}
	}
	return without(indices, judge), judge
}

// without are the numbers of a list that are not among others.
func without(list, others []int) []int {
	out := map[int]bool{}
	for _, v := range others {
		out[v] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(i int) bool { return out[i] })
}

// divide holds samples out.
func (t *trainer) divide(indices []int) error {
	if t.learn, t.held = without(indices, t.o.Held), t.o.Held; t.held == nil {
		t.learn, t.held = Split(indices, nil)
	}
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
	if err := t.trim(ctx); err != nil {
		return err
	}
	if err := t.size(ctx); err != nil {
		return err
	}
	run, err := t.first(ctx)
	if err != nil {
		return err
	}
	if t.o.Blocks > 0 {
		if t.ends, err = t.shared(ctx, run, ends(t.original, t.compressed)); err != nil {
			return err
		}
	}
	values, err := t.taught(ctx, run)
	if err != nil {
		return err
	}
	if t.teacher, err = newTeacher(t.host, t.original, values); err != nil {
		return err
	}
	if err := t.locate(ctx, values); err != nil {
		return err
	}
	answers, err := t.teacher.ask(ctx, run, false) // not kept, for mirror images are not in it yet
	if err != nil {
		return err
	}
	if err := t.describe(values, answers, max(run.Batch, 1)); err != nil {
		return err
	}
	t.findBoxes(run, answers)
	return t.reflect()
}

// locate finds along which axes of the values that the teacher gives samples lie.
func (t *trainer) locate(ctx context.Context, values []string) (err error) {
	list := make([]outputs.Output, len(values))
	for i, v := range values {
		known, ok := t.kinds[v]
		if !ok {
			known = outputs.Output{Name: v, Axis: outputs.Undeclared}
		}
		list[i] = known
	}
	t.teacher.axes, err = feed.FindAxes(ctx, feed.Opened(t.teacher.session), t.src, t.learn, t.inputs, t.shard, list)
	return err
}

// reflect has the original's class scores averaged over mirror images, where that is wanted.
func (t *trainer) reflect() error {
	if t.o.Augment == nil || !t.o.Augment.Mirror {
		return nil
	}
	for _, term := range t.terms[:t.outputs] {
		if term.classes > 0 {
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

// taught lists the values that are held to the original's: outputs with a weight, then those inside.
func (t *trainer) taught(ctx context.Context, r *feed.Run) ([]string, error) {
	list, err := outputs.Of(t.original, outputs.Options{Classes: t.o.Classes, Weights: t.o.Weights, Kinds: t.o.Kinds})
	if err != nil {
		return nil, err
	}
	t.kinds = map[string]outputs.Output{}
	for _, v := range list {
		t.kinds[v.Name] = v
	}
	var out []string
	varying := ""
	for _, v := range graph.Of(t.compressed).Outputs() {
		name := v.Name()
		kind, known := t.kinds[name]
		if !known {
			return nil, fmt.Errorf("the compressed model has the output %q, the original does not", name)
		}
		_, given := t.o.Weights[name]
		elem := v.Type()
		switch {
		case kind.Weight == 0 || elem != tensor.Undefined && !elem.IsFloat():
		case kind.Varies != "" && !given:
			varying = fmt.Sprintf("; the sizes of output %q depend on the data (node %q), so that nothing can be held to it", name, kind.Varies)
		default:
			out = append(out, name)
		}
	}
	for name := range t.o.Losses {
		if _, known := t.kinds[name]; !known {
			return nil, fmt.Errorf("a loss is given for output %q, which the model does not have%s", name, suggest.Phrase(name, slices.Sorted(maps.Keys(t.kinds))))
		}
	}
	if t.outputs = len(out); t.outputs == 0 {
		return nil, fmt.Errorf("no output of a floating-point type has a weight%s", varying)
	}
	if err := t.lookInside(ctx, r, out); err != nil {
		return nil, err
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
	for _, v := range t.ends {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out, nil
}

// describe chooses the loss of every value.
func (t *trainer) describe(values []string, answers []tensor.Dense, batch int) error {
	t.told = batch
	for i, v := range values {
		a := answers[i]
		if len(a.Shape) == 0 || a.Shape[0] == 0 || a.Shape[0]%batch != 0 {
			return fmt.Errorf("output %q has the shape %v for %d samples, which does not begin with the samples; give it the weight 0", v, a.Shape, batch)
		}
		one := term{value: v, loss: MSE, weight: 1, shape: a.Shape}
		if i < t.outputs {
			one.classes = t.kinds[v].Classes(a.Shape)
			if k := t.kinds[v]; k.Kind.Vocabulary() && len(a.Shape) == 3 {
				one.words, one.text = a.Shape[2], k.Text
			}
			if one.loss = t.o.Losses[v]; one.loss == AutoLoss {
				one.loss = t.o.Loss
			}
			if one.loss == AutoLoss {
				one.loss = auto(t.kinds[v].Kind, one.classes)
			}
			if one.loss != MSE && one.loss != Cosine && outputs.Classes(a.Shape) == 0 && one.words == 0 {
				return fmt.Errorf("output %q has the shape %v, which is not that of class scores; %s is no loss for it", v, a.Shape, one.loss)
			}
			one.weight = t.kinds[v].Weight
		}
		if t.o.Labels && t.labels == nil && one.classes > 0 {
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
		lists := make([][][]float32, len(answers))
		counts, _ := t.boxCounts(r, answers)
		for i, a := range answers {
			for k := range r.Samples {
				lists[i] = append(lists[i], t.countedRows(i, a, r, k, counts.of(k))...)
			}
		}
		return func() {
			for i, list := range lists {
				for _, row := range list {
					spreads[i].add(row)
				}
			}
		}, err
	})
	t.weighBoxes(spreads)
	for i := range t.terms {
		t.terms[i].weight *= spreads[i].weight()
	}
	return err
}
