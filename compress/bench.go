package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
	"github.com/onnx-compress/onnx-compress/internal/dynlib"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/internal/timing"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// BenchOptions say how models are timed side by side. The zero value of a field means its default.
type BenchOptions struct {
	// Source has the samples, of which the first are run; nil means random inputs.
	Source samples.Source
	// InputShapes gives the shapes of random inputs where the model leaves them open.
	InputShapes map[string][]int
	// Batch is how many samples run at once, where the first model's batch is free (1).
	Batch int
	// Threads is on how many threads ONNX Runtime computes a node (1).
	Threads int
	Seed    uint64 // draws random inputs
}

// BenchmarkSchema names the shape of a Benchmark as JSON.
const BenchmarkSchema = "onnx-compress/benchmark/1"

// Benchmark is how long models take in ONNX Runtime on this machine, each beside the first.
type Benchmark struct {
	Schema string `json:"schema"`
	Place
	// Data and Sample are what ran: the source of the samples, and the first of them.
	Data   string `json:"data"`
	Sample string `json:"sample"`
	// Turns is how often every model ran, after some runs that do not count.
	Turns     int            `json:"turns"`
	Models    []TimedModel   `json:"models"`
	Operators []OperatorTime `json:"operators"`
}

// Place is where and how models were timed.
type Place struct {
	Processor string `json:"processor"`
	// Runtime is ONNX Runtime's version, and Provider who computes in it.
	Runtime  string `json:"runtime"`
	Provider string `json:"provider"`
	Threads  int    `json:"threads"`
	// Batch is how many examples run at once, as far as the samples or the first axes of the inputs tell; else 1.
	Batch int `json:"batch"`
}

// TimedModel is what one run of a model takes.
type TimedModel struct {
	Path string `json:"path"`
	// Time is the median in milliseconds, and TimeLow and TimeHigh are the quartiles around it.
	Time     float64 `json:"ms"`
	TimeLow  float64 `json:"ms_low"`
	TimeHigh float64 `json:"ms_high"`
	// Speed is the median over the turns of the first model's time over this one's, with its quartiles.
	Speed     float64 `json:"speed"`
	SpeedLow  float64 `json:"speed_low"`
	SpeedHigh float64 `json:"speed_high"`
	// Throughput is how many examples a second that are.
	Throughput float64 `json:"throughput"`
	// Memory is by how many bytes what is resident grew, at its peak, while the model was loaded and ran once; 0 where the system
	// does not say.
	Memory int64 `json:"memory"`
}

// OperatorTime is what the nodes of one operator take in one run of each model, as the runtime runs them: under its own names, after
// it has fused nodes and added others. Profiles measure it in other runs than the ones that are timed.
type OperatorTime struct {
	Op string `json:"op"`
	// Nodes and Micros, in microseconds, have a number for each model.
	Nodes  []int     `json:"nodes"`
	Micros []float64 `json:"us"`
}

// benchLimits bound the timing of models for its own sake, profileLimits the profiling after it.
func benchLimits() timing.Limits {
	return timing.Limits{WarmUps: 3, Settle: 1, Least: 10, Most: 400, For: 10 * time.Second}
}

func profileLimits() timing.Limits {
	return timing.Limits{Settle: 1, Least: 8, Most: 60, For: 3 * time.Second}
}

// loads is how often models are loaded to see what memory that takes, of which the median counts.
const loads = 3

// profileWarmUps is how many runs of a profile do not count.
const profileWarmUps = 3

// Bench times the models at paths on the same inputs, by turns; m is the first of them, read from its file.
func Bench(ctx context.Context, env *Environment, m *onnxio.Model, others []string, o BenchOptions) (*Benchmark, error) {
	if o.Batch < 0 || o.Threads < 0 {
		return nil, &UsageError{Err: errors.New("batch and threads cannot be negative")}
	}
	lib, err := env.need("timing models")
	if err != nil {
		return nil, err
	}
	run, err := firstRun(ctx, m, &o)
	if err != nil {
		return nil, err
	}
	b := &bencher{lib: lib, env: env, run: run, paths: append([]string{m.Path}, others...), threads: max(o.Threads, 1)}
	out := &Benchmark{
		Schema: BenchmarkSchema, Place: here(lib, b.threads, max(run.Count(), 1)),
		Data: o.Source.Describe(), Sample: run.Samples[0].Name,
	}
	if err := env.stage(ctx, "time", func(*stage) error { return b.time(ctx, out) }); err != nil {
		return nil, err
	}
	if err := env.stage(ctx, "profile", func(*stage) error { return b.profile(ctx, out) }); err != nil {
		return nil, err
	}
	return out, nil
}

// here is this machine as a place.
func here(lib *ort.Library, threads, batch int) Place {
	return Place{timing.Processor(), lib.Version(), cpuProvider, threads, batch}
}

// cpuProvider is the one provider that models run in here.
const cpuProvider = "CPUExecutionProvider"

// firstRun is what the models are run on, of the source that the options name or of random numbers, which the options then name.
func firstRun(ctx context.Context, m *onnxio.Model, o *BenchOptions) (*feed.Run, error) {
	inputs, err := samples.Inputs(m)
	if err != nil {
		return nil, err
	}
	batch := max(o.Batch, 1)
	if fixed := samples.Batch(inputs); fixed > 0 && o.Batch > 0 && fixed != o.Batch {
		return nil, &UsageError{Err: fmt.Errorf("%s: batch %d is asked for, and the model takes %d at once", m.Path, o.Batch, fixed)}
	}
	if o.Source != nil {
		return feed.First(ctx, o.Source, firstOf(o.Source.Len(), batch), inputs, batch)
	}
	if err := checkShapes(m, o.InputShapes); err != nil {
		return nil, &UsageError{Err: fmt.Errorf("%s: %w", m.Path, err)}
	}
	if o.Source, err = newNoise(m, batched(m, o), o.Seed); err != nil {
		return nil, &UsageError{Err: fmt.Errorf("nothing to run the models on: %w", err)}
	}
	return feed.First(ctx, o.Source, firstOf(1, 1), inputs, 1)
}

// batched are the shapes of random inputs, so many samples long where the model leaves their first axis open.
func batched(m *onnxio.Model, o *BenchOptions) map[string][]int {
	out := maps.Clone(o.InputShapes)
	if out == nil {
		out = map[string][]int{}
	}
	concrete, _ := shapes.InputShapes(m, out)
	for _, in := range graph.Of(m).Feeds() {
		shape, known := concrete[in.Name()]
		if _, given := out[in.Name()]; o.Batch > 0 && known && !given && len(shape) > 0 && in.Dims()[0].Size < 0 {
			shape[0] = o.Batch
			out[in.Name()] = shape
		}
	}
	return out
}

// firstOf numbers the first samples of n, from the start again where there are fewer than are wanted.
func firstOf(n, wanted int) []int {
	out := make([]int, wanted)
	for i := range out {
		out[i] = i % max(n, 1)
	}
	return out
}

// bencher times models.
type bencher struct {
	lib     *ort.Library
	env     *Environment
	run     *feed.Run
	paths   []string
	threads int
}

// open makes a session of each of the models, which runs once. The caller closes those that there are, also with an error.
func (b *bencher) open(ctx context.Context, profiles string, note func(i int, memory int64)) (open []*ort.Session, err error) {
	for i, path := range b.paths {
		dynlib.Trim() // so that no model finds what another one has freed
		o := ort.Options{Threads: b.threads}
		if profiles != "" {
			o.ProfilePrefix = filepath.Join(profiles, fmt.Sprintf("%d", i))
		}
		memory, err := rss.Growth(func() error {
			s, err := b.lib.NewSessionFile(path, o)
			if err != nil {
				return err
			}
			open = append(open, s)
			if err := timing.Runner(s, b.run.Inputs)(ctx); err != nil {
				return fmt.Errorf("%s: %w", path, b.run.Explain(err))
			}
			return nil
		})
		if err != nil {
			return open, err
		}
		note(i, memory)
	}
	return open, nil
}

// weigh makes a session of every model, as open does, some times over, and says by how many bytes the process grew for each of them
// each time. What the library takes for itself is in the first of these.
func (b *bencher) weigh(ctx context.Context) (open []*ort.Session, memory [][]float64, err error) {
	memory = make([][]float64, len(b.paths))
	for range loads {
		closeAll(open)
		open, err = b.open(ctx, "", func(i int, bytes int64) { memory[i] = append(memory[i], float64(bytes)) })
		if err != nil {
			break
		}
	}
	return open, memory, err
}

// runners run sessions on the inputs.
func (b *bencher) runners(open []*ort.Session) []func(context.Context) error {
	var out []func(context.Context) error
	for _, s := range open {
		out = append(out, timing.Runner(s, b.run.Inputs))
	}
	return out
}

// time fills in what the models take as a whole.
func (b *bencher) time(ctx context.Context, out *Benchmark) error {
	out.Models = make([]TimedModel, len(b.paths))
	open, memory, err := b.weigh(ctx)
	defer closeAll(open)
	if err != nil {
		return err
	}
	took, err := timing.Turns(ctx, benchLimits(), b.runners(open)...)
	if err != nil {
		return err
	}
	out.Turns = len(took[0])
	for i := range out.Models {
		m, t, speed := &out.Models[i], timing.SpreadOf(took[i]), timing.SpreadOf(timing.Ratios(took[0], took[i]))
		m.Path, m.Memory = b.paths[i], int64(timing.SpreadOf(memory[i]).Median)
		m.Time, m.TimeLow, m.TimeHigh = 1e3*t.Median, 1e3*t.Low, 1e3*t.High
		m.Speed, m.SpeedLow, m.SpeedHigh = speed.Median, speed.Low, speed.High
		m.Throughput = float64(out.Batch) / t.Median
	}
	return nil
}

// profile fills in what their operators take.
func (b *bencher) profile(ctx context.Context, out *Benchmark) error {
	folder, err := atomicfile.MakeFolder("", "onnx-compress")
	if err != nil {
		return fmt.Errorf("a folder for profiles: %w", err)
	}
	defer folder.Remove()
	open, err := b.open(ctx, folder.Path, func(int, int64) {})
	defer closeAll(open)
	if err != nil {
		return err
	}
	took, err := timing.Turns(ctx, profileLimits(), b.runners(open)...)
	if err != nil {
		return err
	}
	runs := 1 + len(took[0])*(1+profileLimits().Settle)
	for i, s := range open {
		kernels, err := timing.Profile(s)
		if err != nil {
			return err
		}
		for _, op := range timing.Operators(kernels, runs, min(profileWarmUps, runs-1)) {
			out.add(i, op)
		}
	}
	slices.SortStableFunc(out.Operators, func(x, y OperatorTime) int { return cmp.Compare(slices.Max(y.Micros), slices.Max(x.Micros)) })
	return nil
}

// add notes what an operator takes in a model.
func (b *Benchmark) add(model int, op timing.Operator) {
	i := slices.IndexFunc(b.Operators, func(o OperatorTime) bool { return o.Op == op.Op })
	if i < 0 {
		i = len(b.Operators)
		b.Operators = append(b.Operators, OperatorTime{op.Op, make([]int, len(b.Models)), make([]float64, len(b.Models))})
	}
	b.Operators[i].Nodes[model], b.Operators[i].Micros[model] = op.Nodes, op.Micros
}

func closeAll(open []*ort.Session) {
	for _, s := range open {
		s.Close()
	}
}
