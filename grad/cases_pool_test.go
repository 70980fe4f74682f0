package grad

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

type attrs = []graph.Attr

// poolCase describes a pool of an input [2, 2, size...].
type poolCase struct {
	size, window, strides, pads, dilations []int
	auto                                   string
	ceil, include                          bool
}

func (p poolCase) attributes() []graph.Attr {
	a := attrs{graph.Ints("kernel_shape", p.window...)}
	if p.strides != nil {
		a = append(a, graph.Ints("strides", p.strides...))
	}
	if p.pads != nil {
		a = append(a, graph.Ints("pads", p.pads...))
	}
	if p.dilations != nil {
		a = append(a, graph.Ints("dilations", p.dilations...))
	}
	if p.auto != "" {
		a = append(a, graph.String("auto_pad", p.auto))
	}
	if p.ceil {
		a = append(a, graph.Int("ceil_mode", 1))
	}
	if p.include {
		a = append(a, graph.Int("count_include_pad", 1))
	}
	return a
}

func poolCases() []ruleCase {
	both := []poolCase{
		{size: []int{6, 4}, window: []int{2, 2}, strides: []int{2, 2}},
		{size: []int{7, 7}, window: []int{3, 3}, strides: []int{2, 2}},
		{size: []int{7, 6}, window: []int{3, 3}, strides: []int{2, 2}, pads: []int{1, 1, 1, 1}},
		{size: []int{5, 5}, window: []int{3, 2}, pads: []int{1, 0, 1, 1}},
		{size: []int{7, 5}, window: []int{2, 2}, strides: []int{3, 2}},
		{size: []int{6, 7}, window: []int{3, 3}, strides: []int{2, 2}, auto: "SAME_UPPER"},
		{size: []int{6, 7}, window: []int{2, 4}, strides: []int{1, 2}, auto: "SAME_LOWER"},
		{size: []int{6, 7}, window: []int{3, 3}, strides: []int{2, 2}, auto: "VALID"},
		{size: []int{9}, window: []int{3}, strides: []int{2}, pads: []int{1, 1}},
		{size: []int{4, 3, 4}, window: []int{2, 2, 3}, strides: []int{2, 1, 1}, pads: []int{0, 1, 1, 1, 0, 1}},
		{size: []int{4, 6}, window: []int{4, 6}},
	}
	ceil := []poolCase{
		{size: []int{6, 6}, window: []int{3, 3}, strides: []int{2, 2}, ceil: true},
		{size: []int{7, 8}, window: []int{2, 3}, strides: []int{2, 2}, pads: []int{0, 1, 1, 1}, ceil: true},
		{size: []int{7}, window: []int{3}, strides: []int{3}, ceil: true},
	}
	var cases []ruleCase
	add := func(op string, p poolCase, single bool, opsets ...int) {
		name := fmt.Sprint(p.size, p.window, p.strides, p.pads, p.dilations, p.auto, p.ceil, p.include)
		cases = append(cases, ruleCase{op, name, opsets, single, func(n *net) {
			n.out(n.op(op, []string{n.in(apart, append([]int{2, 2}, p.size...)...)}, p.attributes()...))
		}})
	}
	for _, p := range both {
		add("MaxPool", p, true, 7, 8, 10, 12, 16, 22)
		add("AveragePool", p, true, 7, 10, 13, 19, 22)
		p.include = true
		add("AveragePool", p, true, 7, 10, 13, 19, 22)
	}
	for _, p := range ceil {
		add("MaxPool", p, true, 10, 12, 16)
		add("AveragePool", p, true, 10, 13, 19, 22)
		p.include = true
		add("AveragePool", p, true, 19, 22)
	}
	dilated := poolCase{size: []int{7, 7}, window: []int{3, 2}, strides: []int{1, 2}, dilations: []int{2, 3}, pads: []int{1, 1, 1, 1}}
	add("MaxPool", dilated, true, 10, 12, 16)
	add("AveragePool", dilated, true, 19, 22)
	return append(cases, ruleCase{"MaxPool", "with indices", []int{12, 16}, true, func(n *net) {
		n.out(n.ops("MaxPool", 2, []string{n.in(apart, 1, 2, 5, 5)}, graph.Ints("kernel_shape", 3, 3),
			graph.Int("storage_order", 1))[0])
	}})
}

// resizeCase is a Resize of one input by scales or to sizes.
type resizeCase struct {
	shape, sizes []int
	scales       []float64
	opsets       []int
	attributes   []graph.Attr
	only         []int // axes, since operator set 18
	name         string
}

func resizeCases() []ruleCase {
	mode := func(m string) graph.Attr { return graph.String("mode", m) }
	coordinates := func(m string) graph.Attr {
		return graph.String("coordinate_transformation_mode", m)
	}
	nearest := func(m string) graph.Attr { return graph.String("nearest_mode", m) }
	image := []int{1, 2, 4, 5}
	modern := []int{11, 13, 18, 19}
	var list []resizeCase
	for _, m := range []string{"nearest", "linear", "cubic"} {
		for _, c := range []string{"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"} {
			opsets := modern
			if c == "half_pixel_symmetric" {
				opsets = []int{19}
			}
			for _, scales := range [][]float64{{1, 1, 2, 2}, {1, 1, 1.5, 2.3}, {1, 1, 0.5, 0.6}, {1, 1, 0.25, 3}} {
				list = append(list, resizeCase{
					shape: image, scales: scales, opsets: opsets, attributes: attrs{mode(m), coordinates(c)}, name: fmt.Sprint(m, " ", c, " ", scales),
				})
			}
			list = append(list, resizeCase{
				shape: image, sizes: []int{1, 2, 7, 3}, opsets: opsets, attributes: attrs{mode(m), coordinates(c)}, name: fmt.Sprint(m, " ", c, " to sizes"),
			})
		}
	}
	for _, r := range []string{"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"} {
		for _, c := range []string{"half_pixel", "asymmetric", "align_corners"} {
			for _, scales := range [][]float64{{1, 1, 2, 2}, {1, 1, 1.6, 0.5}} {
				list = append(list, resizeCase{
					shape: image, scales: scales, opsets: []int{11, 13}, attributes: attrs{mode("nearest"), coordinates(c), nearest(r)},
					name: fmt.Sprint("nearest ", r, " ", c, " ", scales),
				})
			}
		}
	}
	list = append(list,
		resizeCase{
			shape: image, scales: []float64{1, 1, 2, 0.6}, opsets: []int{11}, attributes: attrs{mode("nearest"), coordinates("tf_half_pixel_for_nn")},
			name: "tf_half_pixel_for_nn",
		},
		resizeCase{
			shape: image, scales: []float64{1, 1, 1.5, 2}, opsets: []int{11}, attributes: attrs{mode("cubic"), graph.Int("exclude_outside", 1), graph.Float("cubic_coeff_a", -0.5)},
			name: "exclude_outside",
		},
		resizeCase{shape: image, scales: []float64{2, 1.5}, only: []int{3, 2}, opsets: []int{18}, attributes: attrs{mode("linear")}, name: "axes"},
		resizeCase{shape: []int{2, 3, 2, 3, 2}, scales: []float64{1, 1, 2, 1.5, 2}, opsets: []int{13}, attributes: attrs{mode("linear")}, name: "trilinear"},
		resizeCase{shape: []int{3, 4}, scales: []float64{2, 1.5}, opsets: []int{13}, attributes: attrs{mode("linear")}, name: "a matrix"},
		resizeCase{shape: []int{2, 3, 4}, scales: []float64{1, 2, 3}, opsets: []int{13}, attributes: attrs{mode("nearest")}, name: "nearest 3-D"},
		resizeCase{shape: image, scales: []float64{1, 1, 1, 1}, opsets: []int{13}, attributes: attrs{mode("nearest")}, name: "unchanged"},
	)
	var cases []ruleCase
	for _, r := range list {
		cases = append(cases, ruleCase{"Resize", r.name, r.opsets, true, func(n *net) { r.build(n) }})
	}
	for _, m := range []string{"nearest", "linear"} {
		for _, scales := range [][]float64{{1, 1, 2, 3}, {1, 1, 1.5, 2.4}} {
			cases = append(cases,
				ruleCase{"Upsample", fmt.Sprint(m, scales), []int{7, 9}, true, func(n *net) {
					x := n.in(normal, image...)
					if n.opset >= 9 {
						n.out(n.op("Upsample", []string{x, n.constant(tensor.Float32, []int{4}, scales)}, mode(m)))
						return
					}
					var f []float32
					for _, s := range scales {
						f = append(f, float32(s))
					}
					n.out(n.op("Upsample", []string{x}, mode(m), graph.Floats("scales", f...)))
				}},
				ruleCase{"Resize", fmt.Sprint("opset 10 ", m, scales), []int{10}, true, func(n *net) {
					n.out(n.op("Resize", []string{n.in(normal, image...), n.constant(tensor.Float32, []int{4}, scales)}, mode(m)))
				}})
		}
		cases = append(cases, ruleCase{"Resize", "opset 10 smaller " + m, []int{10}, true, func(n *net) {
			n.out(n.op("Resize", []string{n.in(normal, image...), n.constant(tensor.Float32, []int{4}, []float64{1, 1, 0.5, 0.6})}, mode(m)))
		}})
	}
	return cases
}

func (r resizeCase) build(n *net) {
	x := n.in(normal, r.shape...)
	roi := ""
	if n.opset < 13 {
		roi = n.constant(tensor.Float32, []int{0}, nil)
	}
	attributes := r.attributes
	if r.only != nil {
		attributes = append(attributes, graph.Ints("axes", r.only...))
	}
	if r.sizes != nil {
		scales := ""
		if n.opset < 13 {
			scales = n.constant(tensor.Float32, []int{0}, nil)
		}
		n.out(n.op("Resize", []string{x, roi, scales, n.ints(r.sizes...)}, attributes...))
		return
	}
	n.out(n.op("Resize", []string{x, roi, n.constant(tensor.Float32, []int{len(r.scales)}, r.scales)}, attributes...))
}
