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
			out = append(out, Layout{Name: fmt.Sprintf("%s, middle %t", name, middle), Outputs: append([]int{at}, others...), read: read, middle: middle, dense: dense, stride: stride(false)})
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
	for _, i := range tables {
		for _, none := range []string{noneFirst, noneLast, noneAtAll} {
			add("scores of classes, "+none, []int{i}, true, scoresOf(none))
		}
	}
	for _, i := range single {
		if len(single) == 1 && len(tables) == 0 && fractions(list[i]) {
			add("scores", []int{i}, true, scoresOf(noneAtAll))
		}
	}
	return out
}

// fractions tells whether an output may have numbers that are not whole.
func fractions(o Output) bool { return o.Type == tensor.Undefined || o.Type.IsFloat() }

// Which of the classes says that there is no object.
const (
	noneFirst = "the first for none"
	noneLast  = "the last for none"
	noneAtAll = "none for none"
)

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

// scoresOf reads the scores of all classes for each box. Where these add up to one, one of them says that there is no object, which most places say.
func scoresOf(none string) func(f *finder, of []Numbers) bool {
	return func(f *finder, of []Numbers) bool {
		n := len(of[0].Values) / sides
		if n == 0 {
			return len(of[1].Values) == 0
		}
		classes := len(of[1].Values) / n
		if classes < 1 || len(of[1].Values) != classes*n {
			return false
		}
		whole, empty := 0, 0
		from, to := 0, classes
		switch none {
		case noneFirst:
			from = 1
		case noneLast:
			to--
		}
		for i := range n {
			scores := of[1].Values[i*classes:][:classes]
			sum := 0.
			for _, v := range scores {
				f.chance(v)
				sum += v
			}
			if math.Abs(sum-1) <= rounding {
				whole++
			}
			class, score := best(scores[from:to])
			if slices.Max(scores) > score {
				empty++
			}
			f.add(of[0].Values[sides*i:][:sides], score, from+class)
		}
		sums := classes > 1 && whole == n
		if f.odd = f.odd || sums != (none != noneAtAll); sums {
			f.odd = f.odd || 2*empty < n
		}
		return true
	}
}
