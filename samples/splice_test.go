package samples

import (
	"fmt"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// sentence is a text of so many tokens, first, 10·first + its place, and 2, with padding before or behind it.
func sentence(first int64, length, before, behind int) Sample {
	ids, mask := make([]int64, before+length+behind), make([]int64, before+length+behind)
	for i := range length {
		ids[before+i], mask[before+i] = 10*first+int64(i), 1
	}
	ids[before], ids[before+length-1] = 1, 2
	in := func(v []int64) tensor.Dense { return tensor.FromInt64([]int{len(v)}, v) }
	return Sample{Name: fmt.Sprint("text ", first), Label: int(first), Inputs: map[string]tensor.Dense{
		"input_ids": in(ids), "attention_mask": in(mask), "past": tensor.New(tensor.Float32, 2, 0, 4),
	}}
}

// textInputs are those of a model that reads them.
func textInputs() []InputSpec {
	return []InputSpec{
		{Name: "attention_mask", Type: tensor.Int64, Shape: []int{-1, -1}},
		{Name: "input_ids", Type: tensor.Int64, Shape: []int{-1, -1}},
		{Name: "past", Type: tensor.Float32, Shape: []int{-1, 2, -1, 4}},
	}
}

type list []Sample

func (l list) Len() int                     { return len(l) }
func (l list) Sample(i int) (Sample, error) { return l[i], nil }
func (l list) Describe() string             { return "texts" }

func numbers(t *testing.T, s Sample, input string) []int64 {
	t.Helper()
	v, err := s.Inputs[input].Int64s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A text begins as another one does, at the same places, and goes on as it was, with its own padding behind; its first and its last token are
// those of a text, and its length is its own.
func TestSplice(t *testing.T) {
	for _, c := range []struct {
		name   string
		source list
	}{
		{"padded behind", list{sentence(3, 9, 0, 3), sentence(5, 6, 0, 6), sentence(7, 12, 0, 0)}},
		{"padded before", list{sentence(3, 9, 3, 0), sentence(5, 6, 6, 0)}},
		{"of several lengths", list{sentence(3, 9, 0, 0), sentence(5, 6, 0, 0), sentence(7, 4, 0, 0)}},
	} {
		a, err := NewAugmenter(Augment{Mix: true}, SourceOptions{}, textInputs(), 1)
		if err != nil {
			t.Fatal(err)
		}
		spliced := 0
		for epoch := range 60 {
			src := Augmented{Source: c.source, By: a, Among: []int{0, 1}, Epoch: epoch}
			for i, was := range c.source {
				s, err := src.Sample(i)
				if err != nil {
					t.Fatal(err)
				}
				again, err := src.Sample(i)
				if now := numbers(t, s, "input_ids"); err != nil || !slices.Equal(now, numbers(t, again, "input_ids")) {
					t.Fatalf("%s: %v, then another, %v", c.name, now, err)
				}
				if checkSpliced(t, was, c.source, s) {
					spliced++
				}
			}
		}
		if spliced < 40 {
			t.Errorf("%s: %d texts of %d are spliced", c.name, spliced, 60*len(c.source))
		}
	}
}

// checkSpliced checks a text that was another one, and tells whether it is not itself any more.
func checkSpliced(t *testing.T, was Sample, among list, s Sample) bool {
	t.Helper()
	now, before := numbers(t, s, "input_ids"), numbers(t, was, "input_ids")
	if slices.Equal(now, before) {
		return false
	}
	other, cut := numbers(t, among[s.Other/2-1], "input_ids"), 0
	for cut < min(len(now), len(other)) && now[cut] == other[cut] {
		cut++
	}
	if len(now) != len(before) || !slices.Equal(now[cut:], before[cut:]) || s.Share <= 0 || s.Share >= 1 {
		t.Errorf("%v with a share of %g is not %v up to some place and %v from there on", now, s.Share, other, before)
	}
	mask, real := numbers(t, s, "attention_mask"), []int64(nil)
	for k, id := range now {
		if (id != 0) != (mask[k] == 1) {
			t.Errorf("the mask of %v is %v", now, mask)
		}
		if id != 0 {
			real = append(real, id)
		}
	}
	if real[0] != 1 || slices.Index(real, 2) != len(real)-1 {
		t.Errorf("%v is no text", real)
	}
	return true
}

// What is for images is refused for texts, and so are batches; what has nothing but its ends stays a text.
func TestSpliceRefused(t *testing.T) {
	for _, a := range []Augment{{Flip: true}, {Mirror: true}, {Crop: 2}} {
		if _, err := NewAugmenter(a, SourceOptions{}, textInputs(), 1); err == nil {
			t.Errorf("%s of texts is taken", a)
		}
	}
	a, err := NewAugmenter(Augment{Mix: true}, SourceOptions{}, textInputs(), 1)
	if err != nil {
		t.Fatal(err)
	}
	one := sentence(3, 5, 0, 0)
	one.Whole = true
	if _, err := (Augmented{Source: list{one, one}, By: a, Among: []int{0, 1}}).Sample(0); err == nil {
		t.Error("a whole batch is spliced")
	}
	short := list{sentence(3, 1, 0, 0), sentence(5, 1, 0, 0)}
	if s, err := (Augmented{Source: short, By: a, Among: []int{1}}).Sample(0); err != nil || !slices.Equal(numbers(t, s, "input_ids"), numbers(t, short[0], "input_ids")) {
		t.Errorf("%v %v", s, err)
	}
}

// Texts end where their mask does, at the next multiple; padding before them stays, and so does all that is no text with a mask of open length.
func TestTrimmed(t *testing.T) {
	wide := sentence(3, 5, 0, 11)
	wide.Inputs["bias"] = tensor.New(tensor.Float32, 1, 16, 16)
	whole := sentence(3, 5, 0, 11)
	whole.Whole = true
	src := list{sentence(3, 5, 0, 11), sentence(5, 9, 0, 3), sentence(7, 8, 0, 8), sentence(3, 5, 11, 0), wide, whole}
	trimmed, ok := Trimmed(src, textInputs(), 8)
	if !ok {
		t.Fatal("texts with a mask are not trimmed")
	}
	for i, want := range []int{8, 12, 8, 16, 16, 16} {
		s, err := trimmed.Sample(i)
		if err != nil {
			t.Fatal(err)
		}
		ids, mask := numbers(t, s, "input_ids"), numbers(t, s, "attention_mask")
		if len(ids) != want || len(mask) != want || !slices.Equal(ids, numbers(t, src[i], "input_ids")[:want]) || !slices.Equal(s.Inputs["past"].Shape, []int{2, 0, 4}) {
			t.Errorf("text %d has %d tokens, want %d: %v", i, len(ids), want, ids)
		}
	}
	fixed := textInputs()
	for k := range fixed[:2] {
		fixed[k].Shape = []int{-1, 16}
	}
	for _, inputs := range [][]InputSpec{fixed, textInputs()[1:], {{Name: "image", Type: tensor.Float32, Shape: []int{-1, 3, 8, 8}}}} {
		same, ok := Trimmed(src, inputs, 8)
		if s, err := same.Sample(0); ok || err != nil || len(numbers(t, s, "input_ids")) != 16 {
			t.Errorf("trimmed for %v: %v", inputs, err)
		}
	}
}
