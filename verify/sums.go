package verify

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// outputSums are the sums that an Output is made of.
type outputSums struct {
	values           int64
	maxDiff, maxRef  float64
	diff, diff2      float64 // Σ|y'−y|, Σ(y'−y)²
	ref2             float64 // Σy²
	cosines          float64
	samples          int64 // finite ones, whose cosines were summed
	badRef, badOther int   // samples that are not finite
}

func (s *outputSums) add(o outputSums) {
	s.values += o.values
	s.maxDiff, s.maxRef = max(s.maxDiff, o.maxDiff), max(s.maxRef, o.maxRef)
	s.diff += o.diff
	s.diff2 += o.diff2
	s.ref2 += o.ref2
	s.cosines += o.cosines
	s.samples += o.samples
	s.badRef += o.badRef
	s.badOther += o.badOther
}

// example is one sample and what became of it.
type example struct {
	name          string
	label         int
	diff2, ref2   float64 // over all outputs
	finite        bool
	before, after int // classes; -1 for none
}

// runSums are the sums of one run.
type runSums struct {
	batch    int // axis 0 of an output that has one entry per example, filler included
	outputs  []outputSums
	examples []example
	classes  int  // of the output with class scores, 0 for none
	scored   bool // whether that output was there
}

func newRunSums(r *feed.Run, outputs int) *runSums {
	s := &runSums{batch: max(r.Batch, r.Count()), outputs: make([]outputSums, outputs)}
	for i := range r.Count() {
		e := example{label: -1, finite: true, before: -1, after: -1}
		if len(r.Samples) == r.Count() {
			e.name, e.label = r.Samples[i].Name, r.Samples[i].Label
		} else {
			e.name = fmt.Sprintf("%s[%d]", r.Samples[0].Name, i)
		}
		s.examples = append(s.examples, e)
	}
	return s
}

// compare adds output i of a run; scores says whether it looks like class scores.
func (s *runSums) compare(i int, before, after tensor.Dense, scores bool) error {
	if !slices.Equal(before.Shape, after.Shape) || before.Type != after.Type {
		return fmt.Errorf("the original gives %s%v, the compressed model %s%v", before.Type, before.Shape, after.Type, after.Shape)
	}
	y, err := before.Float64s()
	if err != nil {
		return err
	}
	z, err := after.Float64s()
	if err != nil {
		return err
	}
	perExample := len(before.Shape) > 0 && before.Shape[0] == s.batch
	if !perExample {
		// One result for the whole run. It says nothing of single examples, and
		// where there is filler it is not about samples alone.
		if s.batch == len(s.examples) {
			whole := example{finite: true}
			s.outputs[i].sample(&whole, y, z)
			if len(s.examples) == 1 {
				s.examples[0].merge(whole)
			}
		}
		return nil
	}
	n := len(y) / s.batch
	for k := range s.examples {
		e := &s.examples[k]
		s.outputs[i].sample(e, y[k*n:(k+1)*n], z[k*n:(k+1)*n])
		if scores && len(before.Shape) == 2 && n >= 2 {
			s.classes, s.scored = n, true
			e.before, e.after = tensor.ArgMax(y[k*n:(k+1)*n]), tensor.ArgMax(z[k*n:(k+1)*n])
		}
	}
	return nil
}

func (e *example) merge(o example) {
	e.diff2 += o.diff2
	e.ref2 += o.ref2
	e.finite = e.finite && o.finite
}

// sample adds one example's part y of an output, and its counterpart z.
func (s *outputSums) sample(e *example, y, z []float64) {
	badRef, badOther := slices.ContainsFunc(y, notFinite), slices.ContainsFunc(z, notFinite)
	if badRef {
		s.badRef++
	}
	if badOther {
		s.badOther++
	}
	if badRef || badOther {
		e.finite = false
		return
	}
	var diff2, ref2, other2, dot float64
	for i, v := range y {
		d := math.Abs(z[i] - v)
		s.maxDiff, s.maxRef = max(s.maxDiff, d), max(s.maxRef, math.Abs(v))
		s.diff += d
		diff2 += d * d
		ref2 += v * v
		other2 += z[i] * z[i]
		dot += v * z[i]
	}
	s.values += int64(len(y))
	s.diff2 += diff2
	s.ref2 += ref2
	s.samples++
	s.cosines += cosine(dot, ref2, other2)
	e.diff2 += diff2
	e.ref2 += ref2
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

// sums are the sums of all runs.
type sums struct {
	outputs []outputSums
	keep    int
	moved   []example // those that moved most, in that order
	classes int       // 0 as long as no run had scores, -1 where runs differ
	scored  int       // examples with scores
	agree   int
	labels  map[int]*tally
	changed map[int][]example // by label those with another top class that moved most
}

// tally counts the examples of one label.
type tally struct{ samples, before, after int }

func newSums(outputs, keep int) *sums {
	return &sums{outputs: make([]outputSums, outputs), keep: keep, labels: map[int]*tally{}, changed: map[int][]example{}}
}

// add adds a run; runs come in their order.
func (s *sums) add(r *runSums) {
	for i := range r.outputs {
		s.outputs[i].add(r.outputs[i])
	}
	for _, e := range r.examples {
		if e.error() > 0 {
			s.moved = append(s.moved, e)
		}
	}
	s.moved = farthest(s.moved, s.keep)
	if !r.scored {
		return
	}
	if s.classes != 0 && s.classes != r.classes {
		s.classes = -1
	} else {
		s.classes = r.classes
	}
	for _, e := range r.examples {
		s.scored++
		if e.before == e.after && e.before >= 0 {
			s.agree++
		} else {
			s.changed[e.label] = append(s.changed[e.label], e)
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
	for label := range s.changed {
		s.changed[label] = farthest(s.changed[label], s.keep)
	}
}

// farthest keeps those of the examples that moved most, in that order.
func farthest(list []example, keep int) []example {
	slices.SortStableFunc(list, func(a, b example) int { return cmp.Compare(b.error(), a.error()) })
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
	var all []example
	for _, label := range slices.Sorted(maps.Keys(s.changed)) {
		all = append(all, s.changed[label]...)
	}
	kept := farthest(all, s.keep)
	for _, e := range s.changed[s.worst()] {
		if !slices.ContainsFunc(kept, func(k example) bool { return k.name == e.name }) {
			kept = append(kept, e)
		}
	}
	return farthest(kept, len(kept))
}

// error is ‖y' − y‖ / ‖y‖, the numerator alone where the original is zero, and +Inf
// where a number is not finite.
func (e example) error() float64 {
	switch {
	case !e.finite:
		return math.Inf(1)
	case e.ref2 == 0:
		return math.Sqrt(e.diff2)
	}
	return math.Sqrt(e.diff2 / e.ref2)
}
