package tune

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// teacher is the original model, asked for the values that the compressed one is held to.
type teacher struct {
	session *ort.Session
	values  []string
	axes    feed.Axes // of the values
	// mirror, where it is set, gives the inputs of a run with mirror images; the scores are then means over both.
	mirror func(inputs map[string]tensor.Dense, stacked bool) (map[string]tensor.Dense, error)
	scores []string // the outputs that are class scores

	mu      sync.Mutex
	known   map[seen][]tensor.Dense // each value
	room    int                     // for more numbers
	free    int                     // while nothing is known
	variant int                     // of the samples that it is asked for now
	kept    int                     // variants but 0 up to which answers are kept
}

// seen is a sample as it came, which is variant 0, or changed in one of the ways that augmentation has.
type seen struct{ sample, variant int }

// mostKnown bounds the numbers that a teacher keeps, as does an eighth of the memory.
const mostKnown = 1 << 27

func newTeacher(host feed.Host, m *onnxio.Model, values []string) (*teacher, error) {
	s, err := sessionFor(host, m, values)
	if err != nil {
		return nil, fmt.Errorf("the original model: %w", err)
	}
	t := &teacher{session: s, free: min(mostKnown, int(host.Memory/8/4))}
	t.turn(values, 0)
	return t, nil
}

// turn has the teacher asked for other values, all of which it has a session for, and which are so many numbers for all samples. Of the
// variants of these it keeps those that fit whole, so that what is computed anew is the same for any order of runs.
func (t *teacher) turn(values []string, numbers int) {
	t.values, t.known, t.room, t.kept = values, map[seen][]tensor.Dense{}, t.free, t.free/max(numbers, 1)-1
}

// sessionFor makes a session of a model that gives out the named values.
func sessionFor(host feed.Host, m *onnxio.Model, values []string) (*ort.Session, error) {
	p := graph.Of(m).Parts()
	declared := p.Outputs
	p.Outputs = nil
	for _, v := range values {
		at := slices.IndexFunc(declared, func(o graph.Value) bool { return o.Name() == v })
		if at >= 0 {
			p.Outputs = append(p.Outputs, declared[at])
		} else {
			p.Outputs = append(p.Outputs, graph.NewValue(v, tensor.Undefined, nil))
		}
	}
	derived := p.Model()
	defer derived.Close()
	return host.NewSession(derived)
}

// types are those of the values, by name.
func (t *teacher) types() map[string]tensor.Type {
	out := map[string]tensor.Type{}
	for _, v := range t.session.Outputs() {
		out[v.Name] = v.Type
	}
	return out
}

// ask returns the values for the samples of a run, stacked. A teacher that may keep them computes them once.
func (t *teacher) ask(ctx context.Context, r *feed.Run, keep bool) ([]tensor.Dense, error) {
	if keep {
		if out, ok := t.recall(r); ok {
			return out, nil
		}
	}
	out, err := t.answer(ctx, r, r.Inputs, t.values)
	if err == nil && t.mirror != nil {
		err = t.average(ctx, r, out)
	}
	if err != nil {
		return nil, r.Explain(fmt.Errorf("the original model on sample %s: %w", r.Samples[0].Name, err))
	}
	if keep && t.variant <= max(t.kept, 0) {
		t.remember(r, out)
	}
	return out, nil
}

// average takes the mean of class scores and those of the mirror images.
func (t *teacher) average(ctx context.Context, r *feed.Run, out []tensor.Dense) error {
	inputs, err := t.mirror(r.Inputs, r.Batch > 0)
	if err != nil {
		return err
	}
	others, err := t.answer(ctx, r, inputs, t.scores)
	if err != nil {
		return err
	}
	for i, name := range t.scores {
		at := slices.Index(t.values, name)
		v := out[at].Float32s()
		for k, x := range others[i].Float32s() {
			v[k] = (v[k] + x) / 2
		}
		out[at] = tensor.FromFloat32(out[at].Shape, v)
	}
	return nil
}

// answer runs the model with the inputs of a run, or others in their place.
func (t *teacher) answer(ctx context.Context, r *feed.Run, inputs map[string]tensor.Dense, values []string) ([]tensor.Dense, error) {
	results, err := t.session.Run(ctx, inputs, values)
	if err != nil {
		return nil, err
	}
	defer results.Close()
	out := make([]tensor.Dense, results.Len())
	for i := range out {
		d := t.lead(r, values[i], results.Get(i))
		v := d.Float32s()
		if d.Type == tensor.Float32 {
			v = slices.Clone(v)
		}
		out[i] = tensor.FromFloat32(d.Shape, v)
	}
	return out, nil
}

// lead brings the samples of a value to its axis 0, where they lie along another.
func (t *teacher) lead(r *feed.Run, value string, d tensor.Dense) tensor.Dense {
	if t.axis(r, value) > 0 {
		d, _ = t.axes.Lead(value, d, r.Batch)
	}
	return d
}

// axis is that along which the samples of a run lie in a value.
func (t *teacher) axis(r *feed.Run, value string) int {
	if r.Batch == 0 {
		return 0
	}
	return max(t.axes[value], 0)
}

// recall stacks what is known of the samples of a run, with the last one repeated where the run is filled up so.
func (t *teacher) recall(r *feed.Run) ([]tensor.Dense, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]tensor.Dense, len(t.values))
	for k := range t.values {
		var stacked []float32
		var shape []int
		for n := range max(r.Batch, 1) {
			values, ok := t.known[seen{r.Indices[min(n, len(r.Indices)-1)], t.variant}]
			if !ok {
				return nil, false
			}
			stacked, shape = append(stacked, values[k].Float32s()...), values[k].Shape
		}
		if r.Batch > 0 {
			shape = append([]int{r.Batch}, shape...)
		}
		out[k] = tensor.FromFloat32(shape, stacked)
	}
	return out, true
}

// remember keeps the values of a run by sample, while there is room. Values that do not go by samples are not kept.
func (t *teacher) remember(r *feed.Run, values []tensor.Dense) {
	t.mu.Lock()
	defer t.mu.Unlock()
	total := 0
	for _, v := range values {
		total += v.Len()
		if r.Batch > 0 && (len(v.Shape) == 0 || v.Shape[0] != r.Batch) {
			return
		}
	}
	if total > t.room {
		return
	}
	for at, i := range r.Indices {
		if _, ok := t.known[seen{i, t.variant}]; ok {
			continue
		}
		one := make([]tensor.Dense, len(values))
		for k, v := range values {
			all, shape := v.Float32s(), v.Shape
			n := len(all) / max(r.Batch, 1)
			if r.Batch > 0 {
				shape = shape[1:]
			}
			one[k] = tensor.FromFloat32(shape, all[at*n:(at+1)*n])
			t.room -= n
		}
		t.known[seen{i, t.variant}] = one
	}
}
