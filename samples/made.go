package samples

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// Decoders take more than the ids of a text's tokens: which of them are padding, where they stand, and what is known of the tokens
// before them. For a text from its beginning all of that follows from the ids.

// made are inputs that follow from the ids of tokens.
type made struct {
	ids    string // the input that has them
	inputs []madeInput
	pad    padding
}

// madeInput is one of them.
type madeInput struct {
	spec InputSpec
	rule rule
}

// rule says how an input is made.
type rule struct {
	// what says it in a word or two.
	what string
	// fits tells whether an input is such a one.
	fits func(in InputSpec, name string) bool
	// make gives the shape and the numbers for a text.
	make func(in InputSpec, t text) (shape []int, v []float64)
}

// text is what inputs are made of.
type text struct {
	// real are the tokens that are no padding.
	real []bool
	// encoded is how many positions an encoder gave, 1 where none did.
	encoded int
}

// encoderStates is what a decoder calls that which an encoder gave it.
const encoderStates = "encoder_hidden_states"

// textOf is the text of a sample whose tokens are real or padding.
func textOf(s *Sample, real []bool) text {
	out := text{real: real, encoded: 1}
	if shape := s.Inputs[encoderStates].Shape; len(shape) >= 2 {
		out.encoded = shape[len(shape)-2]
	}
	return out
}

// What inputs are made of.
const (
	ones   = "ones"
	empty  = "empty"
	unused = "room for the window, unused"
)

// rules are all that are known. Names are those of the exporters of Hugging Face's Optimum, of torch and of ONNX Runtime GenAI.
func rules() []rule {
	named := func(shape func(InputSpec) bool, names ...string) func(InputSpec, string) bool {
		return func(in InputSpec, name string) bool { return slices.Contains(names, name) && shape(in) }
	}
	row := func(in InputSpec) bool { return len(in.Shape) == 2 }
	line := func(in InputSpec) bool { return len(in.Shape) == 1 && in.Shape[0] != 1 }
	single := func(in InputSpec) bool {
		return in.Shape != nil && !slices.ContainsFunc(in.Shape, func(n int) bool { return n != 1 })
	}
	cache := func(in InputSpec, _ string) bool { return in.cache() }
	byToken := func(number func(before int, real bool) float64) func(InputSpec, text) ([]int, []float64) {
		return func(_ InputSpec, t text) ([]int, []float64) {
			v, before := make([]float64, len(t.real)), 0
			for i, r := range t.real {
				if v[i] = number(before, r); r {
					before++
				}
			}
			return []int{len(v)}, v
		}
	}
	zero := func(in InputSpec, _ text) ([]int, []float64) {
		return make([]int, max(len(in.Shape)-1, 0)), []float64{0}
	}
	return []rule{
		{ones, named(row, "attention_mask", "decoder_attention_mask", "input_mask", "padding_mask"), byToken(func(_ int, real bool) float64 {
			if real {
				return 1
			}
			return 0
		})},
		{"counting", named(row, "position_ids", "decoder_position_ids"), byToken(func(before int, _ bool) float64 { return float64(before) })},
		{"zeros", named(row, "token_type_ids", "segment_ids"), byToken(func(int, bool) float64 { return 0 })},
		{"counting", named(line, "cache_position"), func(_ InputSpec, t text) ([]int, []float64) {
			v := make([]float64, len(t.real))
			for i := range v {
				v[i] = float64(i)
			}
			return []int{len(v)}, v
		}},
		{"false", named(single, cacheBranch), zero},
		{"0, all", named(single, "num_logits_to_keep", "logits_to_keep"), zero},
		{"zeros", func(in InputSpec, name string) bool { return cache(in, name) && crossed(name) }, func(in InputSpec, t text) ([]int, []float64) {
			shape, _ := emptied(in.Shape)
			shape[slices.Index(shape, 0)] = t.encoded
			return shape, make([]float64, tensor.Product(shape))
		}},
		{unused, func(in InputSpec, name string) bool { return cache(in, name) && in.Room > 0 }, func(in InputSpec, _ text) ([]int, []float64) {
			shape, _ := emptied(in.Shape)
			shape[slices.Index(shape, 0)] = in.Room
			return shape, make([]float64, tensor.Product(shape))
		}},
		{empty, cache, func(in InputSpec, _ text) ([]int, []float64) {
			shape, _ := emptied(in.Shape)
			return shape, nil
		}},
	}
}

// cacheBranch is the input of a decoder that says whether it reads its caches at all.
const cacheBranch = "use_cache_branch"

// crossed tells by its name whether a cache holds the keys or values of what an encoder gave. These follow from no token, and only a
// decoder that makes them anew can do without.
func crossed(name string) bool {
	return strings.Contains(name, ".encoder.") || strings.Contains(name, "cross")
}

// cache tells whether an input is a cache of keys or values that begins with nothing.
func (s InputSpec) cache() bool {
	_, ok := emptied(s.Shape)
	name := strings.ToLower(s.Name)
	return ok && s.Type.IsFloat() && (strings.HasPrefix(name, "past") || strings.Contains(name, "past_key_values"))
}

// Past is the shape of a cache of keys or values, as its name and axes tell one, before the first token of one sample; false for other inputs
// and for what an encoder gave.
func (s InputSpec) Past() ([]int, bool) {
	if !s.cache() || crossed(strings.ToLower(s.Name)) {
		return nil, false
	}
	out := slices.Clone(s.Shape)
	for i, n := range slices.Backward(out) { // the last open axis has the positions, one before it the samples
		if n < 0 {
			out[i] = s.Room
			break
		}
	}
	if i := slices.Index(out, -1); i >= 0 {
		out[i] = 1
	}
	return out, true
}

// emptied is the shape of a sample of a cache in which nothing is yet: without the axis of the samples, which is the first open one, or
// where there is but one the first; and of size 0 along the other that is open. It is false where this is not clear.
func emptied(shape []int) ([]int, bool) {
	batch, open := 0, 0
	for _, n := range shape {
		if n < 0 {
			open++
		}
	}
	if open == 2 {
		batch = slices.Index(shape, -1)
	}
	if len(shape) < 3 || open != 2 && !(open == 1 && shape[0] > 0) {
		return nil, false
	}
	out := slices.Delete(slices.Clone(shape), batch, batch+1)
	out[slices.Index(out, -1)] = 0
	return out, true
}

// madeFrom tells how inputs that have a rule, and no array, follow from the ids.
func madeFrom(columns []column, missing []InputSpec) (*made, error) {
	out := &made{}
	for _, c := range columns {
		if !takesTokens(c.input) || len(c.header.shape) != 2 {
			continue
		}
		if out.ids != "" {
			return nil, fmt.Errorf("the other inputs could be made of %s as of %s", out.ids, c.input.Name)
		}
		out.ids = c.input.Name
	}
	if out.ids == "" {
		return nil, errors.New("no array has the ids of tokens that it could be made of")
	}
	for _, in := range missing {
		out.inputs = append(out.inputs, madeInput{in, *ruleOf(in)})
	}
	return out, nil
}

// takesTokens tells whether an input wants the ids of tokens.
func takesTokens(in InputSpec) bool {
	name := strings.ToLower(in.Name)
	return !in.Type.IsFloat() && (strings.HasSuffix(name, "ids") || strings.HasPrefix(name, "token")) && ruleOf(in) == nil
}

// notMade says what can be made of ids, to somebody who lacks an input that cannot; empty where a model takes none.
func notMade(inputs []InputSpec) string {
	if !slices.ContainsFunc(inputs, takesTokens) {
		return ""
	}
	return "; of the ids of tokens follow attention_mask, position_ids and token_type_ids of [samples, positions], cache_position, use_cache_branch, " +
		"num_logits_to_keep, and past_key_values.* with one open axis beside that of the samples, those of what an encoder gave only beside use_cache_branch"
}

// canBeMade tells whether an input of a model follows from the ids. A model has others beside it.
func canBeMade(in InputSpec, inputs []InputSpec) bool {
	branches := slices.ContainsFunc(inputs, func(in InputSpec) bool { return strings.ToLower(in.Name) == cacheBranch })
	return len(inputs) > 1 && ruleOf(in) != nil && (branches || !crossed(strings.ToLower(in.Name)))
}

// ruleOf is how an input is made; nil where it cannot be.
func ruleOf(in InputSpec) *rule {
	for _, r := range rules() {
		if r.fits(in, strings.ToLower(in.Name)) {
			return &r
		}
	}
	return nil
}

// describe says in one line what was made; empty for nothing.
func (m *made) describe() string {
	if m == nil {
		return ""
	}
	var parts []string
	caches, name := map[string]int{}, map[string]string{}
	for _, in := range m.inputs {
		switch what := in.rule.what; {
		case what == empty || what == unused:
			if caches[what]++; caches[what] == 1 {
				name[what], _, _ = strings.Cut(in.spec.Name, ".")
			}
		case what == ones && m.pad.there:
			parts = append(parts, fmt.Sprintf("%s (ones, 0 at padding, which is %d)", in.spec.Name, m.pad.id))
		default:
			parts = append(parts, fmt.Sprintf("%s (%s)", in.spec.Name, what))
		}
	}
	for _, what := range []string{empty, unused} {
		if caches[what] > 0 {
			parts = append(parts, fmt.Sprintf("%d of %s (%s)", caches[what], name[what], what))
		}
	}
	return fmt.Sprintf("; made of %s: %s", m.ids, strings.Join(parts, ", "))
}

// fits refuses texts that what was made cannot go with.
func (m *made) fits() error {
	for _, in := range m.inputs {
		if in.rule.what == unused && m.pad.there {
			return fmt.Errorf("the attention that reads %q keeps a window of what it read, and takes no padding, which is %d here; give texts of as many tokens each, without it", in.spec.Name, m.pad.id)
		}
	}
	return nil
}

// add makes the inputs of a sample that has the ids.
func (m *made) add(s *Sample) error {
	if m == nil {
		return nil
	}
	ids, err := s.Inputs[m.ids].Int64s()
	if err != nil {
		return err
	}
	t := textOf(s, m.pad.real(ids))
	for _, in := range m.inputs {
		shape, v := in.rule.make(in.spec, t)
		if s.Inputs[in.spec.Name], err = tensor.FromFloat64(shape, v).Convert(in.spec.Type); err != nil {
			return fmt.Errorf("input %q: %w", in.spec.Name, err)
		}
	}
	return nil
}

// padding is the id that fills texts up to one length.
type padding struct {
	there, before bool // before the texts, not behind them
	id            int64
}

// real tells which tokens are none. A text has one at least.
func (p padding) real(ids []int64) []bool {
	out := make([]bool, len(ids))
	for i := range out {
		out[i] = true
	}
	if !p.there {
		return out
	}
	for k := range len(ids) - 1 {
		i := len(ids) - 1 - k
		if p.before {
			i = k
		}
		if ids[i] != p.id {
			break
		}
		out[i] = false
	}
	return out
}

// findPadding looks for the id that texts are filled up with: it stands twice or more at the end, or the beginning, of some of them, and
// nowhere else in any.
func findPadding(texts [][]int64) padding {
	for _, before := range []bool{false, true} {
		tried := map[int64]bool{}
		for _, ids := range texts {
			n := len(ids)
			if n < 2 || before && ids[0] != ids[1] || !before && ids[n-1] != ids[n-2] {
				continue
			}
			p := padding{there: true, before: before, id: ids[n-1]}
			if before {
				p.id = ids[0]
			}
			if !tried[p.id] && p.alone(texts) {
				return p
			}
			tried[p.id] = true
		}
	}
	return padding{}
}

// alone tells whether the id stands nowhere but as padding.
func (p padding) alone(texts [][]int64) bool {
	for _, ids := range texts {
		for i, real := range p.real(ids) {
			if real && ids[i] == p.id {
				return false
			}
		}
	}
	return true
}
