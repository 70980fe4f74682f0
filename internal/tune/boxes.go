package tune

import (
	"math"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// taughtOutputs are what the outputs are that terms hold to the original's.
func (t *trainer) taughtOutputs() []outputs.Output {
	var out []outputs.Output
	for _, term := range t.terms[:t.outputs] {
		out = append(out, t.kinds[term.value])
	}
	return out
}

// boxCounts says of sample k of a run, by term, with what the difference of each number is multiplied, nil for one all of whose numbers count
// alike; and which terms have boxes and their scores, the first of which is that of the boxes.
func (t *trainer) boxCounts(r *feed.Run, answers []tensor.Dense, k int) (counts [][]float32, reads []int) {
	list := t.taughtOutputs()
	if outputs.Boxed(list) < 0 {
		return nil, nil
	}
	of := make([]outputs.Numbers, len(list))
	for i := range list {
		a := answers[i]
		count := a.Shape[0] / max(r.Batch, 1)
		of[i].Shape = append([]int{count}, a.Shape[1:]...)
		for _, row := range rows(a, r, k) {
			for _, v := range row {
				of[i].Values = append(of[i].Values, float64(v))
			}
		}
	}
	own, reads := outputs.BoxCounts(list, of)
	counts = make([][]float32, len(own))
	for i, list := range own {
		if t.terms[i].loss != MSE {
			continue
		}
		for _, v := range list {
			counts[i] = append(counts[i], float32(math.Sqrt(v)))
		}
	}
	return counts, reads
}

// boxShares are the counts of all samples of a run in a term, filler included, in the shape of the term. A sample of which nothing is known counts nothing.
func (t *trainer) boxShares(r *feed.Run, answers []tensor.Dense, of int, shape []int) tensor.Dense {
	out := tensor.New(tensor.Float32, shape...)
	v, n := out.Float32s(), max(r.Batch, 1)
	for k := range n {
		if counts, _ := t.boxCounts(r, answers, k); counts != nil {
			copy(v[k*len(v)/n:][:len(v)/n], counts[of])
		}
	}
	return out
}

// countedRows are the rows of sample k in a term, multiplied with what their numbers count.
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

// shares are what each position of a run's texts counts in a term, or each number of its boxes.
func (t *trainer) shares(p *plan, of int, r *feed.Run, answers []tensor.Dense) tensor.Dense {
	if term := p.terms[of]; term.counted {
		return t.boxShares(r, answers, of, term.shape)
	}
	return p.terms[of].shares(r)
}

// weighBoxes gives boxes whose scores are in another term the weight of these: their differences count in the unit of scores.
func (t *trainer) weighBoxes(spreads []variance) {
	if len(t.boxes) > 1 {
		spreads[t.boxes[0]] = spreads[t.boxes[1]]
	}
}
