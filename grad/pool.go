package grad

import (
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// poolRules are the rules of pools with windows.
func poolRules() []Rule {
	return []Rule{
		{Op: "MaxPool", Formula: "dx = g at the first largest entry of each window, in row-major order", inputs: first, need: 1, vjp: maxPoolRule},
		{Op: "AveragePool", Formula: "dx = g/n at every entry of a window that counts n", inputs: first, need: 1, vjp: averagePoolRule},
	}
}

// poolWindow reads the window of a pool. Its end padding is what the windows need, which
// in ceil mode is more than the node states.
func (c *call) poolWindow() (window, error) {
	x, y := c.shape(0), c.shapeOut(0)
	size := c.node.Ints("kernel_shape")
	if len(x) < 3 || len(y) != len(x) || !slices.Equal(x[:2], y[:2]) || len(size) != len(x)-2 {
		return window{}, errShape
	}
	w, err := c.window(size, x[2:], y[2:])
	if err != nil {
		return w, err
	}
	for i := range size {
		if w.begin[i] >= w.reach(i) || (w.out[i]-1)*w.stride[i]-w.begin[i] >= w.in[i] {
			return w, errShape
		}
	}
	return w, nil
}

func maxPoolRule(c *call) error {
	w, err := c.poolWindow()
	if err != nil {
		return err
	}
	if c.Opset >= 16 {
		c.give(0, c.scatterMax())
	} else {
		c.give(0, c.compareMax(w))
	}
	return nil
}

// scatterMax adds each cotangent to the entry that the pool's own Indices name, counted
// over the whole tensor. A pool of its own gives them: asked of the forward one, they
// would slow it down for all its readers.
func (c *call) scatterMax() string {
	attributes := slices.DeleteFunc(c.node.Attrs(), func(a graph.Attr) bool { return a.Name() == "storage_order" })
	indices := c.Several("MaxPool", []string{c.x(0)}, 2, attributes...)[1]
	x := c.shape(0)
	flat := []int{-1}
	dx := c.Node("ScatterElements",
		[]string{c.zeros([]int{tensor.Product(x)}), c.reshape(indices, nil, flat), c.reshape(c.g(), nil, flat)},
		graph.Int("axis", 0), graph.String("reduction", "add"))
	return c.reshape(dx, nil, x)
}

// compareMax finds the largest entries by comparing, for operator sets whose scatter
// cannot add. With sₖ = g where none of the taps 0, …, k reached the maximum, tap k
// gets sₖ₋₁ - sₖ: 0 or g, exactly. A transposed convolution takes these differences
// and puts them where the taps came from.
func (c *call) compareMax(w window) string {
	x := c.shape(0)
	taps := c.taps(c.x(0), x, w, lowest(c.typ))
	single := slices.Concat([]int{x[0] * x[1], 1}, w.out)
	still := []string{c.reshape(c.g(), c.shapeOut(0), single)}
	missed := ""
	w.each(func(tap []int) {
		if len(still) == w.places() {
			return
		}
		less := c.Op("Less", taps.at(tap), c.y())
		if missed == "" {
			missed = less
		} else {
			missed = c.Op("And", missed, less)
		}
		still = append(still, c.reshape(c.mul(c.mask(missed), c.g()), c.shapeOut(0), single))
	})
	k := kernel{window: w, batch: x[0] * x[1], from: 1, to: w.places(), groups: 1}
	k.end = slices.Clone(w.end)
	extra := filled(len(w.size), 0)
	for i := range w.size {
		k.end[i] = w.overhang(i)
		extra[i] = k.rest(i)
	}
	n := w.places()
	differences := make([]float64, n*n)
	for i := range n {
		differences[i*n+i] = 1
		if i > 0 {
			differences[i*n+i-1] = -1
		}
	}
	weight := c.floats(slices.Concat([]int{n, 1}, w.size), differences)
	dx := c.Node("ConvTranspose", []string{c.concat(1, still...), weight},
		append(k.attributes(), graph.Ints("output_padding", extra...))...)
	return c.reshape(dx, nil, x)
}

// lowest returns the least finite number of a type.
func lowest(t tensor.Type) float64 {
	switch t {
	case tensor.Float16:
		return -65504
	case tensor.BFloat16:
		return -0x1.FEp127
	}
	return -math.MaxFloat32
}

// averagePoolRule spreads the cotangents with one constant matrix per spatial axis, since
// the shares of a window are a product over axes.
func averagePoolRule(c *call) error {
	w, err := c.poolWindow()
	if err != nil {
		return err
	}
	if tile := (kernel{window: w}); tile.tiles() && c.Opset >= 13 {
		c.give(0, c.repeat(c.scale(c.g(), 1/float64(w.places())), w.size))
		return nil
	}
	padded := c.node.Int("count_include_pad", 0) != 0
	shape := slices.Clone(c.shapeOut(0))
	dx := c.g()
	for i := range w.size {
		dx = c.along(dx, shape, i+2, w.shares(i, padded), w.in[i])
		shape[i+2] = w.in[i]
	}
	c.give(0, dx)
	return nil
}

// shares returns the matrix [out, in] of the shares that entries have in the mean of a
// window, along one axis.
func (w window) shares(axis int, padded bool) []float64 {
	in, out := w.in[axis], w.out[axis]
	m := make([]float64, out*in)
	for o := range out {
		count := 0
		for pass := range 2 {
			for t := range w.size[axis] {
				i := o*w.stride[axis] - w.begin[axis] + t*w.dilation[axis]
				inside := i >= 0 && i < in
				switch {
				case pass == 0 && (inside || padded && i < in+w.end[axis]):
					count++
				case pass == 1 && inside:
					m[o*in+i] = 1 / float64(count)
				}
			}
		}
	}
	return m
}

// repeat repeats every entry along the spatial axes, each as often as times says.
func (e *emitter) repeat(x string, times []int) string {
	scales := []float64{1, 1}
	for _, t := range times {
		scales = append(scales, float64(t))
	}
	return e.Node("Resize", []string{x, "", e.Constant(tensor.Float32, []int{len(scales)}, scales)},
		graph.String("mode", "nearest"), graph.String("nearest_mode", "floor"),
		graph.String("coordinate_transformation_mode", "asymmetric"))
}
