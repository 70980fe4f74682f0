package shapes

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// window reads how a window of the given size slides.
func (c *call) window(size []int) (graph.Window, error) {
	if slices.ContainsFunc(size, func(k int) bool { return k <= 0 || k > maxSize }) {
		return graph.Window{}, fmt.Errorf("window %v", size)
	}
	return c.node.Window(len(size))
}

// slide returns the number of positions along each axis of a window of the given size. With ceil, a last
// window may hang over the end, but must begin inside the input or its begin pad.
func (c *call) slide(in, size []int, ceil bool) ([]int, error) {
	w, err := c.window(size)
	if err != nil {
		return nil, err
	}
	out := make([]int, len(in))
	for i, n := range in {
		stride, begin, end := w.Strides[i], w.Begin[i], w.End[i]
		if w.Auto != "" {
			out[i] = (n + stride - 1) / stride
			continue
		}
		reach := (size[i]-1)*w.Dilations[i] + 1
		room := n + begin + end - reach
		if room < 0 {
			return nil, fmt.Errorf("window of %d does not fit axis %d of size %d with pads %d and %d", reach, i, n, begin, end)
		}
		out[i] = room/stride + 1
		if ceil && room%stride != 0 && out[i]*stride < n+begin {
			out[i]++
		}
	}
	return out, nil
}

// conv follows Conv, ConvInteger and DeformConv: X [N, C, ...], W [M, C/group, ...].
func conv(c *call) error { return c.convolve(c.shape(0), c.shape(1)) }

// qLinearConv follows QLinearConv, whose weight is input 3.
func qLinearConv(c *call) error { return c.convolve(c.shape(0), c.shape(3)) }

func (c *call) convolve(x, w []int) error {
	if len(x) < 3 || len(w) != len(x) {
		return fmt.Errorf("input of shape %v and weight of shape %v", x, w)
	}
	if g := c.attr("group", 1); g <= 0 || x[1] != w[1]*g {
		return fmt.Errorf("input has %d channels, weight of shape %v in %d groups wants another number", x[1], w, g)
	}
	size := w[2:]
	if k := c.node.Ints("kernel_shape"); k != nil && !slices.Equal(k, size) {
		return fmt.Errorf("kernel_shape %v differs from weight of shape %v", k, w)
	}
	out, err := c.slide(x[2:], size, false)
	if err != nil {
		return err
	}
	c.set(0, slices.Concat([]int{x[0], w[0]}, out))
	return nil
}

// convTranspose follows ConvTranspose: W [C, M/group, ...].
func convTranspose(c *call) error {
	x, w := c.shape(0), c.shape(1)
	g := c.attr("group", 1)
	if len(x) < 3 || len(w) != len(x) || x[1] != w[0] || g <= 0 || g > maxSize {
		return fmt.Errorf("input of shape %v and weight of shape %v in %d groups", x, w, g)
	}
	win, err := c.window(w[2:])
	if err != nil {
		return err
	}
	n, window := len(x)-2, w[2:]
	extra := c.node.Ints("output_padding")
	if extra == nil {
		extra = make([]int, n)
	}
	fixed := c.node.Ints("output_shape")
	if len(extra) != n || fixed != nil && len(fixed) != n {
		return fmt.Errorf("output_padding %v, output_shape %v for %d spatial axes", extra, fixed, n)
	}
	out := []int{x[0], w[1] * g}
	for i, d := range x[2:] {
		size := win.Strides[i]*(d-1) + extra[i] + (window[i]-1)*win.Dilations[i] + 1 - win.Begin[i] - win.End[i]
		if win.Auto != "" {
			size = min(size, d*win.Strides[i]) // pads are never negative
		}
		if fixed != nil {
			size = fixed[i]
		}
		out = append(out, size)
	}
	c.set(0, out)
	return nil
}

// pool follows AveragePool, MaxPool and LpPool; ceil_mode since opset 10.
func pool(c *call) error {
	x := c.shape(0)
	size := c.node.Ints("kernel_shape")
	if len(x) < 3 || len(size) != len(x)-2 {
		return fmt.Errorf("kernel_shape %v for input of shape %v", size, x)
	}
	out, err := c.slide(x[2:], size, c.attr("ceil_mode", 0) != 0)
	if err != nil {
		return err
	}
	shape := slices.Concat(x[:2], out)
	c.set(0, shape)
	c.set(1, shape)
	return nil
}

func globalPool(c *call) error {
	x := c.shape(0)
	if len(x) < 2 {
		return fmt.Errorf("input of shape %v", x)
	}
	c.set(0, slices.Concat(x[:2], ones(len(x)-2)))
	return nil
}

// roiPool follows MaxRoiPool (attribute pooled_shape) and RoiAlign (output_height, output_width).
func roiPool(c *call) error {
	x, rois := c.shape(0), c.shape(1)
	size := c.node.Ints("pooled_shape")
	if c.node.Op() == "RoiAlign" {
		size = []int{c.attr("output_height", 1), c.attr("output_width", 1)}
	}
	if len(x) != 4 || len(rois) != 2 || len(size) != 2 {
		return fmt.Errorf("input of shape %v, regions of shape %v, output %v", x, rois, size)
	}
	c.set(0, []int{rois[0], x[1], size[0], size[1]})
	return nil
}

// gridSample follows GridSample: X [N, C, ...], grid [N, out..., rank].
func gridSample(c *call) error {
	x, grid := c.shape(0), c.shape(1)
	if len(x) < 3 || len(grid) != len(x) {
		return fmt.Errorf("input of shape %v, grid of shape %v", x, grid)
	}
	c.set(0, slices.Concat(x[:2], grid[1:len(grid)-1]))
	return nil
}

// resize follows Upsample (scales: attribute before opset 9, then input 1) and
// Resize (scales: input 1 in opset 10, then input 2; sizes: input 3).
func resize(c *call) error {
	x := c.shape(0)
	scaleAt, sizeAt := 1, -1
	if c.node.Op() == "Resize" && c.opset >= 11 {
		scaleAt, sizeAt = 2, 3
	}
	list := c.node.Ints("axes")
	if list == nil {
		list = upTo(len(x))
	}
	list, err := graph.Axes(list, len(x))
	if err != nil {
		return err
	}
	if c.given(sizeAt) {
		return c.resizeTo(x, list, sizeAt)
	}
	scales := c.data(scaleAt)
	if !c.given(scaleAt) {
		scales = &numbers{typ: tensor.Float32}
		for _, f := range c.node.Floats("scales") {
			scales.f = append(scales.f, float64(f))
		}
	}
	if scales == nil || scales.len() != len(list) {
		return fmt.Errorf("scales are not known in advance, or not one for each of %d axes", len(list))
	}
	out := slices.Clone(x)
	for i, k := range list {
		size := math.Floor(float64(x[k]) * scales.real(i))
		if !(size >= 0 && size < maxSize) {
			return fmt.Errorf("axis %d of size %d scaled by %v", k, x[k], scales.real(i))
		}
		out[k] = int(size)
	}
	c.set(0, out)
	return nil
}

// resizeTo follows the sizes of Resize, with keep_aspect_ratio_policy since opset 18.
func (c *call) resizeTo(x []int, list []int, sizeAt int) error {
	sizes, err := c.ints(sizeAt)
	if err != nil {
		return err
	}
	if len(sizes) != len(list) {
		return fmt.Errorf("sizes %v for axes %v", sizes, list)
	}
	policy := c.node.String("keep_aspect_ratio_policy", "stretch")
	scale := math.NaN()
	for i, k := range list {
		s := float64(sizes[i]) / float64(x[k])
		if math.IsNaN(scale) || policy == "not_larger" && s < scale || policy == "not_smaller" && s > scale {
			scale = s
		}
	}
	out := slices.Clone(x)
	for i, k := range list {
		out[k] = sizes[i]
		if policy == "stretch" {
			continue
		}
		size := math.Round(scale * float64(x[k]))
		if !(size >= 0 && size < maxSize) {
			return fmt.Errorf("sizes %v for input of shape %v", sizes, x)
		}
		out[k] = int(size)
	}
	c.set(0, out)
	return nil
}
