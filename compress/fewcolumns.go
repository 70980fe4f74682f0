package compress

import (
	"fmt"
	"math"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// manyColumns is how many times as many columns as inputs a reader has to have seen: what fewer do not span looks free, and of a
// reader with one column a sample, all of the loss is in what they do not span.
const manyColumns = 4

// fewestColumns are what a reader has to have seen at the least: of fewer, half of them say next to nothing of the other half.
const fewestColumns = 128

// few tells which readers of an axis saw too few columns to say themselves what is lost, and why those of one say nothing even to
// others, "" where they do.
func (f *factoring) few(readers []*seen) (few bool, why string) {
	for _, saw := range readers {
		why := saw.fewColumns("reads")
		if why == "" {
			continue
		}
		few = true
		if f.out.store.metric(saw.site.Name).Sample == nil || saw.columns < fewestColumns {
			return few, why
		}
	}
	return few, ""
}

// fewColumns says of a site, which does something with an axis, that it saw too few columns to say what is lost; "" where it did not.
func (s *seen) fewColumns(does string) string {
	k := s.site.Kernel.Cols()
	if s.columns >= int64(manyColumns*k) {
		return ""
	}
	return fmt.Sprintf("%s, which %s it, has %d inputs and met %d columns of them; %d would tell what is lost", s.site.Name, does, k, s.columns, manyColumns*k)
}

// heldLosses are what numbers of units lose, in an order, where columns are few: each half of them says what kernels lose that are
// folded by the other half. More units are never taken to lose more.
func heldLosses(b linalg.Backend, order []int, readers []decomp.Reader, saw []*seen) ([]float64, error) {
	out := make([]float64, len(order)+1)
	for half := range 2 {
		fit, held := make([]decomp.Reader, len(readers)), make([]decomp.Metric, len(readers))
		for i, r := range readers {
			fit[i], held[i] = r, r.Metric
			if saw[i].fewColumns("reads") != "" {
				n := int(saw[i].columns)
				fit[i].Metric, held[i] = halfOf(r.Metric, n, half), halfOf(r.Metric, n, 1-half)
			}
		}
		e, err := decomp.EliminateInOrder(b, order, fit)
		if err != nil {
			return nil, err
		}
		losses, err := e.LossesUnder(held)
		if err != nil {
			return nil, err
		}
		for k, v := range losses {
			out[k] += v / 2
		}
	}
	least := 0.0
	for k := len(order) - 1; k >= 0; k-- {
		least = max(least, out[k])
		out[k] = least
	}
	out[len(order)] = 0
	return out, nil
}

// halfOf is a metric by every other of n columns. What is kept beside the columns, their mean, is in both.
func halfOf(m decomp.Metric, n, half int) decomp.Metric {
	s := m.Sample[0]
	out := linalg.New(0, s.Cols)
	for i := range s.Rows {
		if i < n && i%2 != half {
			continue
		}
		by := 1.0
		if i < n {
			by = math.Sqrt(float64(n) / float64((n+1-half)/2))
		}
		for _, v := range s.Row(i) {
			out.Data = append(out.Data, by*v)
		}
		out.Rows++
	}
	m.Sample = []*linalg.Matrix{out}
	return m
}
