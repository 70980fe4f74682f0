//go:build unix

package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/chart"
)

// forecastPlans is how many random plans of each model are timed.
const forecastPlans = 6

// The errors of forecasts that are wanted at most, as shares.
const (
	mostMeanError  = 0.03
	mostWorstError = 0.08
)

// forecasted are the models whose times are foretold, each with the flags that any run of it needs.
func (b *bench) forecasted() []trained {
	return []trained{
		{file: b.model(resnet)},
		{file: b.model("squeezenet1.1_imagenet.onnx")},
		{file: b.model("efficientnet_lite0.onnx")},
		{file: b.model("face_age.onnx")},
		{file: filepath.Join(b.data, "minilm", "model.onnx"), flags: []string{"--input-shape", "input_ids=1x64", "--input-shape", "attention_mask=1x64"}},
	}
}

// told are shares of the originals' times: of plans what was measured, and what was said before.
type told struct{ measured, foretold, macs []float64 }

// forecast holds what a table of costs says of whole models against what they take.
func (b *bench) forecast() error {
	if err := need("bench/minilm.sh", filepath.Join(b.data, "minilm", "model.onnx")); err != nil {
		return err
	}
	b.printf("%d random plans of each model: every site left alone, or at a random rank of a random scheme that saves multiply-adds there. Measured is the plan's time as a share of the original's, both the lower quartiles of the turns of `onnx-compress bench`, one sample on one thread; foretold is what the table of costs says of that share, and the last columns take the share of the multiply-adds for it. Errors are of the measured.\n\n```\n%s\n%s\n```\n\n| model | plans | measured | table, mean error | worst | multiply-adds, mean error | worst |\n|---|---|---|---|---|---|---|\n",
		forecastPlans, b.command("time", "MODEL", "-o", "costs.json"), b.command("MODEL", "-o", "small.onnx", "--from-plan", "RANDOM.json", "--costs", "costs.json", "--time", "--accept-damage"))
	var all told
	random := rand.New(rand.NewPCG(7, 30))
	for _, m := range b.forecasted() {
		one, err := b.forecastOf(m, random)
		if err != nil {
			return fmt.Errorf("%s: %w", m.file, err)
		}
		b.printf("%s\n", one.row(modelName(m.file)))
		all.measured, all.foretold, all.macs = slices.Concat(all.measured, one.measured), slices.Concat(all.foretold, one.foretold), slices.Concat(all.macs, one.macs)
	}
	b.printf("%s\n\n![Foretold against measured time](forecast.svg)\n", all.row("all"))
	if err := all.draw("bench/forecast.svg"); err != nil {
		return err
	}
	if mean, worst := errorsOf(all.foretold, all.measured); mean > mostMeanError || worst > mostWorstError {
		return unmet("forecasts are off by %.1f %% in the mean and %.1f %% at worst, want at most %.0f and %.0f", 100*mean, 100*worst, 100*mostMeanError, 100*mostWorstError)
	}
	return nil
}

// forecastOf times random plans of one model.
func (b *bench) forecastOf(m trained, random *rand.Rand) (t told, err error) {
	table := b.file("costs.json")
	if _, _, err := b.median(1, append([]string{"time", m.file, "-o", table, "-q"}, m.flags...)...); err != nil {
		return t, err
	}
	args := slices.Concat([]string{m.file, "-o", b.file("small.onnx"), "--accept-damage"}, m.flags)
	_, base, err := b.compress(append(slices.Clone(args), "--target", "macs=0.95")...)
	if err != nil {
		return t, err
	}
	paths := []string{m.file}
	for n := range forecastPlans {
		plan, err := b.savePlan("random.json", mixedPlan(base, random))
		if err != nil {
			return t, err
		}
		args[2] = b.file(fmt.Sprintf("plan%d.onnx", n))
		_, r, err := b.compress(append(slices.Clone(args), "--from-plan", plan, "--costs", table, "--time")...)
		if err != nil {
			return t, err
		}
		if r.Latency.Foretold == nil {
			return t, fmt.Errorf("plan %d: nothing was foretold", n+1)
		}
		paths = append(paths, args[2])
		t.foretold = append(t.foretold, r.Latency.Foretold.After/r.Latency.Foretold.Before)
		t.macs = append(t.macs, share(r.Output.MACs, r.Input.MACs))
	}
	models, err := b.beside("1", paths, m.flags...)
	if err != nil {
		return t, err
	}
	for i := range t.foretold {
		t.measured = append(t.measured, models[i+1].TimeLow/models[0].TimeLow)
		b.note("%s, plan %d: %.3f foretold, %.3f measured, %.3f of the MACs", modelName(m.file), i+1, t.foretold[i], t.measured[i], t.macs[i])
	}
	return t, nil
}

// mixedPlan leaves some sites alone and gives others a random rank of a random scheme, in blocks, of those that save multiply-adds.
func mixedPlan(r *compress.Result, random *rand.Rand) compress.Plan {
	p := compress.PlanOf(r)
	dense := 0.2 + 0.6*random.Float64()
	for i := range p.Sites {
		p.Sites[i].Method, p.Sites[i].Rank = compress.Dense, nil
		s := &r.Sites[i]
		shape := decomp.Shape{Out: s.Out, In: s.In, Window: s.Window, Groups: s.Groups}
		methods := slices.DeleteFunc(decomp.Methods(), func(m decomp.Method) bool { return m.Accepts(shape) != nil || len(saving(&m, shape)) == 0 })
		if len(methods) == 0 || random.Float64() < dense {
			continue
		}
		m := &methods[random.IntN(len(methods))]
		ranks := saving(m, shape)
		p.Sites[i].Method, p.Sites[i].Rank = m.Name, ranks[random.IntN(len(ranks))]
	}
	return p
}

// saving are the ranks of a method, in blocks, whose chain has fewer weights than the kernel.
func saving(m *decomp.Method, s decomp.Shape) []decomp.Rank {
	return slices.DeleteFunc(m.Ranks(s, 16), func(r decomp.Rank) bool { return m.Factors(s, r).Params() >= s.Params() })
}

// row is a line of the table.
func (t *told) row(name string) string {
	mean, worst := errorsOf(t.foretold, t.measured)
	plain, off := errorsOf(t.macs, t.measured)
	return fmt.Sprintf("| %s | %d | %.2f–%.2f | **%.1f %%** | **%.1f %%** | %.0f %% | %.0f %% |", name, len(t.measured), slices.Min(t.measured), slices.Max(t.measured), 100*mean, 100*worst, 100*plain, 100*off)
}

// errorsOf are the mean and the largest of the relative errors.
func errorsOf(said, measured []float64) (mean, worst float64) {
	for i := range said {
		e := math.Abs(said[i]/measured[i] - 1)
		mean, worst = mean+e/float64(len(said)), max(worst, e)
	}
	return mean, worst
}

// draw draws measured over foretold, with the line on which they agree.
func (t *told) draw(path string) error {
	low, high := 0., slices.Max(slices.Concat(t.measured, t.foretold, t.macs))
	svg, err := chart.SVG(chart.Plot{
		Title: "Foretold and measured time",
		Desc:  "A dot for every random plan of five models, by the table of costs and by its multiply-adds. On the grey line both are the same.",
		X:     "foretold, of the original's time", Y: "measured", XPercent: true, YPercent: true,
		Series: []chart.Series{
			{Name: "by the table of costs", Style: chart.Scatter, X: t.foretold, Y: t.measured},
			{Name: "by multiply-adds", Style: chart.Scatter, X: t.macs, Y: t.measured},
			{Style: chart.Guide, X: []float64{low, high}, Y: []float64{low, high}},
		},
		Width: 480, Height: 400,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(path, svg, 0o644)
}

// modelName is what a table calls a file.
func modelName(path string) string {
	name := strings.TrimSuffix(path[strings.LastIndex(path, "/")+1:], ".onnx")
	if name == "model" {
		return "minilm"
	}
	return name
}
