package calib

import (
	"fmt"
	"slices"
	"sync"

	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// pullback carries the gradients of a matrix's outputs back to its inputs, Wᵀg, in float32. A head over all words of a
// language has a G of its own square, far larger than the rest of the model; WᵀGW has that of its inputs, and says as much of
// every matrix of lower rank that could stand there (see decomp.Metric).
type pullback struct {
	site *rewrite.Site
	once sync.Once
	w    linalg.Block32 // W, [O, K]
	err  error
}

// mostOfMemory is the share of the memory limit from which on a G is too large to be summed.
const mostOfMemory = 1. / 16

// pulled tells whether the sensitivities of a site are summed at its inputs: a plain matrix, rows in and rows out, with more
// outputs than inputs and too large a G.
func pulled(s *rewrite.Site, memory int64) bool {
	o := int64(s.Kernel.Out)
	return byRows(s) && s.View.Kind == rewrite.LastAxis && s.Kernel.Groups == 1 &&
		s.Kernel.Out > s.Kernel.Cols() && 8*float64(o)*float64(o) > mostOfMemory*float64(memory)
}

// load reads the weight, once.
func (p *pullback) load() (linalg.Block32, error) {
	p.once.Do(func() {
		kernel, err := p.site.Load()
		if p.err = err; err != nil {
			return
		}
		p.w = linalg.NewBlock32(kernel.Rows(), kernel.Cols())
		for i, v := range kernel.Weights {
			p.w.Data[i] = float32(v)
		}
	})
	return p.w, p.err
}

// rows returns Wᵀg for gradients g, one a row, of that shape, and the shape that they have then.
func (p *pullback) rows(w *worker, shape []int, values []float32) ([]int, []float32, error) {
	weight, err := p.load()
	if err != nil {
		return nil, nil, err
	}
	last := len(shape) - 1
	if last < 0 || shape[last] != weight.Rows {
		return nil, nil, fmt.Errorf("its shape is %v, which does not fit the weight of %d output channels", shape, weight.Rows)
	}
	n, k := len(values)/weight.Rows, weight.Cols
	w.pulled = slices.Grow(w.pulled[:0], n*k)[:n*k]
	clear(w.pulled)
	if n > 0 {
		w.backend.GemmAdd32(false, false, linalg.Block32{Rows: n, Cols: weight.Rows, Stride: weight.Rows, Data: values}, weight,
			linalg.Block32{Rows: n, Cols: k, Stride: k, Data: w.pulled})
	}
	shape = slices.Clone(shape)
	shape[last] = k
	return shape, w.pulled, nil
}

// scaled is WᵀGW for G = g·I.
func (p *pullback) scaled(b linalg.Backend, g float64) (*linalg.Matrix, error) {
	kernel, err := p.site.Load()
	if err != nil {
		return nil, err
	}
	w := &linalg.Matrix{Rows: kernel.Rows(), Cols: kernel.Cols(), Data: kernel.Weights}
	return b.Mul(true, false, g, w, w), nil
}
