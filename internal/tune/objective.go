package tune

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// term is one output of the model, or value inside it, that is held to what the original computes there.
type term struct {
	value string
	loss  Loss
	// weight multiplies the term. For losses that are squared distances it holds one over the variance of the original's
	// value, so that they are shares.
	weight float64
	shape  []int       // of a shard, its samples first
	axis   int         // along which these lie in the value
	typ    tensor.Type // of the value's elements; the loss is computed in float32
	// classes is their number where the value has class scores, else 0.
	classes int
	// words is the size of the vocabulary where the value has scores of next tokens, [samples, positions, words], else 0; text what the
	// model reads for them.
	words int
	text  outputs.Text
	// counted says that differences are multiplied with what each number counts, as those of boxes do.
	counted bool
}

// objective is a model whose output is its distance from the original.
type objective struct {
	model *onnxio.Model
	// loss names the scalar output.
	loss string
	// teachers names the inputs that take what the original computes, one for each term.
	teachers []string
	// shares names the inputs that take what each position of a text counts, or each number of boxes, one for each term; empty where all
	// count alike.
	shares []string
	// passed names what nodes read in the place of a value between two blocks.
	passed []string
	// labels names the input of labels, float32 [samples, classes] with a one at each sample's class; empty without.
	labels string
}

// supervision is the cross-entropy with labels.
type supervision struct {
	value   string
	shape   []int // of the scores, of a shard, its samples first
	axis    int   // along which these lie
	typ     tensor.Type
	distill float64
}

// newObjective appends to a model the nodes of its loss,
//
//	L = Σ w·d(y, t)            without labels,
//	L = CE(y, labels) + λ·Σ w·d(y, t)   with them (Eq. 11 of arXiv 2409.03555),
//
// means over the samples of a shard. Through the values of ends, which part the model into blocks, goes no gradient: each block
// learns for the terms inside it alone, from what the blocks before give it. The caller closes the model.
func newObjective(m *onnxio.Model, terms []term, ends []string, labels *supervision, temperature float64) (*objective, error) {
	names := graph.NewNameSet(m)
	e := emitter{graph.NewBuilder(names, int(m.Opset("")), "loss")}
	o := &objective{}
	p := graph.Of(m).Parts()
	add := func(name string, shape []int) string {
		name = names.Fresh(name)
		p.Inputs = append(p.Inputs, graph.NewValue(name, tensor.Float32, graph.Sizes(shape)))
		return name
	}
	total := ""
	for _, t := range terms {
		teacher := add("teacher/"+t.value, t.shape)
		shares := ""
		if t.spoken() {
			shares = add("shares/"+t.value, t.shape[:2])
		} else if t.counted {
			shares = add("shares/"+t.value, t.shape)
		}
		o.teachers, o.shares = append(o.teachers, teacher), append(o.shares, shares)
		total = e.plus(total, e.scale(e.distance(t, teacher, shares, temperature), t.weight))
	}
	if labels != nil {
		o.labels = add("labels", flat(labels.shape))
		entropy := e.crossEntropy(e.lead(e.plain(labels.value, labels.typ), labels.axis, len(labels.shape)), labels.shape, o.labels)
		if total != "" && labels.distill != 0 {
			entropy = e.plus(entropy, e.scale(total, labels.distill))
		}
		total = entropy
	}
	if e.Err != nil {
		return nil, fmt.Errorf("building the loss: %w", e.Err)
	}
	o.loss = total
	p.Nodes = append(o.part(p.Nodes, ends, names), e.Nodes...)
	p.Outputs = []graph.Value{graph.NewValue(total, tensor.Float32, graph.Sizes([]int{}))}
	o.model = p.Model()
	return o, nil
}

// part has nodes read what an Identity passes on of the values between blocks.
func (o *objective) part(nodes []graph.Node, ends []string, names *graph.NameSet) []graph.Node {
	if len(ends) == 0 {
		return nodes
	}
	passed := map[string]string{}
	for _, v := range ends {
		passed[v] = names.Fresh("passed/" + v)
		o.passed = append(o.passed, passed[v])
	}
	var out []graph.Node
	for _, n := range nodes {
		s := n.Spec()
		for i, v := range s.Inputs {
			if other, ok := passed[v]; ok {
				s.Inputs[i] = other
			}
		}
		out = append(out, s.Node())
		for _, v := range s.Outputs {
			if other, ok := passed[v]; ok {
				out = append(out, graph.NewNode("Identity", other, []string{v}, []string{other}))
			}
		}
	}
	return out
}

// flat is the shape of class scores without the axes of size 1 behind them.
func flat(shape []int) []int {
	if len(shape) < 2 {
		return shape
	}
	return shape[:2]
}

// distance emits the mean distance of a value from the teacher's.
func (e emitter) distance(t term, teacher, shares string, temperature float64) string {
	t.value = e.lead(e.plain(t.value, t.typ), t.axis, len(t.shape))
	switch t.loss {
	case KL:
		return e.divergence(t, teacher, shares, temperature)
	case Cosine:
		return e.angle(t, teacher)
	}
	if t.loss == Logits && t.words > 0 {
		d := e.Op("Sub", e.rows(t.value, t), e.rows(teacher, t))
		d = e.Op("Sub", d, e.Reduce("ReduceMean", d, []int{1}, true))
		return e.texts(e.Reduce("ReduceMean", e.Op("Mul", d, d), []int{1}, false), shares)
	}
	d := e.Op("Sub", t.value, teacher)
	if t.loss == Logits {
		d = e.Op("Sub", d, e.Reduce("ReduceMean", d, []int{1}, true))
	}
	if t.counted {
		d = e.Op("Mul", d, shares)
	}
	return e.mean(e.Op("Mul", d, d))
}

// divergence emits T²·KL(softmax(t/T) ‖ softmax(y/T)) up to the teacher's own entropy, which has no gradient.
func (e emitter) divergence(t term, teacher, shares string, temperature float64) string {
	axis := graph.Int("axis", 1)
	soften := func(x string) string { return e.scale(e.rows(x, t), 1/temperature) }
	target := e.Node("Softmax", []string{soften(teacher)}, axis)
	log := e.Node("LogSoftmax", []string{soften(t.value)}, axis)
	own := e.Node("LogSoftmax", []string{soften(teacher)}, axis)
	each := e.Op("Mul", target, e.Op("Sub", own, log))
	if t.words > 0 {
		return e.scale(e.texts(e.Reduce("ReduceSum", each, []int{1}, false), shares), temperature*temperature)
	}
	return e.scale(e.sum(each), temperature*temperature/float64(t.shape[0]))
}

// rows reshapes scores to a matrix with a row for each sample, or each position of each.
func (e emitter) rows(x string, t term) string {
	if t.words > 0 {
		return e.reshape(x, []int{tensor.Product(t.shape[:2]), t.words})
	}
	return e.scores(x, t.shape)
}

// texts sums up one number for each position, by its share.
func (e emitter) texts(x, shares string) string {
	return e.sum(e.Op("Mul", x, e.reshape(shares, []int{-1})))
}

// crossEntropy emits the mean of −log softmax(y) at the labels.
func (e emitter) crossEntropy(value string, shape []int, labels string) string {
	log := e.Node("LogSoftmax", []string{e.scores(value, shape)}, graph.Int("axis", 1))
	return e.scale(e.sum(e.Op("Mul", log, labels)), -1/float64(shape[0]))
}

// plain converts a value of another floating-point type to float32.
func (e emitter) plain(x string, t tensor.Type) string {
	if t == tensor.Float32 || t == tensor.Undefined {
		return x
	}
	return e.Node("Cast", []string{x}, graph.Int("to", int(tensor.Float32)))
}

// lead brings an axis of a value to its front.
func (e emitter) lead(x string, axis, rank int) string {
	if axis == 0 {
		return x
	}
	order := []int{axis}
	for i := range rank {
		if i != axis {
			order = append(order, i)
		}
	}
	return e.Node("Transpose", []string{x}, graph.Ints("perm", order...))
}

// scores reshapes class scores to a matrix.
func (e emitter) scores(x string, shape []int) string {
	if len(shape) == 2 {
		return x
	}
	return e.reshape(x, flat(shape))
}

// angle emits the mean over the samples of 1 − cos(y, t).
func (e emitter) angle(t term, teacher string) string {
	const tiny = 1e-12
	rows := []int{t.shape[0], tensor.Product(t.shape[1:])}
	y, z := e.reshape(t.value, rows), e.reshape(teacher, rows)
	dot := func(a, b string) string { return e.Reduce("ReduceSum", e.Op("Mul", a, b), []int{1}, false) }
	norms := e.Op("Sqrt", e.Op("Add", e.Op("Mul", dot(y, y), dot(z, z)), e.number(tiny)))
	return e.Op("Sub", e.number(1), e.mean(e.Op("Div", dot(y, z), norms)))
}

// differentiate returns the graph of a training step: the loss and its gradients with respect to the parameters, which
// are inputs. Convolutions run in blocks of so many channels.
func (o *objective) differentiate(values grad.Values, parameters []string, block int) (*grad.Graph, error) {
	return grad.Build(o.model, grad.Options{Values: values, Outputs: []string{o.loss}, Wanted: parameters, Feed: parameters, Constant: o.passed, Block: block})
}
