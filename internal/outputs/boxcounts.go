package outputs

import "math"

// leastSide is the least side of a box, by the largest number of all, for its change to be taken as a share of that.
const leastSide = 0.01

// leastSlope is the least by how much a score is taken to change with its logit: where there is no object it would be next to nothing, though a
// change that is large makes one.
const leastSlope = 0.05

// BoxCounts says how much the squared change of each number of the outputs of a detector counts, for one sample's numbers of all outputs, without
// a shape for those that have none. A score's counts one, and that of a logit as much as the score changes with it. That of a box counts as a share of the size of the box, as
// overlaps do, and by the score at that place: s/area; what is joined beside counts as a share of its own mean square, and by the score too. So in a detector's joined outputs, where boxes in pixels stand beside
// chances, it is not the boxes alone that matter, and of these not those of places without an object. The name of a class counts nothing.
//
// Counts are by output, nil for one all whose numbers count one; of none where the layout is not known. Reads are the outputs that have boxes and
// scores, the first of which is that with the boxes.
func BoxCounts(list []Output, of []Numbers) (counts [][]float64, reads []int) {
	shapes := make([][]int, len(of))
	for i, n := range of {
		shapes[i] = n.Shape
	}
	for _, l := range Layouts(list, shapes) {
		read := make([]Numbers, len(l.Outputs))
		for i, k := range l.Outputs {
			read[i] = of[k]
		}
		f, fits := l.find(read)
		if !fits {
			continue
		}
		counts = make([][]float64, len(of))
		counts[l.Outputs[0]] = l.counts(read[0], f.spots)
		if f.more > 0 {
			l.countMore(counts[l.Outputs[0]], read[0], f)
		}
		for _, s := range f.slopes {
			s = max(s, leastSlope)
			counts[l.Outputs[1]] = append(counts[l.Outputs[1]], s*s)
		}
		return counts, l.Outputs
	}
	return nil, nil
}

// counts lays out what the spots count.
func (l Layout) counts(boxes Numbers, spots []spot) []float64 {
	out := make([]float64, len(boxes.Values))
	for i := range out {
		out[i] = 1
	}
	place, number := strides(boxes.Shape, l.turned)
	largest := 0.
	for p := range spots {
		for k := range sides {
			largest = max(largest, math.Abs(boxes.Values[p*place+(l.box+k)*number]))
		}
	}
	for p, s := range spots {
		count := 0.
		if area := max(s.area, leastSide*leastSide*largest*largest); area > 0 {
			count = max(s.score, 0) / area
		}
		for k := range sides {
			out[p*place+(l.box+k)*number] = count
		}
		for _, k := range l.names {
			out[p*place+k*number] = 0
		}
	}
	return out
}

// countMore lays out what the numbers behind the classes count.
func (l Layout) countMore(counts []float64, of Numbers, f *finder) {
	place, number := strides(of.Shape, l.turned)
	last := len(of.Values) / max(len(f.spots), 1)
	square, weight := 0., 0.
	for p, s := range f.spots {
		for k := f.more; k < last; k++ {
			v := of.Values[p*place+k*number]
			square += max(s.score, 0) * v * v
			weight += max(s.score, 0)
		}
	}
	for p, s := range f.spots {
		for k := f.more; k < last; k++ {
			if counts[p*place+k*number] = 0; square > 0 {
				counts[p*place+k*number] = max(s.score, 0) * weight / square
			}
		}
	}
}
