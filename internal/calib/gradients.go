package calib

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// gradients has a session of the model's gradients for each shape of a run's inputs. Such
// a session holds for its shapes only.
type gradients struct {
	host    feed.Host
	model   *onnxio.Model
	inputs  []samples.InputSpec
	targets []target
	axes    feed.Axes // of the targets
	values  []string  // what the stations read
	sites   []*rewrite.Site
	none    string // why there are to be no gradients, empty where there are

	passes *feed.Pool[pass]
	// forward computes the targets alone, where what their numbers count depends on these; nil where they count alike.
	forward *probe
}

// locate finds along which axes of the outputs samples lie.
func (gs *gradients) locate(ctx context.Context, src samples.Source, indices []int, batch int) (err error) {
	names := namesOf(gs.targets)
	if boxed(gs.targets) >= 0 {
		if gs.forward, err = newProbe(gs.host, gs.model, gs.inputs, names); err != nil {
			return err
		}
	}
	gs.axes, err = axesOf(ctx, func() (*ort.Session, func(), error) {
		p, err := newProbe(gs.host, gs.model, gs.inputs, names)
		if err != nil {
			return nil, nil, err
		}
		return p.session, p.close, nil
	}, src, indices, gs.inputs, batch, gs.targets)
	return err
}

// pass is a session that gives out what stations read and the gradients of the outputs of
// sites.
type pass struct {
	probe      *probe
	cotangents []cotangent
	gradients  []string // of each site, empty where there is none
	why        []string // there is none
	found      []string // the gradients that there are
}

// cotangent is the input of a pass that weighs an output.
type cotangent struct {
	target
	at    int // among the targets
	input string
	typ   tensor.Type
	shape []int
}

// mostPasses is how many sessions are kept. Each has the model's weights.
const mostPasses = 4

// get returns the pass for the inputs of a run, and a function that gives it back.
func (gs *gradients) get(ctx context.Context, r *feed.Run) (*pass, func(), error) {
	return gs.passes.Get(r, func(p *pass) error { return gs.build(ctx, p, r.Inputs) })
}

func (gs *gradients) close() {
	gs.passes.Close()
	if gs.forward != nil {
		gs.forward.close()
	}
}

func (p *pass) close() {
	if p.probe != nil {
		p.probe.close()
	}
}

// forSites makes room for what is known of so many sites.
func (p *pass) forSites(n int) { p.gradients, p.why = make([]string, n), make([]string, n) }

// build makes the session. A site whose gradient cannot be had does not keep the others
// from theirs.
func (gs *gradients) build(ctx context.Context, p *pass, inputs map[string]tensor.Dense) error {
	p.forSites(len(gs.sites))
	err := gs.differentiate(ctx, p, inputs)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		return nil
	}
	for i := range p.why {
		if p.gradients[i] = ""; p.why[i] == "" {
			p.why[i] = err.Error()
		}
	}
	p.cotangents, p.found = nil, nil
	p.probe, err = newProbe(gs.host, gs.model, gs.inputs, gs.values)
	return err
}

// differentiate makes the session of the gradients that can be had.
func (gs *gradients) differentiate(ctx context.Context, p *pass, inputs map[string]tensor.Dense) error {
	if gs.none != "" {
		return errors.New(gs.none)
	}
	values, err := grad.Observe(ctx, gs.host.Library, gs.model, inputs)
	if err != nil {
		return err
	}
	m, outputs, err := gs.derived(p, values)
	if err != nil {
		return err
	}
	defer m.Close()
	session, err := gs.host.NewSession(m)
	if err != nil {
		return fmt.Errorf("ONNX Runtime does not take the model of the gradients: %w", err)
	}
	p.probe = &probe{session: session, outputs: outputs}
	return nil
}

// derived is the model of the gradients that can be had where the model's values are such, and what is asked of it.
func (gs *gradients) derived(p *pass, values grad.Values) (*onnxio.Model, []string, error) {
	o := grad.Options{Values: values}
	for i, t := range gs.targets {
		if v := values[t.name]; v.Type.IsFloat() {
			o.Outputs = append(o.Outputs, t.name)
			p.cotangents = append(p.cotangents, cotangent{target: t, at: i, typ: v.Type, shape: v.Shape})
		}
	}
	if len(o.Outputs) == 0 {
		return nil, nil, errNoOutput
	}
	for _, s := range gs.sites {
		o.Wanted = append(o.Wanted, s.Output)
	}
	for _, v := range gs.values {
		if !slices.ContainsFunc(gs.inputs, func(in samples.InputSpec) bool { return in.Name == v }) {
			o.Keep = append(o.Keep, v)
		}
	}
	blocked, err := grad.Blocked(gs.model, o)
	if err != nil {
		return nil, nil, err
	}
	for i, s := range gs.sites {
		if b := blocked[s.Output]; len(b) > 0 {
			p.why[i] = fmt.Sprintf("no gradient passes %s", b[0])
		}
	}
	o.Wanted = slices.DeleteFunc(o.Wanted, func(v string) bool { return len(blocked[v]) > 0 })
	if len(o.Wanted) == 0 {
		return nil, nil, errors.New("no site has a gradient")
	}
	g, err := grad.Build(gs.model, o)
	if err != nil {
		return nil, nil, err
	}
	for i := range p.cotangents {
		p.cotangents[i].input = g.Cotangents[p.cotangents[i].name]
	}
	for i, s := range gs.sites {
		if p.gradients[i] = g.Gradients[s.Output]; p.gradients[i] != "" {
			p.found = append(p.found, p.gradients[i])
		}
	}
	return g.Model, slices.Concat(o.Keep, p.found), nil
}

// gradientError says that a model's gradients cannot be computed for a run: they are made for the sizes that values have in the
// run that was looked at, and data made them others.
type gradientError struct{ err error }

func (e *gradientError) Error() string { return "its gradients: " + e.err.Error() }

// Unwrap returns the cause.
func (e *gradientError) Unwrap() error { return e.err }

// errSizes says that a change inside the model changes the shape of an output.
var errSizes = errors.New("its shape changes")

// errNoKernel says that the runtime runs the model, but not with what perturbs it, as of opset 6, whose Add it does not have.
var errNoKernel = errors.New("ONNX Runtime does not take the model with perturbations")

// errNoOutput says that there is nothing to be sensitive.
var errNoOutput = errors.New("no output that counts is of a floating-point type")

// directions draws the cotangents of a run: standard normal numbers, centred over the
// classes of class scores or the vocabulary of next tokens, zero at padding of these, multiplied with what each number counts, and scaled by the root of the output's weight. Those of a sample
// depend on the seed, its number in the source and the probe. Filler has the cotangent
// zero. Where filler cannot be told from samples, because an output has no axis for the
// batch, why says so, and all are zero.
func (p *pass) directions(r *feed.Run, axes feed.Axes, counts counting, seed uint64, probe int) (in map[string]tensor.Dense, why string, err error) {
	in = maps.Clone(r.Inputs)
	drawn := make([]tensor.Dense, len(p.cotangents))
	for i, c := range p.cotangents {
		all := tensor.New(tensor.Float32, c.shape...)
		each, samples := all.Len(), 1 // an output for all samples together
		led, single := axes.Lead(c.name, all, r.Batch)
		if drawn[i] = led; r.Batch > 0 && single {
			each, samples = all.Len()/r.Batch, len(r.Samples)
		} else if r.Batch > len(r.Samples) {
			why = fmt.Sprintf("output %q has no axis for the batch, and every batch is filled up", c.name)
			continue
		}
		v := led.Float32s()
		for k := range samples {
			s := stream{seed, uint64(r.Indices[k]), uint64(probe), uint64(c.number)}
			s.normal(v[k*each:][:each], math.Sqrt(c.weight))
		}
		c.telling(v, led.Shape, r.Inputs)
		counts.weigh(c.at, v)
		if single {
			drawn[i] = axes.Back(c.name, led)
		}
	}
	for i, c := range p.cotangents {
		if why != "" {
			drawn[i] = tensor.New(tensor.Float32, c.shape...)
		}
		if in[c.input], err = encode(c.typ, c.shape, drawn[i].Float32s()); err != nil {
			return nil, "", fmt.Errorf("the direction in output %q: %w", c.name, err)
		}
	}
	return in, why, nil
}

// newGradients prepares for sessions, which are made as shapes turn up.
func (c *collector) newGradients(host feed.Host, m *onnxio.Model, inputs []samples.InputSpec) (*gradients, error) {
	targets, err := targets(m, c.o)
	if err != nil {
		return nil, err
	}
	gs := &gradients{host: host, model: m, inputs: inputs, targets: targets, values: c.values, passes: feed.NewPool(mostPasses, (*pass).close)}
	for _, s := range c.sensors {
		gs.sites = append(gs.sites, s.site)
	}
	return gs, nil
}
