package calib

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

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
	out, err := collect(ctx, lib, m, sites, src, indices, o, "")
	if failed := (*gradientError)(nil); errors.As(err, &failed) && ctx.Err() == nil {
		return collect(ctx, lib, m, sites, src, indices, o, "the model's gradients depend on sizes that the data decides")
	}
	return out, err
}

// collect is Collect; why says, where it is not empty, that the model's gradients are not to be used.
func collect(ctx context.Context, lib *ort.Library, m *onnxio.Model, sites []rewrite.Site, src samples.Source, indices []int, o Options, why string) ([]Stats, error) {
	if len(sites) == 0 {
		return nil, nil
	}
	if len(indices) == 0 {
		return nil, errors.New("there are no samples to calibrate on")
	}
	o = o.withDefaults()
	inputs, err := samples.Inputs(m)
	if err != nil {
		return nil, err
	}
	c := newCollector(sites, inputs, o)
	batch, workers := c.batch(), o.Threads // and at least two runs, where the model's own batch allows, which tell what is noise
	order := indices
	if o.Probes > 0 {
		if order, err = bySize(ctx, src, indices, inputs); err != nil {
			return nil, err
		}
		if c.gradients, err = c.newGradients(lib, m, inputs); err != nil {
			return nil, err
		}
		c.gradients.none = why
		defer c.gradients.close()
		held, fixed, err := c.gradients.footprint(ctx, src, order[len(order)-1])
		if err != nil {
			return nil, err
		}
		batch, workers = feed.Within(o.Memory, held, fixed, batch, workers)
		// Each size of a run needs gradients of its own.
		batch = even(len(indices), min(batch, (len(indices)+1)/2))
		if err := c.gradients.locate(ctx, src, order, batch); err != nil {
			return nil, err
		}
	} else {
		if c.probe, err = newProbe(lib, m, inputs, c.values); err != nil {
			return nil, err
		}
		defer c.probe.close()
		batch = min(batch, (len(indices)+1)/2)
	}
	workers = min(workers, c.workers(inputs, batch))
	runs, err := feed.New(src, order, inputs, batch, workers)
	if err != nil {
		return nil, err
	}
	if err := runs.Each(ctx, workers, o.Progress, c.begin); err != nil {
		return nil, err
	}
	out := c.finish(sites)
	if slices.ContainsFunc(out, func(s Stats) bool { return s.Unusable != "" && s.Positions > 0 }) {
		if why := Blame(ctx, lib, m, src, order); why != "" {
			for i := range out {
				if out[i].Positions > 0 && out[i].Unusable != "" {
					out[i].Unusable += ": " + why
				}
			}
		}
	}
	if o.Probes < 1 {
		return out, nil
	}
	if runs, err = feed.New(src, indices[:min(len(indices), perturbed)], inputs, batch, workers); err != nil {
		return nil, err
	}
	return out, c.finishSensitivities(ctx, out, runs, workers)
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

// collector is the state of one sweep.
type collector struct {
	o        Options
	stations []*station
	of       []int    // the station of each site
	values   []string // what the stations read, each value once
	from     []int    // the value of each station
	probe    *probe   // without probes of sensitivity

	gradients *gradients // with them
	sensors   []*sensor  // of each site
}

func newCollector(sites []rewrite.Site, inputs []samples.InputSpec, o Options) *collector {
	c := &collector{o: o, of: make([]int, len(sites))}
	index := map[string]int{}
	for i := range sites {
		s := &sites[i]
		if o.Probes > 0 {
			c.sensors = append(c.sensors, newSensor(s, o.Memory, o.Samples))
		}
		c.of[i] = -1
		for k, st := range c.stations {
			if sameColumns(st.site, s) {
				c.of[i] = k
			}
		}
		if c.of[i] >= 0 {
			continue
		}
		c.of[i] = len(c.stations)
		c.stations = append(c.stations, newStation(s, o.Samples))
		v, ok := index[s.Input]
		if !ok {
			v = len(c.values)
			index[s.Input] = v
			c.values = append(c.values, s.Input)
		}
		c.from = append(c.from, v)
	}
	return c
}

// activations is what the sites' inputs take, and with sensitivities their outputs' gradients, in bytes a sample.
func (c *collector) activations() (bytes int64) {
	seen := map[int]bool{}
	for k, st := range c.stations {
		if !seen[c.from[k]] {
			seen[c.from[k]] = true
			bytes += inputBytes(st.site)
		}
	}
	for _, s := range c.sensors {
		bytes += outputBytes(s.site)
	}
	return bytes
}

// batch is how many samples run at once, whatever the number of threads.
func (c *collector) batch() int {
	if each := c.activations(); each > 0 {
		return int(max(1, min(int64(c.o.Batch), c.o.Memory/4/each)))
	}
	return c.o.Batch
}

// workers is how many there can be with runs of so many samples in what the sums leave of the memory.
func (c *collector) workers(inputs []samples.InputSpec, batch int) int {
	var sums, largest int64
	for _, st := range c.stations {
		sums += InputBytes(st.site, c.o.Samples)
		largest = max(largest, workerBytes(st.site, c.o.Samples))
	}
	for _, s := range c.sensors {
		bytes := sensitivityBytes(s.site, c.o.Memory)
		sums += bytes
		largest = max(largest, bytes+workerSpare)
	}
	run := c.activations()
	if samples.Batch(inputs) == 0 { // else the model's own batch is counted already
		run *= int64(batch)
	}
	return int(max(1, min(int64(c.o.Threads), (c.o.Memory-sums)/max(largest+run, 1))))
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
		if err := s.add(ctx, w, r, r.Seq*c.o.Probes+probe, values[p.gradients[i]], weights[c.of[i]], reason); err != nil {
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

// finish turns the sums into statistics.
func (c *collector) finish(sites []rewrite.Site) []Stats {
	seen := make([]Stats, len(c.stations))
	for k, st := range c.stations {
		seen[k] = st.finish(c.o.Backend)
	}
	out := make([]Stats, len(sites))
	for i := range sites {
		out[i] = seen[c.of[i]]
		if out[i].Site = sites[i].Name; out[i].Unusable == "" {
			out[i].OutputShape = outputShape(&sites[i], c.stations[c.of[i]].shape)
		}
	}
	return out
}
