package grad

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// What pays in ONNX Runtime's CPU provider, as measured on one core with 64 images of 8² to
// 32² pixels and windows of 3×3.
const (
	// wideChannels is the number of channels from which on a convolution runs faster in blocks.
	wideChannels = 8
	// fewChannels is the number up to which one product with all taps is faster than one for each.
	fewChannels = 4
	// fewNumbersJoined is the size of the patches up to which one product over batch and positions is faster than one
	// for each tap and sample: while they fit the second cache.
	fewNumbersJoined = 600_000
	// manyChannelsJoined is the number of channels from which on copying them one tap at a time is fast enough for that.
	manyChannelsJoined = 12
	// fewPositions is the number of output positions up to which sums number by number are faster than products of vectors.
	fewPositions = 400
)

// convolutionRules are the rules of Conv and ConvTranspose.
func convolutionRules() []Rule {
	return []Rule{
		{
			Op: "Conv", Formula: "dX = ConvTranspose(g, W), dW[o,c,t] = Σₙₚ g[n,o,p]·X[n,c,p·stride+t·dilation], dB = Σ g",
			inputs: first | second | third, need: 2, vjp: convRule,
		},
		{
			Op: "ConvTranspose", Formula: "dX = Conv(g, W), dW[c,m,t] = Σₙₚ X[n,c,p]·g[n,m,p·stride+t·dilation], dB = Σ g",
			inputs: first | second | third, need: 2, vjp: convTransposeRule,
		},
	}
}

// kernel is the weight [to, from/groups, size...] of a convolution of [batch, from, in...]
// to [batch, to, out...].
type kernel struct {
	window
	batch, from, to, groups int
}

// kernelBetween reads the kernel of a convolution between two shapes.
func (c *call) kernelBetween(from, to []int) (k kernel, err error) {
	weight := c.shape(1)
	if len(from) < 3 || len(to) != len(from) || from[0] != to[0] {
		return k, errShape
	}
	k.groups = c.node.Int("group", 1)
	k.batch, k.from, k.to = from[0], from[1], to[1]
	if !k.fits(weight) || len(weight) != len(from) {
		return k, errShape
	}
	k.window, err = c.window(weight[2:], from[2:], to[2:])
	return k, err
}

// convKernel reads the kernel of a Conv.
func convKernel(c *call) (kernel, error) {
	k, err := c.kernelBetween(c.shape(0), c.shapeOut(0))
	if err == nil && !k.exact() {
		err = errShape
	}
	return k, err
}

func convRule(c *call) error {
	k, err := convKernel(c)
	if err != nil {
		return err
	}
	c.want(0, func() string { return c.convInput(k) })
	c.want(1, func() string { return c.convWeight(k, c.x(0), c.g()) })
	c.giveBias(2)
	return nil
}

// convTransposeRule is ConvTranspose, the product with the transpose of a convolution from
// the shape of its output to that of its input.
func convTransposeRule(c *call) error {
	k, err := c.kernelBetween(c.shapeOut(0), c.shape(0))
	if err != nil {
		return err
	}
	auto := c.node.String("auto_pad", "NOTSET")
	extra := c.node.Ints("output_padding")
	for i := range k.size {
		total := (k.out[i]-1)*k.stride[i] + k.reach(i) - k.in[i]
		if i < len(extra) {
			total += extra[i]
		}
		if auto == "SAME_UPPER" || auto == "SAME_LOWER" || c.node.Has("output_shape") {
			k.split(i, max(total, 0), auto != "SAME_UPPER")
		}
		k.end[i] = k.overhang(i)
	}
	if !k.exact() {
		return errShape
	}
	c.want(0, func() string { return c.Node("Conv", []string{c.g(), c.x(1)}, k.attributes()...) })
	c.want(1, func() string { return c.convWeight(k, c.g(), c.x(0)) })
	c.giveBias(2)
	return nil
}

// giveBias sums over everything but channels.
func (c *call) giveBias(i int) {
	c.want(i, func() string { return c.channelSums(c.g(), c.shapeOut(0)) })
}

// fits reports whether a weight has the shape that channels and groups ask for.
func (k kernel) fits(weight []int) bool {
	return k.groups > 0 && len(weight) >= 3 && weight[0] == k.to && weight[1]*k.groups == k.from && k.to%k.groups == 0
}

// rest is the number of padded entries at the end of an axis that no window reaches.
func (k kernel) rest(i int) int {
	return k.in[i] + k.begin[i] + k.end[i] - k.reach(i) - (k.out[i]-1)*k.stride[i]
}

// exact reports whether the sizes before and after agree.
func (k kernel) exact() bool {
	for i := range k.size {
		if rest := k.rest(i); rest < 0 || rest >= k.stride[i] {
			return false
		}
	}
	return true
}

// attributes are those of a Conv or ConvTranspose with this kernel.
func (k kernel) attributes() []graph.Attr {
	a := []graph.Attr{graph.Ints("kernel_shape", k.size...)}
	one := func(x int) bool { return x != 1 }
	if slices.ContainsFunc(k.stride, one) {
		a = append(a, graph.Ints("strides", k.stride...))
	}
	if slices.ContainsFunc(k.dilation, one) {
		a = append(a, graph.Ints("dilations", k.dilation...))
	}
	if pads := slices.Concat(k.begin, k.end); slices.ContainsFunc(pads, nonzero) {
		a = append(a, graph.Ints("pads", pads...))
	}
	if k.groups != 1 {
		a = append(a, graph.Int("group", k.groups))
	}
	return a
}

// flipped returns the window of the convolution that takes the cotangent back to the input:
// the same one with the kernel flipped around. There is one where the stride is 1 and no
// window lies in the padding altogether.
func (k kernel) flipped() (window, bool) {
	w := k.window
	w.in, w.out = k.out, k.in
	w.begin, w.end = slices.Clone(k.begin), slices.Clone(k.end)
	for i := range k.size {
		w.begin[i], w.end[i] = k.reach(i)-1-k.begin[i], k.reach(i)-1-k.end[i]
		if k.stride[i] != 1 || w.begin[i] < 0 || w.end[i] < 0 {
			return w, false
		}
	}
	return w, true
}

// convInput emits the gradient of a convolution's input. That is a ConvTranspose; with
// stride 1 it is also a Conv with the kernel turned around, which runs blocked, and so up
// to twice as fast, where the kernel is constant (then it is turned when the model is
// loaded) and the result has enough channels, or where the layout takes it.
func (c *call) convInput(k kernel) string {
	_, constant := c.facts.constant(c.x(1))
	w, turns := k.flipped()
	if back := (kernel{window: w, batch: k.batch, from: k.to, to: k.from, groups: k.groups}); turns && !constant && c.takes(back, c.typ) {
		return c.conv(back, c.g(), c.flippedWeight(k, back, c.x(1)), "", "")
	}
	if !turns && !constant && c.takes(k, c.typ) && k.depthwise() {
		if dx := c.depthwiseApart(k); dx != "" {
			return dx
		}
	}
	if turns && constant && (k.from/k.groups >= wideChannels || k.from == k.groups && k.from >= wideChannels) {
		return c.Node("Conv", []string{c.g(), c.flip(k)}, kernel{window: w, groups: k.groups}.attributes()...)
	}
	attributes := k.attributes()
	extra := filled(len(k.size), 0)
	for i := range extra {
		extra[i] = k.rest(i)
	}
	if slices.ContainsFunc(extra, nonzero) {
		attributes = append(attributes, graph.Ints("output_padding", extra...))
	}
	return c.Node("ConvTranspose", []string{c.g(), c.x(1)}, attributes...)
}

// flip returns the weight [to, from/groups, size...] as one [from, to/groups, size...] with
// every axis of the window reversed.
func (c *call) flip(k kernel) string {
	shape, places := c.shape(1), k.places()
	w, flat := c.x(1), []int{k.to, k.from / k.groups, places}
	w = c.reshape(w, shape, flat)
	if places > 1 {
		w = c.gather(w, 2, downFrom(places))
	}
	if k.groups == 1 {
		w = c.transpose(w, []int{1, 0, 2})
	} else {
		w = c.reshape(w, flat, []int{k.groups, k.to / k.groups, k.from / k.groups, places})
		w = c.transpose(w, []int{0, 2, 1, 3})
	}
	return c.Op("Reshape", w, c.Ints(slices.Concat([]int{k.from, k.to / k.groups}, k.size)...))
}

// convWeight emits the gradient of a convolution's weight, from its input x and the
// cotangent g of its output: for each tap of the window a matrix product over the positions,
// summed over the batch. Either x is cut at what the tap meets, or, with stride 1, g is
// moved by the tap instead: whichever has fewer channels to copy.
func (c *call) convWeight(k kernel, x, g string) string {
	if dw := c.convWeightInBlocks(k, x, g); dw != "" {
		return dw
	}
	if k.joins() && (c.Opset >= 10 || tensor.Product(k.stride) == 1) {
		return c.convWeightJoined(k, x, g)
	}
	if k.from == k.groups && k.to == k.groups && tensor.Product(k.out) <= fewPositions {
		return c.convWeightDepthwise(k, x, g)
	}
	channels, rows := k.from/k.groups, k.to/k.groups
	xs, gs := slices.Concat([]int{k.batch, k.from}, k.in), slices.Concat([]int{k.batch, k.to}, k.out)
	columns := func(channels, positions int) []int {
		if k.groups == 1 { // no axis for the groups
			return []int{k.batch, channels, positions}
		}
		return []int{k.batch, k.groups, channels, positions}
	}
	rank := len(columns(0, 0))
	times := func(a, b string) string { return c.matmul(a, c.swap(b, rank)) }
	var dw string
	w, turns := k.flipped()
	switch {
	case k.tiles():
		patches := c.reshape(c.tiled(k, x), nil, columns(channels*k.places(), tensor.Product(k.out)))
		dw = times(c.reshape(g, gs, columns(rows, tensor.Product(k.out))), patches)
		return c.reshape(c.sum(dw, []int{0}, false), nil, c.shape(1))
	case turns && k.to < k.from && k.places() > 1:
		x = c.swap(c.reshape(x, xs, columns(channels, tensor.Product(k.in))), rank)
		var parts []string
		taps := c.taps(g, gs, w, 0)
		k.each(func(tap []int) {
			moved := c.reshape(taps.at(k.opposite(tap)), nil, columns(rows, tensor.Product(k.in)))
			parts = append(parts, c.matmul(moved, x))
		})
		dw = c.concat(rank-1, parts...)
	default:
		g = c.reshape(g, gs, columns(rows, tensor.Product(k.out)))
		var parts []string
		taps := c.taps(x, xs, k.window, 0)
		k.each(func(tap []int) {
			parts = append(parts, c.reshape(taps.at(tap), nil, columns(channels, tensor.Product(k.out))))
		})
		dw = c.overTaps(parts, channels <= fewChannels && k.groups == 1, rank, func(part string) string { return times(g, part) })
	}
	dw = c.sum(dw, []int{0}, false)
	if k.places() > 1 && channels > 1 {
		dw = c.transpose(c.reshape(dw, nil, []int{k.to, k.places(), channels}), []int{0, 2, 1})
	}
	return c.reshape(dw, nil, c.shape(1))
}

// convWeightDepthwise emits the gradient of the weight where every channel has its own: sums of products number by
// number, since a matrix product of two vectors for each channel and sample costs more than it computes.
func (c *call) convWeightDepthwise(k kernel, x, g string) string {
	axes := append([]int{0}, span(2, len(k.size)+2)...)
	taps := c.taps(x, slices.Concat([]int{k.batch, k.from}, k.in), k.window, 0)
	var parts []string
	k.each(func(tap []int) {
		dw := c.sum(c.Op("Mul", taps.at(tap), g), axes, false)
		parts = append(parts, c.reshape(dw, []int{k.to}, []int{k.to, 1}))
	})
	return c.reshape(c.concat(1, parts...), nil, c.shape(1))
}

// joins reports whether one product over batch and positions serves better than one for each tap and sample.
func (k kernel) joins() bool {
	patches := k.batch * k.places() * k.from * tensor.Product(k.out)
	return k.groups == 1 && k.places() > 1 && !k.tiles() && k.batch > 1 &&
		k.from >= manyChannelsJoined && k.to >= k.from && patches <= fewNumbersJoined
}

// convWeightJoined emits the gradient of a convolution's weight as one matrix product: with the channels as the last
// axis, the patches are a matrix with a row for every position of every sample.
func (c *call) convWeightJoined(k kernel, x, g string) string {
	rank := len(k.size) + 2
	last := append(append([]int{0}, span(2, rank)...), 1)
	taps := c.tapsFrom(1, c.transpose(x, last), slices.Concat([]int{k.batch}, k.in, []int{k.from}), k.window, 0)
	var parts []string
	k.each(func(tap []int) { parts = append(parts, taps.at(tap)) })
	rows := k.batch * tensor.Product(k.out)
	patches := c.reshape(c.concat(rank-1, parts...), nil, []int{rows, k.places() * k.from})
	dw := c.gemm(c.reshape(c.transpose(g, last), nil, []int{rows, k.to}), patches, true, false, 1)
	dw = c.transpose(c.reshape(dw, nil, []int{k.to, k.places(), k.from}), []int{0, 2, 1})
	return c.reshape(dw, nil, c.shape(1))
}

// overTaps joins the products with every tap: together where there are few channels, so
// that the product is not too narrow, else one by one, which spares a copy.
func (c *call) overTaps(parts []string, together bool, rank int, times func(string) string) string {
	if together {
		return times(c.concat(rank-2, parts...))
	}
	for i, part := range parts {
		parts[i] = times(part)
	}
	return c.concat(rank-1, parts...)
}

// opposite returns the tap at the same place from the window's other end.
func (w window) opposite(tap []int) []int {
	out := make([]int, len(tap))
	for i, t := range tap {
		out[i] = w.size[i] - 1 - t
	}
	return out
}

// tiles reports whether the windows lie side by side and fill the input.
func (k kernel) tiles() bool {
	for i, n := range k.size {
		if k.stride[i] != n || k.dilation[i] != 1 || k.begin[i] != 0 || k.in[i] != n*k.out[i] {
			return false
		}
	}
	return k.places() > 1
}

// tiled orders x, of shape [N, C, in...], as [N, C, size..., out...] for windows that tile it.
func (c *call) tiled(k kernel, x string) string {
	split, perm := []int{k.batch, k.from}, []int{0, 1}
	for i, n := range k.size {
		split = append(split, k.out[i], n)
		perm = append(perm, 3+2*i)
	}
	for i := range k.size {
		perm = append(perm, 2+2*i)
	}
	return c.transpose(c.reshape(x, nil, split), perm)
}
