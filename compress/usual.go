package compress

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/verify"
)

// InputKind says what an input takes, as far as its name, type and shape tell.
type InputKind string

// The kinds of inputs.
const (
	// TakesTokens are the ids of tokens, [samples, positions].
	TakesTokens InputKind = "tokens"
	// TakesWave is a sound, [samples, positions] or with an axis of channels.
	TakesWave InputKind = "wave"
	// TakesRate is a number, how many positions of a wave are a second.
	TakesRate InputKind = "rate"
	// TakesImages are images, of four axes.
	TakesImages InputKind = "images"
	// TakesState is what the run before handed on, of one size, and TakesCache what it handed on of all positions before.
	TakesState InputKind = "state"
	TakesCache InputKind = "cache"
)

// inputKinds are those of a graph's inputs by name; what none fits is not there.
func inputKinds(g *graph.Graph) map[string]InputKind {
	out, ins, began := map[string]InputKind{}, g.Feeds(), outputs.Began(g)
	rated := false
	for _, in := range ins {
		name, axes := strings.ToLower(in.Name()), len(in.Dims())
		state, cache := outputs.Carried(in)
		switch whole := !in.Type().IsFloat(); {
		case state || began[in.Name()] && !cache:
			out[in.Name()] = TakesState
		case cache:
			out[in.Name()] = TakesCache
		case whole && axes < 2 && (name == "sr" || mentions(name, "sample_rate", "sampling_rate")):
			out[in.Name()], rated = TakesRate, true
		case whole && axes == 2 && (strings.HasSuffix(name, "ids") || name == "tokens"):
			out[in.Name()] = TakesTokens
		case !whole && axes < 4 && mentions(name, "wave", "audio", "speech", "sound", "input_values", "pcm"):
			out[in.Name()] = TakesWave
		case axes == 4 && in.Type() != tensor.Bool:
			out[in.Name()] = TakesImages
		}
	}
	for _, in := range ins { // of which a rate beside it tells
		if rated && out[in.Name()] == "" && in.Type().IsFloat() && len(in.Dims()) == 2 {
			out[in.Name()] = TakesWave
		}
	}
	return out
}

// streams tells whether a model of such inputs takes what it reads piece by piece, and keeps a state meanwhile.
func streams(kinds map[string]InputKind) bool {
	return slices.Contains(slices.Collect(maps.Values(kinds)), TakesState)
}

// mentions tells whether one of the words is in a name.
func mentions(name string, words ...string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(name, word) })
}

// Sizes that inputs usually have where a model leaves them open.
const (
	usualSide     = 224 // of an image that is looked at as a whole
	usualDetected = 640 // and of one in which things are found
	usualLine     = 320 // how wide a line of text is
	usualLetters  = 48  // and how high
	usualLength   = 128 // of texts, and of what has no usual length
	usualWave     = UsualRate
	usualPiece    = 512 // what models of streams take at a time
)

// UsualRate is how many positions of a wave are mostly a second.
const UsualRate = 16000

// UsualImage is the size of the images that a model of open sizes mostly takes, by what it gives, and whether these are whole: nothing may be cropped
// from images in which things are found at places. A model that gives classes by position reads lines of text, each as wide as it is: of these the
// width is only an example.
func UsualImage(gives []OutputInspection) (height, width int, whole bool) {
	judged := func(kinds ...verify.Kind) bool {
		return slices.ContainsFunc(gives, func(o OutputInspection) bool { return slices.Contains(kinds, o.Kind) })
	}
	switch {
	case judged(outputs.Boxes, outputs.Mask):
		return usualDetected, usualDetected, true
	case judged(outputs.Tokens, outputs.Letters):
		return usualLetters, usualLine, true
	case judged(outputs.Scores, outputs.Embedding):
		return usualSide, usualSide, false
	}
	return usualDetected, usualDetected, true
}

// statedImage is the height and width of the images that a model says that it is made for, in the metadata of Ultralytics' exporter: [height, width].
func statedImage(m *onnxio.Model) (height, width int, ok bool) {
	n, err := fmt.Sscanf(graph.Of(m).Stated("imgsz"), "[%d, %d]", &height, &width)
	return height, width, err == nil && n == 2 && height > 0 && width > 0
}

// usual are shapes that the inputs whose sizes are open beyond the batch may run at: those that such inputs usually have, one for each name of a size.
func usual(m *onnxio.Model, given map[string][]int, gives []OutputInspection) map[string][]int {
	ins := slices.DeleteFunc(slices.Clone(graph.Of(m).Feeds()), func(in graph.Value) bool { return given[in.Name()] != nil || len(in.Dims()) == 0 })
	kinds, batch := inputKinds(graph.Of(m)), map[string]bool{}
	for _, in := range ins {
		if d := in.Dims()[0]; d.Size <= 0 && d.Name != "" {
			batch[d.Name] = true
		}
	}
	piecewise := streams(kinds)
	high, wide, _ := UsualImage(gives)
	height, width, stated := statedImage(m)
	out := map[string][]int{}
	for _, in := range ins {
		dims, kind, open := in.Dims(), kinds[in.Name()], false
		shape := make([]int, len(dims))
		for i, d := range dims {
			switch {
			case d.Size > 0:
				shape[i] = d.Size
				continue
			case i == 0 || batch[d.Name]:
				shape[i] = 1
				open = open || i > 0
				continue
			case kind == TakesState:
				shape[i] = 1 // sample
			case kind == TakesCache:
				shape[i] = 0 // in which nothing is yet
			case kind == TakesImages && stated && i == len(dims)-2 && dims[1].Size > 0: // as that exporter lays them
				shape[i] = height
			case kind == TakesImages && stated && i == len(dims)-1 && dims[1].Size > 0:
				shape[i] = width
			case kind == TakesImages:
				shape[i] = imageSide(dims, i, high, wide)
			case kind == TakesWave && piecewise:
				shape[i] = usualPiece
			case kind == TakesWave:
				shape[i] = usualWave
			default:
				shape[i] = usualLength
			}
			open = true
		}
		if open {
			out[in.Name()] = shape
		}
	}
	return out
}

// imageSide is the usual size of an open axis of an image: that of its fixed side, unless that is the height of a line of text, or what it is without one.
func imageSide(dims []graph.Dim, i, height, width int) int {
	sides := []int{2, 3}
	if n := dims[3].Size; n == 1 || n == 3 {
		sides = []int{1, 2}
	}
	if !slices.Contains(sides, i) {
		return 3
	}
	other := dims[sides[0]+sides[1]-i].Size
	switch {
	case other > 0 && i == sides[1] && other <= 64:
		return usualLine
	case other > 0:
		return other
	case i == sides[0]:
		return height
	}
	return width
}

// exampleShapes are the flags that say at which sizes a model may run.
func (a *Analysis) exampleShapes() string {
	var list []OutputInspection
	if of, err := outputs.Of(a.model, outputs.Options{}); err == nil {
		for _, o := range of {
			list = append(list, OutputInspection{Name: o.Name, Kind: o.Kind})
		}
	}
	shapes := usual(a.model, a.inputs, list)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		out = append(out, fmt.Sprintf("%s %s=%s", OptionInputShapes, name, ShapeText(shapes[name])))
	}
	if out == nil { // where not even the number of axes is known
		name := "input"
		if len(a.Unknown) > 0 {
			name = a.Unknown[0].Input
		}
		return fmt.Sprintf("%s %s=1x3x224x224", OptionInputShapes, name)
	}
	return strings.Join(out, " ")
}

// ShapeText writes a shape as flags have it.
func ShapeText(shape []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(shape), "[]"), " ", "x")
}
