package grad

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// The gradient of a convolution's weight is itself a convolution of its input x with the cotangent g, which takes the
// place of the kernel: its window is as large as g, and its output has a place for every tap,
//
//	dW[o,c,t] = Σₙₚ g[n,o,p]·x[n,c,p·stride+t·dilation],
//
// so that stride and dilation change places. In blocks of channels ONNX Runtime's convolutions keep the few sums in
// registers and nothing is copied for each tap, which no product of matrices achieves.

// convWeightInBlocks emits the gradient of a convolution's weight on blocks, or returns "" where it does not fill them.
func (c *call) convWeightInBlocks(k kernel, x, g string) string {
	if !c.takes(k, c.typ) {
		return ""
	}
	switch b := c.layout.block; {
	case k.depthwise() && k.ends():
		return c.depthwiseInBlocks(k, x, g)
	case k.groups > 1:
		return ""
	case k.single() && k.from == b && k.to == b && c.layout.of[x].name != "" && c.layout.of[g].name != "":
		// One block is [N·P, b] in memory.
		rows := func(name string) string {
			return c.reshape(c.layout.of[name].name, nil, []int{k.batch * tensor.Product(k.in), b})
		}
		return c.reshape(c.gemm(rows(g), rows(x), true, false, 1), []int{b, b}, c.shape(1))
	case k.size[1] > 1 && k.batch%b == 0 && k.ends():
		return c.crossInBlocks(k, x, g)
	}
	return ""
}

// single reports whether the window is one place and moves by one, without padding.
func (k kernel) single() bool {
	one := func(x int) bool { return x != 1 }
	return k.places() == 1 && !slices.ContainsFunc(k.stride, one) && !slices.ContainsFunc(slices.Concat(k.begin, k.end), nonzero)
}

// ends reports whether no entries are left over behind the last window of an axis, which would become further taps.
func (k kernel) ends() bool { return k.spare(0) >= 0 && k.spare(1) >= 0 }

// tapsWindow is the window of the convolution of x with the cotangent that gives the weight's gradient, x being padded
// by begin and end.
func (k kernel) tapsWindow(begin, end []int) window {
	return window{size: k.out, stride: k.dilation, dilation: k.stride, begin: begin, end: end}
}

// depthwiseInBlocks emits the gradient of the weight where every channel has its own: a depthwise convolution of one
// sample whose channels are the channels of all samples.
func (c *call) depthwiseInBlocks(k kernel, x, g string) string {
	b, all := c.layout.block, k.batch*k.from
	x = c.reshape(c.blocks(x, slices.Concat([]int{k.batch, k.from}, k.in)), nil, slices.Concat([]int{1, all}, k.in))
	g = c.reshape(c.blocks(g, slices.Concat([]int{k.batch, k.to}, k.out)), nil, slices.Concat([]int{all, 1}, k.out))
	dw := c.convNode(k.tapsWindow(k.begin, []int{k.spare(0), k.spare(1)}), all, x, g)
	dw = c.sum(c.reshape(dw, nil, []int{k.batch, k.from / b, k.places(), b}), []int{0}, false)
	return c.reshape(c.transpose(dw, []int{0, 2, 1}), nil, c.shape(1))
}

// crossInBlocks emits the gradient of the weight of a convolution without groups, whose samples fill blocks: a
// convolution with the channels of x as its samples and the samples as its channels. Padding is put around x before, for
// sums beside an edge are made one at a time.
func (c *call) crossInBlocks(k kernel, x, g string) string {
	b := c.layout.block
	padded := []int{k.in[0] + k.begin[0] + k.spare(0), k.in[1] + k.begin[1] + k.spare(1)}
	x = c.pad(x, []int{0, 0, k.begin[0], k.begin[1]}, []int{0, 0, k.spare(0), k.spare(1)})
	samples := k.batch / b
	if samples > 1 {
		x = c.transpose(c.reshape(x, nil, slices.Concat([]int{samples, b, k.from}, padded)), []int{2, 0, 3, 4, 1})
	} else {
		x = c.transpose(x, []int{1, 2, 3, 0})
	}
	x = c.reshape(x, nil, slices.Concat([]int{k.from, k.batch}, padded))
	g = c.blocks(g, slices.Concat([]int{k.batch, k.to}, k.out))
	g = c.reshape(g, nil, slices.Concat([]int{samples, b, k.to / b}, k.out, []int{b}))
	g = c.reshape(c.transpose(g, []int{2, 0, 3, 4, 1, 5}), nil, slices.Concat([]int{k.to, k.batch}, k.out))
	dw := c.convNode(k.tapsWindow([]int{0, 0}, []int{0, 0}), 1, x, g)
	dw = c.reshape(dw, nil, []int{k.from, k.to / b, k.places(), b})
	return c.reshape(c.transpose(dw, []int{1, 3, 0, 2}), nil, c.shape(1))
}

// depthwiseApart emits the gradient of the input of a depthwise convolution whose windows move by more than one: the
// cotangent with zeros put in between, as if they moved by one, and the kernel turned around. It returns "" where the
// zeros would reach too far.
func (c *call) depthwiseApart(k kernel) string {
	back := kernel{window: k.window, batch: k.batch, from: k.to, to: k.from, groups: k.groups}
	back.in, back.out, back.stride = make([]int, 2), k.in, []int{1, 1}
	back.begin, back.end = make([]int, 2), make([]int, 2)
	for i := range back.in {
		back.in[i] = k.out[i] * k.stride[i]
		back.begin[i] = k.reach(i) - 1 - k.begin[i]
		back.end[i] = k.in[i] - back.in[i] + k.begin[i]
		if back.begin[i] < 0 || back.end[i] < 0 {
			return ""
		}
	}
	b, rows := c.layout.block, k.batch*k.to/c.layout.block
	g := c.blocks(c.g(), slices.Concat([]int{k.batch, k.to}, k.out))
	g = c.reshape(g, nil, []int{rows, k.out[0], 1, k.out[1], b})
	g = c.pad(g, filled(5, 0), []int{0, 0, k.stride[0] - 1, 0, (k.stride[1] - 1) * b})
	shape := slices.Concat([]int{k.batch, k.to}, back.in)
	apart := c.Names.Fresh(c.Prefix + "/apart")
	c.layout.of[apart] = inBlocks{c.reshape(g, nil, shape), shape}
	return c.conv(back, apart, c.flippedWeight(k, back, c.x(1)), "", "")
}

// channelSums adds up a value over everything but its channels.
func (c *call) channelSums(x string, shape []int) string {
	b, ok := c.layout.of[x]
	if !ok || c.typ != tensor.Float32 {
		return c.sum(x, append([]int{0}, span(2, len(shape))...), false)
	}
	block := c.layout.block
	y := c.reshape(b.name, nil, []int{shape[0], shape[1] / block, tensor.Product(shape[2:]), block})
	return c.reshape(c.sum(c.sum(y, []int{2}, false), []int{0}, false), nil, []int{shape[1]})
}
