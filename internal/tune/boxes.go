package tune

import (
	"math"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// runCounts says of every sample of a run, filler included, and by term, with what the difference of each number is multiplied: nil for a
// term all of whose numbers count alike, and for a sample of which that is not known. It is nil where no term has boxes.
type runCounts [][][]float32

// of are the counts of sample k, by term.
func (c runCounts) of(k int) [][]float32 {
	if c == nil {
		return nil
	}
	return c[k]
}

// boxCounts are those of a run, by what the original computes; and which terms have boxes and their scores in its first sample, that of the boxes
// first.
func (t *trainer) boxCounts(r *feed.Run, answers []tensor.Dense) (counts runCounts, reads []int) {
	list := make([]outputs.Output, t.outputs)
	for i, term := range t.terms[:t.outputs] {
		list[i] = t.kinds[term.value]
	}
	if outputs.Boxed(list) < 0 || answers == nil {
		return nil, nil
	}
	counts = make(runCounts, max(r.Batch, 1))
	for k := range counts {
		own, which := outputs.BoxCounts(list, numbersOf(answers[:t.outputs], r, k))
		if counts[k] = t.roots(own); k == 0 {
			reads = which
		}
	}
	return counts, reads
}

// numbersOf are the numbers of outputs for sample k of a run.
func numbersOf(answers []tensor.Dense, r *feed.Run, k int) []outputs.Numbers {
	of := make([]outputs.Numbers, len(answers))
	for i, a := range answers {
		of[i].Shape = append([]int{a.Shape[0] / max(r.Batch, 1)}, a.Shape[1:]...)
		for _, row := range rows(a, r, k) {
			for _, v := range row {
				of[i].Values = append(of[i].Values, float64(v))
			}
		}
	}
	return of
}

// roots are those of counts by term, of squared distances alone.
func (t *trainer) roots(counts [][]float64) [][]float32 {
	if counts == nil {
		return nil
	}
	out := make([][]float32, len(counts))
	for i, list := range counts {
		if t.terms[i].loss != MSE {
			continue
		}
		for _, v := range list {
			out[i] = append(out[i], float32(math.Sqrt(v)))
		}
	}
	return out
}

// findBoxes looks in the first run for the terms whose numbers do not count alike.
func (t *trainer) findBoxes(r *feed.Run, answers []tensor.Dense) {
	counts, reads := t.boxCounts(r, answers)
	for i, own := range counts.of(0) {
		t.terms[i].counted = own != nil
	}
	if len(reads) > 0 && t.terms[reads[0]].counted {
		t.boxes = reads
	}
}

// countedRows are the rows of sample k in a term, multiplied with what their numbers count by term.
func (t *trainer) countedRows(of int, d tensor.Dense, r *feed.Run, k int, counts [][]float32) [][]float32 {
	list := t.terms[of].rows(d, r, k)
	switch {
	case !t.terms[of].counted:
		return list
	case counts == nil:
		return counted(list, nil)
	}
	return counted(list, counts[of])
}

// counted multiplies rows of numbers of boxes, one after the other, with what they count.
func counted(list [][]float32, counts []float32) [][]float32 {
	out := make([][]float32, len(list))
	at := 0
	for i, row := range list {
		out[i] = make([]float32, len(row))
		for k, v := range row {
			if at < len(counts) {
				out[i][k] = v * counts[at]
			}
			at++
		}
	}
	return out
}

// shares are what each position of a run's texts counts in a term, or each number of its boxes; these count nothing in a sample of which that is not known.
func (p *plan) shares(of int, r *feed.Run, counts runCounts) tensor.Dense {
	term := p.terms[of]
	if !term.counted {
		return term.shares(r)
	}
	out := tensor.New(tensor.Float32, term.shape...)
	v := out.Float32s()
	for k, own := range counts {
		if own != nil {
			copy(v[k*len(v)/len(counts):][:len(v)/len(counts)], own[of])
		}
	}
	return out
}

// weighBoxes gives boxes whose scores are in another term the weight of these: their differences count in the unit of scores.
func (t *trainer) weighBoxes(spreads []variance) {
	if len(t.boxes) > 1 {
		spreads[t.boxes[0]] = spreads[t.boxes[1]]
	}
}
