package verify

import "github.com/onnx-compress/onnx-compress/internal/outputs"

// Kind says what an output's numbers are, and so by what it is judged: scores of classes by the top class, those of tokens of a vocabulary by the KL divergence, an embedding by its
// direction and its neighbours, boxes by how many match where their layout is known, tokens by the class at each position, letters by the edits from what the original reads, masks by their overlap, all else by the signal to noise ratio.
type Kind = outputs.Kind

// Kinds lists the kinds that an output with numbers may be said to be of.
func Kinds() []Kind { return outputs.Kinds() }

// ParseKind reads one of Kinds: scores, embedding, boxes, mask, tokens, letters, next, words, values or state.
func ParseKind(word string) (Kind, error) { return outputs.ParseKind(word) }

// Fitting is the bound that fits outputs of a kind: what is lost within it is next to nothing to most who use a model.
func Fitting(k Kind) Bound {
	switch k {
	case outputs.Scores, outputs.Tokens:
		return Bound{Agreement, 0.99}
	case outputs.Next, outputs.Words:
		return Bound{KL, 0.05}
	case outputs.Boxes:
		return Bound{Boxes, 0.98}
	case outputs.Letters:
		return Bound{CER, 0.01}
	case outputs.Mask:
		return Bound{IoU, 0.97}
	case outputs.Embedding:
		return Bound{Cosine, 0.99}
	}
	return Bound{SNR, 30}
}
