package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// tuneFlags say how weights are tuned. They are words of their own for `tune`, and begin
// with "tune-" for `compress`.
type tuneFlags struct {
	prefix  string
	options tune.Options

	losses                                  []string
	optimizer, only, augment, average, clip string
	supervised                              bool
}

// declare adds the flags about learning, with a word before their names.
func (t *tuneFlags) declare(f *flagSet, prefix string) {
	t.losing(f, prefix)
	t.stepping(f, prefix)
}

// losing declares what is learned.
func (t *tuneFlags) losing(f *flagSet, prefix string) {
	t.prefix = prefix
	o := &t.options
	f.StringArrayVar(&t.losses, prefix+"loss", nil, "`NAME` how outputs are held to the original's: logits, squared distance of centred class scores; kl, divergence of class probabilities, or of those of the token at each position that is no padding; "+
		"cosine, for embeddings; mse; auto: logits for class scores, kl for scores of a vocabulary, cosine for embeddings, else mse. OUTPUT=NAME for one output; may be repeated")
	f.Float64Var(&o.Temperature, prefix+"temperature", 2, "`T` softens the probabilities of kl (2)")
	f.Float64Var(&o.Features, prefix+"features", 0, "`X` weight of the outputs of layers inside, which are held to the original's too (3 where class scores or embeddings are learned, 1 beside labels, else 0)")
	f.BoolVar(&t.supervised, prefix+"supervised", false, "the cross-entropy with labels, plus --"+prefix+"lambda times that")
	f.Float64Var(&o.Lambda, prefix+"lambda", 10, "`X` how much the distance from the original counts beside labels (10)")
	f.StringVar(&t.only, prefix+"only", string(tune.AllParameters), "`PART` all weights; factors, those that the original does not have; or reachable, those that have a gradient (all)")
}

// stepping declares how it is learned.
func (t *tuneFlags) stepping(f *flagSet, prefix string) {
	o := &t.options
	f.IntVar(&o.Epochs, prefix+"epochs", 0, "`N` how often every sample is seen (20 to 120: more where samples are few, and where there is much to win back)")
	f.StringVar(&t.optimizer, prefix+"optimizer", string(tune.SOAP), "`NAME` soap, Adam along the directions that matrices' gradients have in common; adam; "+
		"or sgd with Nesterov's momentum 0.9 (soap)")
	f.Float64Var(&o.Rate, prefix+"lr", 0, "`X` the largest learning rate (soap, adam: 3e-4, more for many steps with much to win back; sgd: 1e-2); it falls along a cosine to zero")
	f.Float64Var(&o.WarmUp, prefix+"warm-up", 0, "`X` share of the steps in which it rises (0.05)")
	f.StringVar(&t.clip, prefix+"clip", "5", "`X` bound of the gradient's norm, or none (5)")
	f.Float64Var(&o.Decay, prefix+"decay", 0, "`X` decoupled weight decay (0)")
	f.StringVar(&t.average, prefix+"average", "0.99", "`X` decay of a moving average of the weights that is judged beside them, or none (0.99)")
	f.IntVar(&o.Patience, prefix+"patience", 0, "`N` stop after N epochs without a better state (0: never)")
}

// images declares how images are changed while learning.
func (t *tuneFlags) images(f *flagSet, text string) {
	f.StringVar(&t.augment, "augment", "", "`LIST` "+text)
}

// states declares how a long run is kept.
func (t *tuneFlags) states(f *flagSet) {
	f.StringVar(&t.options.Checkpoint, "checkpoint", "", "`FILE` keep the state in FILE, at the end of every epoch")
	t.often(f)
	f.BoolVar(&t.options.Resume, "resume", false, "go on from FILE, where it exists; the result is the same as without a break")
}

// often declares how often the state is kept.
func (t *tuneFlags) often(f *flagSet) {
	f.IntVar(&t.options.CheckpointSteps, "checkpoint-every", 0, "`N` keep the state of a tuning after every N steps, beside the end of every epoch")
}

// read turns the words into options.
func (t *tuneFlags) read(f *pflag.FlagSet) error {
	o := &t.options
	if err := atLeastOne(f, t.prefix+"epochs", "checkpoint-every"); err != nil {
		return err
	}
	for _, n := range []struct {
		name  string
		value float64
	}{
		{"lr", o.Rate}, {"warm-up", o.WarmUp}, {"decay", o.Decay}, {"temperature", o.Temperature}, {"features", o.Features}, {"lambda", o.Lambda},
	} {
		if r := ranges()[n.name]; !r.has(n.value) && f.Changed(t.prefix+n.name) {
			return usagef("--%s%s %g: want a positive number of at most %g", t.prefix, n.name, n.value, r.most)
		}
	}
	if o.Patience < 0 {
		return usagef("--%spatience %d: want a number of epochs", t.prefix, o.Patience)
	}
	if o.Lambda == 0 {
		o.Lambda = -1 // which is none; 0 is the default
	}
	if o.Features == 0 && f.Changed(t.prefix+"features") {
		o.Features = -1
	}
	var err error
	if o.Clip, err = numberOrNone(t.clip, mostClip); err != nil {
		return usagef("--%sclip %s: %w", t.prefix, t.clip, err)
	}
	if o.Average, err = numberOrNone(t.average, mostAverage); err != nil {
		return usagef("--%saverage %s: %w", t.prefix, t.average, err)
	}
	if o.Optimizer, err = tune.ParseOptimizer(t.optimizer); err != nil {
		return usagef("--%soptimizer: %w", t.prefix, err)
	}
	if o.Part, err = tune.ParsePart(t.only); err != nil {
		return usagef("--%sonly: %w", t.prefix, err)
	}
	if o.Labels = t.supervised; !o.Labels && f.Changed(t.prefix+"lambda") {
		return usagef("--%slambda weighs the distance from the original against labels; want --%ssupervised with it", t.prefix, t.prefix)
	}
	if o.Resume && o.Checkpoint == "" || f.Changed("checkpoint-every") && !f.Changed("checkpoint") {
		return usagef("which checkpoint? name its file with --checkpoint")
	}
	return t.outputs()
}

// numberRange is the numbers from 0 that a flag takes, without 0 itself where that is none of its values.
type numberRange struct {
	most float64
	zero bool
}

func (r numberRange) has(v float64) bool { return v >= 0 && v <= r.most && (v > 0 || r.zero) }

// ranges are the numbers that the flags of tuning take.
func ranges() map[string]numberRange {
	return map[string]numberRange{
		"lr": {math.MaxFloat32, false}, "warm-up": {1, true}, "decay": {math.MaxFloat32, true},
		"temperature": {1e6, false}, "features": {1e12, true}, "lambda": {1e12, true},
	}
}

// The largest values of two flags.
const (
	mostClip    = math.MaxFloat32
	mostAverage = 0.999999
)

// numberOrNone reads a positive number, or "none".
func numberOrNone(word string, most float64) (float64, error) {
	if word == "none" {
		return -1, nil
	}
	v, err := strconv.ParseFloat(word, 64)
	if err != nil || !(v > 0 && v <= most) {
		return 0, fmt.Errorf("want a number above 0 and up to %g, or none%s", most, suggest.Phrase(word, []string{"none"}))
	}
	return v, nil
}

// outputs reads the losses of outputs.
func (t *tuneFlags) outputs() error {
	o := &t.options
	if len(t.losses) > 0 {
		o.Losses = map[string]tune.Loss{}
	}
	for _, word := range t.losses {
		output, name, one := cutLast(word)
		loss, err := tune.ParseLoss(name)
		if err != nil {
			return usagef("--%sloss %s: %w", t.prefix, word, err)
		}
		if !one {
			o.Loss = loss
			continue
		}
		o.Losses[output] = loss
	}
	return nil
}

// outputWeight reads OUTPUT=NUMBER.
func outputWeight(word string) (output string, weight float64, err error) {
	output, number, both := cutLast(word)
	weight, err = strconv.ParseFloat(number, 64)
	if err != nil || !both || !(weight >= 0 && weight <= 1e12) {
		return "", 0, errors.New("want OUTPUT=NUMBER with a number from 0")
	}
	return output, weight, nil
}

// cutLast cuts NAME=VALUE at its last sign; a word without one is a value.
func cutLast(word string) (name, value string, both bool) {
	if at := strings.LastIndex(word, "="); at > 0 {
		return word[:at], word[at+1:], true
	}
	return "", word, false
}

// augmenter reads --augment, nil where it is not given.
func (t *tuneFlags) augmenter(m *onnxio.Model, flags *sampleFlags) (*samples.Augmenter, error) {
	a, err := samples.ParseAugment(t.augment)
	if err != nil {
		return nil, usagef("--augment: %w", err)
	}
	if a == (samples.Augment{}) {
		return nil, nil
	}
	o, err := flags.options()
	if err != nil {
		return nil, err
	}
	inputs, err := samples.Inputs(m)
	if err != nil {
		return nil, err
	}
	return samples.NewAugmenter(a, o, inputs, t.options.Seed)
}

// readTuning turns the words about tuning into options.
func (c *compressCommand) readTuning(f *pflag.FlagSet) error {
	if !c.tune {
		for _, flag := range flagsOf(f) {
			if flag.Changed && (strings.HasPrefix(flag.Name, "tune-") || slices.Contains([]string{"augment", "checkpoint-every"}, flag.Name)) {
				return usagef("--%s is about tuning; want --tune with it", flag.Name)
			}
		}
		return nil
	}
	if c.calib == "" && c.tuneData == "" {
		return usagef("--tune learns from samples; name them with --calib or --tune-data")
	}
	if err := c.tuning.read(f); err != nil {
		return err
	}
	o := &c.tuning.options
	o.Seed, o.Threads = c.opts.Seed, c.env.Threads
	if f.Changed("batch") {
		o.Batch = c.opts.Batch
	}
	return nil
}

// learn opens what the tuning of a model learns from.
func (c *compressCommand) learn(m *onnxio.Model) (err error) {
	if !c.tune {
		return nil
	}
	if c.tuneData != "" {
		if c.opts.TuneSource, err = openSamples(m, c.tuneData, &c.samples); err != nil {
			return err
		}
	}
	if c.tuning.options.Augment, err = c.tuning.augmenter(m, &c.samples); err != nil {
		return err
	}
	c.opts.Descent = &c.tuning.options
	return nil
}
