package grad

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// fewNumbers bounds the elements of a value whose numbers Observe keeps.
const fewNumbers = 256

// Observe finds out everything about a model's values for sample inputs of the shapes that
// the gradients are for: by inference, and where that does not reach, by running the model
// once. Activations do not pile up: the run gives out their shapes only.
//
// Small integer values that the run finds, such as the bounds of a Slice, are taken to be
// the same in later runs.
func Observe(ctx context.Context, lib *ort.Library, m *onnxio.Model, inputs map[string]tensor.Dense) (Values, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("grad: finding the shapes of the model's values: %w", err)
	}
	given := map[string][]int{}
	for _, in := range graph.Of(m).Feeds() {
		d, ok := inputs[in.Name()]
		if !ok {
			return nil, fmt.Errorf("grad: finding the shapes of the model's values: no sample for input %q", in.Name())
		}
		given[in.Name()] = orEmpty(d.Shape)
	}
	if values := Infer(m, given); complete(m, values) {
		return values, nil
	}
	values, err := observe(ctx, lib, m, inputs)
	if err != nil {
		return nil, fmt.Errorf("grad: finding the shapes of the model's values by a run: %w", err)
	}
	return values, nil
}

// complete reports whether nothing that a run would find is missing.
func complete(m *onnxio.Model, values Values) bool {
	read := readByRules(m)
	for _, n := range m.Graph().GetNode() {
		for _, out := range n.Output {
			v := values[out]
			if out != "" && (v.Type == tensor.Undefined || v.Shape == nil) {
				return false
			}
			if _, constant := m.Index().Constant(out); read[out] && v.Numbers == nil && !constant {
				return false
			}
		}
	}
	return true
}

// observe runs the model.
func observe(ctx context.Context, lib *ort.Library, m *onnxio.Model, inputs map[string]tensor.Dense) (Values, error) {
	types, err := observeTypes(lib, m)
	if err != nil {
		return nil, err
	}
	p := newProbe(m, types)
	results, err := runOnce(ctx, lib, m, p.graph, inputs, slices.Concat(p.shapes, p.read))
	if err != nil {
		return nil, err
	}
	defer results.Close()
	values := Values{}
	for _, in := range graph.Of(m).Feeds() {
		d := inputs[in.Name()]
		values[in.Name()] = Value{Type: d.Type, Shape: orEmpty(d.Shape)}
	}
	for i, name := range p.values {
		shape, err := results.Get(i).Int64s()
		if err != nil {
			return nil, err
		}
		values[name] = Value{Type: types[name], Shape: orEmpty(toInts(shape))}
	}
	for i, name := range p.read {
		v := values[name]
		if d := results.Get(len(p.shapes) + i); d.Len() <= fewNumbers {
			// What has no numbers, such as strings, no rule reads.
			if numbers, err := d.Float64s(); err == nil {
				v.Numbers = numbers
			}
		}
		values[name] = v
	}
	return values, nil
}

// probe is a model's graph with the shapes of its values as outputs, and the values that
// rules read.
type probe struct {
	graph  *onnxpb.GraphProto
	values []string // node outputs
	shapes []string // outputs with their shapes
	read   []string // those of values that are outputs too
}

func newProbe(m *onnxio.Model, types map[string]tensor.Type) probe {
	read := readByRules(m)
	names := onnxio.NewNameSet(m)
	p := probe{graph: onnxio.Shallow(m.Graph())}
	for _, n := range m.Graph().GetNode() {
		for _, out := range n.Output {
			if out == "" || types[out] == tensor.Undefined {
				continue
			}
			shape := names.Fresh(out + "/shape")
			p.graph.Node = append(p.graph.Node, &onnxpb.NodeProto{
				Name: proto.String(shape), OpType: proto.String("Shape"), Input: []string{out}, Output: []string{shape},
			})
			p.values, p.shapes = append(p.values, out), append(p.shapes, shape)
			if read[out] {
				p.read = append(p.read, out)
			}
		}
	}
	p.graph.Output = nil
	for _, name := range slices.Concat(p.shapes, p.read) {
		p.graph.Output = append(p.graph.Output, &onnxpb.ValueInfoProto{Name: proto.String(name)})
	}
	return p
}

// readByRules returns the values whose numbers rules may read: those that a node reads
// in a place that carries no gradient. The rules of Gather and Where take indices and
// conditions as they come, from the graph.
func readByRules(m *onnxio.Model) map[string]bool {
	rules := map[string]Rule{}
	for _, r := range Rules() {
		rules[r.Op] = r
	}
	read := map[string]bool{}
	for _, n := range m.Graph().GetNode() {
		r, ok := rules[n.GetOpType()]
		if !ok || !onnxDomain(n.GetDomain()) || r.vjp == nil {
			continue
		}
		for i, in := range n.Input {
			if in != "" && !r.carries(i) && n.GetOpType() != "Gather" && n.GetOpType() != "Where" {
				read[in] = true
			}
		}
	}
	return read
}

// observeTypes returns the types of the node outputs that are dense tensors of numbers,
// as the runtime infers them when it loads the model.
func observeTypes(lib *ort.Library, m *onnxio.Model) (map[string]tensor.Type, error) {
	graph := onnxio.Shallow(m.Graph())
	graph.Output = slices.Clone(graph.Output)
	given := map[string]bool{}
	for _, v := range graph.Output {
		given[v.GetName()] = true
	}
	for _, n := range m.Graph().GetNode() {
		for _, out := range n.Output {
			if out != "" && !given[out] {
				given[out] = true
				graph.Output = append(graph.Output, &onnxpb.ValueInfoProto{Name: proto.String(out)})
			}
		}
	}
	s, err := open(lib, m, graph)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	types := map[string]tensor.Type{}
	for _, v := range s.Outputs() {
		if v.Kind == ort.KindTensor {
			types[v.Name] = v.Type
		}
	}
	return types, nil
}

func open(lib *ort.Library, m *onnxio.Model, graph *onnxpb.GraphProto) (*ort.Session, error) {
	p := onnxio.Shallow(m.Proto)
	p.Graph = graph
	derived := m.Derive(p)
	defer derived.Close()
	data, err := derived.Marshal()
	if err != nil {
		return nil, err
	}
	return lib.NewSession(data, ort.Options{ExternalFolder: m.ExternalFolder(), Optimization: ort.OptimizeNone})
}

func runOnce(ctx context.Context, lib *ort.Library, m *onnxio.Model, graph *onnxpb.GraphProto, inputs map[string]tensor.Dense, outputs []string) (*ort.Results, error) {
	s, err := open(lib, m, graph)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Run(ctx, inputs, outputs)
}
