package rewrite

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
)

// conv completes the node of factor i, whose inputs are the data and the kernel so far, with its attributes and the bias
// called added, unless that is empty, and adds the weight. A factor of a ConvTranspose that changes no axis is a Conv
// with one tap, for which runtimes have faster kernels.
func (b *builder) conv(n *graph.Spec, i int, added string) error {
	f := b.chain[i]
	k, transposed := f.Kernel, b.site.View.Transposed
	carries := slices.Contains(f.Axes, true)
	if transposed && len(b.chain) > 1 && b.still(f.Axes) {
		transposed, carries = false, false
		n.Op = "Conv"
	}
	if carries {
		b.widen(n, i)
	}
	n.Attrs = append(n.Attrs, graph.Ints("kernel_shape", k.Window...))
	if k.Groups != 1 || b.site.Node.Has("group") {
		n.Attrs = append(n.Attrs, graph.Int("group", k.Groups))
	}
	if added != "" {
		n.Inputs = append(n.Inputs, added)
	}
	shape, v := append([]int{k.Out, k.In / k.Groups}, k.Window...), k.Weights
	if transposed {
		shape[0], shape[1] = k.In, k.Rows()
		v = transpose(v, k.Groups, k.Rows(), k.In/k.Groups)
	}
	return b.weight(n.Inputs[1], shape, v)
}

// still tells whether the node changes none of the axes that a factor carries.
func (b *builder) still(axes []bool) bool {
	for a, carries := range axes {
		if carries && !b.site.View.still(a) {
			return false
		}
	}
	return true
}

// widen gives factor i the node's attributes along the axes that it carries. auto_pad goes to all factors that carry
// any, since along an axis with one tap and no stride it pads nothing.
func (b *builder) widen(n *graph.Spec, i int) {
	axes := b.chain[i].Axes
	for _, a := range b.site.Node.Attrs() {
		switch a.Name() {
		case "group", "kernel_shape":
			continue
		case "strides", "dilations":
			a = masked(a, axes, func(int) int { return 1 })
		case "pads", "output_padding":
			a = masked(a, axes, func(int) int { return 0 })
		case "output_shape":
			a = masked(a, axes, func(axis int) int { return b.extent(i, axis) })
		}
		n.Attrs = append(n.Attrs, a)
	}
}

// extent is the size of an axis before factor i, which does not carry it, of a ConvTranspose with an output_shape.
func (b *builder) extent(i, axis int) int {
	for _, f := range b.chain[:i] {
		if f.Axes[axis] {
			return b.site.View.OutputShape[axis]
		}
	}
	return b.site.Geometry.In[axis]
}

// masked keeps the entries of a list attribute on the carried axes and sets the
// others to rest. A list of pads has the axes twice.
func masked(a graph.Attr, axes []bool, rest func(axis int) int) graph.Attr {
	if !slices.Contains(axes, false) {
		return a
	}
	v := a.Ints()
	for i := range v {
		if axis := i % len(axes); !axes[axis] {
			v[i] = rest(axis)
		}
	}
	return graph.Ints(a.Name(), v...)
}
