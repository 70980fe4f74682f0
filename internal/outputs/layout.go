package outputs

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// Numbers are what an output has for one sample.
type Numbers struct {
	Shape  []int // the axis of samples aside
	Values []float64
}

// Layout is one way in which a model's outputs may say what it found. Which of several it is, only the numbers tell: see Read.
type Layout struct {
	// Name tells the layout from others of the same outputs.
	Name string
	// Outputs are the numbers of the outputs that it reads, that with the boxes first.
	Outputs []int
	read    func(f *finder, of []Numbers) (shaped bool)
	middle  bool  // boxes are a middle and two lengths
	dense   bool  // there is a box for every place, so that several are of one object
	turned  bool  // a place is a column of the output with boxes, and else a row
	box     int   // which of the numbers of a place is the first of its box
	names   []int // which of them are names, of a class or an image, and no amounts
}

// Read is what a sample's outputs say, those of Outputs in their order, by this layout. It is false where they cannot be meant so: a score is
// not between 0 and 1, a class no whole number, the first corner of a box behind the second.
func (l Layout) Read(of []Numbers) ([]Detection, bool) {
	f, fits := l.find(of)
	if l.dense {
		return suppressed(f.found), fits
	}
	return f.found, fits
}

// find is Read with all that was noted on the way.
func (l Layout) find(of []Numbers) (*finder, bool) {
	f := &finder{middle: l.middle}
	return f, l.read(f, of) && f.fits()
}

// Boxed is the only output that counts and has boxes, −1 where there is none, or several.
func Boxed(list []Output) int {
	boxed := func(o Output) bool { return o.Kind == Boxes && o.Weight > 0 }
	i := slices.IndexFunc(list, boxed)
	if i < 0 || slices.ContainsFunc(list[i+1:], boxed) {
		return -1
	}
	return i
}

// Layouts are those that outputs of these shapes may have, nil for one that has no numbers, with the axis of samples aside, the likeliest first. The boxes are in Boxed.
func Layouts(list []Output, shapes [][]int) []Layout {
	at := Boxed(list)
	if at < 0 || shapes[at] == nil {
		return nil
	}
	rows, columns, ok := matrix(shapes[at])
	switch {
	case !ok:
		return nil
	case columns == sides:
		return beside(list, shapes, at, rows)
	}
	var out []Layout
	turned := rows < columns
	for _, r := range rowLayouts() {
		if columns == r.columns {
			out = append(out, Layout{Name: r.name, Outputs: []int{at}, read: r.read, box: r.box, names: r.names()})
		}
	}
	add := func(j joined, middle bool) {
		out = append(out, Layout{Name: fmt.Sprintf("%s, middle %t", j, middle), Outputs: []int{at}, read: j.read, middle: middle, dense: true, turned: turned})
	}
	firsts := []int{sides, sides + 1} // in the order that is usual where places come last
	if !turned {
		slices.Reverse(firsts)
	}
	for _, first := range firsts {
		if min(rows, columns) > first {
			for _, middle := range []bool{true, false} {
				add(joined{first, turned, false}, middle)
			}
		}
	}
	for _, first := range firsts {
		if min(rows, columns) > first+1 {
			add(joined{first, turned, true}, true)
		}
	}
	return out
}

// matrix is the shape as rows and columns, where it has no more than two axes longer than 1, the last two.
func matrix(shape []int) (rows, columns int, ok bool) {
	if len(shape) < 2 || tensor.Product(shape[:len(shape)-2]) != 1 {
		return 0, 0, false
	}
	return shape[len(shape)-2], shape[len(shape)-1], true
}

// rowLayout has a row for everything that was found.
type rowLayout struct {
	name                     string
	columns                  int
	box, score, class, image int // the columns; image −1 for none
}

// rowLayouts are those that exporters write behind a non-maximum suppression.
func rowLayouts() []rowLayout {
	return []rowLayout{
		{"box, score, class", 6, 0, 4, 5, -1},       // Ultralytics' nms=True, YOLOv10
		{"class, score, box", 6, 2, 1, 0, -1},       // PaddleDetection
		{"image, box, class, score", 7, 1, 6, 5, 0}, // YOLOv7's end2end
		{"image, class, score, box", 7, 3, 2, 1, 0}, // SSD of Caffe and OpenVINO
		{"image, box, score, class", 7, 1, 5, 6, 0}, // YOLOX with suppression
	}
}

// names are the columns of classes and images.
func (r rowLayout) names() []int {
	if r.image < 0 {
		return []int{r.class}
	}
	return []int{r.class, r.image}
}

func (r rowLayout) read(f *finder, of []Numbers) bool {
	rows, columns, ok := matrix(of[0].Shape)
	if !ok || columns != r.columns {
		return false
	}
	image := 0
	for i := range rows {
		row := of[0].Values[i*columns:][:columns]
		score := row[r.score]
		f.add(row[r.box:][:sides], score, f.class(row[r.class]))
		if r.image < 0 || score < LeastScore { // what fills a fixed number of rows up has no image
			continue
		}
		if of := f.class(row[r.image]); len(f.found) > 1 && of != image {
			f.odd = true
		} else {
			image = of
		}
	}
	return true
}

// strides are how far the numbers of two places are apart in a matrix of that shape, and those of a place, which is a row, or where that is
// turned a column.
func strides(shape []int, turned bool) (place, number int) {
	columns := shape[len(shape)-1]
	if turned {
		return 1, columns
	}
	return columns, 1
}

// joined has, for each place, the numbers of the box, in some models the chance that there is an object, then the chances of classes, and in
// some models more: masks' coefficients, key points.
type joined struct {
	first  int  // the number of the first class
	turned bool // a place is a column, and else a row
	more   bool // there is more behind the classes
}

func (j joined) String() string {
	return fmt.Sprintf("joined from %d, turned %t, more %t", j.first, j.turned, j.more)
}

func (j joined) read(f *finder, of []Numbers) bool {
	rows, columns, ok := matrix(of[0].Shape)
	places, count := rows, columns
	if j.turned {
		places, count = columns, rows
	}
	if !ok || count <= j.first {
		return false
	}
	place, number := strides(of[0].Shape, j.turned)
	at := func(p, i int) float64 { return of[0].Values[p*place+i*number] }
	last := count
	if j.more {
		last = j.last(places, count, at)
		f.more = last
		f.odd = f.odd || last == j.first || last == count
	}
	one := make([]float64, last)
	for p := range places {
		for i := range one {
			one[i] = at(p, i)
		}
		for _, v := range one[sides:] {
			f.chance(v)
		}
		class, score := best(one[j.first:])
		for _, object := range one[sides:j.first] {
			score *= object
		}
		f.add(one[:sides], score, class)
	}
	return true
}

// last is where the chances end: behind the first numbers that are between 0 and 1 at all places.
func (j joined) last(places, count int, at func(place, number int) float64) int {
	for i := j.first; i < count; i++ {
		for p := range places {
			if v := at(p, i); !(v >= -rounding && v <= 1+rounding) {
				return i
			}
		}
	}
	return count
}
