//go:build unix

package main

import (
	"cmp"
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"sync"

	"gonum.org/v1/gonum/stat"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/chart"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// predictionPlans is how many random plans are measured, and predictionSamples on how many
// test images.
const predictionPlans, predictionSamples = 50, 2048

// prediction holds what the metric expects of a plan against what the outputs really do.
func (b *bench) prediction() error {
	model := b.model("resnet20_cifar10.onnx")
	stats := []string{"--stats", b.file("prediction.stats"), "--verify-samples", "1"}
	first := append(append(b.calibrated("resnet20_cifar10.onnx", "small.onnx", "0.7"), "--methods", "svd", "--rank-multiple", "1", "--no-refit"), stats...)
	_, base, err := b.compress(first...)
	if err != nil {
		return err
	}
	data, done, err := b.outputsOf("cifar10_test.bin", model, predictionSamples)
	if err != nil {
		return err
	}
	defer done()
	original, err := data.run(b.ctx, model)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(20, 1))
	var predicted, measured []float64
	for n := range predictionPlans {
		path, err := b.savePlan("random.json", randomPlan(base, random))
		if err != nil {
			return err
		}
		args := append([]string{model, "-o", b.file("random.onnx"), "--from-plan", path, "--no-refit", "--calib", b.sample("cifar10_train5000.bin"), "--calib-samples", "1024"}, cifar...)
		_, r, err := b.compress(append(args, stats...)...)
		if err != nil {
			return err
		}
		got, err := data.run(b.ctx, b.file("random.onnx"))
		if err != nil {
			return err
		}
		predicted, measured = append(predicted, r.Plan.Loss), append(measured, change(original, got))
		b.note("plan %d of %d: %.3g predicted, %.3g measured", n+1, predictionPlans, predicted[n], measured[n])
	}
	rho := stat.Correlation(ranks(predicted), ranks(measured), nil)
	if err := scatter("bench/prediction.svg", predicted, measured); err != nil {
		return err
	}
	b.printf("%d random plans for ResNet-20: every site at a random rank of svd, or left alone. Predicted is J, the sum of T·tr(G ΔW A ΔWᵀ) over the sites, from 1,024 unlabelled training images; measured is the mean squared change of the centred logits on %d test images.\n\n```\n%s\n```\n\n",
		predictionPlans, predictionSamples, b.command(append([]string{model, "-o", "small.onnx", "--from-plan", "RANDOM.json", "--no-refit", "--calib", b.sample("cifar10_train5000.bin"), "--calib-samples", "1024"}, cifar...)...))
	small, large := slices.Min(measured), slices.Max(measured)
	b.printf("Spearman's rank correlation: **%.3f** (at least 0.9 is wanted), over changes from %.3g to %.3g.\n\n![Predicted against measured change of the outputs](prediction.svg)\n", rho, small, large)
	if !(rho >= 0.9) {
		return unmet("the rank correlation is %.3f, want at least 0.9", rho)
	}
	return nil
}

// randomPlan leaves some sites alone and gives the others ranks that save something, more or
// less of them from plan to plan, so that changes of all sizes come up.
func randomPlan(r *compress.Result, random *rand.Rand) compress.Plan {
	p := compress.PlanOf(r)
	least, dense := 0.1+0.85*random.Float64(), 0.7*random.Float64()
	for i := range p.Sites {
		p.Sites[i].Method, p.Sites[i].Rank = compress.Dense, nil
		rank := svdRank(&r.Sites[i], least+(1-least)*random.Float64())
		if rank > 0 && random.Float64() >= dense {
			p.Sites[i].Method, p.Sites[i].Rank = "svd", decomp.Rank{rank}
		}
	}
	return p
}

// outputs runs files on the same samples.
type outputs struct {
	env     *compress.Environment
	source  samples.Source
	inputs  []samples.InputSpec
	samples int
}

// outputsOf opens samples of the CIFAR records for a model; done closes what was opened.
func (b *bench) outputsOf(data, model string, count int) (o *outputs, done func(), err error) {
	m, err := onnxio.Read(model)
	if err != nil {
		return nil, nil, err
	}
	defer m.Close()
	o = &outputs{samples: count}
	if o.inputs, err = samples.Inputs(m); err != nil {
		return nil, nil, err
	}
	prepare := samples.SourceOptions{Mean: []float64{0.485, 0.456, 0.406}, Std: []float64{0.229, 0.224, 0.225}}
	if o.source, err = samples.Open(b.sample(data), prepare, o.inputs); err != nil {
		return nil, nil, err
	}
	if o.env, err = compress.Open(compress.EnvironmentOptions{}); err != nil {
		return nil, nil, err
	}
	return o, o.env.Close, nil
}

// run returns the first output of a file for every sample, one behind the other.
func (o *outputs) run(ctx context.Context, file string) ([][]float32, error) {
	lib, err := o.env.Need("a measurement")
	if err != nil {
		return nil, err
	}
	session, err := ort.Of(lib).NewSessionFile(file, ort.Options{})
	if err != nil {
		return nil, err
	}
	defer session.Close()
	indices := make([]int, min(o.samples, o.source.Len()))
	for i := range indices {
		indices[i] = i
	}
	runs, err := feed.New(o.source, indices, o.inputs, 128, 2)
	if err != nil {
		return nil, err
	}
	out := make([][]float32, len(indices))
	var mu sync.Mutex
	err = runs.Each(ctx, 2, func(string, int, int) {}, func(ctx context.Context) func(*feed.Run) error {
		return func(r *feed.Run) error {
			result, err := session.Run(ctx, r.Inputs, nil)
			if err != nil {
				return err
			}
			defer result.Close()
			v := result.Get(0).Float32s()
			each := len(v) / max(r.Batch, 1)
			mu.Lock()
			defer mu.Unlock()
			for i, n := range r.Indices {
				out[n] = slices.Clone(v[i*each : (i+1)*each])
			}
			return nil
		}
	})
	return out, err
}

// change is the mean over the samples of the squared distance of the centred outputs.
func change(a, b [][]float32) float64 {
	total := 0.
	for n := range a {
		mean, sum := 0., 0.
		for i, v := range a[n] {
			mean += float64(b[n][i]-v) / float64(len(a[n]))
		}
		for i, v := range a[n] {
			d := float64(b[n][i]-v) - mean
			sum += d * d
		}
		total += sum / float64(len(a))
	}
	return total
}

// ranks are the places of the numbers in ascending order; equal ones share their mean.
func ranks(v []float64) []float64 {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(v[i], v[j]) })
	out := make([]float64, len(v))
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && v[order[to]] == v[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			out[i] = float64(from+to-1) / 2
		}
		from = to
	}
	return out
}

// scatter draws measured over predicted, both logarithmic, with the line on which they agree.
func scatter(path string, predicted, measured []float64) error {
	all := slices.Concat(predicted, measured)
	low, high := slices.Min(all), slices.Max(all)
	svg, err := chart.SVG(chart.Plot{
		Title: "Predicted and measured change of the outputs",
		Desc:  "A dot for every plan. On the grey line both are the same.",
		X:     "predicted change of the logits, J", Y: "measured", LogX: true, LogY: true,
		Series: []chart.Series{
			{Style: chart.Scatter, X: predicted, Y: measured},
			{Style: chart.Guide, X: []float64{low, high}, Y: []float64{low, high}},
		},
		Width: 480, Height: 400,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(path, svg, 0o644)
}
