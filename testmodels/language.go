package testmodels

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Sizes of Language.
const (
	LanguageVocabulary = 64
	languageWidth      = 16
	languageHeads      = 2
	languageLayers     = 2
)

// Language is a decoder of two layers as exporters write those with a cache: input_ids and position_ids [batch, seq], attention_mask
// [batch, total], and past_key_values.N.key and .value [batch, 2, past, 8] to logits [batch, seq, 64] and present.N.key and .value. With a
// branch it has use_cache_branch [1] too, of which its If takes its way, both of which compute the same.
func Language(seed uint64, branch bool) *Builder {
	const length = 32
	b := NewBuilder(seed, 17, 8)
	ids := b.Input("input_ids", tensor.Int64, "batch", "seq")
	mask := b.Input("attention_mask", tensor.Int64, "batch", "total")
	at := b.Input("position_ids", tensor.Int64, "batch", "seq")
	x := b.Node("Add", []string{
		b.Node("Gather", []string{b.Random("words", -1, 1, LanguageVocabulary, languageWidth), ids}), b.Node("Gather", []string{b.Random("positions", -0.5, 0.5, length, languageWidth), at}),
	})
	hidden := hiddenPairs(b, ids, mask)
	for layer := range languageLayers {
		x = languageLayer(b, x, hidden, layer)
	}
	x = layerNorm(b, x, languageWidth)
	if branch {
		which := b.Input("use_cache_branch", tensor.Bool, 1)
		head := b.Weight("head", languageWidth, languageWidth, LanguageVocabulary)
		same := func(name string) graph.Attr {
			return graph.Body(name, b.Body(name, func(body *Builder) {
				body.Output(body.Node("MatMul", []string{x, head}), tensor.Float32, "batch", "seq", LanguageVocabulary)
			}))
		}
		b.Node("If", []string{which}, same("then_branch"), same("else_branch"))
	} else {
		b.Linear(x, languageWidth, LanguageVocabulary, false)
	}
	b.Output(b.Rename("logits"), tensor.Float32, "batch", "seq", LanguageVocabulary)
	return b
}

// hiddenPairs is what is added to the scores of attention, [batch, 1, seq, total]: a large negative number where the position that is
// looked at is padding, or comes later.
func hiddenPairs(b *Builder, ids, mask string) string {
	number := func(name string, v float64) string { return b.Tensor(name, tensor.Float32, nil, []float64{v}) }
	size := func(of, name string) string {
		return b.Node("Gather", []string{b.Node("Shape", []string{of}), b.Tensor(name, tensor.Int64, nil, []float64{1})})
	}
	zero, step := b.Tensor("first", tensor.Int64, nil, []float64{0}), b.Tensor("step", tensor.Int64, nil, []float64{1})
	seq, total := size(ids, "seq_axis"), size(mask, "total_axis")
	here := b.Node("Unsqueeze", []string{b.Node("Range", []string{b.Node("Sub", []string{total, seq}), total, step}), b.Ints("behind", 1)})
	later := b.Node("Greater", []string{b.Node("Range", []string{zero, total, step}), here}) // [seq, total]
	future := b.Node("Where", []string{later, number("never", -1e4), number("fine", 0)})
	padding := b.Node("Mul", []string{b.Node("Sub", []string{number("one", 1), b.Node("Cast", []string{mask}, graph.Int("to", int(tensor.Float32)))}), number("hide", -1e4)})
	return b.Node("Add", []string{b.Node("Unsqueeze", []string{padding, b.Ints("pairs", 1, 2)}), future})
}

// languageLayer adds attention with a cache, and a network of two layers.
func languageLayer(b *Builder, x, hidden string, layer int) string {
	const each = languageWidth / languageHeads
	name := fmt.Sprintf("layer%d_", layer)
	y := layerNorm(b, x, languageWidth)
	project := func() string {
		p := b.Node("Reshape", []string{b.Linear(y, languageWidth, languageWidth, false), b.Ints(b.fresh(name+"heads"), 0, 0, languageHeads, each)})
		return b.Node("Transpose", []string{p}, graph.Ints("perm", 0, 2, 1, 3))
	}
	cached := func(kind, now string) string {
		past := b.Input(fmt.Sprintf("past_key_values.%d.%s", layer, kind), tensor.Float32, "batch", languageHeads, "past", each)
		b.Node("Concat", []string{past, now}, graph.Int("axis", 2))
		out := b.Rename(fmt.Sprintf("present.%d.%s", layer, kind))
		b.Output(out, tensor.Float32, "batch", languageHeads, "total", each)
		return out
	}
	q, k, v := project(), cached("key", project()), cached("value", project())
	scores := b.Node("MatMul", []string{b.Node("Mul", []string{q, b.Tensor(name+"scale", tensor.Float32, nil, []float64{0.35355339059327373})}), b.Node("Transpose", []string{k}, graph.Ints("perm", 0, 1, 3, 2))})
	seen := b.Node("Softmax", []string{b.Node("Add", []string{scores, hidden})}, graph.Int("axis", -1))
	y = b.Node("Transpose", []string{b.Node("MatMul", []string{seen, v})}, graph.Ints("perm", 0, 2, 1, 3))
	y = b.Node("Reshape", []string{y, b.Ints(name+"together", 0, 0, languageWidth)})
	x = b.Node("Add", []string{x, b.Linear(y, languageWidth, languageWidth, false)})
	y = b.Linear(layerNorm(b, x, languageWidth), languageWidth, 2*languageWidth, true)
	y = b.Node("Mul", []string{y, b.Node("Sigmoid", []string{y})})
	return b.Node("Add", []string{x, b.Linear(y, 2*languageWidth, languageWidth, true)})
}
