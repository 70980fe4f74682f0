package compress

import (
	"context"
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// factor turns the sites into offers. With a source, second moments are summed
// for one group of sites at a time, as many as the memory limit holds.
func (j *job) factor(ctx context.Context) error {
	if j.opts.Source != nil {
		return j.calibrated(ctx)
	}
	j.offers = make([]*offer, len(j.analysis.Sites))
	j.hold = j.holdable()
	all := make([]int, len(j.offers))
	for i := range all {
		all[i] = i
	}
	return j.factorGroup(ctx, "factor", all, nil)
}

// calibrated factors the sites under what they see of the samples.
func (j *job) calibrated(ctx context.Context) (err error) {
	j.result.Calibration = &Calibration{Source: j.opts.Source.Describe()}
	groups, err := j.groups()
	if err != nil {
		return err
	}
	j.offers = make([]*offer, len(j.analysis.Sites))
	if len(groups) == 0 {
		return nil
	}
	if j.hold = len(groups) == 1 && j.holdable(); !j.hold {
		if j.spill, err = newSpill(); err != nil {
			return err
		}
	}
	lib, err := j.libs.Need("calibration")
	if err != nil {
		return err
	}
	cache, err := j.openStats(ctx, groups)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cache.close()) }()
	j.result.Calibration.Samples, j.result.Calibration.Sweeps = len(j.calibrate), len(groups)
	for g, group := range groups {
		turn := ""
		if len(groups) > 1 {
			turn = fmt.Sprintf(" %d/%d", g+1, len(groups))
		}
		sites := make([]rewrite.Site, len(group))
		for i, k := range group {
			sites[i] = j.analysis.Sites[k]
		}
		var stats []calib.Stats
		err := j.stage(ctx, "calibrate"+turn, func() (err error) {
			stats, err = j.collect(ctx, lib, cache, sites, "calibrate"+turn)
			return err
		})
		if err != nil {
			return err
		}
		if err := j.factorGroup(ctx, "factor"+turn, group, stats); err != nil {
			return err
		}
	}
	return cache.commit()
}

// groups cuts the sites so that each group's moments fit the memory limit. A
// site that is too large for it alone is left as it is.
func (j *job) groups() ([][]int, error) {
	for {
		groups, err := calib.Groups(j.analysis.Sites, j.calibOptions(""))
		large := (*calib.TooLargeError)(nil)
		if !errors.As(err, &large) {
			return groups, err
		}
		before := len(j.analysis.Sites)
		j.analysis.leave(func(s *rewrite.Site) string {
			if s.Name != large.Site {
				return ""
			}
			return fmt.Sprintf("its second moments take %.3g MiB, more than the memory limit of %.3g MiB",
				float64(large.Needed)/(1<<20), float64(large.Memory)/(1<<20))
		})
		if len(j.analysis.Sites) == before {
			return nil, err
		}
	}
}

// calibOptions are the options of the calibration stage called name.
func (j *job) calibOptions(name string) calib.Options {
	return calib.Options{
		Batch: j.opts.Batch, Threads: j.opts.Threads, Memory: j.opts.Memory, Backend: j.libs.Algebra,
		Probes: j.opts.Probes, Seed: j.opts.Seed, Samples: len(j.calibrate),
		Progress: func(done, total int) { j.opts.Progress(name, done, total) },
	}
}

// factorGroup makes offers of the sites numbered in group. stats is nil or has one
// entry per site of the group.
func (j *job) factorGroup(ctx context.Context, name string, group []int, stats []calib.Stats) error {
	return j.stage(ctx, name, func() error {
		means := centres{}
		var first []*inquiry
		for i, k := range group {
			var seen calib.Stats
			if stats != nil {
				seen = stats[i]
			}
			o, err := j.offer(&j.analysis.Sites[k], seen, means)
			if err != nil {
				return fmt.Errorf("%s: %w", j.model.Path, err)
			}
			j.offers[k] = o
			first = append(first, j.begin(o)...)
		}
		return j.answer(ctx, name, first)
	})
}

// offer prepares one site to be factored under what calibration saw there; the zero
// Stats is none.
func (j *job) offer(s *rewrite.Site, seen calib.Stats, means centres) (*offer, error) {
	kernel, err := s.Load()
	if err != nil {
		return nil, err
	}
	o := &offer{site: *s, positions: 1, ratio: 1, note: seen.Note, output: seen.G, felt: seen.Felt}
	if seen.G != nil {
		o.sensitive, o.positions = true, seen.PositionsPerSample()
	}
	metric, mean := means.metric(s, seen)
	o.mean = mean
	whole, err := metric.Energy(j.libs.Algebra, kernel)
	if err != nil {
		return nil, fmt.Errorf("node %q (weight %q): %w", s.Name, s.Weight, err)
	}
	var constant float64
	if mean == nil {
		constant = constantEnergy(kernel, seen.Mean, metric.Out)
	}
	o.energy = max(whole-constant, leastEnergy*whole)
	o.options = []option{dense(s)}
	if j.hold {
		o.metric, o.spectra = &metric, map[string]decomp.Spectrum{}
		return o, nil
	}
	return o, j.spill.put(o, seen)
}

// centres keeps the second moments about the mean, by those about zero, so that sites
// that share the latter share the former. The nil centres keeps nothing.
type centres map[any]decomp.Metric

// metric returns by what errors of the site are weighed, and the mean of its inputs
// where a shift of the output is to follow. Where a constant can take up the mean
// error, errors are measured about the mean: the shift b' = b + (W−W')·E[x] makes up
// for the rest at no cost.
func (c centres) metric(s *rewrite.Site, seen calib.Stats) (m decomp.Metric, mean [][]float64) {
	if takesShift(s) && seen.Mean != nil && seen.Counts == nil {
		m, mean = c.centred(seen), seen.Mean
	} else {
		m = seen.Input(false)
	}
	if m.Out = seen.G; m.Out == nil {
		m.Out = s.OutputMetric()
	}
	return m, mean
}

// centred returns the moments of the inputs about their mean, A − E[x]E[x]ᵀ.
func (c centres) centred(seen calib.Stats) decomp.Metric {
	var key any
	switch {
	case c == nil:
	case len(seen.A) > 0:
		key = seen.A[0]
	case len(seen.Columns.Data) > 0:
		key = &seen.Columns.Data[0]
	}
	if m, known := c[key]; known {
		return m
	}
	m := seen.Input(true)
	if key != nil {
		c[key] = m
	}
	return m
}

// takesShift says whether a constant behind the site's product can take a shift
// at no more than one new parameter per output channel.
func takesShift(s *rewrite.Site) bool {
	place := s.Bias()
	return place == rewrite.BiasFree || place == rewrite.BiasGrows && s.Op == "Conv"
}

// leastEnergy bounds an output's variance from below, as a share of its second
// moment: a site whose output hardly varies would otherwise count without limit.
const leastEnergy = 1e-6

// constantEnergy is μᵀWᵀ G W μ, the part of the second moment of a site's output
// that is the square of its mean, μ = E[x]. mean and metric have one entry per
// group; nil means no mean, and the identity.
func constantEnergy(k decomp.Kernel, mean [][]float64, metric []*linalg.Matrix) float64 {
	rows, cols := k.Rows(), k.Cols()
	var energy float64
	y := make([]float64, rows)
	for g, x := range mean {
		for i := range rows {
			y[i] = 0
			for c, v := range k.Weights[(g*rows+i)*cols:][:cols] {
				y[i] += v * x[c]
			}
		}
		for i, v := range y {
			if metric == nil || metric[g] == nil {
				energy += v * v
				continue
			}
			for c, u := range y {
				energy += v * metric[g].At(i, c) * u
			}
		}
	}
	return energy
}
