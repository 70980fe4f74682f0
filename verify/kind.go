package verify

import "github.com/onnx-compress/onnx-compress/internal/outputs"

// Kind says what an output's numbers are, and so by what it is judged: scores of classes by the top class, an embedding by its
// direction and its neighbours, all else by the signal to noise ratio.
type Kind = outputs.Kind

// Kinds lists the kinds that an output with numbers may be said to be of.
func Kinds() []Kind { return outputs.Kinds() }

// ParseKind reads one of Kinds: scores, embedding, boxes, mask, tokens, values or state.
func ParseKind(word string) (Kind, error) { return outputs.ParseKind(word) }
