package outputs

import (
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Kind says what an output's numbers are.
type Kind string

// The kinds of outputs.
const (
	// Scores are class scores, [samples, classes]: the largest of a sample names its class.
	Scores Kind = "scores"
	// Embedding is a vector for each sample, [samples, size], that is compared with others by its direction.
	Embedding Kind = "embedding"
	// Boxes are what a detector found, or what may be found at each of its places: corners or sides, alone or beside scores.
	Boxes Kind = "boxes"
	// Mask has scores or classes for every place of an image.
	Mask Kind = "mask"
	// Tokens are class scores at every position of a sequence, [samples, positions, classes].
	Tokens Kind = "tokens"
	// Letters are scores of the letter, or of none, at every position of a line or a sound, [samples, positions, letters], by models that read it
	// from there (CTC: A. Graves et al., ICML 2006).
	Letters Kind = "letters"
	// Next are scores of the next token at every position of a text, [samples, positions, vocabulary], as language models give them.
	Next Kind = "next"
	// Words are scores of the token at every position of a text, [samples, positions, vocabulary], by models that see what comes after it
	// too: those that fill in what is left out.
	Words Kind = "words"
	// Values are other numbers: a signal, an image, a regression.
	Values Kind = "values"
	// State is what a model hands on to its own next run: a cache of attention's keys and values, or the state of a recurrence, told by its name
	// and the input that it becomes. Its numbers matter by what the next outputs make of them.
	State Kind = "state"
	// Opaque has no numbers: a sequence, an optional value, a map, strings.
	Opaque Kind = "opaque"
)

// Kinds lists the kinds that an output with numbers may be said to be of.
func Kinds() []Kind {
	return []Kind{Scores, Embedding, Boxes, Mask, Tokens, Letters, Next, Words, Values, State}
}

// ParseKind reads one of Kinds.
func ParseKind(word string) (Kind, error) { return suggest.Named("kind", word, Kinds()) }

// Vocabulary tells whether there is a score for each token of a vocabulary, at every position of a text.
func (k Kind) Vocabulary() bool { return k == Next || k == Words }

// Placed tells whether a class is named at each of many positions or places, of no vocabulary.
func (k Kind) Placed() bool { return k == Tokens || k == Letters || k == Mask }

// Title names the kind in words.
func (k Kind) Title() string {
	switch k {
	case Scores:
		return "class scores"
	case Tokens:
		return "class scores by position"
	case Letters:
		return "letters by position"
	case Next:
		return "scores of the next token"
	case Words:
		return "scores of tokens by position"
	case State:
		return "state for the next run"
	case Values:
		return "other numbers"
	case Opaque:
		return "no numbers"
	}
	return string(k)
}

// kind tells what an output is from its shape, the nodes that make it, and where these leave it open from its name. What else it may be
// is for scores whose shape turns out to be another.
func (w *walk) kind(v graph.Value) (is, otherwise Kind) {
	otherwise = w.kindOf(v, false)
	dims := v.Dims()
	along := len(dims) > 1 && dims[1].Size <= 0 && w.batch[dims[1].Name] // an axis of the inputs is no axis of classes
	if is = w.kindOf(v, shaped(v) && !along); is != Scores {
		otherwise = ""
	}
	return is, otherwise
}

// kindOf is the kind of a value that has, or has not, the shape of class scores.
func (w *walk) kindOf(v graph.Value, vector bool) Kind {
	name := v.Name()
	switch {
	case v.Declared() && !v.Dense() || v.Type() == tensor.String:
		return Opaque
	case cached(name) || w.handedOn(v) || w.recurs(v):
		return State
	case w.detects(v) || w.suppressed[name] && w.corners(v):
		return Boxes
	case w.suppressed[name]: // what goes with the boxes: their scores, their classes, how many there are
		return Values
	case w.vocabulary(v) && !w.causal():
		return Words
	case w.vocabulary(v):
		return Next
	case vector && w.scores(name) && !strings.Contains(strings.ToLower(name), "embed"):
		return Scores
	case w.echoes(v):
		return Values
	case vector && flat(v):
		return Embedding
	case w.positions(v) && w.letters(v):
		return Letters
	case w.positions(v):
		return Tokens
	case w.places(v):
		return Mask
	}
	return Values
}

// shortest is the least size of what is taken for an embedding: fewer numbers are measures of something.
const shortest = 16

// flat tells whether a value is declared to be one long vector for each sample.
func flat(v graph.Value) bool {
	dims := v.Dims()
	return len(dims) >= 2 && (dims[1].Size < 0 || dims[1].Size >= shortest) && !slices.ContainsFunc(dims[2:], func(d graph.Dim) bool { return d.Size != 1 })
}

// echoes tells whether a value has the shape of one of the model's inputs, samples aside: a signal that became another.
func (w *walk) echoes(v graph.Value) bool {
	dims := v.Dims()
	return len(dims) > 1 && slices.ContainsFunc(w.g.Feeds(), func(in graph.Value) bool {
		other := in.Dims()
		return len(other) == len(dims) && slices.EqualFunc(dims[1:], other[1:], func(d, e graph.Dim) bool { return d.Size == e.Size && d.Name == e.Name })
	})
}

// positions tells whether a value has class scores along its last axis, of three: behind a softmax, or of a text by a linear layer.
func (w *walk) positions(v graph.Value) bool {
	if dims := v.Dims(); len(dims) != 3 || dims[2].Size == 1 || v.Type() != tensor.Undefined && !v.Type().IsFloat() {
		return false
	}
	reads := slices.ContainsFunc(w.g.Feeds(), func(in graph.Value) bool { return in.Type() == tensor.Int64 || in.Type() == tensor.Int32 })
	return w.made(v.Name(), "Softmax", "LogSoftmax") || reads && w.linear(v.Name()) && !featured(v.Name())
}

// featured tells whether an output is called features rather than scores.
func featured(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"embed", "hidden", "feature"}, func(word string) bool { return strings.Contains(name, word) })
}

// fewestLetters is the least number of letters, with none of them: those of digits. Voices, speakers and parts of music are fewer.
const fewestLetters = 11

// letters tells whether class scores by position are of letters that a model reads from an image or a sound.
func (w *walk) letters(v graph.Value) bool {
	dims := v.Dims()
	return len(dims) == 3 && dims[2].Size >= fewestLetters && slices.ContainsFunc(w.g.Feeds(), func(in graph.Value) bool {
		dims := in.Dims()
		return in.Type().IsFloat() && (len(dims) > 2 || len(dims) == 2 && dims[1].Size <= 0)
	}) && !slices.ContainsFunc(w.g.Feeds(), func(in graph.Value) bool { return !in.Type().IsFloat() && len(in.Dims()) == 2 })
}

// unscaled says what other numbers may be that no softmax makes scores: letters by position, or classes at the places of an image. It is empty where
// they are neither.
func (w *walk) unscaled(v graph.Value) Kind {
	dims, made := v.Dims(), v.Name()
	if w.echoes(v) || featured(made) || v.Type() != tensor.Undefined && !v.Type().IsFloat() {
		return ""
	}
	for range deepest {
		n, ok := w.g.Producer(made)
		if !ok || n.Op() != "Resize" && n.Op() != "Upsample" {
			break
		}
		made = n.Input(0)
	}
	switch linear := w.linear(made); {
	case linear && w.letters(v):
		return Letters
	case linear && len(dims) == 4 && (dims[1].Size == 2 || dims[1].Size > 4) && dims[2].Size != 1 && dims[3].Size != 1: // others are pictures
		return Mask
	}
	return ""
}

// places tells whether a value has scores or classes at every place of an image.
func (w *walk) places(v graph.Value) bool {
	dims := v.Dims()
	return (len(dims) == 3 || len(dims) == 4) && dims[len(dims)-1].Size != 1 && dims[len(dims)-2].Size != 1 &&
		(w.made(v.Name(), "ArgMax") || len(dims) == 4 && w.made(v.Name(), "Softmax", "LogSoftmax", "Sigmoid", "HardSigmoid"))
}
