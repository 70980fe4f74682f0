// Package tune wins back accuracy by gradient descent.
//
// The weights of a compressed model learn to give what the original gives, without labels unless they are
// asked for ([Run] says how).
package tune

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// Part says which parameters are tuned.
type Part string

// The parts of a model.
const (
	// AllParameters are the weights, biases and scales that a gradient reaches; where one of them has none, Run
	// refuses.
	AllParameters Part = "all"
	// Factors are those among them that the original does not have.
	Factors Part = "factors"
	// Reachable are those that have a gradient, the others staying as they are.
	Reachable Part = "reachable"
)

// Options control Run. The zero value of a field means its default.
type Options struct {
	// Epochs is how often every sample is seen; by default 20 to 120, so many that there are up to 1,600 steps: the fewer, the nearer
	// the start is to the original.
	Epochs int
	// Blocks is in how many of these, the first, the blocks of the model learn alone, each to give the original's output of
	// the block for what the blocks before it give; by default a third where, without labels, the start's loss is half of the
	// variance or more, else none, for a refit has done so already. Negative for none.
	Blocks int
	// Batch is the number of samples of a step; default 64, at most as many as there are to learn from. It is rounded
	// down to whole shards: a step is computed in shards of up to 16 samples, one run of the model each.
	Batch int
	// Optimizer is SOAP by default; Rate its largest learning rate, by default 1e-2 for SGD, and for SOAP and Adam 3e-4
	// or more: it grows with the number of steps and with the loss of the start.
	Optimizer Optimizer
	Rate      float64
	// Backend does SOAP's linear algebra; default linalg.Gonum().
	Backend linalg.Backend
	// WarmUp is the share of the steps in which the rate rises; default 0.05, and at least 20 steps. It falls along a
	// cosine to zero.
	WarmUp float64
	// Clip bounds the norm of the gradient; default 5, negative for no bound.
	Clip float64
	// Decay is decoupled weight decay, of weights and not of biases; default none.
	Decay float64
	// Average is the decay of a moving average of the weights that is judged beside them; default 0.99, negative for none.
	Average float64
	// Part says which parameters are tuned; default AllParameters.
	Part Part
	// Losses and Weights say by output how it is held to the original's, by default by AutoLoss with weight 1. Weight 0
	// leaves an output alone; a state and outputs whose sizes depend on the data have it by default.
	Losses  map[string]Loss
	Weights map[string]float64
	// Classes names the output with class scores, or is "none"; empty means to look. Kinds say what outputs are, where it is known better.
	Classes string
	Kinds   map[string]outputs.Kind
	// Loss is that of the outputs that Losses does not name.
	Loss Loss
	// Temperature softens class probabilities for KL; default 2.
	Temperature float64
	// Features is the weight with which values inside the model are held to the original's too (Eq. 10 of arXiv 2409.03555,
	// the mean over them); default 3 where class scores are learned, 1 beside labels or where Values names some, else 0; negative for none. By default they are what
	// layers with weights give out.
	Values   []string
	Features float64
	// Labels adds the cross-entropy with the samples' labels, on the first output that looks like class scores. The
	// distance from the original then counts Lambda times (its Eq. 11); default 10, for it is a share of the variance and small
	// beside a cross-entropy. Negative for not at all.
	Labels bool
	Lambda float64
	// Held are the samples that judge; by default as Split has it where none is seen. Familiar tells that the weights of the start were
	// fitted to them, so that it looks better on them than it is.
	Held     []int
	Familiar bool
	// Patience is after how many epochs without a better state to stop; default 0, never.
	Patience int
	// Augment, when set, changes the samples that are learned from. With its Mirror, "the original" means, for class scores,
	// the mean over an image and its mirror image, for learning as for judging.
	Augment *samples.Augmenter
	// Variants is in how many ways it changes each sample, by turns, so that the original need answer once only for each; default 16, negative for
	// another one in every epoch.
	Variants int
	Seed     uint64
	// Memory bounds what a tuning takes, in bytes: so many samples run at once then, and runs side by side. Where one alone does not fit, the error
	// is a *MemoryError. Default rss.DefaultLimit().
	Memory int64
	// Threads is how many shards are worked on side by side; default 1. The result does not depend on it where the memory holds as many.
	Threads int
	// Checkpoint, when set, is a file that the state is kept in, written at the end of every epoch, every
	// CheckpointSteps steps where that is not 0, and on an interrupt. Resume goes on from it, where it exists; the
	// result is the same as without a break.
	Checkpoint      string
	CheckpointSteps int
	Resume          bool
	// Progress, when set, is told after every step how the tuning goes: the epoch, the loss of the last steps, how it does on
	// held-out samples, and how many samples it takes in a second.
	Progress samples.Progress
}

// Point is the state at the end of an epoch; epoch 0 is the start.
type Point struct {
	Epoch int `json:"epoch"`
	Step  int `json:"step"`
	// Loss is the mean loss of the epoch's steps, 0 at the start.
	Loss float64 `json:"loss"`
	// Held is the loss on the held-out samples.
	Held float64 `json:"held"`
	// Agreement is the share of the held-out samples for which both models name the same class, or the mean cosine
	// between their first outputs where none is held to the original's as class scores.
	Agreement float64 `json:"agreement"`
	// Accuracy is the share of the labelled held-out samples that get their label, absent without labels.
	Accuracy *float64 `json:"accuracy,omitempty"`
	// Blocks tells that it is one of the epochs in which blocks learned alone.
	Blocks bool `json:"blocks,omitempty"`
	// Averaged tells that the moving average of the weights was better than the weights.
	Averaged bool `json:"averaged,omitempty"`
}

// End says why a tuning ended.
type End string

// The ends of a tuning.
const (
	Completed   End = "completed"
	Patient     End = "patience"    // no better state for Patience epochs
	Diverged    End = "diverged"    // a loss that is not finite, or three times the start's on held-out samples
	Interrupted End = "interrupted" // the context ended
)

// Result is what came of tuning.
type Result struct {
	// Model is the best state on the held-out samples, the last where no other is surely better, and the start where nothing was better. The caller closes it.
	Model *onnxio.Model
	// Improved tells that Model is better than the start.
	Improved bool
	// Best is the epoch that Model is from.
	Best int
	// Curve has a point for the start and each epoch.
	Curve []Point
	End   End
	// Advice says what to try, where the end calls for it.
	Advice string
	// Parameters counts the numbers that were tuned, in Tensors initializers.
	Parameters, Tensors int
	// Learned and Held are the numbers of samples that were learned from and that judged.
	Learned, Held int
	// Steps is how many were taken, Batch the samples of each.
	Steps, Batch int
	Optimizer    Optimizer
	// Seconds is how long all of it took, Rate the samples per second while learning.
	Seconds, Rate float64
	// StepSeconds is the median duration of a step: forward, backward and the optimizer, and the original's outputs where
	// these are not known yet.
	StepSeconds float64
}

func (o Options) withDefaults() Options {
	set := func(v *int, d int) {
		if *v < 1 {
			*v = d
		}
	}
	set(&o.Batch, 64)
	set(&o.Threads, 1)
	if o.Variants == 0 {
		o.Variants = 16
	}
	if o.Memory <= 0 {
		o.Memory = rss.DefaultLimit()
	}
	if o.Optimizer == "" {
		o.Optimizer = SOAP
	}
	if o.Backend == nil {
		o.Backend = linalg.Gonum()
	}
	number := func(v *float64, d float64) {
		if *v == 0 {
			*v = d
		}
		*v = max(*v, 0)
	}
	number(&o.WarmUp, 0.05)
	number(&o.Clip, 5)
	number(&o.Average, 0.99)
	number(&o.Temperature, 2)
	number(&o.Lambda, 10)
	if len(o.Values) > 0 {
		number(&o.Features, 1)
	}
	if o.Part == "" {
		o.Part = AllParameters
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	return o
}

// check refuses options that make no sense.
func (o Options) check() error {
	switch {
	case o.WarmUp > 1:
		return fmt.Errorf("a warm-up of %g of the steps: want at most 1", o.WarmUp)
	case o.Average >= 1:
		return fmt.Errorf("a moving average with decay %g: want less than 1", o.Average)
	case max(o.Rate, 3e-4)*o.Decay >= 1 || o.Decay < 0:
		return fmt.Errorf("a weight decay of %g: want from 0 to less than %g", o.Decay, 1/max(o.Rate, 3e-4))
	case o.Resume && o.Checkpoint == "":
		return errors.New("to resume, a checkpoint is needed")
	}
	_, err := ParsePart(string(o.Part))
	return err
}

// String writes the options that decide on the result, defaults filled in.
func (o Options) String() string {
	o = o.withDefaults()
	text := fmt.Sprintf("epochs %d, blocks %d, batch %d, %s, rate %g, warm-up %g, clip %g, decay %g, average %g, part %s, losses %v %q, weights %v, temperature %g, values %q %g, labels %v %g, patience %d, seed %d",
		o.Epochs, o.Blocks, o.Batch, o.Optimizer, o.Rate, o.WarmUp, o.Clip, o.Decay, o.Average, o.Part, o.Losses, o.Loss, o.Weights, o.Temperature,
		o.Values, o.Features, o.Labels, o.Lambda, o.Patience, o.Seed)
	if o.Classes != "" {
		text += ", classes " + o.Classes
	}
	if len(o.Kinds) > 0 {
		text += fmt.Sprintf(", kinds %v", o.Kinds)
	}
	if o.Augment != nil {
		text += fmt.Sprintf(", augment %s, variants %d", o.Augment, o.Variants)
	}
	return text
}

// Rehearse reports whether the weights of a model can be tuned on the samples of a source: what Run would find out
// before its first step, without what the model is to become. Labels, losses and weights of outputs are looked at too.
func Rehearse(ctx context.Context, lib *ort.Library, m *onnxio.Model, src samples.Source, o Options) error {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return err
	}
	if o.Part == Factors { // of which a model has none before it is compressed
		o.Part = Reachable
	}
	if o.Blocks = 0; o.Features == 0 {
		o.Features = -1 // by default what layers give out is nothing that gradients could not reach
	}
	indices, _ := samples.Split(src.Len(), src.Len(), o.Seed)
	t := idle(lib, m, m, src, o)
	defer t.close()
	if err := t.divide(indices); err != nil {
		return err
	}
	if err := t.probe(ctx); err != nil {
		return err
	}
	r, err := t.first(ctx)
	if err != nil {
		return err
	}
	p := &plan{}
	defer p.close()
	values, err := t.prepare(ctx, p, r)
	if err != nil {
		return err
	}
	return t.house(ctx, values.Computed(p.objective.model), len(r.Samples))
}

// Run tunes the weights of a compressed model by gradient descent, so that on the samples numbered by indices its
// outputs come close to the original's. No labels are needed; Options.Labels uses them.
//
// One step is one run, or one for each shard of the batch, of a single graph: the model's forward pass, the loss, and
// the gradients with respect to all parameters (package grad), which are its inputs. Gradients of shards are added
// in their order, so the result does not depend on the number of threads.
//
// Before the start the factors of chains are given equal norms, which changes no output. Some samples are held out;
// after each epoch the loss on them decides whether the state is the best so far. The context's end is no error: the
// best state so far is returned.
//
// Where an operator without a gradient stands between a parameter and the loss, the error is an *OpaqueError, and a *MemoryError where the memory
// does not hold one sample beside the state of all parameters.
func Run(ctx context.Context, lib *ort.Library, original, compressed *onnxio.Model, src samples.Source, indices []int, o Options) (*Result, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	start := time.Now()
	t, err := newTrainer(ctx, lib, original, compressed, src, indices, o)
	if err != nil {
		return nil, fmt.Errorf("tuning: %w", err)
	}
	defer t.close()
	if err := t.train(ctx); err != nil {
		return nil, fmt.Errorf("tuning: %w", err)
	}
	d := t.finish()
	d.Seconds = time.Since(start).Seconds()
	return d, nil
}

// ParsePart reads the name of a part of the parameters.
func ParsePart(s string) (Part, error) {
	return suggest.Named("part", s, []Part{AllParameters, Factors, Reachable})
}
