package compress

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
	"github.com/onnx-compress/onnx-compress/verify"
)

// images are samples for the convolutional networks of the zoo.
func images(n int) memory { return drawn(n, "image", 3, 16, 16) }

// TestResult holds what a run says of itself against the files.
func TestResult(t *testing.T) {
	needRuntime(t)
	for probes, measure := range []Measure{EnergyShare, OutputChange} {
		o := Options{Targets: []Target{half(MACs), share(Params, 0.7)}, Source: images(40), CalibSamples: 24, Seed: 3, Probes: none(probes)}
		r := checkResult(t, zoo(t, "cnn"), o)
		if r.Plan.Measure != measure {
			t.Errorf("%d probes: measure %s, want %s", probes, r.Plan.Measure, measure)
		}
	}
}

// checkResult compresses on 24 of 40 samples in memory.
func checkResult(t *testing.T, m *onnxio.Model, opts Options) *Result {
	t.Helper()
	o := to(t, opts)
	r, written := runTo(t, m, o, threads(2))
	original, err := os.ReadFile(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		got  File
		path string
		data []byte
	}{{r.Input, m.Path, original}, {r.Output, o.Output, written}} {
		sum := sha256.Sum256(c.data)
		if c.got.Path != c.path || c.got.Bytes != int64(len(c.data)) || c.got.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%+v is not %s with %d bytes", c.got, c.path, len(c.data))
		}
	}
	if r.Schema != ResultSchema || r.Environment.Seed != 3 || r.Environment.Threads != 2 || r.Environment.Runtime == "" || r.Environment.Algebra == "" {
		t.Errorf("schema %q, environment %+v", r.Schema, r.Environment)
	}
	if c := r.Calibration; c == nil || c.Source != "40 samples in memory" || c.Samples != 24 || c.Sweeps != 1 {
		t.Errorf("calibration %+v", r.Calibration)
	}
	if v := r.Verification; v == nil || v.Samples != 16 || v.Original != m.Path || v.Compressed != o.Output || r.Unverified != "" {
		t.Errorf("verification %+v, unverified %q; want 16 samples and the final path", r.Verification, r.Unverified)
	}
	if r.Verification.Classes == nil || r.Verification.Classes.Accuracy == nil || r.Verification.Classes.Accuracy.Labelled != 16 {
		t.Errorf("classes %+v", r.Verification.Classes)
	}
	var stages []string
	for _, s := range r.Stages {
		stages = append(stages, s.Name)
	}
	want := []string{"analyse", "calibrate", "factor", "search", "refit", "rewrite", "write", "verify", "time"}
	if r.Plan.Corrections != nil {
		want = slices.Insert(want, 4, "correct", "search")
	}
	if (r.Plan.Corrections != nil) != (r.Plan.Measure == OutputChange) || !slices.Equal(stages, want) {
		t.Errorf("stages %v", stages)
	}
	checkSums(t, r)
	return r
}

// checkSums: what the sites save is what the model saves, and the targets hold.
func checkSums(t *testing.T, r *Result) {
	t.Helper()
	var macs, params int64
	var loss float64
	for _, s := range r.Sites {
		if (s.OutputChange != nil) != (r.Plan.Measure == OutputChange) {
			t.Errorf("site %s: output change %v under the measure %s", s.Name, s.OutputChange, r.Plan.Measure)
		}
		macs += s.MACsBefore - s.MACsAfter
		params += s.ParamsBefore - s.ParamsAfter
		if s.OutputChange != nil {
			loss += *s.OutputChange
		} else {
			loss += s.Loss
		}
		if (s.Method == Dense) != (s.Rank == nil) || s.Method == Dense && s.Loss != 0 {
			t.Errorf("site %s: method %s, rank %v, loss %g", s.Name, s.Method, s.Rank, s.Loss)
		}
	}
	if r.Input.MACs-r.Output.MACs != macs || r.Input.Params-r.Output.Params != params {
		t.Errorf("the sites save %d MACs and %d parameters, the model %d and %d", macs, params, r.Input.MACs-r.Output.MACs, r.Input.Params-r.Output.Params)
	}
	if math.Abs(loss-r.Plan.Loss) > 1e-9*loss || r.Plan.Bound > r.Plan.Loss+1e-12 || r.Plan.Gap < 0 {
		t.Errorf("the sites lose %g, the plan %+v", loss, r.Plan)
	}
	for _, c := range r.Targets {
		if float64(c.Reached) > c.Limit || c.Limit != c.Target.Limit(c.Original) {
			t.Errorf("target %+v", c)
		}
	}
}

// TestBudgetIsUsed: with many ranks to choose from, little of the budget is left.
func TestBudgetIsUsed(t *testing.T) {
	for _, v := range []float64{0.3, 0.5, 0.8} {
		r, _ := run(t, zoo(t, "cnn"), Options{Targets: []Target{share(MACs, v)}})
		if got := float64(r.Output.MACs) / float64(r.Input.MACs); got > v || got < 0.98*v {
			t.Errorf("macs=%g reaches %.4f", v, got)
		}
	}
}

// TestSameBytes: neither a second run nor the number of threads changes a byte, with data
// and without; the seed does, because it draws other samples.
func TestSameBytes(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	for _, c := range []struct {
		src     samples.Source
		probes  int
		methods []string
		threads []int
	}{
		{nil, 0, nil, []int{1, 1, 2, 5}},
		{images(90), 0, nil, []int{1, 1, 2, 5}},
		{images(90), 1, nil, []int{1, 1, 2, 5}},
		{nil, 0, schemes(), []int{1, 5}},
		{images(90), 1, schemes(), []int{1, 5}},
	} {
		o := Options{Targets: []Target{half(MACs)}, Source: c.src, CalibSamples: 70, Probes: none(c.probes), Methods: c.methods}
		if racing && c.methods != nil { // the runs before have one thread, too
			c.threads, o.Effort = []int{5}, "quick"
		}
		var first []byte
		for _, n := range c.threads {
			_, written := run(t, m, o, threads(n))
			if first == nil {
				first = written
			}
			if !bytes.Equal(first, written) {
				t.Errorf("%d threads write other bytes", n)
			}
		}
		if c.methods != nil {
			continue
		}
		o.Seed = 1
		if _, written := run(t, m, o); bytes.Equal(first, written) != (c.src == nil) {
			t.Errorf("data %v: with another seed the bytes are the same: %v", c.src != nil, c.src != nil)
		}
	}
}

// TestNothingToChange: a model without sites comes out as it is, and needs no calibration.
func TestNothingToChange(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn_overridable")
	for _, src := range []samples.Source{nil, images(20)} {
		o := to(t, Options{Targets: []Target{share(MACs, 1)}, Select: Selection{Keep: []string{"*"}}, Source: src})
		r, _ := runTo(t, m, o)
		same, err := onnxio.Read(o.Output)
		if err != nil {
			t.Fatal(err)
		}
		defer same.Close()
		plain := onnxio.WithMetadata(same, provenance.Prefix, nil)
		defer plain.Close()
		if ok, why := onnxio.Equal(m, plain); !ok {
			t.Error(why)
		}
		if src != nil && (r.Calibration == nil || r.Calibration.Sweeps != 0) {
			t.Errorf("calibration %+v", r.Calibration)
		}
		plan := PlanOf(r)
		follow, _ := run(t, m, Options{FromPlan: &plan, Source: src})
		for list, of := range map[string]*Result{`"targets":[]`: follow, `"sites":[]`: r, `"skipped":[]`: follow} {
			if text, err := json.Marshal(of); err != nil || !bytes.Contains(text, []byte(list)) {
				t.Errorf("%s is missing in %s, %v", list, text, err)
			}
		}
	}
}

// TestSplitOfSamples: unless told otherwise, a run keeps samples for verification.
func TestSplitOfSamples(t *testing.T) {
	for _, c := range []struct{ samples, asked, want int }{
		{0, 0, 0},
		{1, 0, 1},
		{2, 0, 1},
		{5, 0, 4},
		{10, 0, 9},
		{1000, 0, 900},
		{1138, 0, 1024},
		{5000, 0, 1024},
		{10, 10, 10},
		{10, 3, 3},
		{10, 30, 10},
	} {
		if got := (Options{CalibSamples: c.asked}).calibSamples(c.samples); got != c.want {
			t.Errorf("%d of %d samples, asked for %d; want %d", got, c.samples, c.asked, c.want)
		}
	}
	for _, c := range []struct {
		samples int
		goal    verify.Bound
		want    int
	}{
		{600, verify.Bound{Measure: verify.Agreement, Value: 0.99}, 400}, // two sets of 100
		{300, verify.Bound{Measure: verify.Agreement, Value: 0.99}, 150},
		{3000, verify.Bound{Measure: verify.Agreement, Value: 0.99}, 1024},
		{600, verify.Bound{Measure: verify.SNR, Value: 30}, 400},
	} {
		if got := (Options{Goals: []verify.Bound{c.goal}}).calibSamples(c.samples); got != c.want {
			t.Errorf("%d of %d samples for %s; want %d", got, c.samples, c.goal, c.want)
		}
	}
	needRuntime(t)
	r, _ := run(t, zoo(t, "cnn"), Options{Targets: []Target{half(MACs)}, Source: images(6), CalibSamples: 6})
	if r.Verification != nil || !strings.Contains(r.Unverified, "all 6 samples were used for calibration") {
		t.Errorf("verification %v, unverified %q", r.Verification, r.Unverified)
	}
	r, _ = run(t, zoo(t, "cnn"), Options{Targets: []Target{half(MACs)}, Source: images(6), VerifySamples: 1, CalibSamples: 2})
	if r.Verification == nil || r.Verification.Samples != 1 {
		t.Errorf("verification %+v; want one sample", r.Verification)
	}
}

// TestWithoutRuntime: the run is data-free, unverified, and says so; calibration is refused.
func TestWithoutRuntime(t *testing.T) {
	m, o := zoo(t, "cnn"), to(t, Options{Targets: []Target{half(MACs)}})
	r, err := Run(context.Background(), bare(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Verification != nil || r.Calibration != nil || !strings.Contains(r.Unverified, "hidden from this test") {
		t.Errorf("verification %v, calibration %v, unverified %q", r.Verification, r.Calibration, r.Unverified)
	}
	if _, err := os.Stat(o.Output); err != nil {
		t.Error(err)
	}
	o.Output, o.Source = out(t), images(10)
	_, err = Run(context.Background(), bare(), m, o)
	testkit.WantError(t, err, "calibration needs ONNX Runtime", "onnx-compress setup", "hidden from this test")
	empty(t, filepath.Dir(o.Output))
}

// TestOriginalThatDoesNotRun: a model that the runtime does not know is compressed all the
// same, unverified; so is one that random inputs do not suit.
func TestOriginalThatDoesNotRun(t *testing.T) {
	needRuntime(t)
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Input("x", tensor.Float32, 1, 8)
	n := b.Input("which", tensor.Int64, 1)
	n = b.Node("Add", []string{n, b.Ints("beyond", 5)})
	b.Node("Add", []string{b.Linear(x, 8, 8, false), b.Node("Gather", []string{b.Random("table", 0, 1, 1, 8), n})})
	b.Output(b.Rename("y"), tensor.Float32, 1, 8)
	for name, m := range map[string]*onnxio.Model{"custom": zoo(t, "custom_operator"), "picky": built(t, b)} {
		r, _ := run(t, m, Options{Targets: []Target{share(Params, 0.9)}})
		if r.Verification != nil || !strings.Contains(r.Unverified, "does not run the original on random inputs") {
			t.Errorf("%s: verification %v, unverified %q", name, r.Verification, r.Unverified)
		}
	}
}

// TestSamplesAtFault: samples that do not fit end the run with their names, and nothing
// is written.
func TestSamplesAtFault(t *testing.T) {
	needRuntime(t)
	m := zoo(t, "cnn")
	poison := func(at int, v float32) memory {
		src := images(12)
		src[at].Inputs["image"].Float32s()[5] = v
		return src
	}
	wrongType := images(12)
	for i := range wrongType {
		wrongType[i].Inputs["image"] = tensor.New(tensor.Float64, 3, 16, 16)
	}
	odd := images(12)
	odd[7] = drawn(1, "image", 3, 16, 15)[0]
	for name, c := range map[string]struct {
		src   memory
		words []string
	}{
		"wrong shape":    {drawn(12, "image", 4, 16, 16), []string{"image", "4", "3", "sample 0"}},
		"axis missing":   {drawn(12, "image", 16), []string{"image", "sample 0"}},
		"one odd sample": {odd, []string{"image", "15", "sample 0"}},
		"wrong type":     {wrongType, []string{"image", "float64", "float32"}},
		"other input":    {drawn(12, "picture", 3, 16, 16), []string{"picture", "image"}},
		"NaN":            {poison(4, float32(math.NaN())), []string{"sample 4", `"image"`, "NaN"}},
		"infinity":       {poison(9, float32(math.Inf(-1))), []string{"sample 9", `"image"`, "-Inf"}},
		"none":           {memory{}, []string{"no samples"}},
	} {
		o := to(t, Options{Targets: []Target{half(MACs)}, Source: c.src, CalibSamples: 10})
		_, err := Run(context.Background(), in(t), m, o)
		testkit.WantError(t, err, c.words...)
		if usage := (*UsageError)(nil); errors.As(err, &usage) {
			t.Errorf("%s: %v is not a matter of the options", name, err)
		}
		empty(t, filepath.Dir(o.Output))
	}
}

// poisoned makes a model with a NaN in the weight of its second node.
func poisoned(t *testing.T, v float64) *onnxio.Model {
	b := testmodels.NewBuilder(1, 17, 8)
	x := b.Linear(b.Input("x", tensor.Float32, "N", 8), 8, 8, false)
	numbers := make([]float64, 64)
	numbers[19] = v
	b.Node("MatMul", []string{x, b.Tensor("bad", tensor.Float32, []int{8, 8}, numbers)})
	b.Output(b.Rename("y"), tensor.Float32, "N", 8)
	return built(t, b)
}

// TestInfiniteWeights: what may be a mask is left alone, and why is said.
func TestInfiniteWeights(t *testing.T) {
	for _, v := range []float64{math.Inf(-1), math.Inf(1)} {
		o := RunOptions{Output: out(t), Options: Options{Targets: []Target{share(Params, 0.9)}, AcceptDamage: true}}
		r, err := Run(context.Background(), in(t), poisoned(t, v), o)
		if err != nil {
			t.Fatal(err)
		}
		if s := r.Sites[1]; s.Method != Dense || !strings.Contains(s.Note, "[2 3]") || !strings.Contains(s.Note, "mask") || r.Sites[0].Method == Dense {
			t.Errorf("%v: %+v", v, r.Sites)
		}
	}
}

// TestWeightsAtFault: NaN is refused with file, node and tensor, unless its node is left alone.
func TestWeightsAtFault(t *testing.T) {
	for _, v := range []float64{math.NaN()} {
		m := poisoned(t, v)
		o := RunOptions{Output: out(t), Options: Options{Targets: []Target{share(Params, 0.8)}}}
		_, err := Run(context.Background(), in(t), m, o)
		testkit.WantError(t, err, m.Path, `"bad"`, `"MatMul_2"`, "[2 3]")
		empty(t, filepath.Dir(o.Output))
		o.Select.Keep = []string{"MatMul_2"}
		o.Targets = []Target{share(Params, 0.9)}
		if _, err := Run(context.Background(), in(t), m, o); err != nil {
			t.Errorf("with the node left alone: %v", err)
		}
	}
}

// TestBrokenResult: a result that computes NaN where the original does not is refused.
func TestBrokenResult(t *testing.T) {
	needRuntime(t)
	for _, src := range []samples.Source{nil, images(20)} {
		w := factoredIn(t, in(t), zoo(t, "cnn"), Options{Targets: []Target{half(MACs)}, Source: src})
		c, err := w.choose(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		s, err := Assemble(context.Background(), w.env, w.a, c, w.o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		p := graph.Of(s.Model).Parts()
		first := p.Initializers[0]
		d, err := first.Dense()
		if err != nil {
			t.Fatal(err)
		}
		v := slices.Clone(d.Float32s())
		v[0] = float32(math.NaN())
		p.Initializers[0] = onnxio.DenseTensor(first.Name(), tensor.FromFloat32(d.Shape, v))
		spoiled := *s
		spoiled.Model = p.Model()
		defer spoiled.close()
		path := out(t)
		_, err = Deliver(context.Background(), w.env, w.a, &spoiled, w.o, path, onnxio.WriteOptions{})
		testkit.WantError(t, err, "NaN or infinite", `"logits"`, "the original for 0")
		empty(t, filepath.Dir(path))
	}
}

func TestBroken(t *testing.T) {
	for _, c := range []struct {
		before, after int
		fails         bool
	}{{0, 0, false}, {3, 3, false}, {3, 1, false}, {0, 1, true}, {3, 4, true}} {
		r := &verify.Report{Outputs: []verify.Output{{Name: "fine"}, {Name: "y", NonFiniteOriginal: c.before, NonFiniteCompressed: c.after}}, Samples: 9}
		if err := broken(r); (err != nil) != c.fails {
			t.Errorf("%d samples before, %d after: %v", c.before, c.after, err)
		}
	}
}

// TestOutputs: every target that cannot be written is refused before the work begins.
func TestOutputs(t *testing.T) {
	m := zoo(t, "cnn")
	link := filepath.Join(t.TempDir(), "link.onnx")
	if err := os.Symlink(m.Path, link); err != nil {
		t.Logf("no links here: %v", err)
		link = m.Path
	}
	there := filepath.Join(t.TempDir(), "there.onnx")
	if err := os.WriteFile(there, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		output string
		force  bool
		words  []string
	}{
		{m.Path, true, []string{"is a file that the model is read from"}},
		{link, true, []string{"is a file that the model is read from"}},
		{there, false, []string{"file already exists"}},
		{filepath.Join(there, "x.onnx"), true, []string{"not a folder"}},
		{filepath.Join(filepath.Dir(there), "none", "x.onnx"), true, []string{"folder"}},
		{"", true, []string{"no output"}},
	} {
		var seen log
		_, err := Run(context.Background(), in(t, told(seen.add)), m, RunOptions{Output: c.output, Overwrite: c.force, Options: Options{Targets: []Target{half(MACs)}}})
		testkit.WantError(t, err, c.words...)
		if len(seen.events) > 0 {
			t.Errorf("%s: work began before the refusal", c.output)
		}
		if c.output == there && !errors.Is(err, fs.ErrExist) {
			t.Errorf("%v is not fs.ErrExist", err)
		}
	}
	if data, err := os.ReadFile(there); err != nil || string(data) != "precious" {
		t.Errorf("the file that was there holds %q, %v", data, err)
	}
	runTo(t, m, RunOptions{Output: there, Overwrite: true, Options: quick(Options{Targets: []Target{half(MACs)}})})
}

// TestModelMadeInMemory: there is nothing to compare the result with.
func TestModelMadeInMemory(t *testing.T) {
	c, _ := testmodels.Get("cnn")
	m, err := c.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	_, err = Run(context.Background(), in(t), m, to(t, Options{Targets: []Target{half(MACs)}}))
	testkit.WantError(t, err, "made in memory")
}

// TestOptionsAtFault: what makes no sense for any model is a *UsageError.
func TestOptionsAtFault(t *testing.T) {
	m := zoo(t, "cnn")
	one := []Target{half(MACs)}
	for _, c := range []struct {
		o     Options
		words []string
	}{
		{Options{}, []string{"no target", "macs=0.5"}},
		{Options{Targets: []Target{half(MACs), share(MACs, 0.4)}}, []string{"two targets bound macs"}},
		{Options{Targets: one, RankMultiple: -1}, []string{"rank multiple is -1"}},
		{Options{Targets: one, CalibSamples: -5}, []string{"calibration samples is -5"}},
		{Options{Targets: one, VerifySamples: -1}, []string{"verification samples"}},
		{Options{Targets: one, Batch: -2}, []string{"batch is -2"}},
		{Options{Targets: one, Memory: -2}, []string{"memory limit is -2"}},
		{Options{Targets: one, Methods: []string{"svd", "vsd"}}, []string{`"vsd"`, `did you mean "svd"`}},
		{Options{Targets: one, InputShapes: map[string][]int{"imago": {1, 3, 16, 16}}}, []string{`"imago"`, `did you mean "image"`, m.Path}},
		{Options{Targets: one, InputShapes: map[string][]int{"image": {1, 4, 16, 16}}}, []string{`"image"`, "size 4 of axis 1 contradicts 3"}},
		{Options{Targets: one, InputShapes: map[string][]int{"image": {16, 16}}}, []string{`"image"`, "has 2 axes, the model declares 4"}},
		{Options{Targets: one, Select: Selection{Only: []string{"Conv_99"}}}, []string{string(OptionOnly), "Conv_99", "did you mean"}},
	} {
		o := to(t, c.o)
		_, err := Run(context.Background(), in(t), m, o)
		testkit.WantError(t, err, c.words...)
		if usage := (*UsageError)(nil); !errors.As(err, &usage) {
			t.Errorf("%v is no UsageError", err)
		}
		empty(t, filepath.Dir(o.Output))
	}
}

// TestEnvironmentAtFault: likewise for what work is done with.
func TestEnvironmentAtFault(t *testing.T) {
	for _, c := range []struct {
		o     EnvironmentOptions
		words []string
	}{
		{EnvironmentOptions{Threads: -2}, []string{"threads is -2"}},
		{EnvironmentOptions{Runtime: filepath.Join(t.TempDir(), "none.so")}, []string{"ONNX Runtime", "none.so"}},
	} {
		_, err := Open(c.o)
		testkit.WantError(t, err, c.words...)
		if usage := (*UsageError)(nil); !errors.As(err, &usage) {
			t.Errorf("%v is no UsageError", err)
		}
	}
}

// TestMethodsNamedTwice: a name given twice offers nothing twice.
func TestMethodsNamedTwice(t *testing.T) {
	methods, err := Options{Methods: []string{"svd", "svd"}}.methods()
	if err != nil || len(methods) != 1 {
		t.Errorf("%d methods, %v", len(methods), err)
	}
}
