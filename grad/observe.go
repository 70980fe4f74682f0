package grad

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// fewNumbers bounds the elements of a value whose numbers Observe keeps.
const fewNumbers = 256

// Runtime runs models. They are given as the bytes of ONNX files, with the folder of their external data; the file that the model
// was read from may be among these.
type Runtime interface {
	// OutputTypes loads a model and returns the element types of its outputs that are dense tensors, which the model
	// itself need not declare.
	OutputTypes(model []byte, folder string) (map[string]tensor.Type, error)
	// RunOnce loads a model, runs it on inputs by name and returns the outputs of the given names.
	RunOnce(ctx context.Context, model []byte, folder string, inputs map[string]tensor.Dense, outputs []string) ([]tensor.Dense, error)
}

// Observe finds out everything about a model's values for sample inputs of the shapes that
// the gradients are for: by inference, and where that does not reach, by running the model
// once. Activations do not pile up: the run gives out their shapes only.
//
// Small integer values that the run finds, such as the bounds of a Slice, are taken to be
// the same in later runs.
func Observe(ctx context.Context, r Runtime, m *onnxio.Model, inputs map[string]tensor.Dense) (Values, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("grad: finding the shapes of the model's values: %w", err)
	}
	g, given := graph.Of(m), map[string][]int{}
	for _, in := range g.Feeds() {
		d, ok := inputs[in.Name()]
		if !ok {
			return nil, fmt.Errorf("grad: finding the shapes of the model's values: no sample for input %q", in.Name())
		}
		given[in.Name()] = orEmpty(d.Shape)
	}
	if values := Infer(m, given); complete(g, values) {
		return values, nil
	}
	values, err := observe(ctx, r, g, inputs)
	if err != nil {
		return nil, fmt.Errorf("grad: finding the shapes of the model's values by a run: %w", err)
	}
	return values, nil
}

// complete reports whether nothing that a run would find is missing.
func complete(g *graph.Graph, values Values) bool {
	read := readByRules(g)
	for _, n := range g.Nodes() {
		for _, out := range n.Outputs() {
			v := values[out]
			if out != "" && (v.Type == tensor.Undefined || v.Shape == nil) {
				return false
			}
			if _, constant := g.Constant(out); read[out] && v.Numbers == nil && !constant {
				return false
			}
		}
	}
	return true
}

// observe runs the model.
func observe(ctx context.Context, r Runtime, g *graph.Graph, inputs map[string]tensor.Dense) (Values, error) {
	types, err := outputTypes(r, g)
	if err != nil {
		return nil, err
	}
	// Beside the shapes of all values it gives out those that rules read.
	var made, shapes, read []string
	probe, names, reads := g.Parts(), graph.NewNameSet(g.Model()), readByRules(g)
	for _, n := range g.Nodes() {
		for _, out := range n.Outputs() {
			if types[out] == tensor.Undefined {
				continue
			}
			shape := names.Fresh(out + "/shape")
			probe.Nodes = append(probe.Nodes, graph.NewNode("Shape", shape, []string{out}, []string{shape}))
			made, shapes = append(made, out), append(shapes, shape)
			if reads[out] {
				read = append(read, out)
			}
		}
	}
	outputs := slices.Concat(shapes, read)
	probe.Outputs = undeclared(outputs)
	model, err := marshal(probe)
	if err != nil {
		return nil, err
	}
	results, err := r.RunOnce(ctx, model, g.Model().ExternalFolder(), inputs, outputs)
	if err != nil {
		return nil, err
	}
	values := Values{}
	for _, in := range g.Feeds() {
		d := inputs[in.Name()]
		values[in.Name()] = Value{Type: d.Type, Shape: orEmpty(d.Shape)}
	}
	for i, name := range made {
		shape, err := results[i].Float64s()
		if err != nil {
			return nil, err
		}
		values[name] = Value{Type: types[name], Shape: integers(shape)}
	}
	for i, name := range read {
		v := values[name]
		if d := results[len(shapes)+i]; d.Len() <= fewNumbers {
			// What has no numbers, such as strings, no rule reads.
			if numbers, err := d.Float64s(); err == nil {
				v.Numbers = numbers
			}
		}
		values[name] = v
	}
	return values, nil
}

// outputTypes returns the types of the node outputs that are dense tensors of numbers, as the runtime infers them when it
// loads the model.
func outputTypes(r Runtime, g *graph.Graph) (map[string]tensor.Type, error) {
	parts := g.Parts()
	var made []string
	for _, n := range g.Nodes() {
		for _, out := range n.Outputs() {
			if out != "" && !g.IsOutput(out) {
				made = append(made, out)
			}
		}
	}
	parts.Outputs = append(parts.Outputs, undeclared(made)...)
	model, err := marshal(parts)
	if err != nil {
		return nil, err
	}
	return r.OutputTypes(model, g.Model().ExternalFolder())
}

// marshal returns the bytes of a model of these parts, whose weights stay in the files that they lie in.
func marshal(p graph.Parts) ([]byte, error) {
	m := p.Model()
	defer m.Close() // it shares the files of the model that is looked at, which stays open
	return m.MarshalMapped()
}

// undeclared makes outputs whose types the runtime has to find.
func undeclared(names []string) []graph.Value {
	out := make([]graph.Value, len(names))
	for i, name := range names {
		out[i] = graph.NewValue(name, tensor.Undefined, nil)
	}
	return out
}

// readByRules returns the values whose numbers rules may read: those that a node reads
// in a place that carries no gradient. The rules of Gather, GatherElements and Where take indices
// and conditions as they come, from the graph.
func readByRules(g *graph.Graph) map[string]bool {
	rules, read := ruleTable(), map[string]bool{}
	for _, n := range g.Nodes() {
		r, ok := rules[n.Op()]
		if !ok || r.vjp == nil || slices.Contains([]string{"Gather", "GatherElements", "Where"}, r.Op) {
			continue
		}
		for i, in := range n.Inputs() {
			if in != "" && !r.carries(i) {
				read[in] = true
			}
		}
	}
	return read
}
