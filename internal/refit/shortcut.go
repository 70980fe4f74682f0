package refit

import (
	"math"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// shortcut is an addition behind a site, which adds another activation to the site's output.
type shortcut struct {
	operand string
	// scale is what the site's output is multiplied with, per channel, before the addition; nil for one.
	scale []float64
}

// findShortcut follows the site's output, as long as it has one reader, through constant additions and batch
// normalizations (inference) to an addition of another activation; nil where there is none.
func findShortcut(m *onnxio.Model, s *rewrite.Site, p *schedule) *shortcut {
	c := &shortcut{}
	value := s.Output
	g := graph.Of(m)
	for range len(p.nodes) {
		u, ok := g.Reader(value)
		if !ok {
			return nil
		}
		n, slot := u.Node, u.Slot
		switch op := n.Op(); {
		case op == "Identity":
		case (op == "Add" || op == "Sum") && len(n.Inputs()) == 2 && !p.constant[n.Input(1-slot)]:
			c.operand = n.Input(1 - slot)
			return c
		case op == "Add" && p.constant[n.Input(1-slot)]:
		case op == "BatchNormalization" && value == s.Output && s.OutputScale != nil:
			if c.scale = signed(g, n, s.OutputScale); c.scale == nil {
				return nil
			}
		default:
			return nil
		}
		value = n.Output(0)
	}
	return nil
}

// signed gives the magnitudes of a batch normalization's factors the signs of its scale.
func signed(g *graph.Graph, n graph.Node, magnitudes []float64) []float64 {
	t, ok := g.Constant(n.Input(1))
	if !ok {
		return nil
	}
	dense, err := t.Tensor.Dense()
	if err != nil {
		return nil
	}
	v, err := dense.Float64s()
	if err != nil || len(v) != len(magnitudes) {
		return nil
	}
	out := make([]float64, len(v))
	for i := range v {
		out[i] = math.Copysign(magnitudes[i], v[i])
	}
	return out
}
