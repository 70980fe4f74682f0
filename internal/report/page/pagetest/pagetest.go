// Package pagetest makes results up for tests of pages.
package pagetest

import (
	"fmt"
	"math"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/verify"
)

func number64(v float64) *float64 { return &v }
func class(v int) *int            { return &v }

// Full is a result with everything that a run can say, of so many layers and classes.
func Full(layers, classes int) *compress.Result {
	r := &compress.Result{
		Schema:      compress.ResultSchema,
		Input:       compress.File{Path: "models/<net>.onnx", Bytes: 5_000_000, SHA256: strings.Repeat("ab", 32), MACs: 40_000_000, Params: 1_200_000},
		Output:      compress.File{Path: "small.onnx", Bytes: 2_500_000, SHA256: strings.Repeat("cd", 32), MACs: 20_000_000, Params: 700_000},
		Environment: compress.EnvironmentResult{Runtime: "1.32.0", RuntimePath: "/lib/ort.so", Algebra: "openblas", Threads: 2, Seed: 7},
		Targets:     []compress.Reached{{Target: compress.Target{Resource: compress.MACs, Value: 0.5, Fraction: true}, Limit: 20_000_000, Original: 40_000_000, Reached: 20_000_000}},
		Calibration: &compress.Calibration{Source: "images/", Samples: 1024, Sweeps: 1},
		Plan: compress.PlanSummary{Measure: compress.OutputChange, Loss: 1.25, Bound: 1.2, Gap: 0.04, Corrections: []compress.Correction{
			{Sites: []string{"/conv0"}, Method: "svd", Rank: decomp.Rank{8}, Predicted: 1, Measured: 1.2, Samples: 64, Ratio: 1.2},
		}},
		Refit:     &compress.RefitSummary{Kept: 3, Fit: 800, Held: 224},
		Trials:    &compress.Trials{Goals: []compress.GoalReached{{Bound: verify.Bound{Measure: verify.Agreement, Value: 0.99}, Judged: number64(0.991), Proved: nil}}, Over: compress.MACs, Judged: 500, Proved: 1000},
		Skipped:   []compress.Skipped{{Name: "/gate & co", Op: "If", Reason: "it has subgraphs"}, {Name: "/other", Op: "If", Reason: "it has subgraphs"}},
		Uncounted: []compress.Skipped{{Name: "/loop", Op: "Loop", Reason: "its size is unknown"}},
		Merged:    []compress.MergedNodes{{First: "/a", Second: "/b", Node: "/a_b", Params: 10, MACs: 100}},
		Command:   `onnx-compress compress 'models/<net>.onnx' --target=macs=0.5`,
		Stages:    []compress.Stage{{Name: "analyse", Seconds: 0.25}},
		Latency: &compress.Latency{
			Sample: "images/1.png", Batch: 1, Turns: 100, Before: 4.5, After: 3, Speed: 1.5, Low: 1.4, High: 1.6,
			Activations: &compress.Activations{Before: 4 << 20, After: 3 << 20},
		},
		Frontier: &compress.Frontier{Over: compress.MACs, Chosen: compress.FrontierPoint{Budget: 0.5, Cost: 0.5, Loss: 1.25, Bound: 1.2}},
	}
	r.Trials.Steps = []compress.Trial{
		{Budget: 0.5, MACs: 20_000_000, Params: 700_000, Loss: 1.25, Values: []*float64{number64(0.991)}, Met: true},
		{Budget: 0.25, Values: []*float64{}, Why: "out of reach"},
	}
	for i := range 20 {
		cost := 0.1 + 0.9*float64(i)/19
		r.Frontier.Points = append(r.Frontier.Points, compress.FrontierPoint{Budget: cost, Cost: cost, Loss: math.Exp(-8*cost) * 70 * (1 - cost), Bound: math.Exp(-8*cost) * 68 * (1 - cost)})
	}
	for i := range layers {
		s := compress.SiteResult{
			Name: fmt.Sprintf("/conv%d", i), Op: "Conv", Out: 64, In: 32, Window: []int{3, 3}, Groups: 1, Method: "svd", Rank: decomp.Rank{8 + i}, BreakEven: 20,
			Loss: 0.01 * float64(i%7+1), OutputChange: number64(1.25 / float64(layers)), Refit: &compress.Refit{Kept: i%2 == 0, Before: 0.02, After: 0.015},
			MACsBefore: 1_000_000, MACsAfter: 400_000, ParamsBefore: 18_432, ParamsAfter: 8000,
		}
		if i%5 == 4 {
			s.Method, s.Rank, s.Loss, s.Note = compress.Dense, nil, 0, "its sensitivity was estimated"
		}
		for _, method := range []string{"svd", "svd-in", "spatial", "spatial-wh", "tucker2", "cp", "tt"} {
			m := compress.SpectrumInspection{Method: method}
			for k := range 10 {
				m.Ranks = append(m.Ranks, compress.RankInspection{Rank: decomp.Rank{k + 1, k + 1}, Loss: 0.5 / float64(1+k*k), MACs: int64(80_000 * (k + 1)), Params: int64(1600 * (k + 1))})
			}
			s.Spectra = append(s.Spectra, m)
		}
		r.Sites = append(r.Sites, s)
	}
	r.Verification = Behaviour(classes)
	r.Tuning = Tuning()
	return r
}

// Behaviour is a comparison of class scores.
func Behaviour(classes int) *verify.Report {
	v := &verify.Report{
		Original: "net.onnx", Compressed: "small.onnx", Data: "images/", Samples: 1000,
		Outputs: []verify.Output{{Name: "logits", Values: 10_000, MaxRelative: 0.2, MeanRelative: 0.01, Cosine: 0.9991, SNR: number64(31.2)}, {Name: "same", Values: 10, Cosine: 1}, {Name: "none"}},
		Classes: &verify.Classes{Output: "logits", Count: classes, Agreement: 0.97, Accuracy: &verify.Accuracy{Labelled: 900, Before: 0.912, After: 0.905}},
	}
	for i := range classes {
		v.Classes.Accuracy.PerClass = append(v.Classes.Accuracy.PerClass, verify.ClassAccuracy{Label: i, Samples: 90, Before: 0.9, After: 0.9 - 0.001*float64(i%9)})
	}
	for i := range 10 {
		v.Moved = append(v.Moved, verify.Moved{Name: fmt.Sprintf("images/<%d>.png", i), Error: number64(0.5 / float64(i+1)), Label: class(3), Before: class(3), After: class(5)})
	}
	v.Moved[9] = verify.Moved{Name: "broken"}
	v.Classes.Changed = v.Moved[:5]
	return v
}

// Tuning is a tuning that went well.
func Tuning() *compress.Tuning {
	t := &compress.Tuning{Source: "images/", Learned: 900, Held: 100, Augment: "flip", Batch: 64, Steps: 140, Optimizer: "adam", Parameters: 700_000, Tensors: 40, End: tune.Completed, Improved: true, Best: 3, Advice: "Learn longer."}
	for i := range 5 {
		t.Curve = append(t.Curve, tune.Point{Epoch: i, Step: 14 * i, Loss: 0.1 / float64(i+1), Held: 0.12 / float64(i+1), Agreement: 0.96, Accuracy: number64(0.9)})
	}
	return t
}

// Exploration is what several sizes of a model cost, one of them out of reach.
func Exploration() *compress.Exploration {
	e := &compress.Exploration{
		Schema: compress.ExplorationSchema, Input: compress.File{Path: "models/<net>.onnx", Bytes: 5_000_000, SHA256: strings.Repeat("ab", 32), MACs: 40_000_000, Params: 1_200_000},
		Over: compress.MACs, Environment: compress.EnvironmentResult{Runtime: "1.32.0", Algebra: "openblas", Threads: 2},
		Calibration: &compress.Calibration{Source: "images/", Samples: 512, Sweeps: 1}, Measure: compress.OutputChange, Data: "images/", Samples: 1000,
		Stages: []compress.Stage{{Name: "analyse", Seconds: 0.25}}, Command: "onnx-compress explore 'models/<net>.onnx' --report=sizes.html",
	}
	for i := range 4 {
		left := 0.9 - 0.2*float64(i)
		e.Points = append(e.Points, compress.Point{
			Budget: left, Path: fmt.Sprintf("sizes/net.%d.onnx", i), MACs: int64(left * 40e6), Params: int64(left * 1.2e6), Bytes: int64(left * 5e6), Loss: 0.01 / left, Bound: 0.009 / left,
			Outputs: []compress.PointOutput{{Name: "logits", SNR: number64(50 * left), Cosine: 0.99}}, Agreement: number64(1 - 0.004*float64(i)),
			Accuracy: &compress.PointAccuracy{Labelled: 900, Before: 0.91, After: 0.91 - 0.01*float64(i)}, Schemes: []compress.SchemeCount{{Method: "svd", Sites: 5}},
			Sites: []compress.SiteResult{
				{Name: "conv<1>", Op: "Conv", Method: "svd", Rank: decomp.Rank{8 * (4 - i)}, MACsBefore: 30e6, MACsAfter: int64(left * 30e6), ParamsBefore: 1e6, ParamsAfter: int64(left * 1e6)},
				{Name: "fc", Op: "Gemm", Method: compress.Dense, MACsBefore: 10e6, MACsAfter: 10e6, ParamsBefore: 2e5, ParamsAfter: 2e5},
			},
			Command: fmt.Sprintf("onnx-compress compress 'models/<net>.onnx' --target=macs=%.1f", left),
		})
	}
	e.Points = append(e.Points, compress.Point{Budget: 0.01, Why: "target macs=0.01 cannot be met", Schemes: []compress.SchemeCount{}})
	return e
}

// Int8 is how an original and a compressed model fare as int8.
func Int8() *compress.Int8 {
	same := func(share float64) *verify.Report {
		return &verify.Report{Samples: 100, Classes: &verify.Classes{Output: "logits", Count: 10, Agreement: share}, Outputs: []verify.Output{{Name: "logits", Values: 1000, Cosine: 1}}}
	}
	equal := &verify.Report{Samples: 100, Outputs: []verify.Output{{Name: "logits", Values: 1000, Cosine: 1}}}
	return &compress.Int8{
		Quantizer: "1.32.0", Ranges: 25, Samples: 100, Place: compress.Place{Threads: 1, Batch: 1},
		Models: []compress.Int8Model{
			{Of: "net.onnx", Bytes: 4 << 20, Time: 1.5, Speed: 1},
			{Of: "net.onnx", How: "static", Bytes: 1 << 20, Report: same(0.97), Time: 0.6, Speed: 2.5},
			{Of: "small.onnx", Bytes: 2 << 20, Report: equal, Time: 0.9, Speed: 1.67},
			{Of: "small.onnx", How: "static", Bytes: 1 << 19, Report: equal, Time: 0.4, Speed: 3.75},
		},
	}
}
