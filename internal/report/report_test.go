package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Run the tests with -update to write the golden files anew, and read the difference.
var update = flag.Bool("update", false, "write the golden files")

// ref points to a value.
func ref[T any](v T) *T { return &v }

// result is a run with everything in it.
func result() *compress.Result {
	return &compress.Result{
		Schema: compress.ResultSchema,
		Input:  compress.File{Path: "model.onnx", Bytes: 714987, SHA256: "4d…", MACs: 20183488, Params: 176106},
		Output: compress.File{Path: "small.onnx", Bytes: 345812, SHA256: "a1…", MACs: 10089216, Params: 82970},
		Environment: compress.EnvironmentResult{
			Runtime: "1.32.0", RuntimePath: "/lib/libonnxruntime.so", Algebra: "gonum", Threads: 2, Seed: 1,
		},
		Targets: []compress.Reached{
			{Target: compress.Target{Resource: compress.MACs, Value: 0.5, Fraction: true}, Limit: 10091744, Original: 20183488, Reached: 10089216},
			{Target: compress.Target{Resource: compress.Params, Value: 90000}, Limit: 90000, Original: 176106, Reached: 82970},
		},
		Calibration: &compress.Calibration{Source: "1512 records of 1×28×28 in fashion.bin", Samples: 512, Sweeps: 1},
		Plan:        compress.PlanSummary{Measure: compress.OutputChange, Loss: 0.8954, Bound: 0.89535, Gap: 0.00005},
		Sites: []compress.SiteResult{
			{
				Name: "stem", Op: "Conv", Out: 16, In: 1, Window: []int{3, 3}, Groups: 1, Method: compress.Dense, BreakEven: 5,
				OutputChange: ref(0.0), MACsBefore: 112896, MACsAfter: 112896, ParamsBefore: 144, ParamsAfter: 144,
			},
			{
				Name: "stage1.conv1", Op: "Conv", Out: 16, In: 16, Window: []int{3, 3}, Groups: 2, Method: "svd", Rank: decomp.Rank{6},
				BreakEven: 14, Loss: 0.2303, OutputChange: ref(0.731), MACsBefore: 1806336, MACsAfter: 752640, ParamsBefore: 2304, ParamsAfter: 960,
			},
			{
				Name: "classifier", Op: "Gemm", Out: 10, In: 64, Groups: 1, Method: "svd", Rank: decomp.Rank{8}, BreakEven: 8, Loss: 0.0009,
				OutputChange: ref(0.1644), Note: "by differences", MACsBefore: 640, MACsAfter: 592, ParamsBefore: 640, ParamsAfter: 592,
			},
		},
		Merged: []compress.MergedNodes{{First: "expand/svd.second", Second: "squeeze/svd.first", Node: "expand/svd.second+squeeze/svd.first", Params: 1200, MACs: 58800}},
		Skipped: []compress.Skipped{
			{Name: "dw1", Op: "Conv", Reason: "one input channel for each output channel"},
			{Name: "scores", Op: "MatMul", Reason: "neither operand is constant"},
			{Name: "dw2", Op: "Conv", Reason: "one input channel for each output channel"},
			{Name: "dw3", Op: "Conv", Reason: "one input channel for each output channel"},
			{Name: "dw4", Op: "Conv", Reason: "one input channel for each output channel"},
			{Name: "dw5", Op: "Conv", Reason: "one input channel for each output channel"},
			{Name: "dw6", Op: "Conv", Reason: "one input channel for each output channel"},
		},
		Uncounted:    []compress.Skipped{{Name: "tail", Op: "MatMul", Reason: `the shape of "t" is not known`}},
		Verification: classified(),
		Stages:       []compress.Stage{{Name: "analyse", Seconds: 0.004}, {Name: "calibrate", Seconds: 1.25}, {Name: "verify", Seconds: 12}},
	}
}

// schemes are sites that were factored in many ways.
func schemes() []compress.SiteResult {
	var out []compress.SiteResult
	for i, s := range []struct {
		method string
		rank   decomp.Rank
	}{{"spatial", decomp.Rank{12}}, {"tucker2", decomp.Rank{8, 16}}, {"tt", decomp.Rank{4, 8, 12}}, {"tucker2", decomp.Rank{16, 16}}, {compress.Dense, nil}} {
		out = append(out, compress.SiteResult{
			Name: fmt.Sprintf("conv%d", i), Op: "Conv", Out: 32, In: 32, Window: []int{3, 3}, Groups: 1, Method: s.method, Rank: s.rank,
			BreakEven: 28, Loss: 0.01, MACsBefore: 9437184, MACsAfter: 4718592, ParamsBefore: 9216, ParamsAfter: 4608,
		})
	}
	return out
}

// trials is a search for a model that meets three goals.
func trials(shared bool) *compress.Trials {
	t := &compress.Trials{Over: compress.MACs, Judged: 1000, Proved: 900, Shared: shared, Steps: []compress.Trial{
		{Budget: 0.5, MACs: 10089216, Params: 82970, Loss: 0.8954, Values: []*float64{ref(0.991), ref(0.002), ref(21.25)}, Met: true},
		{Budget: 0.25, MACs: 5044608, Params: 41970, Loss: 4.25, Values: []*float64{ref(0.94), ref(-0.001), nil}},
		{Budget: 0.01, Why: "target macs=0.01 cannot be met"},
	}}
	for i, b := range []verify.Bound{{Measure: verify.Agreement, Value: 0.99}, {Measure: verify.Drop, Value: 0.005}, {Measure: verify.SNR, Value: 20}} {
		g := compress.GoalReached{Bound: b, Judged: t.Steps[0].Values[i]}
		if shared || i == 0 {
			g.Proved = g.Judged
		}
		t.Goals = append(t.Goals, g)
	}
	return t
}

// classified is a report on a classifier.
func classified() *verify.Report {
	return &verify.Report{
		Original: "model.onnx", Compressed: "small.onnx", Data: "1512 records of 1×28×28 in fashion.bin", Samples: 1000,
		Outputs: []verify.Output{{Name: "logits", Kind: "scores", Values: 10000, MaxRelative: 0.6961, MeanRelative: 0.32411, Cosine: 0.909649, SNR: ref(7.0712)}},
		Classes: &verify.Classes{Output: "logits", Count: 10, Agreement: 0.915, Accuracy: &verify.Accuracy{
			Labelled: 1000, Before: 0.947, After: 0.889, PerClass: []verify.ClassAccuracy{
				{Label: 0, Samples: 94, Before: 0.894, After: 0.819},
				{Label: 1, Samples: 102, Before: 0.99, After: 0.99},
				{Label: 4, Samples: 112, Before: 0.929, After: 0.714},
				{Label: 5, Samples: 1, Before: 0, After: 1},
				{Label: 6, Samples: 106, Before: 0.877, After: 0.67},
				{Label: 9, Samples: 88, Before: 0.98, After: 0.97},
			},
		}},
		Moved: []verify.Moved{
			{Name: "fashion.bin#7", Label: ref(3), Before: ref(3)},
			{Name: "fashion.bin#166", Error: ref(0.9321), Label: ref(4), Before: ref(4), After: ref(2)},
			{Name: "fashion.bin#1490", Error: ref(0.894), Label: ref(6), Before: ref(6), After: ref(6)},
			{Name: "fashion.bin#2", Error: ref(0.1)},
		},
	}
}

// inspection is a model with something of everything.
func inspection() *compress.Inspection {
	r := result()
	i := &compress.Inspection{
		Schema: compress.InspectionSchema, Path: "model.onnx", MACs: 20183488, Params: 176106, Skipped: r.Skipped,
		Unknown: []string{`input "x": size of axis 2 ("H") is not fixed`}, Uncounted: r.Uncounted,
	}
	for _, s := range r.Sites {
		i.Sites = append(i.Sites, compress.SiteInspection{
			Name: s.Name, Op: s.Op, Weight: s.Name + ".weight", Type: "float32", Out: s.Out, In: s.In, Window: s.Window, Groups: s.Groups,
			Params: s.ParamsBefore, MACs: s.MACsBefore, BreakEven: s.BreakEven, MaxRank: 16,
		})
	}
	i.Sites[1].MACs = 0
	i.Sites[2].Note = "the weight is also a graph input"
	return i
}

// whole is what stays as wide as it is.
func whole() []compress.WholeAxis {
	return []compress.WholeAxis{
		{Name: "fc2", Units: 10, Reason: `they are the graph output "logits"`},
		{Name: "add1", Units: 16, Reason: "values that several nodes compute are added on it"},
		{Name: "add2[0:16]", Units: 1, Reason: "values that several nodes compute are added on it"},
	}
}

// spectra is a model whose second site was factored in two ways.
func spectra() *compress.Inspection {
	svd, tucker := compress.SpectrumInspection{Method: "svd"}, compress.SpectrumInspection{Method: "tucker2"}
	for n := 1; n < 10; n++ {
		r := compress.RankInspection{Rank: decomp.Rank{n}, Loss: 0.9 / float64(n*n), MACs: int64(1000 * n), Params: int64(100 * n)}
		svd.Ranks, svd.BreakEven = append(svd.Ranks, r), r.Rank
	}
	tucker.Ranks = []compress.RankInspection{{Rank: decomp.Rank{4, 8}, Loss: 0.25}}
	tucker.BreakEven = tucker.Ranks[0].Rank
	i := inspection()
	i.Sites[1].Spectra = []compress.SpectrumInspection{svd, tucker}
	return i
}

// golden holds what write writes against a file.
func golden(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var got bytes.Buffer
	if err := write(&got); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, &got, want)
	}
	for i, line := range strings.Split(got.String(), "\n") {
		if strings.TrimRight(line, " \t") != line || strings.ContainsAny(line, "\x1b\t") {
			t.Errorf("%s: line %d has blanks at its end, tabs or colours: %q", name, i+1, line)
		}
	}
}

func TestResultText(t *testing.T) {
	show := func(verbose bool, change func(r *compress.Result)) func(io.Writer) error {
		r := result()
		change(r)
		return func(w io.Writer) error { return Result(w, r, verbose) }
	}
	golden(t, "result", show(false, func(r *compress.Result) { r.Uncounted = nil }))
	golden(t, "result_verbose", show(true, func(*compress.Result) {}))
	golden(t, "result_data_free", show(true, func(r *compress.Result) {
		r.Calibration, r.Verification, r.Unverified = nil, nil, "ONNX Runtime was not found: nowhere"
		r.Plan.Measure = compress.EnergyShare
		r.Sites = r.Sites[:1]
		r.Skipped = r.Skipped[:1]
		r.Uncounted = nil
	}))
	golden(t, "result_sweeps", show(false, func(r *compress.Result) {
		r.Calibration.Samples, r.Calibration.Sweeps, r.Plan.Measure = 1, 3, compress.EnergyShare
		r.Verification, r.Unverified = nil, "all 1 samples were used for calibration"
	}))
	golden(t, "result_goals", show(true, func(r *compress.Result) {
		r.Sites, r.Skipped, r.Uncounted = schemes(), nil, nil
		r.Trials = trials(false)
	}))
	golden(t, "result_corrected", show(false, func(r *compress.Result) { r.Plan.Corrections = make([]compress.Correction, 2) }))
	golden(t, "result_goals_shared", show(false, func(r *compress.Result) { r.Trials = trials(true) }))
	golden(t, "result_timed", show(false, func(r *compress.Result) {
		r.Latency = &compress.Latency{Sample: "fashion.bin#512", Batch: 1, Turns: 100, Before: 4.5, After: 3, Speed: 1.5, Low: 1.4, High: 1.6}
	}))
	golden(t, "result_slower", show(false, func(r *compress.Result) {
		r.Latency = &compress.Latency{Sample: "fashion.bin#512", Batch: 1, Turns: 100, Before: 3, After: 4.5, Speed: 0.67, Low: 0.6, High: 0.7}
	}))
	golden(t, "result_int8", show(false, func(r *compress.Result) {
		r.For, r.Int8 = &compress.Profile{Purpose: compress.ForCPUInt8, Set: []string{"methods width,svd"}}, asInt8()
	}))
	golden(t, "result_unquantized", show(false, func(r *compress.Result) { r.Unquantized = "python3 has no quantizer" }))
	golden(t, "result_untimed", show(false, func(r *compress.Result) { r.Latency = &compress.Latency{Skipped: "it does not run"} }))
	golden(t, "result_widths", show(true, func(r *compress.Result) {
		change := 0.25
		r.Axes = []compress.AxisResult{
			{Name: "conv1", Units: 4, Kept: []int{0, 3}, Producers: []string{"conv1"}, Readers: []string{"conv2", "conv3"}, Loss: 0.0123, OutputChange: &change},
			{Name: "fc1", Units: 3, Kept: []int{0, 1, 2}, Producers: []string{"fc1"}, Readers: []string{"fc2"}, Note: "fc2, which reads it, has 3 inputs and met 8 columns of them; 12 would tell what is lost"},
		}
		r.Whole = whole()
	}))
	golden(t, "result_nothing", show(true, func(r *compress.Result) {
		r.Sites, r.Uncounted, r.Calibration = []compress.SiteResult{}, nil, &compress.Calibration{Source: "images"}
		r.Skipped = r.Skipped[:2]
		r.Input.MACs, r.Output.MACs, r.Plan = 0, 0, compress.PlanSummary{}
		r.Verification = &verify.Report{Samples: 1, Data: "random inputs", Outputs: []verify.Output{{Name: "y", Values: 3, Cosine: 1}}}
	}))
}

func TestInspectionText(t *testing.T) {
	golden(t, "inspection", func(w io.Writer) error { return Inspection(w, inspection(), false) })
	golden(t, "inspection_verbose", func(w io.Writer) error { return Inspection(w, inspection(), true) })
	golden(t, "inspection_widths", func(w io.Writer) error {
		i := inspection()
		i.Axes = []compress.AxisInspection{{Name: "conv1", Units: 16, Producers: []string{"conv1"}, Readers: []string{"conv2", "conv3"}, Between: []string{"norm1"}}}
		i.Whole = whole()
		return Inspection(w, i, false)
	})
	golden(t, "inspection_spectra", func(w io.Writer) error { return Inspection(w, spectra(), false) })
	golden(t, "inspection_spectra_verbose", func(w io.Writer) error { return Inspection(w, spectra(), true) })
	golden(t, "inspection_nothing", func(w io.Writer) error {
		return Inspection(w, &compress.Inspection{Path: "relu.onnx", Sites: []compress.SiteInspection{}}, false)
	})
}

// TestVerificationText: outputs that are equal, zero, or not finite are told apart.
func TestVerificationText(t *testing.T) {
	golden(t, "verification", func(w io.Writer) error { return Verification(w, &compress.Verification{Report: classified()}) })
	golden(t, "verification_odd", func(w io.Writer) error {
		return Verification(w, &compress.Verification{Report: &verify.Report{Data: "samples", Samples: 12, Outputs: []verify.Output{
			{Name: "equal", Values: 4, Cosine: 1},
			{Name: "zero before", Values: 4, MaxRelative: 0.25, MeanRelative: 0.1},
			{Name: "never finite", NonFiniteOriginal: 12, NonFiniteCompressed: 12},
			{Name: "sometimes", Values: 8, Cosine: 0.5, MaxRelative: 1, MeanRelative: 1, SNR: ref(-3.0), NonFiniteOriginal: 1, NonFiniteCompressed: 2},
		}, Classes: &verify.Classes{Output: "equal", Count: 2, Agreement: 1}}})
	})
	golden(t, "verification_boxes", func(w io.Writer) error { return Verification(w, &compress.Verification{Report: detector(0.9673)}) })
	golden(t, "verification_tokens", func(w io.Writer) error { return Verification(w, spoken()) })
	golden(t, "verification_int8", func(w io.Writer) error {
		return Verification(w, &compress.Verification{Report: classified(), Int8: asInt8()})
	})
}

// asInt8 is how models fare as int8.
func asInt8() *compress.Int8 {
	return &compress.Int8{
		Quantizer: "1.32.0", Ranges: 25, Samples: 75, Place: compress.Place{Threads: 1, Batch: 1},
		Models: []compress.Int8Model{
			{Of: "model.onnx", Bytes: 4 << 20, Time: 1.5, Speed: 1},
			{Of: "model.onnx", How: "static", Bytes: 1 << 20, Report: classified(), Time: 0.6, Speed: 2.5},
			{Of: "small.onnx", Bytes: 2 << 20, Report: &verify.Report{Samples: 75, Outputs: []verify.Output{{Name: "y", Values: 4, Cosine: 1, SNR: ref(31.25)}}}, Time: 0.9, Speed: 1.67},
			{Of: "small.onnx", How: "dynamic", Bytes: 1 << 19, Report: &verify.Report{Samples: 75, Outputs: []verify.Output{{Name: "y", Values: 4, Cosine: 1}}}, Time: 0.4, Speed: 3.75},
		},
	}
}

func TestMethodText(t *testing.T) {
	m := compress.MethodText{Name: "cut", Title: "cuts things", Doc: "It cuts.\n\nTwice.", Formula: "a = b", Chain: "x → y", Cost: "r", Source: "a book"}
	golden(t, "method", func(w io.Writer) error { return Method(w, &m) })
	golden(t, "methods", func(w io.Writer) error {
		return Methods(w, []compress.MethodText{m, {Name: "other", Title: "other things"}})
	})
}

// TestJSONRoundTrip: what a script reads is what was there, and text stays text.
func TestJSONRoundTrip(t *testing.T) {
	bare := &compress.Result{Schema: compress.ResultSchema, Sites: []compress.SiteResult{}, Skipped: []compress.Skipped{}, Unverified: "<none> & nothing"}
	for _, want := range []any{
		result(), bare, inspection(), compress.MethodTexts(), classified(),
		&compress.Verification{Schema: compress.VerificationSchema, Report: classified()},
	} {
		var b bytes.Buffer
		if err := JSON(&b, want); err != nil {
			t.Fatal(err)
		}
		got := reflect.New(reflect.TypeOf(want).Elem()).Interface()
		d := json.NewDecoder(bytes.NewReader(b.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(got); err != nil {
			t.Fatalf("%T: %v", want, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%T: read back as\n%+v\nwas\n%+v", want, got, want)
		}
		if b.Bytes()[b.Len()-1] != '\n' || strings.Contains(b.String(), `\u003c`) {
			t.Errorf("%T: no final newline, or escaped characters: %s", want, &b)
		}
	}
}

func TestJSONErrors(t *testing.T) {
	if err := JSON(failing{}, 1); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
}

var errFull = errors.New("disk full")

// failing is a writer that takes left bytes and no more.
type failing struct{ left *int }

func (f failing) Write(b []byte) (int, error) {
	if f.left == nil || *f.left < len(b) {
		return 0, errFull
	}
	*f.left -= len(b)
	return len(b), nil
}

// TestWriteErrors: wherever the writer fails, the text ends with its error.
func TestWriteErrors(t *testing.T) {
	for name, write := range map[string]func(io.Writer) error{
		"result":       func(w io.Writer) error { return Result(w, result(), true) },
		"inspection":   func(w io.Writer) error { return Inspection(w, inspection(), true) },
		"verification": func(w io.Writer) error { return Verification(w, &compress.Verification{Report: classified()}) },
		"methods":      func(w io.Writer) error { return Methods(w, compress.MethodTexts().Methods) },
	} {
		var whole bytes.Buffer
		if err := write(&whole); err != nil {
			t.Fatal(err)
		}
		for left := range whole.Len() {
			if err := write(failing{&left}); !errors.Is(err, errFull) {
				t.Fatalf("%s with room for %d of %d bytes: error %v", name, left, whole.Len(), err)
			}
		}
	}
}

func ExampleCount() {
	fmt.Println(Count(812), Count(40551040), Bytes(40551040))
	// Output: 812 40.55 M 38.67 MiB
}
