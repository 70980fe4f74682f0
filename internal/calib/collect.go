package calib

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/onnx-compress/onnx-compress/internal/defaults"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func (o Options) withDefaults() Options {
	defaults.Runs(&o.Batch, &o.Threads, &o.Progress)
	defaults.Sums(&o.Memory, &o.Backend)
	return o
}

// Collect sums the statistics of the sites over the samples numbered by indices, in
// one sweep. The result has one entry per site, in their order. Products are taken in
// float32 within a run and summed in float64 over the runs, in their order.
//
// A model with a fixed batch may get a last batch that samples do not fill; the filler
// is left out. Where a site's input does not have the batch as its axis 0, that whole
// last run is left out at this site.
//
// With o.Probes the sweep runs the graph of the model's gradients (see grad.Build) instead
// of the model, and sums their second moments G beside A: reverse mode gives the gradients
// of all sites for about the cost of another forward pass. Each probe is a random
// direction v in the outputs of every sample, for which E[g gᵀ] has the expectation Σ
// ∂f/∂y ∂f/∂yᵀ over the outputs (Hutchinson's estimator, see the field Stats.G). The
// outputs are taken as they are: behind a Softmax, sensitivities are those of
// probabilities. To second order the replacement of a site's weight by W+ΔW changes the
// outputs of a sample by E‖Δf‖² = T·tr(G ΔW A ΔWᵀ), T = Stats.PositionsPerSample.
//
// Where an operator without a gradient stands behind a site, or the data decides on sizes that gradients depend on, G = g·I
// with g measured on the first samples by perturbing the site's output alone; Note then says why.
func Collect(ctx context.Context, lib *ort.Library, m *onnxio.Model, sites []rewrite.Site, src samples.Source, indices []int, o Options) ([]Stats, error) {
	if len(sites) == 0 {
		return nil, nil
	}
	s, err := Sweep(ctx, lib, m, sites, src, indices, o, Part{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Stats(s.c.all())
}

// Sweep is Collect for the samples of a part, whose sums it keeps: in a temporary file, where they take more of the memory limit than there
// is room for beside what runs take.
func Sweep(ctx context.Context, lib *ort.Library, m *onnxio.Model, sites []rewrite.Site, src samples.Source, indices []int, o Options, part Part) (*Swept, error) {
	c, err := sweep(ctx, lib, m, sites, src, indices, o, part, "")
	if failed := (*gradientError)(nil); errors.As(err, &failed) && ctx.Err() == nil {
		c, err = sweep(ctx, lib, m, sites, src, indices, o, part, "the model's gradients depend on sizes that the data decides")
	}
	if err != nil {
		return nil, err
	}
	return newSwept(c), nil
}

// sweep collects; why says, where it is not empty, that the model's gradients are not to be used.
func sweep(ctx context.Context, lib *ort.Library, m *onnxio.Model, sites []rewrite.Site, src samples.Source, indices []int, o Options, part Part, why string) (_ *collector, err error) {
	if len(indices) == 0 {
		return nil, errors.New("there are no samples to calibrate on")
	}
	o = o.withDefaults()
	host := feed.Host{Library: lib, Memory: o.Memory}
	defer host.Shed(m)()
	inputs, err := samples.Inputs(m)
	if err != nil {
		return nil, err
	}
	c := newCollector(sites, inputs, o)
	c.none = why
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	order, live := indices, int64(0)
	batch := c.batch() // and at least two runs, where the model's own batch allows, which tell what is noise
	if o.Probes > 0 {
		if order, err = bySize(ctx, src, indices, inputs); err != nil {
			return nil, err
		}
		if c.gradients, err = c.newGradients(host, m, inputs); err != nil {
			return nil, err
		}
		c.gradients.none = why
		defer c.gradients.close()
		var held int64
		if held, live, err = c.gradients.footprint(ctx, src, order[len(order)-1]); err != nil {
			return nil, err
		}
		fixed := samples.Batch(inputs) > 0
		batch, _ = feed.Within(o.Memory, held, fixed, batch, 1)
		// Each size of a run needs gradients of its own.
		if batch = even(len(indices), min(batch, (len(indices)+1)/2)); !fixed {
			live *= int64(batch)
		}
		if err := c.gradients.locate(ctx, src, order, batch); err != nil {
			return nil, err
		}
	} else {
		if c.probe, err = newProbe(host, m, inputs, c.values); err != nil {
			return nil, err
		}
		defer c.probe.close()
		batch = min(batch, (len(indices)+1)/2)
	}
	block := max(batch, 1)
	if own := samples.Batch(inputs); own > 0 {
		block = own
	}
	if err := c.cutInto((len(indices)+block-1)/block, part); err != nil {
		return nil, err
	}
	workers := c.workers(inputs, batch, live)
	runs, err := feed.New(src, order, inputs, batch, workers)
	if err != nil {
		return nil, err
	}
	first, end := c.cut.part(part)
	runs.Between(c.cut.first(first), c.cut.first(end))
	if err := runs.Each(ctx, workers, o.Progress, c.begin); err != nil {
		return nil, err
	}
	if err := c.backlog.empty(ctx); err != nil {
		return nil, err
	}
	c.backlog = nil
	if err := c.reach(end); err != nil {
		return nil, err
	}
	if first == end {
		return c, nil
	}
	return c, c.account.take(ctx, c, func() string { return blame(ctx, host, m, src, order) }, func() (*feed.Feed, error) {
		return feed.New(src, indices[:min(len(indices), perturbed)], inputs, batch, workers)
	}, workers)
}

// even returns a batch that n samples fill without a rest, where there is one not much
// smaller than the given one.
func even(n, batch int) int {
	for b := min(n, batch); b > batch/2; b-- {
		if n%b == 0 {
			return b
		}
	}
	return batch
}

// begin makes the function of one worker.
func (c *collector) begin(ctx context.Context) func(*feed.Run) error {
	w := &worker{backend: c.o.Backend}
	return func(r *feed.Run) error { return c.run(ctx, w, r) }
}

// run feeds the model and adds what the sites see, or has it added later.
func (c *collector) run(ctx context.Context, w *worker, r *feed.Run) error {
	g := &given{run: r, weights: make([][]float32, len(c.stations))}
	if c.backlog != nil {
		g.buffer = c.backlog.buffer()
	}
	var err error
	if c.gradients != nil {
		err = c.backward(ctx, w, g)
	} else {
		err = c.forward(ctx, w, g)
	}
	if err != nil {
		return named(r, err)
	}
	if c.backlog != nil {
		return c.backlog.put(ctx, g)
	}
	return nil
}

// named says at which sample an error came.
func named(r *feed.Run, err error) error {
	return fmt.Errorf("sample %s: %w", r.Samples[0].Name, err)
}

// forward runs the model.
func (c *collector) forward(ctx context.Context, w *worker, g *given) error {
	values := maps.Clone(g.run.Inputs)
	done, err := c.probe.run(ctx, g.run.Inputs, c.probe.outputs, values)
	if err != nil {
		return err
	}
	defer done()
	return c.take(ctx, w, g, outcome{values: values}, c.probe.outputs)
}

// backward runs the model and its gradients, once per probe.
func (c *collector) backward(ctx context.Context, w *worker, g *given) error {
	p, done, err := c.gradients.get(ctx, g.run)
	if err != nil {
		return err
	}
	defer done()
	g.pass = p
	if g.counts, err = c.gradients.counting(ctx, g.run); err != nil {
		return err
	}
	for probe := range c.o.Probes {
		if err := c.backwardOnce(ctx, w, g, probe); err != nil {
			return err
		}
	}
	return nil
}

// backwardOnce is backward for one probe. The first of them weighs the positions of
// each station: a gradient of zero in a random direction is zero in all of them.
func (c *collector) backwardOnce(ctx context.Context, w *worker, g *given, probe int) error {
	p := g.pass
	inputs, why, err := p.directions(g.run, c.gradients.axes, g.counts, c.o.Seed, probe)
	if err != nil {
		return err
	}
	outputs := p.probe.outputs
	if probe > 0 {
		outputs = p.found // columns are the same for every direction
	}
	values := maps.Clone(g.run.Inputs)
	done, err := p.probe.run(ctx, inputs, outputs, values)
	if err != nil && len(p.found) > 0 {
		return &gradientError{err}
	}
	if err != nil {
		return err
	}
	defer done()
	if probe == 0 && why == "" {
		c.weigh(g.weights, p, g.run, values)
	}
	return c.take(ctx, w, g, outcome{values, why}, outputs)
}

// weigh finds the weights of the positions of a run at each station.
func (c *collector) weigh(weights [][]float32, p *pass, r *feed.Run, values map[string]tensor.Dense) {
	for k := range c.stations {
		var sites []*rewrite.Site
		var found []tensor.Dense
		for i, s := range c.sensors {
			if c.of[i] == k {
				sites, found = append(sites, s.site), append(found, values[p.gradients[i]])
			}
		}
		weights[k] = weigh(sites, r, found)
	}
}

// take adds what the next probe of a run gave, of which the runtime has the named values, or keeps them to be added later.
func (c *collector) take(ctx context.Context, w *worker, g *given, o outcome, names []string) error {
	g.probes = append(g.probes, o)
	if c.backlog != nil {
		g.keep(names)
		return nil
	}
	probe := len(g.probes) - 1
	if probe == 0 {
		for k := range c.stations {
			if err := c.addColumns(ctx, w, g, k); err != nil {
				return err
			}
		}
	}
	for i := range c.sensors {
		if err := c.addFelt(ctx, w, g, i, probe); err != nil {
			return err
		}
	}
	return nil
}

// addColumns adds the values that a station reads, with the weights of their positions.
func (c *collector) addColumns(ctx context.Context, w *worker, g *given, k int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.stations[k].add(ctx, w, g.run, g.probes[0].values[c.values[c.from[k]]], g.weights[k])
}

// addFelt adds what the outputs felt of a site in a probe.
func (c *collector) addFelt(ctx context.Context, w *worker, g *given, i, probe int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o, reason := g.probes[probe], g.pass.why[i]
	if reason == "" {
		reason = o.why
	}
	return c.sensors[i].add(ctx, w, g.run, probe, c.o.Probes, o.values[g.pass.gradients[i]], g.weights[c.of[i]], reason)
}
