package compress

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/search"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Options say what to make of a model. The zero value of a field means its
// default where one is named.
type Options struct {
	// Targets must all hold. Without any, without Goals and FromPlan, a run with a Source is as small as the Goals allow that fit the
	// model's outputs: an agreement of 99 % for class scores, a cosine of 0.99 for embeddings, 30 dB for all else.
	Targets []Target
	// Goals must all hold for a model within the Targets: of such the smallest is looked
	// for, in MACs or in what the first target bounds. They need Source, and FromPlan not
	// to be set.
	Goals []verify.Bound
	// fitting says that the Goals are those.
	fitting bool
	// FromPlan, when set, has the ranks, so that none are searched for. Methods,
	// Select and RankMultiple must then be left alone.
	FromPlan *Plan
	// Methods are the names of the schemes on offer; empty means all decompositions and, with a Source and no bound on the time, Width for
	// axes with depthwise convolutions on their way and for hidden units and heads of transformers. Width among them narrows layers too, or alone.
	Methods []string
	Select  Selection
	// Effort is how much arithmetic the methods that search may spend on a rank; empty for decomp.Normal.
	Effort decomp.Effort
	// Search is the name of one of search.Methods; empty for the first of them. Where it
	// Corrects and losses are changes of the outputs, the largest of them are held against
	// measurements on calibration samples.
	Search string
	// For says what the model is made for, which Run, Compress and Explore turn into what nothing else here sets; "" for nothing.
	For Purpose
	// RankMultiple restricts every rank to its multiples. With 0 that is 16 at convolutions that
	// write at least 16 channels in each group, and 1 elsewhere, or where no plan within the targets is made of these: runtimes compute convolutions in
	// blocks of 8 or 16 channels, and reorder around those that do not fit.
	RankMultiple int
	// InputShapes gives the shapes of graph inputs, by name, where the model
	// leaves dimensions open. Calibration samples fill in what is missing.
	InputShapes map[string][]int

	// Source has the calibration samples; nil means data-free: every loss is
	// then measured on the weights alone.
	Source samples.Source
	// Through, when set, is a model that reads what this one gives, as a decoder reads what its encoder gives. What becomes of its outputs then
	// decides what is lost, meets Goals and is verified: Classes, Weights and Kinds are about these, and Source has the inputs of both, as
	// Joined says. It stays as it is, and open while there is work. It needs Source.
	Through *onnxio.Model
	// CalibSamples is how many samples calibration draws; default 1024, but at
	// most nine tenths of what there are, so that some are left to verify on, with goals as
	// many as these need, up to half, and without targets and goals half.
	CalibSamples int
	// Stats, when set, is a file for the statistics of the calibration. When it
	// holds those of the same model, samples and options, they are read; else they
	// are collected, and written to it. The result is the same.
	Stats string
	// Offers are the files of all parts of a factoring by FactorPart with the statistics that Stats names. What they have is not found
	// again; the result is the same.
	Offers []string
	// Checkpoint, when set, is a folder, made where there is none, that Run keeps its state in, in the files of a work in parts: sums of the
	// samples so far, statistics, what was found of the sites, what a refit came to site by site, how the outputs change, whether goals are met, and the
	// state of a tuning. A run with the same options, after one that was killed, goes on from there; the result is the same. What lies there of
	// another work is replaced. With Offers it has what follows these.
	Checkpoint string
	// keeper is the folder's, when a run has begun.
	keeper *keeper
	// Classes names the output whose numbers are class scores, or is "none". Empty means the first that looks like it.
	Classes string
	// Weights say by name how much the change of an output counts beside that of the others, each as a share of its own
	// variance; default 1, and 0 for a state (present.*, or hn beside an input h).
	Weights map[string]float64
	// Kinds say by name what outputs are, where it is known better than their shapes and the nodes that make them tell.
	Kinds map[string]verify.Kind
	// Probes is how many random directions in the outputs of every calibration
	// sample sensitivities are estimated from; default 1. With some, losses are expected
	// changes of the model's outputs; below 0 there are none, and losses are shares of each site's own variance.
	Probes int
	// NoRefit leaves out the last step of calibration, in which the sites are solved
	// anew, in order, on what the compressed model really feeds them.
	NoRefit bool
	// Descent, when set, tunes the weights of the rewritten model by gradient descent, so
	// that it comes closer to the original on TuneSource: by default, the samples of Source
	// that do not verify the result. When the run's context ends meanwhile, the best state
	// so far is delivered all the same, and Result.Tuning says so.
	Descent    *Descent
	TuneSource samples.Source
	// VerifySamples bounds how many of the others verification runs; default 1024.
	VerifySamples int
	// Time asks for the time that both models take, in turns on one sample; it costs some
	// seconds. Without it a run looks for about a second, and says what it found only where the result is slower beyond doubt.
	Time bool
	// Costs tells what ranks take in time, for a target of RunTime. Where there is none, Run measures one on this machine, at
	// batch 1 on one thread. With Time and no such target, what it says of both models stands beside what was measured.
	Costs *costs.Table
	// Seed decides which samples go where.
	Seed uint64
	// AcceptDamage writes a model also where no real data judged it and random inputs show that it does not do what the
	// original does; else that is a *DamageError.
	AcceptDamage bool

	// Batch is how many samples run at once where the model's batch is free; default 32. Fewer do where their values take so
	// much that more would be no faster, or more than Memory has room for, and one where the model turns out to refuse several.
	Batch int
	// asked is the batch that was asked for, where the model does not take it; 0 where it does. The written model records it.
	asked int
	// Memory bounds what the process takes, in bytes; default the smaller of 2 GiB and half of what the machine and the control
	// groups of the process have.
	Memory int64

	eight *decomp.EightBits // what the result is to become afterwards, nil for nothing; its purpose sets it

	int8 *int8Original // what it is timed as, nil for what it is

	block int // how many channels are computed at once, 0 for the usual number; its purpose sets it
}

// WithDefaults fills the fields left at zero that have a default of another value.
func (o Options) WithDefaults() Options {
	o.Search = cmp.Or(o.Search, search.Methods()[0].Name)
	o.Probes = cmp.Or(o.Probes, 1)
	o.VerifySamples = cmp.Or(o.VerifySamples, 1024)
	o.Batch = cmp.Or(o.Batch, 32)
	if o.Memory == 0 {
		o.Memory = rss.DefaultLimit()
	}
	return o
}

// probes is how many there are.
func (o Options) probes() int { return max(o.Probes, 0) }

// fewestJudges is how many samples judge whether a goal is met, where there are as many: the mean of fewer is as much chance.
const fewestJudges = 100

// calibSamples is how many of n samples calibration draws.
func (o Options) calibSamples(n int) int {
	if o.CalibSamples > 0 {
		return min(o.CalibSamples, n)
	}
	held, half := (n+9)/10, (n+1)/2
	for _, g := range o.Goals { // so that one set judges the search and another the result
		held = max(held, min(2*max(needed(g), fewestJudges), half))
	}
	if o.fitting { // whose goals need samples as much as calibration does
		held = half
	}
	return min(1024, max(n-held-o.tuneJudges(n), min(n, 1)))
}

// check refuses what makes no sense for any model.
func (o Options) check() error {
	if o.FromPlan != nil {
		if err := o.checkPlan(); err != nil {
			return err
		}
	}
	if err := o.checkGoals(); err != nil {
		return err
	}
	if len(o.Targets)+len(o.Goals) == 0 && o.FromPlan == nil && !o.aimless() {
		return &UsageError{Err: errAimless}
	}
	for i, t := range o.Targets {
		if slices.ContainsFunc(o.Targets[:i], func(u Target) bool { return u.Resource == t.Resource }) {
			return &UsageError{Err: fmt.Errorf("two targets bound %s; give one", t.Resource)}
		}
	}
	if err := o.checkThrough(); err != nil {
		return err
	}
	if err := o.CheckPurpose(); err != nil {
		return err
	}
	if err := o.CheckSearch(); err != nil {
		return err
	}
	if err := o.CheckEffort(); err != nil {
		return err
	}
	if o.Checkpoint != "" && o.Stats != "" && len(o.Offers) == 0 {
		return &UsageError{Err: fmt.Errorf("the folder that %s names keeps the statistics, too; leave out %s", OptionCheckpoint, OptionStats)}
	}
	if len(o.Offers) > 0 && o.Stats == "" {
		return &UsageError{Err: errors.New("parts of a factoring are named, but not the statistics that they are by")}
	}
	if o.Stats != "" && o.Source == nil {
		return &UsageError{Err: errors.New("a file for calibration statistics is named, but there are no samples to calibrate on")}
	}
	if _, err := o.methods(); err != nil {
		return err
	}
	return o.checkNumbers()
}

// block is how many channels runtimes compute at once at most.
const block = 16

// channels is how many of these are computed at once.
func (o Options) channels() int { return cmp.Or(o.block, block) }

// manyBlocks is from how many blocks on, on both sides, the ranks of a matrix fill blocks where a purpose asks for blocks.
const manyBlocks = 8

// multiple is what the ranks at a kernel are multiples of. The channels that a convolution reads need not fill blocks: those of
// an image do not, and what it writes is in blocks all the same, unless its rank keeps the layout from that. A convolution of single
// channels moves data more than it computes: two of them take longer than one, and between ones of several channels a group there are no
// blocks at all, so that only what nothing else can meet is met with these.
func (o Options) multiple(s decomp.Shape) int {
	channels := o.channels()
	switch {
	case o.RankMultiple > 0:
		return o.RankMultiple
	case len(s.Window) > 0 && (s.Rows() >= channels || s.Groups > 1 && s.Rows() == 1):
		return channels
	case o.block > 0 && len(s.Window) == 0 && min(s.Rows(), s.Cols()) >= manyBlocks*channels:
		return channels
	}
	return 1
}

// widthMultiple is what the widths of an axis are multiples of: half a block where two whole ones would leave next to no choice.
func (o Options) widthMultiple(units int) int {
	channels := o.channels()
	switch {
	case o.RankMultiple > 0:
		return o.RankMultiple
	case units >= 2*channels:
		return channels
	case units >= channels:
		return channels / 2
	}
	return 1
}

// kept is the source, whose samples stay in memory as far as an eighth of what there is room for holds them.
func (o Options) kept() samples.Source { return samples.Kept(o.Source, rss.Room(o.Memory)/8) }

// checkNumbers refuses negative ones.
func (o Options) checkNumbers() error {
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"rank multiple", int64(o.RankMultiple)},
		{"number of calibration samples", int64(o.CalibSamples)},
		{"number of verification samples", int64(o.VerifySamples)},
		{"batch", int64(o.Batch)},
		{"memory limit", o.Memory},
	} {
		if n.value < 0 {
			return negative(n.name, n.value)
		}
	}
	return nil
}

// negative refuses a number below 0.
func negative(name string, value int64) error {
	return &UsageError{Err: fmt.Errorf("the %s is %d; it cannot be negative", name, value)}
}

// CheckSearch refuses a search that does not exist.
func (o Options) CheckSearch() error {
	var names []string
	for _, m := range search.Methods() {
		names = append(names, m.Name)
	}
	return known("search", o.Search, names)
}

// CheckEffort refuses an effort that does not exist.
func (o Options) CheckEffort() error {
	if o.Effort == "" {
		return nil
	}
	return known("effort", string(o.Effort), decomp.Efforts())
}

// known refuses a name that nothing has.
func known[T ~string](what, name string, names []T) error {
	if _, err := suggest.Named(what, name, names); err != nil {
		return &UsageError{Err: err}
	}
	return nil
}

// methods resolves the names of Options.Methods.
func (o Options) methods() ([]decomp.Method, error) {
	if len(o.Methods) == 0 {
		return o.Effort.Methods(), nil
	}
	var out []decomp.Method
	for i, name := range o.Methods {
		if name == Width || slices.Contains(o.Methods[:i], name) {
			continue
		}
		m, err := methodNamed(o.Effort, name)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// MethodNamed returns the decomposition method of that name.
func MethodNamed(name string) (decomp.Method, error) { return methodNamed(decomp.Normal, name) }

// methodNamed is MethodNamed with an effort.
func methodNamed(e decomp.Effort, name string) (decomp.Method, error) {
	var names []string
	for _, m := range e.Methods() {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return decomp.Method{}, known("method", name, names)
}
