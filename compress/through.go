package compress

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Fed is an input of the model that another one is judged through, and the value of that one that it is given.
type Fed struct {
	Input string `json:"input"`
	// From is an output of the compressed model, or an input that the two have in common.
	From string `json:"from"`
}

// ThroughResult is the model that the compressed one was judged through.
type ThroughResult struct {
	Path string `json:"path"`
	Fed  []Fed  `json:"fed"`
}

// behind is a model that reads what the compressed one gives. Nothing of it changes, and nothing of it is written.
type behind struct {
	path string
	fed  []Fed
	read *onnxio.Model // with its local functions open
	file *onnxio.Model // that, under names with which it stands behind the compressed model
	open *onnxio.Model // that, with compound operators written as what they consist of; nil before there are shapes
}

// Joined returns a model with another one behind it that reads what it gives, as a decoder what its encoder does: what a run, with
// Options.Through, takes samples for, and what it judges by. It is used no longer than both.
//
// An input of the one behind is an output of the one in front of the same name; encoder_hidden_states is its last_hidden_state; else it is the
// one output of the same type and shape, where one input alone fits. An input encoder_X is the input X of the one in front. Other inputs of both
// keep their names, with decoder_ before those of the one behind that the one in front has too.
func Joined(m, through *onnxio.Model) (*onnxio.Model, error) {
	b, err := newBehind(m, through)
	if err != nil {
		return nil, err
	}
	return graph.Join(m, b.file), nil
}

// judged is a model with the one behind it that o names; itself where there is none.
func (o Options) judged(m *onnxio.Model) (*onnxio.Model, error) {
	if o.Through == nil {
		return m, nil
	}
	return Joined(m, o.Through)
}

// front is the source for a model alone that others may stand behind.
func (o Options) front(m *onnxio.Model) (samples.Source, error) {
	if o.Through == nil {
		return o.Source, nil
	}
	inputs, err := samples.Inputs(m)
	return samples.Only(o.Source, inputs), err
}

// checkThrough refuses what is not done through another model.
func (o Options) checkThrough() error {
	switch {
	case o.Through == nil:
	case o.Source == nil:
		return &UsageError{Err: fmt.Errorf("the model is to be judged by what %s makes of it, and there are no samples: give some (%s), with the inputs of both", o.Through.Path, OptionSource)}
	case o.Descent != nil:
		return &UsageError{Err: fmt.Errorf("the model is to be judged by what %s makes of it, and tuning goes by its own outputs; leave one of the two out", o.Through.Path)}
	case o.For == ForCPUInt8:
		return &UsageError{Err: fmt.Errorf("the model is to be judged by what %s makes of it, and int8 models are judged by their own outputs; leave one of the two out", o.Through.Path)}
	}
	return nil
}

// newBehind finds what of m a model reads.
func newBehind(m, through *onnxio.Model) (*behind, error) {
	fed, err := feeds(m, through)
	if err != nil {
		return nil, &UsageError{Err: err}
	}
	b := &behind{path: through.Path, fed: fed, read: through}
	if o := graph.Open(through, func(graph.Node, bool) graph.Branches { return graph.Closed }); o != nil {
		b.read = o.Model
	}
	if b.file, err = graph.Behind(m, b.read, b.names()); err != nil {
		return nil, &UsageError{Err: err}
	}
	return b, nil
}

func (b *behind) names() map[string]string {
	out := map[string]string{}
	for _, f := range b.fed {
		out[f.Input] = f.From
	}
	return out
}

// expand writes compound operators as what they consist of, for the shapes that the analysis has found.
func (b *behind) expand(a *Analysis) (*behind, error) {
	own := map[string][]int{}
	renamed := graph.Of(b.file).Inputs()
	for i, in := range graph.Of(b.read).Feeds() {
		shape, ok := a.inputs[renamed[i].Name()]
		if !ok {
			shape, ok = a.Shapes.Of(renamed[i].Name())
		}
		if ok {
			own[in.Name()] = shape
		}
	}
	concrete, _ := shapes.InputShapes(b.read, own)
	x, err := rewrite.Expand(b.read, concrete, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: writing compound operators as simpler ones: %w", b.path, err)
	}
	next := *b
	next.open, err = graph.Behind(a.given, x.Model, b.names())
	return &next, err
}

// judged is a model that was made of the analysed one, with the one behind it; itself where there is none.
func (a *Analysis) judged(m *onnxio.Model) *onnxio.Model {
	switch {
	case a.behind == nil:
		return m
	case a.behind.open == nil:
		return graph.Join(m, a.behind.file)
	}
	return graph.Join(m, a.behind.open)
}

// result is nil where there is nothing behind the model.
func (b *behind) result() *ThroughResult {
	if b == nil {
		return nil
	}
	return &ThroughResult{Path: b.path, Fed: b.fed}
}

// compare compares the model in a file with the original, by the outputs of what stands behind both.
func (b *behind) compare(ctx context.Context, runtime verify.Runtime, original *onnxio.Model, path string, src samples.Source, indices []int, o verify.Options) (*verify.Report, error) {
	if b == nil {
		return verify.Compare(ctx, runtime, original.Path, path, src, indices, o)
	}
	small, err := onnxio.Read(path)
	if err != nil {
		return nil, fmt.Errorf("compressed model: %w", err)
	}
	defer small.Close()
	if err := b.fits(small); err != nil {
		return nil, err
	}
	temp, err := atomicfile.MakeFolder("", "onnx-compress")
	if err != nil {
		return nil, fmt.Errorf("a folder for models while they are judged: %w", err)
	}
	defer temp.Remove()
	joined := func(name string, m *onnxio.Model) (string, error) {
		to := filepath.Join(temp.Path, name)
		return to, onnxio.Write(ctx, graph.Join(m, b.file), to, onnxio.WriteOptions{})
	}
	before, failed := joined("original.onnx", original)
	after, err := joined("compressed.onnx", small)
	if err = errors.Join(failed, err); err != nil {
		return nil, err
	}
	r, err := verify.Compare(ctx, runtime, before, after, src, indices, o)
	if err == nil {
		r.Original, r.Compressed = original.Path, path
	}
	return r, err
}

// fits tells whether a model has what the one behind it reads.
func (b *behind) fits(m *onnxio.Model) error {
	g := graph.Of(m)
	for _, f := range b.fed {
		if !g.IsOutput(f.From) && !g.IsInput(f.From) {
			return fmt.Errorf("%s has no %q, which %s is to be given as %q", m.Path, f.From, b.path, f.Input)
		}
	}
	return nil
}

// What the inputs of decoders are called that are given what an encoder gave, what encoders call that, and what begins the names of inputs
// that are those of the encoder.
const (
	encoderStates = "encoder_hidden_states"
	lastStates    = "last_hidden_state"
	ofEncoder     = "encoder_"
)

// feeds says which inputs of a model are values of the one in front: outputs by their names, else by their shape where one alone fits, and inputs
// by their names.
func feeds(front, through *onnxio.Model) ([]Fed, error) {
	f, inputs := graph.Of(front), graph.Of(through).Feeds()
	var out []Fed
	for _, in := range inputs {
		for _, v := range f.Outputs() {
			if v.Name() != in.Name() && !(in.Name() == encoderStates && v.Name() == lastStates) {
				continue
			}
			if !fitTogether(v, in) {
				return nil, fmt.Errorf("%s gives %s and %s takes %s, which do not fit", front.Path, described(v), through.Path, described(in))
			}
			out = append(out, Fed{in.Name(), v.Name()})
			break
		}
	}
	if len(out) == 0 {
		for _, in := range inputs {
			for _, v := range f.Outputs() {
				if v.Type().IsFloat() && len(v.Dims()) > 1 && fitTogether(v, in) {
					out = append(out, Fed{in.Name(), v.Name()})
				}
			}
		}
		if len(out) != 1 {
			return nil, fmt.Errorf("it is not clear which input of %s is given what %s gives: %s; want an input and an output of one name, an input %s, or an input and an output alone of a type and shape. The outputs are %s, the inputs %s",
				through.Path, front.Path, several(out), encoderStates, listed(f.Outputs()), listed(inputs))
		}
	}
	for _, in := range inputs {
		name, encoders := strings.CutPrefix(in.Name(), ofEncoder)
		at := slices.IndexFunc(f.Feeds(), func(v graph.Value) bool { return v.Name() == name && fitTogether(v, in) })
		if encoders && at >= 0 && !slices.ContainsFunc(out, func(f Fed) bool { return f.Input == in.Name() }) {
			out = append(out, Fed{in.Name(), name})
		}
	}
	return out, nil
}

// several says which values could be meant.
func several(list []Fed) string {
	if len(list) == 0 {
		return "no input fits an output"
	}
	var words []string
	for _, f := range list {
		words = append(words, fmt.Sprintf("%q could be %q", f.Input, f.From))
	}
	return strings.Join(words, ", ")
}

// fitTogether tells whether two values can be the same one: of one type, of as many axes, and of the same size where both have a fixed one.
func fitTogether(a, b graph.Value) bool {
	x, y := a.Dims(), b.Dims()
	return a.Type() == b.Type() && (x == nil || y == nil || slices.EqualFunc(x, y, func(d, e graph.Dim) bool { return d.Size < 0 || e.Size < 0 || d.Size == e.Size }))
}

// described writes a value with its type and axes.
func described(v graph.Value) string {
	spec := samples.InputSpec{Name: v.Name(), Type: v.Type()}
	if dims := v.Dims(); dims != nil {
		spec.Shape = []int{}
		for _, d := range dims {
			spec.Shape = append(spec.Shape, d.Size)
		}
	}
	return spec.String()
}

func listed(list []graph.Value) string {
	var words []string
	for _, v := range list {
		words = append(words, described(v))
	}
	return strings.Join(words, ", ")
}
