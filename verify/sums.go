package verify

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// outputSums are the sums that an Output is made of.
type outputSums struct {
	values           int64
	maxDiff, maxRef  float64
	diff, diff2      float64 // Σ|y'−y|, Σ(y'−y)²
	ref2             float64 // Σy²
	cosines          float64
	away             float64 // the largest 1 − cosine of a sample
	samples          int64   // finite ones, whose cosines were summed
	badRef, badOther int     // samples that are not finite
	differing        int     // samples for which the models give different sizes
}

func (s *outputSums) add(o outputSums) {
	s.values += o.values
	s.maxDiff, s.maxRef = max(s.maxDiff, o.maxDiff), max(s.maxRef, o.maxRef)
	s.diff += o.diff
	s.diff2 += o.diff2
	s.ref2 += o.ref2
	s.cosines += o.cosines
	s.away = max(s.away, o.away)
	s.samples += o.samples
	s.badRef += o.badRef
	s.badOther += o.badOther
	s.differing += o.differing
}

// example is one sample and what became of it.
type example struct {
	name          string
	index         int // of the sample in its source, −1 for a part of one
	label         int
	parts         []energy // by output
	finite        bool
	scored        bool
	box           bool    // the scores are four numbers that lie as the corners of a box do
	before, after int     // classes; -1 for none
	error         float64 // of all outputs together, once these can be weighed
	text          textSums
	named         []*named  // by output, of those that name classes at positions or places
	found         []reading // what a detector's outputs say, by every layout that they may have
	blind         bool      // they are not finite, and say nothing
}

// energy is that of an output's change in a sample, Σ(y'−y)², and of the output, Σy².
type energy struct{ diff2, ref2 float64 }

func (e *energy) add(o energy) {
	e.diff2 += o.diff2
	e.ref2 += o.ref2
}

// runSums are the sums of one run.
type runSums struct {
	batch    int // the size of the axis of an output that has one entry per example, filler included
	outputs  []outputSums
	shapes   [][]int // by output, with the examples first; nil of those that have nothing of single examples
	examples []example
	scored   int                  // the output with class scores, -1 for none
	classes  int                  // of that output
	vectors  map[int][]directions // by output, of embeddings
	inputs   map[string]tensor.Dense
	spoken   int            // the output with the scores of next tokens, -1 for none
	words    int            // of that output's vocabulary
	empty    map[int][]bool // by output, of tokens: its positions that are padding, [batch, positions]; nil where none are
	labelled bool
}

func newRunSums(r *feed.Run, outputs int) *runSums {
	s := &runSums{
		batch: max(r.Batch, r.Count()), outputs: make([]outputSums, outputs), shapes: make([][]int, outputs), scored: -1, vectors: map[int][]directions{},
		inputs: r.Inputs, spoken: -1, empty: map[int][]bool{},
	}
	for i := range r.Count() {
		e := example{label: -1, index: -1, finite: true, before: -1, after: -1, parts: make([]energy, outputs), named: make([]*named, outputs)}
		if len(r.Samples) == r.Count() {
			e.name, e.label, e.index = r.Samples[i].Name, r.Samples[i].Label, r.Indices[i]
		} else {
			e.name = fmt.Sprintf("%s[%d]", r.Samples[0].Name, i)
		}
		s.examples = append(s.examples, e)
	}
	return s
}

// compare adds output i of a run.
func (s *runSums) compare(i int, o outputs.Output, axes feed.Axes, before, after tensor.Dense) error {
	if !slices.Equal(before.Shape, after.Shape) || before.Type != after.Type {
		if o.Varies != "" && before.Type == after.Type && len(before.Shape) == len(after.Shape) {
			s.outputs[i].differing += len(s.examples)
			return nil
		}
		return fmt.Errorf("the original gives %s%v, the compressed model %s%v", before.Type, before.Shape, after.Type, after.Shape)
	}
	before, single := axes.Lead(o.Name, before, s.batch)
	after, _ = axes.Lead(o.Name, after, s.batch)
	if !single {
		// One result for the whole run. It says nothing of single examples, and
		// where there is filler it is not about samples alone.
		if s.batch != len(s.examples) {
			return nil
		}
		part, finite, err := s.outputs[i].sample(before, after)
		if err != nil || len(s.examples) != 1 {
			return err
		}
		s.examples[0].parts[i].add(part)
		s.examples[0].finite = s.examples[0].finite && finite
		if !finite || !placed(o) {
			return nil
		}
		return s.names(i, 0, o, squeezed(before), squeezed(after))
	}
	s.shapes[i] = before.Shape
	if classes := o.Classes(before.Shape); classes > 0 && s.scored < 0 {
		s.scored, s.classes = i, classes
	}
	if o.Kind.Vocabulary() && o.Weight > 0 && s.spoken < 0 && len(before.Shape) == 3 {
		s.spoken, s.words = i, before.Shape[2]
		s.labelled = s.labelled && o.Kind == outputs.Next
	}
	if (s.spoken == i || o.Kind == outputs.Tokens) && len(before.Shape) == 3 {
		s.empty[i] = o.Text.Padding(s.inputs, before.Shape[0], before.Shape[1])
	}
	for k := range s.examples {
		if err := s.example(i, k, o, feed.Entry(before, k), feed.Entry(after, k)); err != nil {
			return err
		}
	}
	return nil
}

// example adds what output i has for example k.
func (s *runSums) example(i, k int, o outputs.Output, before, after tensor.Dense) error {
	e := &s.examples[k]
	part, finite, err := s.outputs[i].sample(before, after)
	if err != nil {
		return err
	}
	e.parts[i].add(part)
	e.finite = e.finite && finite
	switch {
	case s.spoken == i && finite:
		e.text, err = s.read(k, o.Text).compare(before, after)
		return err
	case placed(o):
		if !finite {
			return nil
		}
		return s.names(i, k, o, before, after)
	case o.Kind != outputs.Embedding && s.scored != i:
		return nil
	}
	y, z, err := pair(before, after)
	if err != nil {
		return err
	}
	if v, ok := directed(y, z); ok && o.Kind == outputs.Embedding && finite {
		s.vectors[i] = append(s.vectors[i], v)
	}
	if s.scored == i {
		e.scored = true
		e.before, e.after = tensor.ArgMax(y), tensor.ArgMax(z)
		e.box = len(y) == 4 && y[0] >= 0 && y[1] >= 0 && y[2] > y[0] && y[3] > y[1]
	}
	return nil
}

// pair converts the numbers of both models.
func pair(before, after tensor.Dense) (y, z []float64, err error) {
	if y, err = before.Float64s(); err == nil {
		z, err = after.Float64s()
	}
	return y, z, err
}

// slice is how many numbers of an output are converted at once: those of a large vocabulary at every position of a text take gigabytes.
const slice = 1 << 16

// eachSlice gives the numbers of both models, a few at a time.
func eachSlice(before, after tensor.Dense, work func(y, z []float64)) error {
	n := before.Len()
	if n == 0 {
		return nil
	}
	size := len(before.Data) / n
	for at := 0; at < n; at += slice {
		count := min(slice, n-at)
		part := func(d tensor.Dense) tensor.Dense {
			return tensor.Dense{Type: d.Type, Shape: []int{count}, Data: d.Data[at*size:][:count*size]}
		}
		y, z, err := pair(part(before), part(after))
		if err != nil {
			return err
		}
		work(y, z)
	}
	return nil
}

// sample adds one example's part of an output, and its counterpart of the same shape. It gives their energy, or that they are not finite.
func (s *outputSums) sample(before, after tensor.Dense) (energy, bool, error) {
	var one outputSums
	var badRef, badOther bool
	var other2, dot float64
	err := eachSlice(before, after, func(y, z []float64) {
		badRef, badOther = badRef || slices.ContainsFunc(y, notFinite), badOther || slices.ContainsFunc(z, notFinite)
		for i, v := range y {
			d := math.Abs(z[i] - v)
			one.maxDiff, one.maxRef = max(one.maxDiff, d), max(one.maxRef, math.Abs(v))
			one.diff += d
			one.diff2 += d * d
			one.ref2 += v * v
			other2 += z[i] * z[i]
			dot += v * z[i]
		}
		one.values += int64(len(y))
	})
	if err != nil || badRef || badOther {
		if badRef {
			s.badRef++
		}
		if badOther {
			s.badOther++
		}
		return energy{}, false, err
	}
	c := cosine(dot, one.ref2, other2)
	one.samples, one.cosines, one.away = 1, c, 1-c
	s.add(one)
	return energy{one.diff2, one.ref2}, true, nil
}

// cosine is that of the angle between two vectors; two zero vectors point the same way.
func cosine(dot, a2, b2 float64) float64 {
	switch {
	case a2 == 0 && b2 == 0:
		return 1
	case a2 == 0 || b2 == 0:
		return 0
	}
	return max(-1, min(1, dot/math.Sqrt(a2)/math.Sqrt(b2)))
}

func notFinite(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }
