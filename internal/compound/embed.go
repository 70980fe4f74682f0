package compound

import "github.com/onnx-compress/onnx-compress/tensor"

// embedding is EmbedLayerNormalization: input_ids, segment_ids, word, position and segment tables, gamma, beta, mask,
// position_ids; the outputs are the normalised sum of the rows, the lengths that the mask leaves, and the sum.
func embedding(b *body) error {
	b.typ = b.typeOf(b.x(2))
	sum := b.gather(b.x(2), b.x(0), 0)
	positions := b.slice(b.x(3), 0, 0, rest, 1)
	if b.x(8) != "" {
		positions = b.gather(b.x(3), b.x(8), 0)
	} else if b.Opset >= 10 {
		length := b.slice(b.Op("Shape", b.x(0)), 0, 1, 2, 1)
		positions = b.Op("Slice", b.x(3), b.Ints(0), length, b.Ints(0))
	}
	sum = b.Op("Add", sum, positions)
	if b.x(1) != "" && b.x(4) != "" {
		sum = b.Op("Add", sum, b.gather(b.x(4), b.x(1), 0))
	}
	b.give(0, b.layerNorm(sum, b.x(5), b.x(6), b.node.Float("epsilon", epsilon)))
	b.give(2, sum)
	switch {
	case b.x(7) != "":
		b.give(1, b.Reduce("ReduceSum", b.x(7), []int{1}, false))
	case b.Opset >= 10:
		b.give(1, b.zeros(tensor.Int32, b.slice(b.Op("Shape", b.x(0)), 0, 0, 1, 1)))
	}
	return nil
}
