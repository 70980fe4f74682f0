package compress

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/probe"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
)

// CostOptions say for what a table of costs is made. The zero value of a field means its default.
type CostOptions struct {
	// Source has samples to run the model on; nil means random inputs.
	Source samples.Source
	// InputShapes gives the shapes of random inputs where the model leaves them open.
	InputShapes map[string][]int
	// Batch is how many samples run at once, where the model's batch is free (1).
	Batch int
	// Threads is on how many threads ONNX Runtime computes a node (1).
	Threads int
	// Methods are the names of the decompositions that may be used; nil means all of them. With Width among them, narrower layers are
	// measured too.
	Methods []string
	// RankMultiple is as in Options.
	RankMultiple int
	// For is what the models are for that it is asked about: Methods and RankMultiple are as that sets them where they are not set, and for
	// ForCPUInt8 it is int8 models that are timed, as ONNX Runtime's quantizer makes them.
	For Purpose

	block int           // as in Options
	int8  *int8Original // what is timed in the place of the model and of its nodes
}

// rungsMeasured is how many ranks of a method are measured at sites of one kind, and widthsMeasured in how many parts an axis is cut for
// the widths that are; a model fills in the others.
const (
	rungsMeasured  = 4
	widthsMeasured = 4
)

// MeasureTimes measures on this machine what ranks of the sites of the model m, read from a file, take in ONNX Runtime: a table that
// tells how long models take that m becomes. Of every method, some ranks are measured, and one beyond a block.
func MeasureTimes(ctx context.Context, env *Environment, m *onnxio.Model, o CostOptions) (*costs.Table, error) {
	if o.Batch < 0 || o.Threads < 0 {
		return nil, &UsageError{Err: errors.New("batch and threads cannot be negative")}
	}
	if err := (Options{For: o.For}).CheckPurpose(); err != nil {
		return nil, &UsageError{Err: err}
	}
	lib, err := env.need("measuring costs")
	if err != nil {
		return nil, err
	}
	timed := BenchOptions{Source: o.Source, InputShapes: o.InputShapes, Batch: o.Batch, Threads: o.Threads}
	run, err := firstRun(ctx, m, &timed)
	if err != nil {
		return nil, err
	}
	shapes := map[string][]int{}
	for name, t := range run.Inputs {
		shapes[name] = t.Shape
	}
	purpose, _ := Options{Source: timed.Source, Methods: o.Methods, RankMultiple: o.RankMultiple, For: o.For, block: o.block}.profiled()
	if o.For == ForCPUInt8 && o.int8 == nil {
		if o.int8, err = quantizedOriginal(ctx, env, m, timed.Source, firstOf(timed.Source.Len(), timingRanges)); errors.As(err, new(*unquantizedError)) {
			return nil, &UsageError{Err: err}
		}
		if err != nil {
			return nil, err
		}
		defer o.int8.close()
	}
	choose := Options{InputShapes: shapes, Methods: purpose.Methods, RankMultiple: purpose.RankMultiple, block: purpose.block, int8: o.int8}
	var a *Analysis
	var probes []probe.Probe
	err = env.stage(ctx, "analyse", func(*stage) error {
		if a, err = Analyse(ctx, m, choose); err == nil {
			probes, err = a.grid(ctx, choose)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(probes) == 0 {
		return nil, fmt.Errorf("%s: no node of it may change, so that there is nothing to measure", m.Path)
	}
	var found *probe.Measured
	err = env.stage(ctx, "time", func(st *stage) error {
		ref := probe.Reference{Path: o.int8.reference(m.Path), Inputs: run.Inputs}
		found, err = probe.Measure(ctx, lib, ref, probes, max(o.Threads, 1), func(done, total int) { st.told("", done, total) })
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(found.Points) == 0 {
		return nil, fmt.Errorf("%s: nothing could be measured: %w", m.Path, errors.Join(found.Refused...))
	}
	file, err := describe(ctx, m.Path, a.Costs)
	if err != nil {
		return nil, err
	}
	return costs.New(machine(lib, max(o.Threads, 1), max(run.Count(), 1)), found.PerNode, []costs.Model{{SHA256: file.SHA256, Micros: found.Whole, Int8: o.int8.word()}}, found.Points)
}

// machine is this one as a table of costs names it.
func machine(lib *ort.Library, threads, batch int) costs.Machine {
	at := here(lib, threads, batch)
	return costs.Machine{Processor: at.Processor, Runtime: "ONNX Runtime " + at.Runtime, Provider: at.Provider, Threads: at.Threads, Batch: at.Batch}
}

// grid are the probes of all nodes that multiply by a weight, of some ranks of all methods at the sites, and of the nodes where axes are
// narrower: of every piece one.
func (a *Analysis) grid(ctx context.Context, o Options) ([]probe.Probe, error) {
	o = o.WithDefaults()
	all, _, err := rewrite.Linear(a.model, a.Shapes)
	if err != nil {
		return nil, err
	}
	g := griding{a: a, at: map[string]int{}}
	for i := range all {
		if own, err := a.probes(&all[i], undivided(all[i].Kernel)); err == nil {
			g.take(own)
			g.out[g.at[own[0].Piece.Key()]].Count++
		} // else its cost is unknown, and the table says so where it is asked
	}
	alike := map[string]bool{}
	for i := range a.Sites {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := g.factored(&a.Sites[i], o, alike); err != nil {
			return nil, fmt.Errorf("%s: %w", a.model.Path, err)
		}
	}
	for i := range all {
		if len(a.Axes) > 0 {
			g.narrower(shaped{&all[i], follows(&all[i], a.Axes)}, o)
		}
	}
	return g.out, nil
}

// griding gathers probes.
type griding struct {
	a   *Analysis
	at  map[string]int // where the pieces are
	out []probe.Probe
}

// take adds those of pieces that are not there yet.
func (g *griding) take(probes []probe.Probe) {
	for _, p := range probes {
		if _, known := g.at[p.Piece.Key()]; !known {
			g.at[p.Piece.Key()], g.out = len(g.out), append(g.out, p)
		}
	}
}

// factored adds some ranks of all methods at a site, unless there was one alike.
func (g *griding) factored(s *rewrite.Site, o Options, alike map[string]bool) error {
	own, err := g.a.probes(s, undivided(s.Kernel))
	if err != nil {
		return nil // its cost is unknown
	}
	if key := own[0].Piece.Key(); alike[key] {
		return nil
	} else {
		alike[key] = true
	}
	for j := range g.a.methods {
		for _, c := range rungs(s, &g.a.methods[j], o.multiple(s.Kernel)) {
			probes, err := g.a.probes(s, c)
			if err != nil {
				return err
			}
			g.take(probes)
		}
	}
	return nil
}

// narrower adds a site as it is, and with fewer channels: with one of its axes narrower, and all of them.
func (g *griding) narrower(s shaped, o Options) {
	if len(s.by) == 0 {
		return
	}
	of := func(axis int) int { return g.a.Axes[axis].Units }
	for part := range widthsMeasured {
		one := func(axis int) int {
			step := o.widthMultiple(of(axis))
			k := of(axis) * part / widthsMeasured / step * step
			return of(axis) - max(k, step)
		}
		if part == 0 {
			one = func(axis int) int { return max(of(axis)/2-1, 0) } // one beyond a block, where half of it is blocks
		}
		g.dense(s, one)
		for _, by := range s.by {
			g.dense(s, func(axis int) int {
				if axis == by.axis {
					return one(axis)
				}
				return 0
			})
		}
	}
	g.dense(s, func(int) int { return 0 })
}

// dense adds the site where so many units of each axis are gone; what cannot be measured is left out.
func (g *griding) dense(s shaped, gone func(axis int) int) {
	site := *s.site
	site.Kernel = s.kernel(gone)
	if probes, err := g.a.probes(&site, undivided(site.Kernel)); err == nil {
		g.take(probes)
	}
}

// rungs are chains of some ranks of a method that save something at a site, the smallest and the largest among them, and where ranks are
// multiples of a block one that is not.
func rungs(s *rewrite.Site, m *decomp.Method, multiple int) []decomp.Chain {
	if m.Accepts(s.Kernel) != nil {
		return nil
	}
	dense := dense(s)
	var saving []decomp.Rank
	for _, r := range m.Ranks(s.Kernel, multiple) {
		if c := m.Factors(s.Kernel, r); c != nil && (s.MACs(c) < dense.macs || s.NewParams(c) < dense.params) {
			saving = append(saving, r)
		}
	}
	var out []decomp.Chain
	last := -1
	for i := range min(rungsMeasured, len(saving)) {
		k := 0
		if n := min(rungsMeasured, len(saving)); n > 1 {
			k = i * (len(saving) - 1) / (n - 1)
		}
		if k != last {
			out, last = append(out, m.Factors(s.Kernel, saving[k])), k
		}
	}
	if multiple > 1 && len(saving) > 0 {
		beyond := slices.Clone(saving[len(saving)/2])
		beyond[len(beyond)-1]++
		if c := m.Factors(s.Kernel, beyond); c != nil {
			out = append(out, c)
		}
	}
	return out
}
