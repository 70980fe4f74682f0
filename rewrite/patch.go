package rewrite

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Patch is the replacement of one node, held apart until Apply.
type Patch struct {
	Site    string          // name of the site
	Old     graph.Node      // the node that goes
	Index   int             // its position in the main graph
	New     []graph.Node    // the nodes that stand in its place, in order; the last computes the old output
	Weights []onnxio.Tensor // new initializers
	Casts   []graph.Node    // what makes of new initializers what New reads, where they are stored in another type
	Values  []graph.Value   // types of the values between the factors, where the model keeps such entries
	Slot    int             // the input of Old that held the weight
	Next    *Swap           // a change of the node behind, which takes a shift of the site's output; nil for none
	Freed   []string        // further values that Old, Next.Old or Taken.Old reads and nothing new does
	Taken   *Taken          // the node in front of Old, which goes too; nil for none
	Twins   []TwinPatch     // nodes in bodies that take the same factors
}

// Taken is a node whose output nothing but the node behind it reads, and which goes together with that.
type Taken struct {
	Old   graph.Node
	Index int // position of Old in the main graph
}

// Swap puts one node in the place of another: the same but for an input.
type Swap struct {
	Old   graph.Node
	Index int // position of Old in the main graph
	New   graph.Node
}

// Replace builds the patch that puts the factors of a chain in the place of a
// site's node. A factor's node is called SITE/PART, its weight SITE/PART.weight and
// its output, unless it is the last, SITE/PART.output, made unique through names. The
// factors are rounded to the element type of the site's weight. What the node added to
// its product (a bias, beta·C), its doc string and its metadata go to the last factor.
// Along axes on which the kernel has one tap, the stride and padding go to the factor where
// they are cheapest, whichever the chain names.
//
// A chain of one factor is the node itself with another weight: it keeps its name. The
// last factor's shift is added to the constant that Bias finds; where that is none, a
// shift is an error.
func Replace(m *onnxio.Model, s *Site, c decomp.Chain, names *graph.NameSet) (Patch, error) {
	if m != s.model {
		return Patch{}, fmt.Errorf("site %q belongs to another model", s.Name)
	}
	if err := fits(s, c); err != nil {
		return Patch{}, fmt.Errorf("replacing node %q (%s): %w", s.Name, s.Op, err)
	}
	c = s.place(c)
	b := &builder{site: s, chain: c, names: names, opset: m.Opset("")}
	b.patch = Patch{Site: s.Name, Old: s.Node, Index: s.Index, Slot: s.weight.slot}
	if shift := c[len(c)-1].Shift; shift != nil {
		if b.bias = s.findBias(); b.bias.place == BiasNone {
			return Patch{}, fmt.Errorf("replacing node %q (%s): the chain shifts its output, and nothing there adds a constant that could take the shift", s.Name, s.Op)
		}
	}
	for i, f := range c {
		if err := b.factor(i, f); err != nil {
			return Patch{}, fmt.Errorf("replacing node %q (%s): factor %q: %w", s.Name, s.Op, f.Part, err)
		}
	}
	b.patch.Values = b.values()
	if err := b.twins(); err != nil {
		return Patch{}, fmt.Errorf("replacing node %q (%s): %w", s.Name, s.Op, err)
	}
	return b.patch, nil
}

// fits tells whether a chain can stand in the place of a site.
func fits(s *Site, c decomp.Chain) error {
	if len(c) == 0 {
		return errors.New("the chain has no factors")
	}
	carried := make([]int, len(s.Kernel.Window))
	in := s.Kernel.In
	for i, f := range c {
		k := f.Kernel
		if err := k.Check(); err != nil {
			return fmt.Errorf("factor %q: %w", f.Part, err)
		}
		if len(carried) == 0 && k.Groups != s.Kernel.Groups {
			return fmt.Errorf("factor %q has %d groups, a matrix for each of %d is wanted", f.Part, k.Groups, s.Kernel.Groups)
		}
		if k.In != in || len(k.Window) != len(carried) || len(f.Axes) != len(carried) {
			return fmt.Errorf("factor %q has the kernel %v, %d input channels and %d spatial axes are wanted", f.Part, k.Shape, in, len(carried))
		}
		for a, carries := range f.Axes {
			want := 1
			if carries {
				carried[a]++
				want = s.Kernel.Window[a]
			}
			if k.Window[a] != want {
				return fmt.Errorf("factor %q has the window %v, %d is wanted on axis %d", f.Part, k.Window, want, a)
			}
		}
		if i == len(c)-1 && k.Out != s.Kernel.Out {
			return fmt.Errorf("the last factor has %d output channels, %d are wanted", k.Out, s.Kernel.Out)
		}
		if f.Shift != nil && (i < len(c)-1 || len(f.Shift) != s.Kernel.Out) {
			return fmt.Errorf("factor %q shifts %d channels; only the last may, and all %d", f.Part, len(f.Shift), s.Kernel.Out)
		}
		in = k.Out
	}
	for a, n := range carried {
		if n != 1 {
			return fmt.Errorf("%d factors carry spatial axis %d, one is wanted", n, a)
		}
	}
	return nil
}

// builder makes the nodes of one patch.
type builder struct {
	site  *Site
	chain decomp.Chain
	names *graph.NameSet
	opset int64
	bias  *bias // where the last factor's shift goes, nil without one
	patch Patch

	kernels []string // names of the factors' weights
	given   []string // those of a site, whose twin this is
}

// factor adds the node of factor i and its weight.
func (b *builder) factor(i int, f decomp.Factor) error {
	base := clean(b.site.Name) + "/" + clean(f.Part)
	old, last := b.site.Node, i == len(b.chain)-1
	n := old.Spec()
	n.Attrs = nil
	if len(b.chain) > 1 {
		n.Name = b.names.Fresh(base)
	}
	data := b.site.Input
	if i > 0 {
		data = b.patch.New[i-1].Output(0)
	}
	if !last {
		n.Outputs, n.Doc, n.Metadata = []string{b.names.Fresh(base + ".output")}, "", nil
	}
	kernel := ""
	if b.given != nil {
		kernel = b.given[i]
	} else {
		kernel = b.names.Fresh(base + ".weight")
	}
	b.kernels = append(b.kernels, kernel)
	var added string
	var err error
	if last {
		if added, err = b.addend(base, f.Shift); err != nil {
			return err
		}
	}
	switch b.site.Op {
	case "Conv", "ConvTranspose":
		n.Inputs = []string{data, kernel}
		err = b.conv(&n, i, added)
	case "Gemm":
		err = b.gemm(&n, i, data, kernel, base, added)
	case "MatMul":
		err = b.matMul(&n, i, data, kernel)
	case "Gather":
		err = b.gather(&n, i, data, kernel)
	}
	b.patch.New = append(b.patch.New, n.Node())
	return err
}

// weight adds an initializer in the element type of the site.
func (b *builder) weight(name string, shape []int, v []float64) error {
	if slices.Contains(b.given, name) {
		return nil
	}
	if to := b.site.Cast; to != tensor.Undefined {
		read := name
		name = b.names.Fresh(read + ".stored")
		b.patch.Casts = append(b.patch.Casts, graph.NewNode("Cast", read, []string{name}, []string{read}, graph.Int("to", int(to))))
	}
	t, err := onnxio.NewTensor(name, b.site.Dtype, shape, v)
	if err != nil {
		return err
	}
	b.patch.Weights = append(b.patch.Weights, t)
	return nil
}

// gemm makes the Gemm of factor i. The weight keeps the side and the transposition
// that it had, the first factor transposes the activation as the node did, the last
// adds beta·C; alpha is in the kernel, and beta in a C that a shift has changed.
func (b *builder) gemm(n *graph.Spec, i int, data, kernel, base, added string) error {
	old, w := b.site.Node, b.site.weight
	last := i == len(b.chain)-1
	changed := last && added != old.Input(2)
	n.Inputs = []string{kernel, data}
	own, other := "transA", "transB"
	if w.slot == 1 {
		n.Inputs = []string{data, kernel}
		own, other = other, own
	}
	for _, a := range old.Attrs() {
		switch name := a.Name(); {
		case name == "alpha", name == other && i > 0, (name == "beta" || name == "broadcast") && !last, name == "beta" && changed:
		default:
			n.Attrs = append(n.Attrs, a)
		}
	}
	k := b.chain[i].Kernel
	if err := b.matrix(kernel, k, stored(w.slot, old.Int(own, 0) != 0), 0); err != nil {
		return err
	}
	switch {
	case last:
		if added != "" {
			n.Inputs = append(n.Inputs, added)
		}
	case b.opset < 11:
		// C is required: one zero, which broadcasts.
		zero := b.names.Fresh(base + ".zero")
		n.Inputs = append(n.Inputs, zero)
		if b.opset < 7 {
			n.Attrs = append(n.Attrs, graph.Int("broadcast", 1))
		}
		return b.weight(zero, []int{1}, []float64{0})
	}
	return nil
}

// stored tells whether a factor is stored as [In, Out]: the right operand of a product
// unless transposed, the left one if transposed.
func stored(slot int, transposed bool) bool { return (slot == 1) != transposed }

// matMul makes the MatMul of factor i. The leading axes of size 1 stay on the
// first factor, from which the product inherits its number of axes.
func (b *builder) matMul(n *graph.Spec, i int, data, kernel string) error {
	w := b.site.weight
	n.Inputs = []string{kernel, data}
	if w.slot == 1 {
		n.Inputs = []string{data, kernel}
	}
	n.Attrs = b.site.Node.Attrs()
	lead := 0
	if i == 0 {
		lead = w.lead
	}
	return b.matrix(kernel, b.chain[i].Kernel, w.slot == 1, lead)
}

// matrix adds a plain kernel [Out, In], or one for each matrix of a stack, as an initializer, transposed or not, under
// leading axes of size 1.
func (b *builder) matrix(name string, k decomp.Kernel, transposed bool, lead int) error {
	rows, cols, v := k.Rows(), k.Cols(), k.Weights
	shape := slices.Concat(slices.Repeat([]int{1}, lead), b.site.weight.stack)
	if transposed {
		v = permute(v, []int{k.Groups, rows, cols}, []int{0, 2, 1})
		rows, cols = cols, rows
	}
	return b.weight(name, append(shape, rows, cols), v)
}

// clean makes a name printable, without white space.
func clean(name string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, name)
}
