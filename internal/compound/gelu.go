package compound

import (
	"math"

	"github.com/onnx-compress/onnx-compress/graph"
)

// gelu is x·Φ(x).
func (b *body) gelu(x string) string {
	if b.Opset >= 20 {
		return b.Op("Gelu", x)
	}
	phi := b.Op("Add", b.Op("Erf", b.scale(x, math.Sqrt2/2)), b.scalar(1))
	return b.scale(b.Op("Mul", x, phi), 0.5)
}

// tanhGelu is the form of gelu with a tanh in it.
func (b *body) tanhGelu(x string) string {
	if b.Opset >= 20 {
		return b.Node("Gelu", []string{x}, graph.String("approximate", "tanh"))
	}
	k := math.Sqrt(2 / math.Pi)
	slope := b.Op("Add", b.scale(b.Op("Mul", x, x), k*0.044715), b.scalar(k))
	phi := b.Op("Add", b.Op("Tanh", b.Op("Mul", x, slope)), b.scalar(1))
	return b.scale(b.Op("Mul", x, phi), 0.5)
}

func plainGelu(b *body) error {
	b.give(0, b.gelu(b.x(0)))
	return nil
}

func biasGelu(b *body) error {
	b.give(0, b.gelu(b.Op("Add", b.x(0), b.x(1))))
	return nil
}

// fastGelu is FastGelu: X and a bias that may be left out.
func fastGelu(b *body) error {
	x := b.x(0)
	if b.x(1) != "" {
		x = b.Op("Add", x, b.x(1))
	}
	b.give(0, b.tanhGelu(x))
	return nil
}

// quickGelu is x·sigmoid(αx).
func quickGelu(b *body) error {
	alpha := float64(b.node.Float("alpha", 1.702))
	b.give(0, b.Op("Mul", b.x(0), b.Op("Sigmoid", b.scale(b.x(0), alpha))))
	return nil
}

// biasSplitGelu adds a bias, and multiplies the first half of the channels with the gelu of the second.
func biasSplitGelu(b *body) error {
	half := b.halves(b.Op("Add", b.x(0), b.x(1)))
	b.give(0, b.Op("Mul", half[0], b.gelu(half[1])))
	return nil
}
