package calib

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// probe is a session of the model whose outputs are the values that the sites read.
type probe struct {
	session *ort.Session // nil where every value is an input of the model
	outputs []string
}

// newProbe makes a session that computes the named values.
func newProbe(lib *ort.Library, m *onnxio.Model, inputs []samples.InputSpec, values []string) (*probe, error) {
	p := &probe{}
	for _, v := range values {
		if !slices.ContainsFunc(inputs, func(in samples.InputSpec) bool { return in.Name == v }) {
			p.outputs = append(p.outputs, v)
		}
	}
	if len(p.outputs) == 0 {
		return p, nil
	}
	d := m.Derive(probeModel(m.Proto, p.outputs))
	defer d.Close()
	data, err := d.Marshal()
	if err != nil {
		return nil, fmt.Errorf("calibration: %w", err)
	}
	if p.session, err = lib.NewSession(data, ort.Options{ExternalFolder: m.ExternalFolder()}); err != nil {
		return nil, fmt.Errorf("calibration: ONNX Runtime does not take the model: %w", err)
	}
	return p, nil
}

// run computes the outputs and adds them to values, which are valid until done is called.
func (p *probe) run(ctx context.Context, inputs map[string]tensor.Dense, outputs []string, values map[string]tensor.Dense) (done func(), err error) {
	if len(outputs) == 0 {
		return func() {}, nil
	}
	out, err := p.session.Run(ctx, inputs, outputs)
	if err != nil {
		return nil, fmt.Errorf("running the model: %w", err)
	}
	for i, name := range outputs {
		values[name] = out.Get(i)
	}
	return out.Close, nil
}

func (p *probe) close() {
	if p.session != nil {
		p.session.Close()
	}
}

// probeModel returns the model with the given values for outputs, and without the nodes
// that these do not need. It shares everything else with m.
func probeModel(m *onnxpb.ModelProto, outputs []string) *onnxpb.ModelProto {
	g := m.GetGraph()
	graph := &onnxpb.GraphProto{
		Name: g.Name, Node: needed(g.GetNode(), outputs), Input: g.Input, ValueInfo: g.ValueInfo,
		Initializer: g.Initializer, SparseInitializer: g.SparseInitializer, QuantizationAnnotation: g.QuantizationAnnotation,
	}
	for _, name := range outputs {
		graph.Output = append(graph.Output, &onnxpb.ValueInfoProto{Name: &name})
	}
	// The outputs have no types: the runtime infers them.
	graph.ValueInfo = slices.DeleteFunc(slices.Clone(graph.ValueInfo), func(v *onnxpb.ValueInfoProto) bool {
		return slices.Contains(outputs, v.GetName())
	})
	return &onnxpb.ModelProto{
		IrVersion: m.IrVersion, OpsetImport: m.OpsetImport, Domain: m.Domain, Functions: m.Functions, Graph: graph,
	}
}

// needed returns the nodes that the values depend on, in order.
func needed(nodes []*onnxpb.NodeProto, values []string) []*onnxpb.NodeProto {
	want := map[string]bool{}
	for _, v := range values {
		want[v] = true
	}
	var out []*onnxpb.NodeProto
	for _, n := range slices.Backward(nodes) {
		if !slices.ContainsFunc(n.GetOutput(), func(v string) bool { return v != "" && want[v] }) {
			continue
		}
		out = append(out, n)
		addInputs(want, n)
	}
	slices.Reverse(out)
	return out
}

// addInputs adds the values that a node reads, those in its subgraphs included.
func addInputs(want map[string]bool, n *onnxpb.NodeProto) {
	for _, v := range n.GetInput() {
		want[v] = true
	}
	for _, a := range n.GetAttribute() {
		for _, g := range append(slices.Clone(a.GetGraphs()), a.GetG()) {
			for _, inner := range g.GetNode() {
				addInputs(want, inner)
			}
			for _, v := range g.GetOutput() {
				want[v.GetName()] = true // a body may return a value of the graph around it
			}
		}
	}
}
