package calib

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// probe is a session of the model whose outputs are the values that the sites read.
type probe struct {
	session *ort.Session // nil where every value is an input of the model
	outputs []string
}

// newProbe makes a session that computes the named values.
func newProbe(host feed.Host, m *onnxio.Model, inputs []samples.InputSpec, values []string) (*probe, error) {
	p := &probe{}
	for _, v := range values {
		if !slices.ContainsFunc(inputs, func(in samples.InputSpec) bool { return in.Name == v }) {
			p.outputs = append(p.outputs, v)
		}
	}
	if len(p.outputs) == 0 {
		return p, nil
	}
	open := probed(m, p.outputs).Model()
	defer open.Close() // it shares the files of m, which stays open
	var err error
	if p.session, err = host.NewSession(open); err != nil {
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

// probed is the model with the given values for outputs, and without the nodes that these do not need.
func probed(m *onnxio.Model, outputs []string) graph.Parts {
	p := graph.Of(m).Parts().Plain()
	p.Nodes = graph.Needed(p.Nodes, outputs)
	p.Outputs = nil
	// The outputs have no types: the runtime infers them.
	for _, name := range outputs {
		p.Outputs = append(p.Outputs, graph.NewValue(name, tensor.Undefined, nil))
	}
	p.Values = slices.DeleteFunc(p.Values, func(v graph.Value) bool { return slices.Contains(outputs, v.Name()) })
	return p
}
