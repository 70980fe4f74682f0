package compound

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/graph"
)

// epsilon is what normalizations of com.microsoft add to a variance where the node does not say.
const epsilon = 1e-12

// layerNorm normalises along the last axis; beta may be "". The runtime has LayerNormalization in every operator set.
func (b *body) layerNorm(x, gamma, beta string, epsilon float32) string {
	inputs := []string{x, gamma}
	if beta != "" {
		inputs = append(inputs, beta)
	}
	return b.Node("LayerNormalization", inputs, graph.Int("axis", -1), graph.Float("epsilon", epsilon))
}

// layerNormalization is ONNX's own under another domain.
func layerNormalization(b *body) error {
	outputs := b.Several("LayerNormalization", b.node.Inputs(), len(b.node.Outputs()), b.node.Attrs()...)
	for i, o := range outputs {
		b.give(i, o)
	}
	return nil
}

// rms divides by the root of the mean square along axes, counted from the back, and multiplies with gamma. It returns the
// reciprocal of that root too.
func (b *body) rms(x, gamma string, axes []int, epsilon float32) (y, inverse string) {
	mean := b.Reduce("ReduceMean", b.Op("Mul", x, x), axes, true)
	inverse = b.Op("Reciprocal", b.Op("Sqrt", b.Op("Add", mean, b.scalar(float64(epsilon)))))
	return b.Op("Mul", b.Op("Mul", x, inverse), gamma), inverse
}

// maxAxes bounds the axes that a normalization is along.
const maxAxes = 8

// simplified is SimplifiedLayerNormalization: X, scale; the outputs are Y and the reciprocal of the deviation.
func simplified(b *body) error {
	axis := b.node.Int("axis", -1)
	if axis >= 0 {
		rank, err := b.rank(b.x(0))
		if err != nil {
			return err
		}
		axis -= rank
	}
	if axis >= 0 || axis < -maxAxes {
		return fmt.Errorf("axis %d", b.node.Int("axis", -1))
	}
	var axes []int
	for a := axis; a < 0; a++ {
		axes = append(axes, a)
	}
	y, inverse := b.rms(b.x(0), b.x(1), axes, b.node.Float("epsilon", 1e-5))
	b.give(0, y)
	b.give(1, inverse)
	return nil
}

// skipSum adds input, skip and bias: the bias where it is that of a product, so that it can make up for the product's errors.
func (b *body) skipSum(bias string) string {
	input, skip := b.x(0), b.x(1)
	if bias == "" {
		return b.Op("Add", input, skip)
	}
	if b.multiplied(skip) && !b.multiplied(input) {
		return b.Op("Add", input, b.Op("Add", skip, bias))
	}
	return b.Op("Add", b.Op("Add", input, bias), skip)
}

// skipNorm is SkipLayerNormalization: input, skip, gamma, beta, bias; the outputs are the normalised sum, two that the runtime
// leaves out, and the sum.
func skipNorm(b *body) error {
	sum := b.skipSum(b.x(4))
	b.give(0, b.layerNorm(sum, b.x(2), b.x(3), b.node.Float("epsilon", epsilon)))
	b.give(3, sum)
	return b.no(1, 2)
}

// skipSimplified is SkipSimplifiedLayerNormalization: input, skip, gamma, bias.
func skipSimplified(b *body) error {
	sum := b.skipSum(b.x(3))
	y, _ := b.rms(sum, b.x(2), []int{-1}, b.node.Float("epsilon", epsilon))
	b.give(0, y)
	b.give(3, sum)
	return b.no(1, 2)
}
