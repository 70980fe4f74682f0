package testmodels

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Window is how many positions the first layer of Windowed sees.
const Window = 6

// Windowed is a decoder of two layers as ONNX Runtime GenAI's builder writes those of which some see a window, and keep no more of the past than
// it: input_ids [batch, seq], attention_mask [batch, total] and past_key_values.N.key and .value [batch, 2, positions, open] to logits
// [batch, seq, 64] and present.N.key and .value. The cache of the first layer has room for Window positions or more, that of the second grows.
func Windowed(seed uint64) *Builder {
	const width, heads, shared, each, length = 32, 4, 2, 16, 64
	b := NewBuilder(seed, 21, 10).Import("com.microsoft", 1)
	ids, mask := b.Input("input_ids", tensor.Int64, "batch", "seq"), b.Input("attention_mask", tensor.Int64, "batch", "total")
	one := b.Ints("one", 1)
	narrow := func(x string) string { return b.Node("Cast", []string{x}, graph.Int("to", int(tensor.Int32))) }
	last := narrow(b.Node("Sub", []string{b.Node("ReduceSum", []string{mask, one}, graph.Int("keepdims", 0)), one}))
	total := narrow(b.Node("Gather", []string{b.Node("Shape", []string{mask}), one}))
	cos, sin := b.Random("cos_cache", -1, 1, length, each/2), b.Random("sin_cache", -1, 1, length, each/2)
	x := b.Node("Gather", []string{b.Random("words", -1, 1, LanguageVocabulary, width), ids})
	for layer, window := range []int{Window, -1} {
		attrs := []graph.Attr{graph.Int("num_heads", heads), graph.Int("kv_num_heads", shared), graph.Int("do_rotary", 1), graph.Int("local_window_size", window)}
		past, present := "past", "total"
		if window > 0 {
			past, present = "past_sliding", "total_sliding"
			attrs = append(attrs, graph.Int("sliding_window_cache", 1))
		}
		inputs := []string{b.Linear(layerNorm(b, x, width), width, (heads+2*shared)*each, false), "", ""}
		outputs := []string{fmt.Sprintf("attention.%d", layer)}
		for _, kind := range []string{"key", "value"} {
			inputs = append(inputs, b.Input(fmt.Sprintf("past_key_values.%d.%s", layer, kind), tensor.Float32, "batch", shared, past, "channels"))
			outputs = append(outputs, fmt.Sprintf("present.%d.%s", layer, kind))
			b.Output(outputs[len(outputs)-1], tensor.Float32, "batch", shared, present, "channels")
		}
		y := b.named(fmt.Sprintf("attention%d", layer), "com.microsoft::GroupQueryAttention", append(inputs, last, total, cos, sin), outputs, attrs...)
		x = b.Node("Add", []string{x, b.Linear(y[0], heads*each, width, false)})
		inner := b.Node("Relu", []string{b.Linear(layerNorm(b, x, width), width, 2*width, false)})
		x = b.Node("Add", []string{x, b.Linear(inner, 2*width, width, false)})
	}
	b.Linear(layerNorm(b, x, width), width, LanguageVocabulary, false)
	b.Output(b.Rename("logits"), tensor.Float32, "batch", "seq", LanguageVocabulary)
	return b
}
