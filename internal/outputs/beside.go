package outputs

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// beside are the layouts of boxes [n, 4] whose scores are in other outputs: one number for each and another for its class, or the scores of
// all classes [n, classes].
func beside(list []Output, shapes [][]int, at, n int) []Layout {
	var out []Layout
	add := func(name string, others []int, dense bool, read func(f *finder, of []Numbers) bool) {
		for _, middle := range []bool{false, true} {
			out = append(out, Layout{Name: fmt.Sprintf("%s, middle %t", name, middle), Outputs: append([]int{at}, others...), read: read, middle: middle, dense: dense})
		}
	}
	var single, tables []int
	for i, s := range shapes {
		switch {
		case i == at || s == nil || list[i].Kind == Boxes:
		case tensor.Product(s) == n && (len(s) == 0 || s[len(s)-1] == n || s[len(s)-1] == 1):
			single = append(single, i)
		default:
			if rows, _, ok := matrix(s); ok && rows == n {
				tables = append(tables, i)
			}
		}
	}
	for _, i := range single {
		for _, k := range single {
			if i != k && fractions(list[i]) {
				add("scores and classes", []int{i, k}, false, scoresAndClasses)
			}
		}
	}
	for _, none := range ofClasses() {
		for _, i := range tables {
			add("scores of classes, "+none.name, []int{i}, true, none.read)
		}
	}
	for _, i := range single {
		if len(single) == 1 && len(tables) == 0 && fractions(list[i]) {
			add("scores", []int{i}, true, classScores{none: noneAtAll}.read)
		}
	}
	return out
}

// fractions tells whether an output may have numbers that are not whole.
func fractions(o Output) bool { return o.Type == tensor.Undefined || o.Type.IsFloat() }

// none is which of the classes says that there is no object.
type none int

const (
	noneAtAll none = iota
	noneFirst
	noneLast
)

// classScores are the scores of all classes for each box.
type classScores struct {
	name   string
	none   none
	logits bool // before a softmax where there is a class for none, and else before a sigmoid
}

// ofClasses are the ways to give these, those that are told surest first.
func ofClasses() []classScores {
	return []classScores{
		{"the first for none", noneFirst, false},           // SSD
		{"the last for none", noneLast, false},             // DETR
		{"none for none", noneAtAll, false},                // RetinaNet
		{"the last for none, as logits", noneLast, true},   // DETR and YOLOS as Hugging Face's
		{"the first for none, as logits", noneFirst, true}, // SSD without its softmax
		{"none for none, as logits", noneAtAll, true},      // RT-DETR, Deformable DETR
	}
}

// scoresAndClasses reads a score and a class for each box.
func scoresAndClasses(f *finder, of []Numbers) bool {
	n := len(of[1].Values)
	if len(of[0].Values) != sides*n || len(of[2].Values) != n {
		return false
	}
	for i, score := range of[1].Values {
		f.add(of[0].Values[sides*i:][:sides], score, f.class(of[2].Values[i]))
	}
	return true
}

// negative is which share of the logits of classes are below 0 at least, where most places have none.
const negative = 0.9

// read reads the scores. Where they add up to one, one of the classes says that there is no object, which most places say; and where no class
// does, most places have next to no score.
func (c classScores) read(f *finder, of []Numbers) bool {
	n := len(of[0].Values) / sides
	if n == 0 {
		return len(of[1].Values) == 0
	}
	classes := len(of[1].Values) / n
	if classes < 1 || len(of[1].Values) != classes*n {
		return false
	}
	from, to := 0, classes
	switch c.none {
	case noneFirst:
		from = 1
	case noneLast:
		to--
	}
	whole, empty, below := 0, 0, 0
	for i := range n {
		scores, sum := c.chances(f, of[1].Values[i*classes:][:classes]), 0.
		for k, v := range scores {
			f.chance(v)
			sum += v
			if of[1].Values[i*classes+k] < 0 {
				below++
			}
		}
		if math.Abs(sum-1) <= rounding {
			whole++
		}
		class, score := best(scores[from:to])
		if c.none == noneAtAll && score < LeastScore || c.none != noneAtAll && slices.Max(scores) > score {
			empty++
		}
		f.add(of[0].Values[sides*i:][:sides], score, from+class)
	}
	switch {
	case c.logits && c.none == noneAtAll:
		f.odd = f.odd || float64(below) < negative*float64(classes*n)
	case c.logits:
		f.odd = f.odd || below == 0 || classes < 2 || 2*empty < n
	case c.none == noneAtAll:
		f.odd = f.odd || classes > 1 && (whole == n || 2*empty < n)
	default:
		f.odd = f.odd || classes < 2 || whole < n || 2*empty < n
	}
	return true
}

// chances are those of the classes at a place.
func (c classScores) chances(f *finder, numbers []float64) []float64 {
	if !c.logits {
		return numbers
	}
	out, sum, largest := make([]float64, len(numbers)), 0., slices.Max(numbers)
	for i, v := range numbers {
		if out[i] = 1 / (1 + math.Exp(-v)); c.none != noneAtAll {
			out[i] = math.Exp(v - largest)
		}
		sum += out[i]
	}
	for i := range out {
		if c.none != noneAtAll {
			out[i] /= sum
		}
		f.slopes = append(f.slopes, out[i]*(1-out[i]))
	}
	return out
}
