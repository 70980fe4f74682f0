package calib

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Outputs are what a model computes for some samples, kept to compare changed models with.
type Outputs struct {
	host    feed.Host
	src     samples.Source
	indices []int
	inputs  []samples.InputSpec
	targets []target
	axes    feed.Axes // of the targets
	o       Options

	values  [][]tensor.Dense // by run, then target, without filler
	counts  []counting       // by run
	samples int

	batch, workers int // of the runs
}

// Observe runs a model on the samples numbered by indices and keeps its floating-point
// outputs; of fewer samples, from the first on, where those of all would take more than a
// quarter of o.Memory, and in batches and by workers as feed.Fit says. Of the options Batch, Threads, Memory, Weights and Progress count.
// A model without a floating-point output that counts gives no samples.
//
// The filler of a model's fixed batch is left out. Where an output has no axis for the batch, that whole last run is.
func Observe(ctx context.Context, lib *ort.Library, m *onnxio.Model, src samples.Source, indices []int, o Options) (*Outputs, error) {
	out, err := newOutputs(lib, m, src, o)
	if err != nil {
		return nil, err
	}
	session, err := out.open(m)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	if len(out.targets) == 0 || len(indices) == 0 {
		return out, nil
	}
	if err := out.fit(ctx, m, session, indices); err != nil {
		return nil, err
	}
	var bytes int64 // of one sample
	err = out.each(ctx, session, indices[:1], func(string, int, int) {}, func(r *feed.Run, values []tensor.Dense) error {
		for _, v := range values {
			bytes += int64(len(v.Data) / max(r.Batch, 1))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.indices = indices[:min(int64(len(indices)), max(1, out.o.Memory/4/max(bytes, 1)))]
	return out, out.keep(ctx, session)
}

// newOutputs are none yet, of a model on a source.
func newOutputs(lib *ort.Library, m *onnxio.Model, src samples.Source, o Options) (*Outputs, error) {
	inputs, err := samples.Inputs(m)
	if err != nil {
		return nil, err
	}
	list, err := targets(m, o)
	o = o.withDefaults()
	return &Outputs{host: feed.Host{Library: lib, Memory: o.Memory}, src: src, o: o, inputs: inputs, targets: list}, err
}

// fit lowers the batch and the workers to what the memory holds of a model's values, going by the first of the samples, and finds along
// which axes these lie.
func (o *Outputs) fit(ctx context.Context, m *onnxio.Model, s *ort.Session, indices []int) (err error) {
	if o.axes, err = axesOf(ctx, feed.Opened(s), o.src, indices, o.inputs, o.o.Batch, o.targets); err != nil {
		return err
	}
	o.batch, o.workers = o.o.Batch, o.o.Threads
	r, err := feed.First(ctx, o.src, indices[:1], o.inputs, 1)
	if err != nil {
		return err
	}
	values, err := grad.Observe(ctx, o.host.Library, m, r.Inputs)
	if err != nil {
		return ctx.Err() // where sizes cannot be found out, the caller's are taken
	}
	live := feed.Live(m, func(v string) int64 { return values[v].Bytes() }, namesOf(o.targets))
	o.batch, o.workers = feed.Fit(live, samples.Batch(o.inputs) > 0, o.o.Memory, o.o.Batch, o.o.Threads)
	return nil
}

// keep fills in what the session computes.
func (o *Outputs) keep(ctx context.Context, session *ort.Session) error {
	var mu sync.Mutex
	runs, counts := map[int][]tensor.Dense{}, map[int]counting{}
	err := o.each(ctx, session, o.indices, o.o.Progress, func(r *feed.Run, values []tensor.Dense) error {
		kept := make([]tensor.Dense, len(values))
		count, _, err := countingOf(o.targets, o.axes, r, values)
		if err != nil {
			return err
		}
		for i, v := range values {
			v, ok := r.WithoutFiller(o.axes, o.targets[i].name, v)
			if !ok {
				kept = nil
				break
			}
			kept[i] = tensor.Dense{Type: v.Type, Shape: slices.Clone(v.Shape), Data: slices.Clone(v.Data)}
		}
		mu.Lock()
		defer mu.Unlock()
		counts[r.Seq] = count
		if runs[r.Seq] = kept; kept != nil {
			o.samples += r.Count()
		}
		return nil
	})
	for n := range len(runs) {
		o.values, o.counts = append(o.values, runs[n]), append(o.counts, counts[n])
	}
	return err
}

// Samples is the number of samples whose outputs are kept. One that is itself a batch
// counts by its length.
func (o *Outputs) Samples() int { return o.samples }

// Change runs a changed model on the same samples and returns by how much its outputs
// differ from those kept: per sample Σ ‖Δf‖², weighed over the outputs, and centred over
// the classes of class scores and the vocabulary of next tokens', of which padding does not count; numbers of boxes count as outputs.BoxCounts says. It is what T·tr(G ΔW A ΔWᵀ) predicts for one site whose
// weight becomes W+ΔW (see Collect), and not a number or infinite where outputs are, or change their shape. The
// number of threads does not change it. There have to be Samples.
func (o *Outputs) Change(ctx context.Context, m *onnxio.Model, progress samples.Progress) (float64, error) {
	probe := Outputs{host: o.host, targets: slices.Clone(o.targets)}
	session, err := probe.open(m)
	if err != nil {
		return 0, err
	}
	defer session.Close()
	if len(probe.targets) != len(o.targets) {
		return 0, fmt.Errorf("the changed model has %d floating-point outputs that count, the original %d", len(probe.targets), len(o.targets))
	}
	changes := make([]float64, len(o.values))
	err = o.each(ctx, session, o.indices, progress, func(r *feed.Run, values []tensor.Dense) error {
		before := o.values[r.Seq]
		for i := range before {
			after, ok := r.WithoutFiller(o.axes, o.targets[i].name, values[i])
			if !ok {
				return fmt.Errorf("output %q: its shape becomes %s, from %s without filler", o.targets[i].name, tensor.ShapeText(values[i].Shape), tensor.ShapeText(before[i].Shape))
			}
			change, err := o.targets[i].change(before[i], after, r.Inputs, o.counts[r.Seq], i)
			if errors.Is(err, errSizes) {
				change, err = math.Inf(1), nil
			}
			if err != nil {
				return fmt.Errorf("output %q: %w", o.targets[i].name, err)
			}
			changes[r.Seq] += change
		}
		return nil
	})
	sum := 0.
	for _, c := range changes {
		sum += c / float64(o.samples)
	}
	return sum, err
}

// open makes a session of a model, and leaves the outputs of floating-point types.
func (o *Outputs) open(m *onnxio.Model) (*ort.Session, error) {
	session, err := o.host.NewSession(m)
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime does not take the model: %w", err)
	}
	o.targets = slices.DeleteFunc(o.targets, func(t target) bool {
		return !slices.ContainsFunc(session.Outputs(), func(i ort.Info) bool { return i.Name == t.name && i.Type.IsFloat() })
	})
	return session, nil
}

// each hands the outputs of every run to f, which may not keep them.
func (o *Outputs) each(ctx context.Context, session *ort.Session, indices []int, progress samples.Progress, f func(*feed.Run, []tensor.Dense) error) error {
	names := namesOf(o.targets)
	runs, err := feed.New(o.src, indices, o.inputs, o.batch, o.workers)
	if err != nil {
		return err
	}
	return runs.Each(ctx, o.workers, progress, func(ctx context.Context) func(*feed.Run) error {
		return func(r *feed.Run) error {
			result, err := session.Run(ctx, r.Inputs, names)
			if err != nil {
				return fmt.Errorf("running the model on sample %s: %w", r.Samples[0].Name, err)
			}
			defer result.Close()
			values := make([]tensor.Dense, len(names))
			for i := range values {
				values[i] = result.Get(i)
			}
			return f(r, values)
		}
	})
}
