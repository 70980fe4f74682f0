package verify

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/outputs"
)

// sums are the sums of all runs.
type sums struct {
	list     []output
	outputs  []outputSums
	shapes   [][]int   // by output, of the first run that gave something for single examples
	examples []example // all of them, for what they count beside each other is known at the end
	keep     int
	scored   int // the output with class scores, -1 as long as no run had any
	classes  int // of it; -1 where runs differ
	judged   int // examples with scores
	agree    int
	boxes    int // examples with scores that may be the corners of a box
	labels   map[int]*tally
	vectors  [][]directions // by output, of embeddings
	spoken   int            // the output with scores of tokens of a vocabulary, −1 as long as no run had any
	words    int            // of it; −1 where runs differ
}

// tally counts the examples of one label.
type tally struct{ samples, before, after int }

func newSums(list []output, keep int) *sums {
	return &sums{list: list, outputs: make([]outputSums, len(list)), shapes: make([][]int, len(list)), keep: keep, scored: -1, spoken: -1, labels: map[int]*tally{}, vectors: make([][]directions, len(list))}
}

// add adds a run; runs come in their order.
func (s *sums) add(r *runSums) {
	for i := range r.outputs {
		s.outputs[i].add(r.outputs[i])
		if s.shapes[i] == nil {
			s.shapes[i] = r.shapes[i]
		}
		s.vectors[i] = append(s.vectors[i], r.vectors[i][:min(len(r.vectors[i]), mostVectors-len(s.vectors[i]))]...)
	}
	s.examples = append(s.examples, r.examples...)
	if r.spoken >= 0 {
		if s.spoken >= 0 && (s.spoken != r.spoken || s.words != r.words) {
			s.words = -1
		} else {
			s.spoken, s.words = r.spoken, r.words
		}
	}
	if r.scored < 0 {
		return
	}
	if s.scored >= 0 && (s.scored != r.scored || s.classes != r.classes) {
		s.classes = -1
	} else {
		s.scored, s.classes = r.scored, r.classes
	}
	s.judged += len(r.examples)
	for i := range r.examples {
		e := &r.examples[i]
		if e.same() {
			s.agree++
		}
		if e.box {
			s.boxes++
		}
		if e.label < 0 {
			continue
		}
		t, ok := s.labels[e.label]
		if !ok {
			t = &tally{}
			s.labels[e.label] = t
		}
		t.samples++
		if e.before == e.label {
			t.before++
		}
		if e.after == e.label {
			t.after++
		}
	}
}

// same tells whether both models name the same class.
func (e *example) same() bool { return e.before == e.after && e.before >= 0 }

// fit holds the labels that were met against the classes.
func (s *sums) fit() error {
	if s.classes < 1 {
		return nil
	}
	if err := outputs.CheckLabels(slices.Collect(maps.Keys(s.labels)), s.list[s.scored].Name, s.classes); err != nil {
		return &LabelError{err}
	}
	return nil
}

// weigh finds the error of every example, ‖y'−y‖/‖y‖ over the outputs that count: each output is divided by its root mean
// square over all examples, so that all have the same share, and multiplied with its weight. It is the numerator alone where the
// original is zero, and +Inf where a number is not finite.
func (s *sums) weigh() {
	scales, counted := make([]float64, len(s.list)), 0
	for i, o := range s.outputs {
		if s.list[i].Weight > 0 && o.samples > 0 {
			counted++
			scales[i] = s.list[i].Weight
		}
	}
	for i, o := range s.outputs {
		switch {
		case counted == 1 && scales[i] > 0:
			scales[i] = 1
		case o.ref2 > 0:
			scales[i] *= float64(o.samples) / o.ref2
		}
	}
	for k := range s.examples {
		e := &s.examples[k]
		var all energy
		for i, p := range e.parts {
			all.add(energy{scales[i] * p.diff2, scales[i] * p.ref2})
		}
		switch {
		case !e.finite:
			e.error = math.Inf(1)
		case all.ref2 == 0:
			e.error = math.Sqrt(all.diff2)
		default:
			e.error = math.Sqrt(all.diff2 / all.ref2)
		}
	}
}

// moved are the examples that moved most, in that order.
func (s *sums) moved() []example {
	return farthest(s.which(func(e *example) bool { return e.error > 0 }), s.keep)
}

func (s *sums) which(of func(*example) bool) []example {
	var out []example
	for i := range s.examples {
		if of(&s.examples[i]) {
			out = append(out, s.examples[i])
		}
	}
	return out
}

// farthest keeps those of the examples that moved most, in that order.
func farthest(list []example, keep int) []example {
	slices.SortStableFunc(list, func(a, b example) int { return cmp.Compare(b.error, a.error) })
	return slices.Clone(list[:min(keep, len(list))])
}

// worst is the label with the largest loss of accuracy, the least of equals.
func (s *sums) worst() int {
	worst, most := 0, math.Inf(-1)
	for _, label := range slices.Sorted(maps.Keys(s.labels)) {
		t := s.labels[label]
		if loss := share(t.before-t.after, t.samples); loss > most {
			worst, most = label, loss
		}
	}
	return worst
}

// changes lists the examples whose top class changed: those that moved most, and those of
// the class that lost most.
func (s *sums) changes() []example {
	changed := map[int][]example{}
	for _, e := range s.which(func(e *example) bool { return e.scored && !e.same() }) {
		changed[e.label] = append(changed[e.label], e)
	}
	var all []example
	for _, label := range slices.Sorted(maps.Keys(changed)) {
		changed[label] = farthest(changed[label], s.keep)
		all = append(all, changed[label]...)
	}
	kept := farthest(all, s.keep)
	for _, e := range changed[s.worst()] {
		if !slices.ContainsFunc(kept, func(k example) bool { return k.name == e.name }) {
			kept = append(kept, e)
		}
	}
	return farthest(kept, len(kept))
}
