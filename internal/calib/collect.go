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
func Collect(ctx context.Context, lib *ort.Library, m *onnxio.Model, sites []rewrite.Site, src samples.Source, indices []int, o Options) (out []Stats, err error) {
	if len(sites) == 0 {
		return nil, nil
	}
	return out, swept(ctx, lib, m, sites, src, indices, o, Part{}, func(c *collector) error {
		out = nil
		return finish(c.heading(), c.account, c, func(s Stats) error {
			out = append(out, s)
			return nil
		})
	})
}

// swept hands over what the samples of a part show, in one sweep.
func swept(ctx context.Context, lib *ort.Library, m *onnxio.Model, sites []rewrite.Site, src samples.Source, indices []int, o Options, part Part, use func(*collector) error) error {
	err := sweep(ctx, lib, m, sites, src, indices, o, part, "", use)
	if failed := (*gradientError)(nil); errors.As(err, &failed) && ctx.Err() == nil {
		return sweep(ctx, lib, m, sites, src, indices, o, part, "the model's gradients depend on sizes that the data decides", use)
	}
	return err
}

// sweep is swept; why says, where it is not empty, that the model's gradients are not to be used.
func sweep(ctx context.Context, lib *ort.Library, m *onnxio.Model, sites []rewrite.Site, src samples.Source, indices []int, o Options, part Part, why string, use func(*collector) error) error {
	if len(indices) == 0 {
		return errors.New("there are no samples to calibrate on")
	}
	o = o.withDefaults()
	inputs, err := samples.Inputs(m)
	if err != nil {
		return err
	}
	c := newCollector(sites, inputs, o)
	c.none = why
	batch, workers := c.batch(), o.Threads // and at least two runs, where the model's own batch allows, which tell what is noise
	order := indices
	if o.Probes > 0 {
		if order, err = bySize(ctx, src, indices, inputs); err != nil {
			return err
		}
		if c.gradients, err = c.newGradients(lib, m, inputs); err != nil {
			return err
		}
		c.gradients.none = why
		defer c.gradients.close()
		held, fixed, err := c.gradients.footprint(ctx, src, order[len(order)-1])
		if err != nil {
			return err
		}
		batch, workers = feed.Within(o.Memory, held, fixed, batch, workers)
		// Each size of a run needs gradients of its own.
		batch = even(len(indices), min(batch, (len(indices)+1)/2))
		if err := c.gradients.locate(ctx, src, order, batch); err != nil {
			return err
		}
	} else {
		if c.probe, err = newProbe(lib, m, inputs, c.values); err != nil {
			return err
		}
		defer c.probe.close()
		batch = min(batch, (len(indices)+1)/2)
	}
	block := max(batch, 1)
	if own := samples.Batch(inputs); own > 0 {
		block = own
	}
	if err := c.cutInto((len(indices)+block-1)/block, part); err != nil {
		return err
	}
	defer c.close()
	workers = min(workers, c.workers(inputs, batch))
	runs, err := feed.New(src, order, inputs, batch, workers)
	if err != nil {
		return err
	}
	first, end := c.cut.part(part)
	runs.Between(c.cut.first(first), c.cut.first(end))
	if err := runs.Each(ctx, workers, o.Progress, c.begin); err != nil {
		return err
	}
	if err := c.reach(end); err != nil {
		return err
	}
	if first < end {
		err = c.account.take(ctx, c, func() string { return Blame(ctx, lib, m, src, order) }, func() (*feed.Feed, error) {
			return feed.New(src, indices[:min(len(indices), perturbed)], inputs, batch, workers)
		}, workers)
	}
	if err != nil {
		return err
	}
	return use(c)
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

// run feeds the model and adds what the sites see.
func (c *collector) run(ctx context.Context, w *worker, r *feed.Run) error {
	var err error
	if c.gradients != nil {
		err = c.backward(ctx, w, r)
	} else {
		err = c.forward(ctx, w, r)
	}
	if err != nil {
		return fmt.Errorf("sample %s: %w", r.Samples[0].Name, err)
	}
	return nil
}

// forward runs the model and adds the columns of the sites.
func (c *collector) forward(ctx context.Context, w *worker, r *feed.Run) error {
	values := maps.Clone(r.Inputs)
	done, err := c.probe.run(ctx, r.Inputs, c.probe.outputs, values)
	if err != nil {
		return err
	}
	defer done()
	return c.addColumns(ctx, w, r, values, make([][]float32, len(c.stations)))
}

// backward runs the model and its gradients, once per probe, and adds the columns and the
// sensitivities of the sites.
func (c *collector) backward(ctx context.Context, w *worker, r *feed.Run) error {
	p, done, err := c.gradients.get(ctx, r)
	if err != nil {
		return err
	}
	defer done()
	weights := make([][]float32, len(c.stations))
	for probe := range c.o.Probes {
		if err := c.backwardOnce(ctx, w, r, p, probe, weights); err != nil {
			return err
		}
	}
	return nil
}

// backwardOnce is backward for one probe. The first of them weighs the positions of
// each station: a gradient of zero in a random direction is zero in all of them.
func (c *collector) backwardOnce(ctx context.Context, w *worker, r *feed.Run, p *pass, probe int, weights [][]float32) error {
	inputs, why, err := p.directions(r, c.gradients.axes, c.o.Seed, probe)
	if err != nil {
		return err
	}
	outputs := p.probe.outputs
	if probe > 0 {
		outputs = p.found // columns are the same for every direction
	}
	values := maps.Clone(r.Inputs)
	done, err := p.probe.run(ctx, inputs, outputs, values)
	if err != nil && len(p.found) > 0 {
		return &gradientError{err}
	}
	if err != nil {
		return err
	}
	defer done()
	if probe == 0 {
		if why == "" {
			c.weigh(weights, p, r, values)
		}
		if err := c.addColumns(ctx, w, r, values, weights); err != nil {
			return err
		}
	}
	for i, s := range c.sensors {
		if err := ctx.Err(); err != nil {
			return err
		}
		reason := p.why[i]
		if reason == "" {
			reason = why
		}
		if err := s.add(ctx, w, r, probe, c.o.Probes, values[p.gradients[i]], weights[c.of[i]], reason); err != nil {
			return err
		}
	}
	return nil
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

// addColumns adds the values that the stations read, with the weights of their positions.
func (c *collector) addColumns(ctx context.Context, w *worker, r *feed.Run, values map[string]tensor.Dense, weights [][]float32) error {
	for k, st := range c.stations {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := st.add(ctx, w, r, values[c.values[c.from[k]]], weights[k]); err != nil {
			return err
		}
	}
	return nil
}
