package compress

import (
	"slices"
	"sync"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// shelf is where the numbers of chains and of new weights lie, from when they are made until they are written: in memory where that is
// little of the limit, which the nil shelf stands for, else in a temporary file.
type shelf struct {
	spool *rss.Spool

	mu   sync.Mutex
	here map[*float64]bool // where the numbers begin that are here
	size int64             // of them, in bytes
}

// Chains that take more than this part of the memory limit, as they are worked out, go to a file.
const chainsPart = 8

// shelf returns the place for the chains of a choice.
func (c *Choice) shelf(o Options) (*shelf, error) {
	var need int64
	for _, p := range c.picks {
		if p.method != nil {
			need += 8 * p.params
		}
	}
	narrowed := c.narrowings()
	for i := range c.picks {
		if s := &c.Offers.sites[i].site; len(rewrite.Left(s, narrowed)) < s.Kernel.In || len(rewrite.LeftOut(s, narrowed)) < s.Kernel.Out {
			need += 8 * s.Kernel.Params() // of a fold, or of what a refit finds, zeros included
		}
	}
	if need <= o.Memory/chainsPart {
		return nil, nil
	}
	return newShelf(o.Memory)
}

// newShelf makes an empty shelf in a file.
func newShelf(memory int64) (*shelf, error) {
	spool, err := rss.NewSpool(memory / 2)
	return &shelf{spool: spool, here: map[*float64]bool{}}, err
}

// numbers puts numbers on the shelf, where they are not there yet.
func (s *shelf) numbers(v []float64) ([]float64, error) {
	if s == nil || len(v) == 0 {
		return v, nil
	}
	s.mu.Lock()
	here := s.here[&v[0]]
	s.mu.Unlock()
	if here {
		return v, nil
	}
	kept, err := s.spool.Floats(v)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.here[&kept[0]] = true
	s.size += 8 * int64(len(kept))
	return kept, nil
}

// taken is how many bytes of numbers are on the shelf.
func (s *shelf) taken() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// metric puts a metric on the shelf.
func (s *shelf) metric(m decomp.Metric) (decomp.Metric, error) {
	if s == nil {
		return m, nil
	}
	var err error
	for _, of := range []*[]*linalg.Matrix{&m.In, &m.Sample, &m.Out, &m.Pullback} {
		list := slices.Clone(*of)
		for i, one := range list {
			if one == nil {
				continue
			}
			moved := *one
			if moved.Data, err = s.numbers(one.Data); err != nil {
				return m, err
			}
			list[i] = &moved
		}
		*of = list
	}
	m.Diagonal = slices.Clone(m.Diagonal)
	for i := range m.Diagonal {
		if m.Diagonal[i], err = s.numbers(m.Diagonal[i]); err != nil {
			return m, err
		}
	}
	return m, nil
}

// Close removes the file. Nothing on the shelf may be read after that.
func (s *shelf) Close() error {
	if s == nil {
		return nil
	}
	return s.spool.Close()
}

// Chain puts the weights of a chain on the shelf.
func (s *shelf) Chain(c decomp.Chain) (decomp.Chain, error) {
	if s == nil {
		return c, nil
	}
	c = slices.Clone(c)
	for i := range c {
		k := &c[i].Kernel
		var err error
		if k.Weights, err = s.numbers(k.Weights); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Tensors puts new weights on the shelf.
func (s *shelf) Tensors(list []onnxio.Tensor) ([]onnxio.Tensor, error) {
	if s == nil {
		return list, nil
	}
	out := make([]onnxio.Tensor, len(list))
	for i, t := range list {
		d, err := t.Dense()
		if err != nil {
			return nil, err
		}
		if d.Data, err = s.spool.Bytes(d.Data); err != nil {
			return nil, err
		}
		out[i] = onnxio.DenseTensor(t.Name(), d)
	}
	return out, nil
}
