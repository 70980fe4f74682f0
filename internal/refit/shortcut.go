package refit

import (
	"math"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
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
func findShortcut(m *onnxio.Model, s *rewrite.Site, p *plan) *shortcut {
	c := &shortcut{}
	value := s.Output
	x := m.Index()
	for range len(p.nodes) {
		uses := x.Uses(value)
		if len(uses) != 1 || uses[0].Nested || x.IsOutput(value) {
			return nil
		}
		n, slot := uses[0].Node, uses[0].Slot
		if d := n.GetDomain(); d != "" && d != "ai.onnx" || len(n.GetOutput()) == 0 {
			return nil
		}
		switch op := n.GetOpType(); {
		case op == "Identity":
		case (op == "Add" || op == "Sum") && len(n.GetInput()) == 2 && !p.constant[n.GetInput()[1-slot]]:
			c.operand = n.GetInput()[1-slot]
			return c
		case op == "Add" && p.constant[n.GetInput()[1-slot]]:
		case op == "BatchNormalization" && value == s.Output && s.OutputScale != nil:
			if c.scale = signed(m, n, s.OutputScale); c.scale == nil {
				return nil
			}
		default:
			return nil
		}
		value = n.GetOutput()[0]
	}
	return nil
}

// signed gives the magnitudes of a batch normalization's factors the signs of its scale.
func signed(m *onnxio.Model, n *onnxpb.NodeProto, magnitudes []float64) []float64 {
	t, ok := m.Index().Constant(n.GetInput()[1])
	if !ok {
		return nil
	}
	dense, err := m.Tensor(t.Tensor).Dense()
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
