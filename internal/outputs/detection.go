package outputs

import (
	"cmp"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// Detection is one object that a detector found in a sample.
type Detection struct {
	// Box has two opposite corners, those with the least numbers first. Which axis comes first does not matter, nor does the unit.
	Box   [4]float64
	Score float64 // from 0 to 1
	Class int     // 0 where the detector knows no classes
}

const (
	// LeastScore is the least score of a detection: what has less, programs that show boxes leave out.
	LeastScore = 0.25
	// LeastOverlap is from where two boxes are of one object: the criterion of PASCAL VOC (M. Everingham et al., International Journal
	// of Computer Vision 88, 2010).
	LeastOverlap = 0.5
	// mostFound is how many detections of a sample are looked at, those of the largest scores.
	mostFound = 1000
)

// Overlap is the area that two boxes have in common, as a share of what they cover together.
func Overlap(a, b Detection) float64 {
	common, one, other := 1., 1., 1.
	for i := range 2 {
		common *= max(0, min(a.Box[i+2], b.Box[i+2])-max(a.Box[i], b.Box[i]))
		one *= a.Box[i+2] - a.Box[i]
		other *= b.Box[i+2] - b.Box[i]
	}
	if all := one + other - common; all > 0 {
		return common / all
	}
	return 0
}

// Match counts the objects that two models found in a sample both: of the second's, the larger score first, each takes the first's box of
// its class that it covers most, if that is LeastOverlap at least, and none took it before.
func Match(first, second []Detection) int {
	taken, count := make([]bool, len(first)), 0
	for _, d := range byScore(second) {
		best, most := -1, LeastOverlap
		for i, e := range first {
			if taken[i] || e.Class != d.Class {
				continue
			}
			if o := Overlap(d, e); o > most || o == most && best < 0 {
				best, most = i, o
			}
		}
		if best >= 0 {
			taken[best] = true
			count++
		}
	}
	return count
}

// byScore are detections in the order of their scores, the largest first.
func byScore(list []Detection) []Detection {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Detection) int { return cmp.Compare(b.Score, a.Score) })
	return list
}

// suppressed leaves of boxes that overlap, of one class, the one with the largest score: what a non-maximum suppression does.
func suppressed(list []Detection) []Detection {
	var out []Detection
	list = byScore(list)
	for _, d := range list[:min(mostFound, len(list))] {
		if !slices.ContainsFunc(out, func(e Detection) bool { return e.Class == d.Class && Overlap(d, e) > LeastOverlap }) {
			out = append(out, d)
		}
	}
	return out
}

// finder collects detections from numbers that are read as boxes, and notes what no box has.
type finder struct {
	found  []Detection
	odd    bool // a number was no such thing: the layout is another
	middle bool // boxes are a middle and two lengths, not two corners
	spots  []spot
	turned int       // spots whose box has a corner or a length on the wrong side
	more   int       // the number of a place behind its classes, where there is more; else 0
	slopes []float64 // by how much a score changes with each number of the output that has them, where these are logits
}

// fits tells whether all numbers may be what they were read as. At places without an object a few boxes may be no such.
func (f *finder) fits() bool { return !f.odd && 10*f.turned <= len(f.spots) }

// spot is a place that a detector looks at: the score there, and the area of the box.
type spot struct{ score, area float64 }

// add adds a box with its score and class, where the score is large enough.
func (f *finder) add(box []float64, score float64, class int) {
	f.chance(score)
	width, height := box[2], box[3]
	if !f.middle {
		width, height = box[2]-box[0], box[3]-box[1]
	}
	f.spots = append(f.spots, spot{score, width * height})
	if !(width >= 0 && height >= 0) {
		f.turned++
	}
	if !(score >= LeastScore) {
		return
	}
	d := Detection{Box: [4]float64(box), Score: score, Class: class}
	if f.middle {
		for i := range 2 {
			d.Box[i], d.Box[i+2] = box[i]-box[i+2]/2, box[i]+box[i+2]/2
		}
	}
	for i := range 2 {
		if !(d.Box[i] <= d.Box[i+2]) || math.IsInf(d.Box[i], 0) || math.IsInf(d.Box[i+2], 0) {
			f.odd = true
			return
		}
	}
	f.found = append(f.found, d)
}

// rounding is by how much numbers may miss what they are.
const rounding = 1e-3

// chance notes a score that is none.
func (f *finder) chance(v float64) {
	if !(v >= -rounding && v <= 1+rounding) {
		f.odd = true
	}
}

// class reads a class, and notes what is none.
func (f *finder) class(v float64) int {
	if !(math.Abs(v) < 1e9) || math.Abs(v-math.Round(v)) > rounding {
		f.odd = true
		return 0
	}
	return int(math.Round(v))
}

// best is the class with the largest score; of none, and where one is NaN, the score is that.
func best(scores []float64) (class int, score float64) {
	switch class = tensor.ArgMax(scores); {
	case class < 0:
		return 0, math.NaN()
	case len(scores) == 0:
		return 0, 0
	}
	return class, scores[class]
}
