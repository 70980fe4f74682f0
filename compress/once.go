package compress

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// once stores weights of m that the original lacks, and that are equal, once: the factors of sites that share a weight, or have the same one in
// both branches of an If. It takes the place of m.
func once(m, original *onnxio.Model) (*onnxio.Model, error) {
	known, names := map[weightSum]string{}, map[string]string{}
	p := graph.Of(m).Parts()
	var left []onnxio.Tensor
	for _, t := range p.Initializers {
		if _, old := graph.Of(original).Initializer(t.Name()); !old {
			d, err := t.Dense()
			if err != nil {
				return nil, err
			}
			sum := denseSum(d)
			if first, twice := known[sum]; twice {
				names[t.Name()] = first
				continue
			}
			known[sum] = t.Name()
		}
		left = append(left, t)
	}
	if len(names) == 0 {
		return m, nil
	}
	p.Initializers = left
	nodes := make([]graph.Node, len(p.Nodes))
	for i, n := range p.Nodes {
		nodes[i] = graph.Reading(n, names)
	}
	p.Nodes = nodes
	next := p.Model()
	return next, m.Close()
}
