package calib

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// A scale of sensitivity is measured where no gradient leads: noise δ is added to the
// output y of one site, and the change of the model's outputs compared with it,
//
//	g = E‖f(y+δ) − f(y)‖² / E‖δ‖² .
//
// With δ independent of variance σ² in all O channels and T positions, E‖δ‖² = T·O·σ², and
// to first order E‖f(y+δ) − f(y)‖² = T·σ²·tr(G) with the G of the gradients. So g =
// tr(G)/O: G = g·I has the trace that gradients would have given, and the loss
// T·tr(G ΔW A ΔWᵀ) = g·E‖ΔW x‖² summed over positions keeps its unit.
const (
	// perturbed is how many samples are enough for it.
	perturbed = 256
	// step is σ as a share of the root mean square of y: small against y, but far above
	// the rounding of float32 and the steps of 8-bit quantisation.
	step = 1. / 32
)

// perturbation is a session of the model with noise inputs added to outputs of sites.
type perturbation struct {
	session *ort.Session
	sites   []*rewrite.Site
	noise   []string // the input of each site
	targets []target
	axes    feed.Axes

	mu      sync.Mutex
	results map[int][]response // by run
}

// response is the energy of noise and that of the change that it makes.
type response struct{ change, noise float64 }

// perturb measures g for each of the sites.
func (gs *gradients) perturb(ctx context.Context, sites []*rewrite.Site, runs *feed.Feed, workers int, seed uint64) ([]float64, error) {
	p := &perturbation{sites: sites, axes: gs.axes, results: map[int][]response{}}
	if err := p.open(gs); err != nil {
		return nil, err
	}
	defer p.session.Close()
	err := runs.Each(ctx, workers, func(string, int, int) {}, func(ctx context.Context) func(*feed.Run) error {
		return func(r *feed.Run) error {
			err := p.run(ctx, r, seed)
			if err != nil {
				err = fmt.Errorf("perturbing the model on sample %s: %w", r.Samples[0].Name, err)
			}
			return err
		}
	})
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(sites))
	for i, s := range sites {
		var sum response
		for run := range len(p.results) {
			sum.change += p.results[run][i].change
			sum.noise += p.results[run][i].noise
		}
		if sum.noise > 0 {
			out[i] = sum.change / sum.noise
		}
		if math.IsNaN(out[i]) || math.IsInf(out[i], 0) {
			return nil, fmt.Errorf("node %q: a small change of its output makes outputs of the model infinite or undefined", s.Name)
		}
	}
	return out, nil
}

// open makes the session.
func (p *perturbation) open(gs *gradients) error {
	m := gs.model
	names := graph.NewNameSet(m)
	at := map[string]int{} // the site that makes a value
	for i, s := range p.sites {
		at[s.Output] = i
		p.noise = append(p.noise, names.Fresh(s.Output+"/noise"))
	}
	parts := graph.Of(m).Parts()
	nodes := parts.Nodes
	parts.Nodes = nil
	for _, n := range nodes {
		y := n.Output(0)
		i, ok := at[y]
		if !ok {
			parts.Nodes = append(parts.Nodes, n)
			continue
		}
		made := n.Spec()
		made.Outputs[0] = names.Fresh(y + "/plain")
		parts.Nodes = append(parts.Nodes, made.Node(), graph.NewNode("Add", p.noise[i], []string{made.Outputs[0], p.noise[i]}, []string{y}))
		// Without a shape the input takes noise of any size, and a single zero for none.
		parts.Inputs = append(parts.Inputs, graph.NewValue(p.noise[i], p.sites[i].Computes(), nil))
		if !graph.Of(m).IsOutput(y) {
			parts.Outputs = append(parts.Outputs, graph.NewValue(y, tensor.Undefined, nil))
		}
	}
	// The new outputs have no types: the runtime infers them.
	parts.Values = slices.DeleteFunc(parts.Values, func(v graph.Value) bool {
		_, ok := at[v.Name()]
		return ok
	})
	open := parts.Model()
	defer open.Close() // it shares the files of m, which stays open
	var err error
	if p.session, err = gs.host.NewSession(open); err != nil {
		return fmt.Errorf("%w: %w", errNoKernel, err)
	}
	for _, out := range p.session.Outputs() {
		if i := slices.IndexFunc(gs.targets, func(t target) bool { return t.name == out.Name }); i >= 0 && out.Type.IsFloat() {
			p.targets = append(p.targets, gs.targets[i])
		}
	}
	if len(p.targets) == 0 {
		p.session.Close()
		return errNoOutput
	}
	return nil
}

// run perturbs one site after the other.
func (p *perturbation) run(ctx context.Context, r *feed.Run, seed uint64) error {
	in := maps.Clone(r.Inputs)
	var outputs []string
	of := namesOf(p.targets)
	for i, s := range p.sites {
		in[p.noise[i]] = tensor.New(s.Computes(), 1)
		if !slices.Contains(of, s.Output) {
			outputs = append(outputs, s.Output)
		}
	}
	base := map[string]tensor.Dense{}
	done, err := (&probe{session: p.session}).run(ctx, in, slices.Concat(of, outputs), base)
	if err != nil {
		return err
	}
	defer done()
	counts, _, err := countingOf(p.targets, p.axes, r, valuesOf(p.targets, base))
	if err != nil {
		return err
	}
	result := make([]response, len(p.sites))
	for i, s := range p.sites {
		y := base[s.Output]
		delta, energy := p.draw(r, s, y, seed)
		zero := in[p.noise[i]]
		if in[p.noise[i]], err = encode(y.Type, y.Shape, delta); err != nil {
			return err
		}
		moved, err := p.session.Run(ctx, in, of)
		if err != nil {
			return err
		}
		in[p.noise[i]] = zero
		result[i].noise = energy
		for k, t := range p.targets {
			still, _ := p.axes.Lead(t.name, base[t.name], r.Batch)
			other, _ := p.axes.Lead(t.name, moved.Get(k), r.Batch)
			d, err := difference(still, other)
			if err != nil {
				moved.Close()
				return fmt.Errorf("output %q: %w", t.name, err)
			}
			result[i].change += t.square(finite(d), still.Shape, r.Inputs, counts, k)
		}
		moved.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.results[r.Seq] = result
	return nil
}

// draw returns noise for the output y of a site, none for filler, and its energy ‖δ‖².
func (p *perturbation) draw(r *feed.Run, s *rewrite.Site, y tensor.Dense, seed uint64) ([]float32, float64) {
	values := y.Float32s()
	delta := make([]float32, len(values))
	real, samples := len(values), 1
	if r.Batch > 0 && len(y.Shape) > 0 && y.Shape[0] == r.Batch {
		samples = len(r.Samples)
		real = len(values) / r.Batch * samples
	}
	square := 0.
	for _, v := range values[:real] {
		square += float64(v) * float64(v)
	}
	sigma := step
	if square > 0 {
		sigma *= math.Sqrt(square / float64(real))
	}
	energy := 0.
	for k := range samples {
		part := delta[k*(real/samples):][:real/samples]
		stream{seed, uint64(r.Indices[k]), 0, noise | uint64(s.Index)}.normal(part, sigma)
		for _, v := range part {
			energy += float64(v) * float64(v)
		}
	}
	return delta, energy
}

// change is the weighed energy of the difference of two values of an output of a run, of what tells anything.
func (t target) change(a, b tensor.Dense, inputs map[string]tensor.Dense, counts counting, at int) (float64, error) {
	d, err := difference(a, b)
	if err != nil {
		return 0, err
	}
	return t.square(d, a.Shape, inputs, counts, at), nil
}

// square is what a difference d of outputs of a shape counts for, the target being at that place among those that are counted.
func (t target) square(d []float32, shape []int, inputs map[string]tensor.Dense, counts counting, at int) float64 {
	t.telling(d, shape, inputs)
	counts.weigh(at, d)
	sum := 0.
	for _, v := range d {
		sum += float64(v) * float64(v)
	}
	return t.weight * sum
}

// finite is a difference without what is not finite in either of two outputs: where the model computes nothing, a small change
// shows nothing.
func finite(d []float32) []float32 {
	for i, v := range d {
		if v-v != 0 {
			d[i] = 0
		}
	}
	return d
}

// difference is b − a.
func difference(a, b tensor.Dense) ([]float32, error) {
	d := make([]float32, a.Len())
	if a.Len() != b.Len() {
		return nil, fmt.Errorf("%w from %s to %s", errSizes, tensor.ShapeText(a.Shape), tensor.ShapeText(b.Shape))
	}
	if x, y := a.Float32s(), b.Float32s(); x != nil && y != nil { // without copies: there may be a score for every word
		for i, v := range x {
			d[i] = float32(float64(y[i]) - float64(v))
		}
		return d, nil
	}
	x, err := a.Float64s()
	if err != nil {
		return nil, err
	}
	y, err := b.Float64s()
	if err != nil {
		return nil, err
	}
	for i, v := range x {
		d[i] = float32(y[i] - v)
	}
	return d, nil
}
