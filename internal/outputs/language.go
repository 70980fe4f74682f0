package outputs

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Text is what a model reads to give the scores of tokens.
type Text struct {
	// IDs names the input of the tokens' ids, [samples, positions], and Mask that which is 0 at padding, [samples, positions] with
	// those of a cache before them; empty where there is none.
	IDs, Mask string
	// Probabilities says that the scores went through a softmax.
	Probabilities bool
}

// Padding tells which of the positions that a run gives scores for hold no token, [texts, positions]; nil where all hold one. They are
// counted from the last one, for a mask has those of a cache before them, and scores may be of a text's last positions only. What lies
// before the first position of the mask or of the ids, and ids below 0, are no tokens either. Inputs of other numbers of texts say nothing.
func (t Text) Padding(inputs map[string]tensor.Dense, texts, positions int) []bool {
	var out []bool
	mark := func(name string, empty func(float64) bool) {
		d, ok := inputs[name]
		if !ok || len(d.Shape) != 2 || d.Shape[0] != texts {
			return
		}
		v, err := d.Float64s()
		if err != nil { // Of refuses masks of such types, and none of them is looked up
			return
		}
		for i := range texts * positions {
			if at := d.Shape[1] - positions + i%positions; at < 0 || empty(v[i/positions*d.Shape[1]+at]) {
				if out == nil {
					out = make([]bool, texts*positions)
				}
				out[i] = true
			}
		}
	}
	mark(t.Mask, func(v float64) bool { return v == 0 })
	mark(t.IDs, func(v float64) bool { return v < 0 })
	return out
}

// table is a constant matrix with a row for each token of a vocabulary, which an input of ids is looked up in.
type table struct {
	ids  string
	rows int
}

// tables are the model's, whatever graph the lookup stands in.
func tables(g *graph.Graph) []table {
	rows, producers := map[string][]int{}, map[string]graph.Node{}
	for t := range graph.Tensors(g.Model()) {
		if shape := t.Shape(); len(shape) == 2 {
			rows[t.Name()] = shape
		}
	}
	var lookups []graph.Node
	for _, n := range graph.Walk(g.Model()) {
		for _, out := range n.Outputs() {
			producers[out] = n
		}
		switch n.Op() {
		case "Gather", "com.microsoft::GatherBlockQuantized", "com.microsoft::EmbedLayerNormalization":
			lookups = append(lookups, n)
		}
	}
	var out []table
	for _, n := range lookups {
		data, ids := n.Input(0), n.Input(1)
		if n.Op() == "com.microsoft::EmbedLayerNormalization" {
			data, ids = n.Input(2), n.Input(0)
		}
		turned := false
		shape := slices.Clone(rows[passed(producers, data, &turned)])
		ids = passed(producers, ids, new(bool))
		if shape == nil || !slices.ContainsFunc(g.Feeds(), func(in graph.Value) bool { return in.Name() == ids }) {
			continue
		}
		if turned {
			slices.Reverse(shape)
		}
		out = append(out, table{ids, shape[0]})
	}
	return out
}

// passed is the value that nodes which only arrange or convert it make another of; turned is flipped by each Transpose.
func passed(producers map[string]graph.Node, value string, turned *bool) string {
	for range deepest {
		n, ok := producers[value]
		if !ok {
			return value
		}
		switch n.Op() {
		case "Transpose":
			*turned = !*turned
		case "Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "DequantizeLinear":
		default:
			return value
		}
		value = n.Input(0)
	}
	return value
}

// vocabulary tells whether a value has scores for each token of the vocabulary that the model reads, at every position of a text: [samples,
// positions, vocabulary] with as many as the table has rows that the ids are looked up in. Where their number is not declared, a linear
// layer must give them.
func (w *walk) vocabulary(v graph.Value) bool {
	dims := v.Dims()
	if len(dims) != 3 || v.Type() != tensor.Undefined && !v.Type().IsFloat() {
		return false
	}
	return slices.ContainsFunc(w.lookups(), func(t table) bool {
		return dims[2].Size == t.rows || dims[2].Size <= 0 && t.rows > 1 && w.linear(v.Name())
	})
}

// lookups are the model's tables, looked for once.
func (w *walk) lookups() []table {
	if w.tables == nil {
		w.tables = append([]table{}, tables(w.g)...)
	}
	return w.tables
}

// text is what the model reads to make a value of tokens' scores. A mask that is neither numbers nor booleans is an error.
func (w *walk) text(v graph.Value) (Text, error) {
	out := Text{Probabilities: w.made(v.Name(), "Softmax")}
	best, dims := 0, v.Dims()
	for _, t := range w.lookups() { // the largest, but for the one that fits; of several alike the last, for a decoder stands behind its encoder
		rows := t.rows
		if len(dims) == 3 && dims[2].Size == rows {
			rows = math.MaxInt
		}
		if rows >= best {
			out.IDs, best = t.ids, rows
		}
	}
	out.Mask = mask(w.g.Feeds(), out.IDs)
	at := slices.IndexFunc(w.g.Feeds(), func(in graph.Value) bool { return in.Name() == out.Mask })
	if at < 0 {
		return out, nil
	}
	if typ := w.g.Feeds()[at].Type(); slices.Contains([]tensor.Type{tensor.String, tensor.Complex64, tensor.Complex128}, typ) {
		return out, fmt.Errorf("input %q is of type %s, so that it does not tell which positions of a text are padding: want numbers or booleans, or say that output %q is of the kind %s", out.Mask, typ, v.Name(), Tokens)
	}
	return out, nil
}

// mask names the input that is 0 at padding beside that of tokens' ids; empty where there is none.
func mask(feeds []graph.Value, ids string) string {
	before, _ := strings.CutSuffix(ids, "input_ids")
	if before == ids {
		before = ""
	}
	for _, name := range []string{before + "attention_mask", before + "input_mask", before + "padding_mask", before + "mask"} {
		if slices.ContainsFunc(feeds, func(in graph.Value) bool { return in.Name() == name && len(in.Dims()) == 2 }) {
			return name
		}
	}
	return ""
}
