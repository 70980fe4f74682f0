// Package refit solves the sites of a compressed model anew, against the original.
//
// It needs neither gradients nor labels. Errors compound: behind a compressed layer the inputs are no longer those
// that its factors were made for. So the sites are walked in topological order, and each is solved anew against what
// the original model computes there, given what the partly compressed one feeds it ([Run] says how).
package refit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/defaults"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
)

// Choice is a site and what was decided for it.
type Choice struct {
	Site rewrite.Site
	// Chain has the factors chosen, which a refit starts from and falls back to; nil for a site that stays dense.
	Chain decomp.Chain
	// Method made the chain; not looked at where that is nil. Without a Refit of its own, only the bias is fitted.
	Method decomp.Method
	// Narrow says what Chain leaves out of the site beside narrower axes; nil where that is nothing.
	Narrow *Narrow
	// Output is G, the weight of errors in the site's output, [O, O] for each group. Nil stands for the squares of
	// Site.OutputScale, and for the identity where that is nil too.
	Output []*linalg.Matrix
	// Stays are the output channels of a site without groups whose errors count, ascending; nil for all.
	Stays []int
	// Left says why the site is left as it was chosen, empty where it is to be solved.
	Left string
	// Felt weighs the output positions of the samples that the refit is given; see calib.Stats.
	Felt moments.Felt
}

// Narrow is what stays of a site without groups beside narrower axes: some of its input and output channels, ascending. Its chain
// has zeros for the others, and keeps them.
type Narrow struct {
	In, Out []int
	// Fold is the site's kernel as it makes up for the input channels that go, with zeros for these, [Out, In, Window...]: the ridge
	// pulls towards it. Where Method is none, Chain is that as a single factor.
	Fold decomp.Kernel
}

// felt is the weight of errors in the site's output: that of the choice or of the site, zero for channels that do not stay. Nil is the identity.
func (c *Choice) felt() []*linalg.Matrix {
	whole := c.Output
	if whole == nil {
		whole = c.Site.OutputMetric()
	}
	if c.Stays == nil {
		return whole
	}
	rows := c.Site.Kernel.Rows()
	out := linalg.New(rows, rows)
	for _, i := range c.Stays {
		if whole == nil {
			out.Set(i, i, 1)
			continue
		}
		for _, k := range c.Stays {
			out.Set(i, k, whole[0].At(i, k))
		}
	}
	return []*linalg.Matrix{out}
}

// single tells whether the site is to be one factor, of any rank.
func (c *Choice) single() bool { return c.Chain == nil || c.Narrow != nil && c.Method.Name == "" }

// check refuses a metric that does not fit the site.
func (c *Choice) check() error {
	k := c.Site.Kernel
	switch n := c.Narrow; {
	case n == nil:
	case k.Groups != 1 || n.Fold.Groups != 1 || n.Fold.Out != k.Out || n.Fold.In != k.In || !slices.Equal(n.Fold.Window, k.Window):
		return fmt.Errorf("the kernel %v is narrower as %v; the same shape in one group is wanted", k, n.Fold.Shape)
	case len(c.Chain) == 0 || c.single() && len(c.Chain) != 1:
		return fmt.Errorf("a chain of %d factors is narrower; want a single one, or a method", len(c.Chain))
	}
	if c.Output != nil && len(c.Output) != k.Groups {
		return fmt.Errorf("the output metric has %d matrices, want one for each of %d groups", len(c.Output), k.Groups)
	}
	for g, m := range c.Output {
		if m != nil && (m.Rows != k.Rows() || m.Cols != k.Rows()) {
			return fmt.Errorf("the output metric of group %d is %d×%d, want %d×%d", g, m.Rows, m.Cols, k.Rows(), k.Rows())
		}
	}
	return nil
}

// Options control Run. The zero value of a field means its default.
type Options struct {
	// Batch bounds how many samples run at once where the model's first axis is free; default 32. Fewer run at
	// once where there are too few samples to hold some of their runs out, and where their values take much memory.
	Batch int
	// Threads is how many runs are worked on side by side; default 1. The result does not depend on it.
	Threads int
	// Memory bounds what is kept, in bytes; default 2 GiB. A quarter of its room (rss.Room) is for the values of both models at the
	// current cut, for all samples; what does not fit goes to temporary files. Half of it is for the moments of one
	// site; a site that needs more is not refitted. What is left is for the runtime.
	Memory int64
	// Folder is where temporary files go; default os.TempDir().
	Folder string
	// Backend multiplies matrices; default linalg.Gonum().
	Backend linalg.Backend
	// Grow allows a bias for nodes that have none, nor a constant behind them to take it: new parameters.
	Grow bool
	// Away is where what was found lies until it is wanted; nil stands for memory.
	Away Away
	// Progress, when set, is told how much of the work is done, in samples times sites, each weighed by its arithmetic.
	Progress samples.Progress
	// From is what an earlier refit of the same choices came to, on the same samples with the same options. It is gone on from: these sites
	// are not solved again. The result is that of an undisturbed one.
	From Walked
	// Keep, when set, is given what the refit has come to after every site that was solved. An error of it ends the refit.
	Keep func(Walked) error
}

// Away puts numbers where they take no memory, and gives them as they lie there, to be read only.
type Away interface {
	Chain(decomp.Chain) (decomp.Chain, error)
	Tensors([]onnxio.Tensor) ([]onnxio.Tensor, error)
}

// here is memory.
type here struct{}

func (here) Chain(c decomp.Chain) (decomp.Chain, error)            { return c, nil }
func (here) Tensors(list []onnxio.Tensor) ([]onnxio.Tensor, error) { return list, nil }

func (o Options) withDefaults() Options {
	if o.Away == nil {
		o.Away = here{}
	}
	defaults.Runs(&o.Batch, &o.Threads, &o.Progress)
	defaults.Sums(&o.Memory, &o.Backend)
	return o
}

// Outcome is what came of one site.
type Outcome struct {
	Site string
	// Chain is what rewrite.Replace is to put in the site's place: the refitted factors with a shift of the output, or
	// those that the choice had, or a single factor, the site's own weight refitted. Nil leaves the node as it is.
	Chain decomp.Chain
	// Kept tells that the refit lowered the error on held-out samples, so that Chain is not what the choice had.
	Kept bool
	// Shortcut tells that the site also makes up for the error of the other operand of an addition behind it.
	Shortcut bool
	// Ridge is λ as a share of the mean diagonal of Σ; +Inf where the weights were not solved for, only split anew.
	Ridge float64
	// Before and After are the mean squared errors of the output on held-out samples, weighed by G, without and with
	// the refit that was chosen, as shares of the output's variance.
	Before, After float64
	// Why says why nothing was tried, empty where something was.
	Why string
}

// Result is what came of all sites.
type Result struct {
	// Sites has one entry per choice, in their order.
	Sites []Outcome
	// Fit and Held are the numbers of samples that were solved on, and that judged.
	Fit, Held int
	// Spilled is the largest size of the temporary files, in bytes.
	Spilled int64

	nodes map[side]map[int]int // how often each node was run by each model, per run
}

// CutError says that a model cannot be run piece by piece as a refit needs; compress it without one.
type CutError struct {
	Site string // where it was to be cut
	Err  error
}

func (e *CutError) Error() string {
	return fmt.Sprintf("the model cannot be run in pieces up to node %q, so it cannot be refitted: %v", e.Site, e.Err)
}

func (e *CutError) Unwrap() error { return e.Err }

// TooFewError says that there are too few samples to hold some out.
type TooFewError struct {
	Samples int
}

func (e *TooFewError) Error() string {
	return fmt.Sprintf("%d samples make one run of the model, and a refit needs a second one to judge by; give more", e.Samples)
}

// Run solves each site anew, in topological order, on the samples numbered by indices. With z what the original
// model computes at the site and x̂ what the partly compressed model feeds it, the site's new weights W', of the rank
// that the choice has, and bias b' are to minimise
//
//	E‖G^½(z − W'x̂ − b')‖².
//
// With e = z − (W x̂ + b), the error that the original weights make on the new inputs, this is
//
//	W_ls = W + Σ_ex̂ (Σ_x̂x̂ + λI)⁻¹,  W' = Method.Refit of W_ls under A = Σ_x̂x̂ and G,  b' = b + E[e] − (W'−W)E[x̂],
//
// where Σ are covariances; the ridge λ pulls towards W and has no part in A. Where nothing at the site takes a
// bias, means are not removed, and b' = b. Before an addition, e may also carry what the other operand is short of
// (through a batch normalization on the way, divided by its scale). Dense sites take W_ls itself; those that share their
// weight stay as they are. Of a site that is narrower, W is its fold.
//
// Every eighth run of samples is held out. On these, in closed form from their own moments, every λ of a small grid and
// every target are judged by the error that W_ls leaves at the addition; the best of them, W split anew for the same target, and the
// chain as it was are judged with their factors, and the best is taken. Its final weights are solved for on all samples.
//
// Where a convolution shows far more columns than it has inputs, only some positions of each sample are summed (moments.Thinning).
//
// The model is cut into pieces between consecutive sites. Both models keep the values at the current cut for all
// samples, and no node runs twice on a sample, except that a site runs once more with its original weights. So the
// cost grows linearly with depth.
//
// A refit that goes on from an earlier one runs both models through the sites that were solved then as it did, which costs a part of what solving them does.
//
// Where none of the first third of the sites gains, the rest is given up. Sites that the samples show fewer than a quarter as many
// columns as they have inputs are left as they are, and where that is so of all, nothing is run.
//
// Errors are *CutError where the model does not allow that, and *TooFewError where the samples do not.
func Run(ctx context.Context, lib *ort.Library, m *onnxio.Model, choices []Choice, src samples.Source, indices []int, o Options) (*Result, error) {
	o = o.withDefaults()
	w, err := newWalk(lib, m, choices, o)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if len(choices) == 0 {
		return w.result, nil
	}
	if err := w.taken(); err != nil {
		return nil, err
	}
	if w.finished() {
		return w.result, nil
	}
	w.samples = len(indices)
	if w.idle() {
		for i := range w.choices {
			c := &w.choices[i]
			w.result.Sites[i] = Outcome{Site: c.Site.Name, Chain: c.Chain, Why: w.left(c)}
		}
		return w.result, nil
	}
	w.measure = w.newMeasure()
	defer w.host.Shed(m)()
	if err := w.load(ctx, src, indices); err != nil {
		return nil, err
	}
	for k := range w.order {
		if w.hopeless(k) {
			w.giveUp(k)
			break
		}
		if err := w.step(ctx, k); err != nil {
			return nil, err
		}
	}
	w.tell(w.work())
	return w.result, nil
}

// leastTried is the number of sites that must have been tried in vain before the rest are given up.
const leastTried = 8

// hopeless tells whether nothing was gained at any site of the first third, which takes too few samples for what the sites
// read, or sites that leave nothing to gain.
func (w *walk) hopeless(k int) bool {
	tried := 0
	for _, i := range w.order[:k] {
		switch o := &w.result.Sites[i]; {
		case o.Kept:
			return false
		case o.Why == "":
			tried++
		}
	}
	return tried >= leastTried && 3*k >= len(w.order)
}

// giveUp leaves the sites from stop k on as they were chosen.
func (w *walk) giveUp(k int) {
	for _, i := range w.order[k:] {
		c := &w.choices[i]
		w.result.Sites[i] = Outcome{Site: c.Site.Name, Chain: c.Chain, Why: fmt.Sprintf("given up: none of the first %d sites gained by it", k)}
	}
}

// newWalk orders the choices and schedules the cuts.
func newWalk(lib *ort.Library, m *onnxio.Model, choices []Choice, o Options) (*walk, error) {
	w := &walk{
		host: feed.Host{Library: lib, Memory: o.Memory}, model: m, choices: choices, o: o, names: graph.NewNameSet(m),
		patches: map[int]*rewrite.Patch{}, swaps: map[int]graph.Node{}, differs: map[string]bool{}, weights: map[string]onnxio.Tensor{},
	}
	w.result = &Result{Sites: make([]Outcome, len(choices)), nodes: map[side]map[int]int{original: {}, compressed: {}}}
	w.shelf = newShelf(rss.Room(o.Memory)/4, o.Folder)
	weights := map[string]int{}
	for i := range choices {
		s := &choices[i].Site
		if s.Index < 0 || graph.Of(m).Position(s.Node) != s.Index {
			return nil, &CutError{s.Name, errors.New("it is no node of the model's main graph")}
		}
		if err := choices[i].check(); err != nil {
			return nil, fmt.Errorf("node %q: %w", s.Name, err)
		}
		w.order = append(w.order, i)
		weights[s.Weight]++
	}
	w.shared = func(s *rewrite.Site) bool { return s.WeightStays || weights[s.Weight] > 1 }
	slices.SortFunc(w.order, func(a, b int) int { return choices[a].Site.Index - choices[b].Site.Index })
	for k := 1; k < len(w.order); k++ {
		if s := choices[w.order[k]].Site; s.Index == choices[w.order[k-1]].Site.Index {
			return nil, fmt.Errorf("node %q is chosen twice", s.Name)
		}
	}
	w.schedule = newSchedule(m, w.sites())
	return w, nil
}
