package testmodels

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// textClassifier makes a bag of words: token ids "tokens" [N,T] below 120, whose embeddings
// are averaged and go through a network of two layers, to "logits" [N,5].
func textClassifier(seed uint64) *Builder {
	const vocabulary, width, hidden, classes = 120, 20, 16, 5
	b := NewBuilder(seed, 17, 8)
	tokens := b.Input("tokens", tensor.Int64, "N", "T")
	x := b.Node("Gather", []string{b.Weight("embedding", 1, vocabulary, width), tokens})
	x = b.Node("ReduceMean", []string{x}, graph.Ints("axes", 1), graph.Int("keepdims", 0))
	x = b.Node("Relu", []string{b.Linear(x, width, hidden, true)})
	b.Linear(x, hidden, classes, true)
	b.Output(b.Rename("logits"), tensor.Float32, "N", classes)
	return b
}

// tiedText makes a model that guesses the next word: token ids "tokens" [N,T] below 120,
// and "scores" [N,T,120] by the same table that embeds them, turned around.
func tiedText(seed uint64) *Builder {
	const vocabulary, width = 120, 20
	b := NewBuilder(seed, 17, 8)
	tokens := b.Input("tokens", tensor.Int64, "N", "T")
	table := b.Weight("embedding", 1, vocabulary, width)
	x := b.Node("Relu", []string{b.Linear(b.Node("Gather", []string{table, tokens}), width, width, true)})
	b.Node("MatMul", []string{x, b.Node("Transpose", []string{table})})
	b.Output(b.Rename("scores"), tensor.Float32, "N", "T", vocabulary)
	return b
}
