package compress

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/timing"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// latencyLimits bound the timing of the two models.
func latencyLimits() timing.Limits {
	return timing.Limits{WarmUps: 3, Settle: 1, Least: 10, Most: 100, For: 3 * time.Second}
}

// Latency says what one inference of the two models takes in ONNX Runtime, on the machine that the run was on: on one thread and
// one sample, or as a table of costs has it where a target is about time. Both run in turns, so that what
// else the machine does meets both.
type Latency struct {
	// Sample is the name of the sample, and Batch how many are in it; 0 where it is a whole
	// batch of its own.
	Sample string `json:"sample"`
	Batch  int    `json:"batch"`
	// Turns is how often each model ran, after some that do not count.
	Turns int `json:"turns"`
	// Before and After are the medians, in milliseconds.
	Before float64 `json:"before_ms"`
	After  float64 `json:"after_ms"`
	// Speed is the median over the turns of the original's time over the other's, and
	// Low and High are its quartiles.
	Speed float64 `json:"speed"`
	Low   float64 `json:"speed_low"`
	High  float64 `json:"speed_high"`
	// Threads is how many compute a node.
	Threads int `json:"threads"`
	// Int8 tells that int8 models of both were timed, which ONNX Runtime's quantizer made.
	Int8 bool `json:"int8,omitempty"`
	// Foretold is what a table of costs says that the models take, in milliseconds; nil without one.
	Foretold *Foretold `json:"foretold,omitempty"`
	// Attempts are the models that were timed to find the one of which all this is, in their order; absent where no target is about time.
	Attempts []Attempt `json:"attempts,omitempty"`
	// Activations is nil where the sizes of values are unknown, or where nobody asked for the times.
	Activations *Activations `json:"activations,omitempty"`
	// Skipped says why nothing was timed; all else is then empty.
	Skipped string `json:"skipped,omitempty"`
}

// Activations is what the values of one inference take in bytes, weights aside, at the node
// where those that are still needed take most: counted from their shapes, with the nodes in
// the order of the file. What a runtime takes for its work comes on top.
type Activations struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// clock times the original and the compressed model, which is the file at path. What cannot be timed is delivered all the same.
func (s *Assembled) clock(ctx context.Context, env *Environment, a *Analysis, o Options, path string) (*Latency, error) {
	l, err := s.latency(ctx, env, a, o, path)
	if ended := ctx.Err(); ended != nil {
		return nil, ended
	}
	if err != nil {
		l = &Latency{Skipped: err.Error()}
	}
	return l, nil
}

func (s *Assembled) latency(ctx context.Context, env *Environment, a *Analysis, o Options, path string) (*Latency, error) {
	if env.library == nil {
		return nil, fmt.Errorf("nothing was run: ONNX Runtime was not found: %w", env.Missing)
	}
	before, after, err := o.int8.pair(ctx, a.model.Path, path)
	if err != nil {
		return nil, err
	}
	p, err := openPair(ctx, env, a, o, before, after)
	if err != nil {
		return nil, err
	}
	defer p.close()
	l, err := p.measure(ctx, latencyLimits())
	if err != nil {
		return nil, err
	}
	l.Int8, l.Foretold = o.int8 != nil, s.foretold(env, a, o)
	l.Activations = activations(ctx, env.library, a.model, s.Model, p.sample.Inputs)
	return l, nil
}

// measured are targets with the times that were measured in the place of those foretold, unless the table is of another machine.
func (l *Latency) measured(targets []Reached) []Reached {
	if l == nil || l.Skipped != "" || l.Foretold == nil || l.Foretold.Elsewhere != "" {
		return targets
	}
	out := slices.Clone(targets)
	for i := range out {
		if r := &out[i]; r.Resource == RunTime {
			r.Original, r.Reached = int64(math.Round(1e6*l.Before)), int64(math.Round(1e6*l.After))
			r.Limit = r.Target.Limit(r.Original)
		}
	}
	return out
}

// pair is the original and a compressed model, ready to run on one sample.
type pair struct {
	before, after *ort.Session
	sample        *feed.Run
	threads       int
}

// openPair opens the original and a compressed model, by their files, on one thread for one sample, or as the table of costs has it where a target is about time. The caller
// closes them.
func openPair(ctx context.Context, env *Environment, a *Analysis, o Options, before, after string) (_ *pair, err error) {
	batch, threads := 1, 1
	if o.foretells() {
		batch, threads = o.Costs.Batch, o.Costs.Threads
	}
	src, err := o.front(a.given)
	if err != nil {
		return nil, err
	}
	indices := firstOf(1, 1)
	if src == nil {
		if src, err = newNoise(a.model, batched(a.model, &BenchOptions{InputShapes: o.InputShapes, Batch: batch}), o.Seed); err != nil {
			return nil, err
		}
	} else {
		indices = indices[:0]
		for _, i := range firstOf(len(a.Verify), batch) {
			indices = append(indices, a.Verify[i])
		}
	}
	p := &pair{threads: threads}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.before, err = env.library.NewSessionFile(before, ort.Options{Threads: threads}); err != nil {
		return nil, err
	}
	if p.after, err = env.library.NewSessionFile(after, ort.Options{Threads: threads}); err != nil {
		return nil, err
	}
	p.sample, err = feed.First(ctx, src, indices, feed.SessionInputs(p.before), batch)
	return p, err
}

func (p *pair) close() {
	for _, s := range []*ort.Session{p.before, p.after} {
		if s != nil {
			s.Close()
		}
	}
}

// runners run each of the two models once.
func (p *pair) runners() [2]func(context.Context) error {
	return [2]func(context.Context) error{timing.Runner(p.before, p.sample.Inputs), timing.Runner(p.after, p.sample.Inputs)}
}

// measure runs the two models in turns.
func (p *pair) measure(ctx context.Context, limits timing.Limits) (*Latency, error) {
	run := p.runners()
	took, err := timing.Turns(ctx, limits, run[:]...)
	if err != nil {
		return nil, err
	}
	speed := timing.SpreadOf(timing.Ratios(took[0], took[1]))
	return &Latency{
		Sample: p.sample.Samples[0].Name, Batch: p.sample.Batch, Threads: p.threads, Turns: len(took[0]),
		Before: 1e3 * timing.SpreadOf(took[0]).Median, After: 1e3 * timing.SpreadOf(took[1]).Median,
		Low: speed.Low, Speed: speed.Median, High: speed.High,
	}, nil
}

// activations counts both models' values for the inputs; nil where they are unknown.
func activations(ctx context.Context, lib *ort.Library, before, after *onnxio.Model, inputs map[string]tensor.Dense) *Activations {
	var peaks [2]int64
	for i, m := range []*onnxio.Model{before, after} {
		values, err := grad.Observe(ctx, lib, m, inputs)
		if err != nil {
			return nil
		}
		var known bool
		if peaks[i], known = peak(m, values); !known {
			return nil
		}
	}
	return &Activations{Before: peaks[0], After: peaks[1]}
}

// peak is the most that values which are still needed take together, while the nodes of the
// main graph run in their order: a value counts from the node that makes it to the last that
// reads it, an input from the first node, and what subgraphs read and the model returns to
// the last. It is false where a size is unknown.
func peak(m *onnxio.Model, values grad.Values) (most int64, known bool) {
	g := graph.Of(m)
	nodes := g.Nodes()
	freed := make([]int64, len(nodes)+1) // by the node behind which it happens
	now := int64(0)
	take := func(name string, last int) bool {
		v, ok := values[name]
		count, err := tensor.Elements(v.Shape)
		if !ok || err != nil || v.Shape == nil || v.Type.Bits() == 0 {
			return false
		}
		size := int64(v.Type.Bytes(count))
		for _, u := range g.Uses(name) {
			i := g.Position(u.Node)
			if u.Nested || i < 0 {
				i = len(nodes)
			}
			last = max(last, i)
		}
		if g.IsOutput(name) {
			last = len(nodes)
		}
		now += size
		freed[last] += size
		return true
	}
	for _, in := range g.Inputs() {
		if _, constant := g.Constant(in.Name()); !constant && !take(in.Name(), 0) {
			return 0, false
		}
	}
	for i, n := range nodes {
		for _, out := range n.Outputs() {
			if _, constant := g.Constant(out); out != "" && !constant && !take(out, i) {
				return 0, false
			}
		}
		most = max(most, now)
		now -= freed[i]
	}
	return most, true
}
