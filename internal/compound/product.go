package compound

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
)

// fusedMatMul is alpha·op(A)·op(B); alpha goes to the operand that is constant.
func fusedMatMul(b *body) error {
	if err := b.plain(0, "transBatchA", "transBatchB"); err != nil {
		return err
	}
	operands := []string{b.x(0), b.x(1)}
	alpha := float64(b.node.Float("alpha", 1))
	for i, name := range []string{"transA", "transB"} {
		x := operands[i]
		if b.node.Int(name, 0) != 0 {
			rank, err := b.rank(x)
			if err != nil {
				return err
			}
			if rank > 1 {
				perm := make([]int, rank)
				for a := range perm {
					perm[a] = a
				}
				perm[rank-2], perm[rank-1] = rank-1, rank-2
				operands[i] = b.transpose(x, perm...)
			}
		}
		if b.constant(x) {
			operands[i], alpha = b.scale(operands[i], alpha), 1
		}
	}
	b.main = b.Op("MatMul", operands...)
	b.give(0, b.scale(b.main, alpha))
	return nil
}

// fusedGemm is a Gemm with an activation.
func fusedGemm(b *body) error {
	var attrs []graph.Attr
	for _, a := range b.node.Attrs() {
		if slices.Contains([]string{"alpha", "beta", "transA", "transB"}, a.Name()) {
			attrs = append(attrs, a)
		}
	}
	b.main = b.Node("Gemm", b.node.Inputs(), attrs...)
	y, err := b.activated(b.main, func(i int, absent float32) float32 {
		return b.node.Float([]string{"activation_alpha", "activation_beta", "activation_gamma"}[i], absent)
	})
	b.give(0, y)
	return err
}

// fusedConv is a Conv, of which the result is perhaps added to Z, with an activation.
func fusedConv(b *body) error {
	var attrs []graph.Attr
	for _, a := range b.node.Attrs() {
		if a.Name() != "activation" && a.Name() != "activation_params" {
			attrs = append(attrs, a)
		}
	}
	inputs := b.node.Inputs()
	inputs = inputs[:min(3, len(inputs))]
	if b.x(2) == "" {
		inputs = inputs[:min(2, len(inputs))]
	}
	b.main = b.Node("Conv", inputs, attrs...)
	y := b.main
	if z := b.x(3); z != "" {
		y = b.Op("Add", y, z)
	}
	y, err := b.activated(y, func(i int, absent float32) float32 {
		if list := b.node.Floats("activation_params"); i < len(list) {
			return list[i]
		}
		return absent
	})
	b.give(0, y)
	return err
}

// activated applies the activation that the node names, with what parameter says of its attributes.
func (b *body) activated(x string, parameter func(i int, absent float32) float32) (string, error) {
	on := []string{x}
	switch op := b.node.String("activation", ""); op {
	case "":
		return x, nil
	case "Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "HardSwish":
		return b.Node(op, on), nil
	case "Elu":
		return b.Node(op, on, graph.Float("alpha", parameter(0, 1))), nil
	case "LeakyRelu":
		return b.Node(op, on, graph.Float("alpha", parameter(0, 0.01))), nil
	case "ThresholdedRelu":
		return b.Node(op, on, graph.Float("alpha", parameter(0, 1))), nil
	case "HardSigmoid":
		return b.Node(op, on, graph.Float("alpha", parameter(0, 0.2)), graph.Float("beta", parameter(1, 0.5))), nil
	case "Clip":
		low, high := parameter(0, -3.4028235e38), parameter(1, 3.4028235e38)
		if b.Opset < 11 {
			return b.Node(op, on, graph.Float("min", low), graph.Float("max", high)), nil
		}
		return b.Op(op, x, b.scalar(float64(low)), b.scalar(float64(high))), nil
	default:
		return "", fmt.Errorf("with activation %q it has no body", op)
	}
}
