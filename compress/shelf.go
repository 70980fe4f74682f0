package compress

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// shelf is where the numbers of chains and of new weights lie, from when they are made until they are written: in memory where that is
// little of the limit, which the nil shelf stands for, else in a temporary file.
type shelf struct{ spool *rss.Spool }

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
	if need <= o.Memory/chainsPart {
		return nil, nil
	}
	spool, err := rss.NewSpool(o.Memory / 2)
	return &shelf{spool}, err
}

// Close removes the file. Nothing on the shelf may be read after that.
func (s *shelf) Close() error {
	if s == nil {
		return nil
	}
	return s.spool.Close()
}

// chain puts the weights of a chain on the shelf.
func (s *shelf) chain(c decomp.Chain) (decomp.Chain, error) {
	if s == nil {
		return c, nil
	}
	c = slices.Clone(c)
	for i := range c {
		k := &c[i].Kernel
		var err error
		if k.Weights, err = s.spool.Floats(k.Weights); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// tensors puts new weights on the shelf.
func (s *shelf) tensors(list []onnxio.Tensor) ([]onnxio.Tensor, error) {
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
