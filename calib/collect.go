package calib

import (
	"context"
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/linalg"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func (o Options) withDefaults() Options {
	if o.Batch < 1 {
		o.Batch = 32
	}
	if o.Threads < 1 {
		o.Threads = 1
	}
	if o.Memory < 1 {
		o.Memory = 2 << 30
	}
	if o.Backend == nil {
		o.Backend = linalg.Gonum()
	}
	if o.Progress == nil {
		o.Progress = func(int, int) {}
	}
	return o
}

// Collect sums the statistics of the sites over the samples numbered by indices, in
// one sweep. The result has one entry per site, in their order. Products are taken in
// float32 within a run and summed in float64 over the runs, in their order.
//
// A model with a fixed batch may get a last batch that samples do not fill; the filler
// is left out. Where a site's input does not have the batch as its axis 0, that whole
// last run is left out at this site.
func Collect(ctx context.Context, lib *ort.Library, m *onnxio.Model, sites []rewrite.Site, src Source, indices []int, o Options) ([]Stats, error) {
	if len(sites) == 0 {
		return nil, nil
	}
	if len(indices) == 0 {
		return nil, errors.New("there are no samples to calibrate on")
	}
	o = o.withDefaults()
	inputs, err := Inputs(m)
	if err != nil {
		return nil, err
	}
	c := newCollector(sites, inputs, o)
	if c.probe, err = newProbe(lib, m, inputs, c.values); err != nil {
		return nil, err
	}
	defer c.probe.close()
	workers, batch := c.share(inputs)
	feed, err := NewFeed(src, indices, inputs, batch, workers)
	if err != nil {
		return nil, err
	}
	if err := feed.Each(ctx, workers, o.Progress, c.begin); err != nil {
		return nil, err
	}
	return c.finish(sites)
}

// collector is the state of one sweep.
type collector struct {
	o        Options
	stations []*station
	of       []int    // the station of each site
	values   []string // what the stations read, each value once
	from     []int    // the value of each station
	probe    *probe
}

func newCollector(sites []rewrite.Site, inputs []InputSpec, o Options) *collector {
	c := &collector{o: o, of: make([]int, len(sites))}
	index := map[string]int{}
	for i := range sites {
		s := &sites[i]
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
		c.stations = append(c.stations, newStation(s))
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

// share divides the memory: how many workers there can be, and how many samples a
// batch. The batch does not depend on the number of threads.
func (c *collector) share(inputs []InputSpec) (workers, batch int) {
	var sums, largest, activations int64
	seen := map[int]bool{}
	for k, st := range c.stations {
		sums += sumBytes(st.site)
		largest = max(largest, workerBytes(st.site))
		if !seen[c.from[k]] {
			seen[c.from[k]] = true
			activations += inputBytes(st.site)
		}
	}
	batch = c.o.Batch
	if activations > 0 {
		batch = int(max(1, min(int64(batch), c.o.Memory/4/activations)))
	}
	for _, in := range inputs {
		if len(in.Shape) > 0 && in.Shape[0] > 0 {
			activations /= int64(batch) // the model's own batch is counted already
			break
		}
	}
	each := largest + activations*int64(batch)
	return int(max(1, min(int64(c.o.Threads), (c.o.Memory-sums)/each))), batch
}

// begin makes the function of one worker.
func (c *collector) begin(ctx context.Context) func(*Run) error {
	context.AfterFunc(ctx, func() {
		for _, st := range c.stations {
			st.stop()
		}
	})
	w := &worker{backend: c.o.Backend}
	return func(r *Run) error { return c.run(ctx, w, r) }
}

// run feeds the probe and adds what the sites see.
func (c *collector) run(ctx context.Context, w *worker, r *Run) error {
	values := map[string]tensor.Dense{}
	for name, t := range r.Inputs {
		values[name] = t
	}
	if c.probe.session != nil {
		out, err := c.probe.session.Run(ctx, r.Inputs, c.probe.outputs)
		if err != nil {
			return fmt.Errorf("running the model on sample %s: %w", r.Samples[0].Name, err)
		}
		defer out.Close()
		for i, name := range c.probe.outputs {
			values[name] = out.Get(i)
		}
	}
	for k, st := range c.stations {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := st.add(ctx, w, r, values[c.values[c.from[k]]]); err != nil {
			return fmt.Errorf("sample %s: %w", r.Samples[0].Name, err)
		}
	}
	return nil
}

// finish turns the sums into statistics.
func (c *collector) finish(sites []rewrite.Site) ([]Stats, error) {
	moments := make([][]*linalg.Matrix, len(c.stations))
	for k, st := range c.stations {
		if st.positions == 0 {
			return nil, fmt.Errorf("node %q saw no samples: give at least as many as a batch of the model has, and none that are empty", st.site.Name)
		}
		moments[k] = st.sum.Mean(st.positions)
		for g, a := range moments[k] {
			if err := a.Check(); err != nil {
				return nil, fmt.Errorf("node %q: the second moments of its input %q (group %d) are not finite, so the model computes infinite or undefined numbers on these samples: %w; look at how the samples are scaled", st.site.Name, st.site.Input, g, err)
			}
		}
	}
	out := make([]Stats, len(sites))
	for i := range sites {
		st := c.stations[c.of[i]]
		out[i] = st.stats(&sites[i], moments[c.of[i]])
	}
	return out, nil
}
