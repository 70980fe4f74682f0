package grad

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// resizeRules are the rules of resampling.
func resizeRules() []Rule {
	const formula = "the transposed interpolation matrix of each axis, times g"
	return []Rule{
		{Op: "Resize", Formula: formula, inputs: first, need: 1, vjp: resizeRule},
		{Op: "Upsample", Formula: formula, inputs: first, need: 1, vjp: resizeRule},
	}
}

// sampling says how an axis of size in is resampled to size out. Coordinates are float32, as
// in the runtime, so that ties fall alike.
type sampling struct {
	in, out         int
	scale           float32
	mode            string // nearest, linear or cubic
	coordinates     string
	nearest         string // rounding of nearest
	cubic           float64
	excludesOutside bool
}

func resizeRule(c *call) error {
	x, y := c.shape(0), c.shapeOut(0)
	if len(x) != len(y) {
		return errShape
	}
	if c.node.Int("antialias", 0) != 0 {
		return errors.New("with antialiasing it has no rule")
	}
	scales, err := c.resizeScales(x, y)
	if err != nil {
		return err
	}
	base := c.sampling()
	if c.evenly(base, scales) {
		return nil
	}
	dx, shape := c.g(), slices.Clone(y)
	for a := range x {
		s := base
		s.in, s.out, s.scale = x[a], y[a], scales[a]
		if s.in == s.out && s.scale == 1 {
			continue
		}
		matrix, err := s.matrix()
		if err != nil {
			return err
		}
		dx = c.along(dx, shape, a, matrix, s.in)
		shape[a] = s.in
	}
	c.give(0, dx)
	return nil
}

// sampling reads the attributes. Before operator set 11 there is one way to place samples,
// and nearest rounds down, or up where an axis shrinks.
func (c *call) sampling() sampling {
	s := sampling{
		mode: c.node.String("mode", "nearest"), coordinates: "asymmetric", nearest: "simple",
		cubic: c.float("cubic_coeff_a", -0.75), excludesOutside: c.node.Int("exclude_outside", 0) != 0,
	}
	if c.node.Op() == "Resize" && c.Opset >= 11 {
		s.coordinates = c.node.String("coordinate_transformation_mode", "half_pixel")
		s.nearest = c.node.String("nearest_mode", "round_prefer_floor")
	}
	return s
}

// resizeScales returns the scale of every axis: from the sizes, where those are given, else
// the scales (an attribute of Upsample before operator set 9, then input 1, from operator set
// 11 on input 2).
func (c *call) resizeScales(x, y []int) ([]float32, error) {
	scalesAt, sizesAt := 1, -1
	if c.node.Op() == "Resize" && c.Opset >= 11 {
		scalesAt, sizesAt = 2, 3
	}
	out := make([]float32, len(x))
	for i := range x {
		out[i] = float32(y[i]) / float32(x[i])
	}
	if sizesAt > 0 && c.x(sizesAt) != "" {
		if c.node.String("keep_aspect_ratio_policy", "stretch") != "stretch" {
			return nil, errors.New("with keep_aspect_ratio_policy it has no rule")
		}
		return out, nil
	}
	var given []float64
	if f := c.node.Floats("scales"); f != nil {
		for _, s := range f {
			given = append(given, float64(s))
		}
	} else {
		var ok bool
		if given, ok = c.facts.numbers(c.x(scalesAt)); !ok {
			return nil, errors.New("the scales are not known")
		}
	}
	axes, err := c.numbers(-1, "axes")
	if err != nil {
		return nil, err
	}
	if axes == nil {
		axes = upTo(len(x))
	}
	if len(given) != len(axes) {
		return nil, errShape
	}
	if axes, err = graph.Axes(axes, len(x)); err != nil {
		return nil, err
	}
	for i, k := range axes {
		if !(given[i] > 0) {
			return nil, errShape
		}
		out[k] = float32(given[i])
	}
	return out, nil
}

// evenly handles the most common case, entries repeated a whole number of times along
// spatial axes: their cotangents are added up by an AveragePool.
func (c *call) evenly(s sampling, scales []float32) bool {
	x, y := c.shape(0), c.shapeOut(0)
	if s.mode != "nearest" || len(x) < 3 || len(x) > 5 {
		return false
	}
	var times []int
	for a := range x {
		s.in, s.out, s.scale = x[a], y[a], scales[a]
		n := y[a] / x[a]
		if y[a] != n*x[a] || a < 2 && n != 1 {
			return false
		}
		for o := range s.out {
			if i, err := s.nearestTo(o); err != nil || i != o/n {
				return false
			}
		}
		if a >= 2 {
			times = append(times, n)
		}
	}
	mean := c.Node("AveragePool", []string{c.g()}, graph.Ints("kernel_shape", times...), graph.Ints("strides", times...))
	c.give(0, c.scale(mean, float64(tensor.Product(times))))
	return true
}

// coordinate returns where sample o lies on the input's axis.
func (s sampling) coordinate(o int) (float32, error) {
	x := float32(o)
	switch s.coordinates {
	case "asymmetric":
		return x / s.scale, nil
	case "half_pixel":
		return (x+0.5)/s.scale - 0.5, nil
	case "half_pixel_symmetric":
		adjusted := float32(s.out) / (s.scale * float32(s.in))
		offset := float32(s.in) / 2 * (1 - adjusted)
		return offset + (x+0.5)/s.scale - 0.5, nil
	case "pytorch_half_pixel":
		if s.out > 1 {
			return (x+0.5)/s.scale - 0.5, nil
		}
		return 0, nil
	case "align_corners":
		if s.out == 1 {
			return 0, nil
		}
		return x * float32(s.in-1) / float32(s.out-1), nil
	case "tf_half_pixel_for_nn":
		return (x + 0.5) / s.scale, nil
	}
	return 0, fmt.Errorf("coordinate_transformation_mode %q has no rule", s.coordinates)
}

// nearestTo returns the entry that sample o copies.
func (s sampling) nearestTo(o int) (int, error) {
	at, err := s.coordinate(o)
	if err != nil {
		return 0, err
	}
	x := float64(at)
	switch s.nearest {
	case "simple":
		if x = math.Floor(x); s.scale < 1 {
			x = math.Ceil(float64(at))
		}
	case "round_prefer_floor":
		x = math.Ceil(x - 0.5)
	case "round_prefer_ceil":
		x = math.Floor(x + 0.5)
	case "floor":
		x = math.Floor(x)
	case "ceil":
		x = math.Ceil(x)
	default:
		return 0, fmt.Errorf("nearest_mode %q has no rule", s.nearest)
	}
	return s.clamp(int(x)), nil
}

func (s sampling) clamp(i int) int { return min(max(i, 0), s.in-1) }

// matrix returns the interpolation matrix [out, in].
func (s sampling) matrix() ([]float64, error) {
	if s.in > 1<<16 || s.out > 1<<16 || s.in*s.out > 1<<26 {
		return nil, fmt.Errorf("resampling %d entries to %d", s.in, s.out)
	}
	m := make([]float64, s.out*s.in)
	for o := range s.out {
		row := m[o*s.in : (o+1)*s.in]
		if err := s.fill(row, o); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// fill sets the weights of sample o.
func (s sampling) fill(row []float64, o int) error {
	at, err := s.coordinate(o)
	if err != nil {
		return err
	}
	switch s.mode {
	case "nearest":
		i, err := s.nearestTo(o)
		if err != nil {
			return err
		}
		row[i] = 1
	case "linear":
		x := min(max(at, 0), float32(s.in-1))
		i := s.clamp(int(x))
		part := float64(x - float32(i))
		row[i] += 1 - part
		row[s.clamp(i+1)] += part
	case "cubic":
		s.fillCubic(row, float64(at))
	default:
		return fmt.Errorf("mode %q has no rule", s.mode)
	}
	return nil
}

// fillCubic sets the weights of the four entries around x (Keys, "Cubic convolution
// interpolation for digital image processing", 1981).
func (s sampling) fillCubic(row []float64, x float64) {
	i := int(math.Floor(x))
	total := 0.0
	for k := i - 1; k <= i+2; k++ {
		inside := k >= 0 && k < s.in
		if s.excludesOutside && !inside {
			continue
		}
		w := cubicWeight(math.Abs(x-float64(k)), s.cubic)
		row[s.clamp(k)] += w
		total += w
	}
	if s.excludesOutside {
		for k := range row {
			row[k] /= total
		}
	}
}

func cubicWeight(d, a float64) float64 {
	if d <= 1 {
		return ((a+2)*d-(a+3))*d*d + 1
	}
	return ((a*d-5*a)*d+8*a)*d - 4*a
}
