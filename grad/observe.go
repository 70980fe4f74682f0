package grad

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// fewNumbers bounds the elements of a value whose numbers Observe keeps.
const fewNumbers = 256

// Observe finds out about a model's values by running it once on sample inputs, of the
// shapes that the gradients are for. Activations do not pile up: the run gives out their
// shapes only.
//
// Small integer values that depend on the inputs' shapes, such as the bounds of a Slice, are
// taken to be the same in later runs.
func Observe(ctx context.Context, lib *ort.Library, m *onnxio.Model, inputs map[string]tensor.Dense) (Values, error) {
	values, err := observe(ctx, lib, m, inputs)
	if err != nil {
		return nil, fmt.Errorf("grad: finding the shapes of the model's values: %w", err)
	}
	return values, nil
}

func observe(ctx context.Context, lib *ort.Library, m *onnxio.Model, inputs map[string]tensor.Dense) (Values, error) {
	values := Values{}
	for _, in := range shapes.Inputs(m) {
		d, ok := inputs[in.GetName()]
		if !ok {
			return nil, fmt.Errorf("no sample for input %q", in.GetName())
		}
		values[in.GetName()] = Value{Type: d.Type, Shape: orEmpty(d.Shape)}
	}
	types, err := observeTypes(lib, m)
	if err != nil {
		return nil, err
	}
	read := readByRules(m)
	names := onnxio.NewNameSet(m)
	graph := onnxio.Shallow(m.Graph())
	graph.Output = nil
	var order, outputs []string
	output := func(name string) {
		graph.Output = append(graph.Output, &onnxpb.ValueInfoProto{Name: proto.String(name)})
		outputs = append(outputs, name)
	}
	for _, n := range m.Graph().GetNode() {
		for _, out := range n.Output {
			if types[out] == tensor.Undefined || out == "" {
				continue
			}
			shape := names.Fresh(out + "/shape")
			graph.Node = append(graph.Node, &onnxpb.NodeProto{
				Name: proto.String(shape), OpType: proto.String("Shape"), Input: []string{out}, Output: []string{shape},
			})
			order = append(order, out)
			output(shape)
		}
	}
	shapesOf := len(outputs)
	for _, out := range order {
		if read[out] {
			output(out)
		}
	}
	results, err := runOnce(ctx, lib, m, graph, inputs, outputs)
	if err != nil {
		return nil, err
	}
	defer results.Close()
	for i, out := range order {
		shape, err := results.Get(i).Int64s()
		if err != nil {
			return nil, err
		}
		values[out] = Value{Type: types[out], Shape: orEmpty(toInts(shape))}
	}
	for i := shapesOf; i < len(outputs); i++ {
		v := values[outputs[i]]
		if d := results.Get(i); d.Len() <= fewNumbers {
			// What has no numbers, such as strings, no rule reads.
			if numbers, err := d.Float64s(); err == nil {
				v.Numbers = numbers
			}
		}
		values[outputs[i]] = v
	}
	return values, nil
}

// readByRules returns the values whose numbers rules may read: those that a node reads
// in a place that carries no gradient.
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
