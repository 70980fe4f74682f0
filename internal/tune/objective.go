package tune

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// term is one output of the model, or value inside it, that is held to what the original computes there.
type term struct {
	value string
	loss  Loss
	// weight multiplies the term. For losses that are squared distances it holds one over the variance of the original's
	// value, so that they are shares.
	weight float64
	shape  []int // of a shard
}

// objective is a model whose output is its distance from the original.
type objective struct {
	model *onnxio.Model
	// loss names the scalar output.
	loss string
	// teachers names the inputs that take what the original computes, one for each term.
	teachers []string
	// labels names the input of labels, float32 [samples, classes] with a one at each sample's class; empty without.
	labels string
}

// supervision is the cross-entropy with labels.
type supervision struct {
	value   string
	shape   []int // of the scores, of a shard
	distill float64
}

// newObjective appends to a model the nodes of its loss,
//
//	L = Σ w·d(y, t)            without labels,
//	L = CE(y, labels) + λ·Σ w·d(y, t)   with them (Eq. 11 of arXiv 2409.03555),
//
// means over the samples of a shard. The caller closes the model.
func newObjective(m *onnxio.Model, terms []term, labels *supervision, temperature float64) (*objective, error) {
	e := &emitter{opset: m.Opset(""), names: onnxio.NewNameSet(m)}
	o := &objective{}
	graph := onnxio.Shallow(m.Graph())
	graph.Input, graph.Node = slices.Clone(graph.Input), slices.Clone(graph.Node)
	add := func(name string, shape []int) string {
		name = e.names.Fresh(name)
		graph.Input = append(graph.Input, declare(name, tensor.Float32, shape))
		return name
	}
	total := ""
	for _, t := range terms {
		teacher := add("teacher/"+t.value, t.shape)
		o.teachers = append(o.teachers, teacher)
		total = e.plus(total, e.scale(e.distance(t, teacher, temperature), t.weight))
	}
	if labels != nil {
		o.labels = add("labels", flat(labels.shape))
		entropy := e.crossEntropy(labels.value, labels.shape, o.labels)
		if total != "" && labels.distill != 0 {
			entropy = e.plus(entropy, e.scale(total, labels.distill))
		}
		total = entropy
	}
	if e.err != nil {
		return nil, fmt.Errorf("building the loss: %w", e.err)
	}
	o.loss = total
	graph.Node = append(graph.Node, e.nodes...)
	graph.Output = []*onnxpb.ValueInfoProto{declare(total, tensor.Float32, []int{})}
	p := onnxio.Shallow(m.Proto)
	p.Graph = graph
	o.model = m.Derive(p)
	return o, nil
}

// plus adds two values; an empty name stands for nothing.
func (e *emitter) plus(a, b string) string {
	if a == "" {
		return b
	}
	return e.binary("Add", a, b)
}

// flat is the shape of class scores without the axes of size 1 behind them.
func flat(shape []int) []int {
	if len(shape) < 2 {
		return shape
	}
	return shape[:2]
}

// distance emits the mean distance of a value from the teacher's.
func (e *emitter) distance(t term, teacher string, temperature float64) string {
	y := t.value
	switch t.loss {
	case Logits:
		d := e.binary("Sub", y, teacher)
		d = e.binary("Sub", d, e.reduce("ReduceMean", d, []int{1}, true))
		return e.reduce("ReduceMean", e.binary("Mul", d, d), nil, false)
	case KL:
		return e.divergence(t, teacher, temperature)
	case Cosine:
		return e.angle(t, teacher)
	}
	d := e.binary("Sub", y, teacher)
	return e.reduce("ReduceMean", e.binary("Mul", d, d), nil, false)
}

// divergence emits T²·KL(softmax(t/T) ‖ softmax(y/T)) up to the teacher's own entropy, which has no gradient.
func (e *emitter) divergence(t term, teacher string, temperature float64) string {
	axis := onnxio.MakeInt("axis", 1)
	soften := func(x string) string { return e.scale(e.scores(x, t.shape), 1/temperature) }
	target := e.op("Softmax", []string{soften(teacher)}, axis)
	log := e.op("LogSoftmax", []string{soften(t.value)}, axis)
	own := e.op("LogSoftmax", []string{soften(teacher)}, axis)
	sum := e.reduce("ReduceSum", e.binary("Mul", target, e.binary("Sub", own, log)), nil, false)
	return e.scale(sum, temperature*temperature/float64(t.shape[0]))
}

// crossEntropy emits the mean of −log softmax(y) at the labels.
func (e *emitter) crossEntropy(value string, shape []int, labels string) string {
	log := e.op("LogSoftmax", []string{e.scores(value, shape)}, onnxio.MakeInt("axis", 1))
	return e.scale(e.reduce("ReduceSum", e.binary("Mul", log, labels), nil, false), -1/float64(shape[0]))
}

// scores reshapes class scores to a matrix.
func (e *emitter) scores(x string, shape []int) string {
	if len(shape) == 2 {
		return x
	}
	return e.reshape(x, flat(shape))
}

// angle emits the mean over the samples of 1 − cos(y, t).
func (e *emitter) angle(t term, teacher string) string {
	const tiny = 1e-12
	rows := []int{t.shape[0], tensor.Product(t.shape[1:])}
	y, z := e.reshape(t.value, rows), e.reshape(teacher, rows)
	dot := func(a, b string) string { return e.reduce("ReduceSum", e.binary("Mul", a, b), []int{1}, false) }
	floor := e.constant(tensor.Float32, []int{}, []float64{tiny})
	norms := e.unary("Sqrt", e.binary("Add", e.binary("Mul", dot(y, y), dot(z, z)), floor))
	cosine := e.binary("Div", dot(y, z), norms)
	return e.binary("Sub", e.constant(tensor.Float32, []int{}, []float64{1}), e.reduce("ReduceMean", cosine, nil, false))
}

// differentiate returns the graph of a training step: the loss and its gradients with respect to the parameters, which
// are inputs. Convolutions run in blocks of so many channels.
func (o *objective) differentiate(values grad.Values, parameters []string, block int) (*grad.Graph, error) {
	return grad.Build(o.model, grad.Options{Values: values, Outputs: []string{o.loss}, Wanted: parameters, Feed: parameters, Block: block})
}

// named reports whether a list has a value of that name.
func named(list []*onnxpb.ValueInfoProto, name string) bool {
	return slices.ContainsFunc(list, func(v *onnxpb.ValueInfoProto) bool { return v.GetName() == name })
}
