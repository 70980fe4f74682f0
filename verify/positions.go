package verify

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Sequence compares the classes that two models name at the positions of a sequence, padding aside. Intervals are as those of Language.
type Sequence struct {
	// Samples is that of the sequences, and Positions that of their positions.
	Samples   int `json:"samples"`
	Positions int `json:"positions"`
	// Agreement is the share of positions with the same class.
	Agreement Estimate `json:"agreement"`
	// Spelling compares what letters say; null for tokens.
	Spelling *Spelling `json:"spelling,omitempty"`
}

// Spelling compares the letters that two models read: classes that follow one another at once are one letter, and the blank is none (A. Graves et al.,
// Connectionist Temporal Classification, ICML 2006, with the most likely class at each position).
type Spelling struct {
	// Blank is the class that is no letter: the first or the last one, whichever the original names more often.
	Blank int `json:"blank"`
	// Before and After are how many letters the models read, and Same in how many samples all are the same.
	Before int `json:"before"`
	After  int `json:"after"`
	Same   int `json:"same"`
	// Edits is how many letters have to be put in, taken out or replaced to turn one into the other (the Levenshtein distance).
	Edits int `json:"edits"`
	// Rate is the character error rate, Edits over the letters of whichever read more in each sample.
	Rate Estimate `json:"rate"`
}

// Regions compares the places of an image that two models take for a class, or for inside a mask.
type Regions struct {
	// Classes is how many of the classes, or masks, either has a place of.
	Classes int `json:"classes"`
	// Places is how many were compared, and Agreement the share that has the same class.
	Places    int64   `json:"places"`
	Agreement float64 `json:"agreement"`
	// IoU is the mean over the classes of the places that both models have, by those that either has, of all samples together (the Jaccard index).
	// The interval is by leaving out one sample after the other.
	IoU Estimate `json:"iou"`
}

// named is what an output names at the positions or places of one sample.
type named struct {
	count, same int
	undecided   int
	regions     []region    // of a mask, by class
	spelled     [2]spelling // of letters, with the first class as the blank, and with the last
	classes     int
	firsts      int // positions where the original names the first class
	lasts       int
}

// region is how many places of a class the models have.
type region struct {
	class               int32
	before, after, both int
}

// spelling is how far the letters of the models are apart.
type spelling struct{ before, after, edits int }

// placed tells whether an output counts that names a class at each of many positions or places.
func placed(o outputs.Output) bool {
	return o.Weight > 0 && o.Kind.Placed()
}

// squeezed is an output that is all of one sample, without axes of size 1, as far as two are left.
func squeezed(d tensor.Dense) tensor.Dense {
	shape := slices.Clone(d.Shape)
	for i := 0; i < len(shape) && len(shape) > 2; {
		if shape[i] == 1 {
			shape = slices.Delete(shape, i, i+1)
		} else {
			i++
		}
	}
	return tensor.Dense{Type: d.Type, Shape: shape, Data: d.Data}
}

// names reads what both models name in example k by output i.
func (s *runSums) names(i, k int, o outputs.Output, before, after tensor.Dense) error {
	y, err := floats(before)
	if err != nil {
		return err
	}
	z, err := floats(after)
	if err != nil {
		return err
	}
	switch {
	case o.Kind == outputs.Mask:
		first, ok := o.Labels(before.Shape, y, nil)
		if !ok {
			return nil
		}
		if second, ok := o.Labels(after.Shape, z, &first); ok {
			s.examples[k].named[i] = inRegions(first, second)
		}
	case len(before.Shape) == 2 && before.Shape[1] > 1:
		s.examples[k].named[i] = inSequence(text{empty: s.padding(i, k)}, o.Kind == outputs.Letters, before.Shape[1], y, z)
	}
	return nil
}

// floats are an output's numbers.
func floats(d tensor.Dense) ([]float32, error) {
	if v := d.Float32s(); v != nil {
		return v, nil
	}
	wide, err := d.Float64s()
	out := make([]float32, len(wide))
	for i, v := range wide {
		out[i] = float32(v)
	}
	return out, err
}

// inRegions counts the places of two masks.
func inRegions(first, second outputs.Labels) *named {
	out, by := &named{undecided: first.Undecided}, map[int32]*region{}
	of := func(class int32) *region {
		r := by[class]
		if r == nil {
			r = &region{class: class}
			by[class] = r
		}
		return r
	}
	for i, a := range first.Of {
		b := second.Of[i]
		out.count++
		if a == b {
			out.same++
		}
		if a != outputs.Outside {
			of(a).before++
		}
		if b != outputs.Outside {
			of(b).after++
		}
		if a == b && a != outputs.Outside {
			of(a).both++
		}
	}
	for _, r := range by {
		out.regions = append(out.regions, *r)
	}
	slices.SortFunc(out.regions, func(a, b region) int { return int(a.class - b.class) })
	return out
}

// inSequence counts the positions of two sequences of scores, [positions, classes].
func inSequence(t text, letters bool, classes int, y, z []float32) *named {
	out := &named{classes: classes}
	var before, after []int
	for at := 0; at < len(y); at += classes {
		if t.padding(at / classes) {
			continue
		}
		a, b := tensor.ArgMax(y[at:][:classes]), tensor.ArgMax(z[at:][:classes])
		before, after = append(before, a), append(after, b)
		out.count++
		if a == b {
			out.same++
		}
		switch a {
		case 0:
			out.firsts++
		case classes - 1:
			out.lasts++
		}
	}
	if letters {
		for i, blank := range []int{0, classes - 1} {
			a, b := spelled(before, blank), spelled(after, blank)
			out.spelled[i] = spelling{len(a), len(b), distance(a, b)}
		}
	}
	return out
}

// spelled are the letters of classes by position.
func spelled(classes []int, blank int) []int {
	return slices.DeleteFunc(slices.Compact(slices.Clone(classes)), func(c int) bool { return c == blank })
}

// distance is Levenshtein's.
func distance(a, b []int) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		left := row[0] // the entry above and to the left
		row[0] = i + 1
		for j, y := range b {
			cost := left
			if x != y {
				cost++
			}
			left = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// sequence sums up what an output names at positions; nil where it names nothing.
func (s *sums) sequence(i int) *Sequence {
	var agree, rate ratio
	var firsts, lasts, classes int
	for k := range s.examples {
		n := s.examples[k].named[i]
		if n == nil || n.classes == 0 {
			continue
		}
		agree.add(float64(n.same), n.count)
		firsts, lasts, classes = firsts+n.firsts, lasts+n.lasts, n.classes
	}
	if agree.count == 0 {
		return nil
	}
	out := &Sequence{Samples: len(agree.parts), Positions: agree.count, Agreement: agree.share()}
	if s.list[i].Kind != outputs.Letters {
		return out
	}
	which, w := 0, &Spelling{}
	if lasts > firsts {
		which, w.Blank = 1, classes-1
	}
	for k := range s.examples {
		n := s.examples[k].named[i]
		if n == nil {
			continue
		}
		l := n.spelled[which]
		w.Before, w.After, w.Edits = w.Before+l.before, w.After+l.after, w.Edits+l.edits
		if l.edits == 0 {
			w.Same++
		}
		rate.add(float64(l.edits), max(l.before, l.after))
	}
	if rate.count > 0 {
		w.Rate = rate.share()
		out.Spelling = w
	}
	return out
}

// mostUndecided is the share of places from which on numbers between 0 and 1 are no mask, but a depth, a picture or other quantities.
const mostUndecided = 0.25

// regions sums up the masks of an output; nil where there are none.
func (s *sums) regions(i int) *Regions {
	all, out := map[int32]*region{}, &Regions{}
	var same, undecided int64
	var list []*named
	for k := range s.examples {
		n := s.examples[k].named[i]
		if n == nil || n.classes > 0 {
			continue
		}
		list = append(list, n)
		out.Places, same, undecided = out.Places+int64(n.count), same+int64(n.same), undecided+int64(n.undecided)
		for _, r := range n.regions {
			if all[r.class] == nil {
				all[r.class] = &region{class: r.class}
			}
			all[r.class].add(r, 1)
		}
	}
	if len(all) == 0 || float64(undecided) > mostUndecided*float64(out.Places) {
		return nil
	}
	out.Classes, out.Agreement = len(all), float64(same)/float64(out.Places)
	out.IoU = overlap(all, slices.Sorted(maps.Keys(all)), list)
	return out
}

func (r *region) add(o region, sign int) {
	r.before, r.after, r.both = r.before+sign*o.before, r.after+sign*o.after, r.both+sign*o.both
}

// overlap is the mean over the classes of what both models have by what either has, with an interval by the jackknife (B. Efron, C. Stein, The Annals of
// Statistics 9, 1981).
func overlap(all map[int32]*region, classes []int32, list []*named) Estimate {
	mean := func() float64 {
		sum, n := 0., 0
		for _, class := range classes {
			r := all[class]
			if either := r.before + r.after - r.both; either > 0 {
				sum, n = sum+float64(r.both)/float64(either), n+1
			}
		}
		return sum / float64(max(n, 1))
	}
	out := Estimate{Value: mean()}
	if len(list) < 2 {
		return out
	}
	var without []float64
	for _, n := range list {
		for _, r := range n.regions {
			all[r.class].add(r, -1)
		}
		without = append(without, mean())
		for _, r := range n.regions {
			all[r.class].add(r, 1)
		}
	}
	middle, spread := 0., 0.
	for _, v := range without {
		middle += v / float64(len(without))
	}
	for _, v := range without {
		spread += (v - middle) * (v - middle)
	}
	count := float64(len(list))
	reach := confidence * math.Sqrt((count-1)/count*spread)
	low, high := max(0, out.Value-reach), min(1, out.Value+reach)
	out.Low, out.High = &low, &high
	return out
}

// interval writes the ends of an estimate.
func (e Estimate) interval(text func(float64) string, of string) string {
	if e.Low == nil {
		return ""
	}
	return fmt.Sprintf(" (with 95 %% confidence %s to %s of all such %s)", text(*e.Low), text(*e.High), of)
}

// sentence says how many positions, or letters, are the same.
func (q *Sequence) sentence(output, on string) string {
	if w := q.Spelling; w != nil {
		return fmt.Sprintf("Of the letters that it or the original reads on %s (%s), %s differ%s: %d edits among %d letters before and %d after; %d of %d samples read the same.",
			on, output, share2(w.Rate.Value), w.Rate.interval(share2, "letters"), w.Edits, w.Before, w.After, w.Same, q.Samples)
	}
	return fmt.Sprintf("It names the original's class (%s) at %s of %d positions of %s%s.", output, share2(q.Agreement.Value), q.Positions, on, q.Agreement.interval(share2, "positions"))
}

// sentence says how far masks overlap.
func (g *Regions) sentence(output, on string) string {
	what := "Its masks overlap"
	if g.Classes > 1 {
		what = fmt.Sprintf("Its masks overlap, in the mean over %d classes,", g.Classes)
	}
	return fmt.Sprintf("%s with the original's (%s) by %s of what either covers on %s%s; %s of all places have the same class.",
		what, output, share2(g.IoU.Value), on, g.IoU.interval(share2, "samples"), share2(g.Agreement))
}
