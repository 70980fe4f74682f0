package onnxio

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Print writes the model as text that changes only when the model does: one line for each
// input, initializer, node, output and import. Of tensors it gives type and shape, and the
// numbers of small integer ones. Names are quoted where they contain anything but the usual.
func Print(w io.Writer, m *Model) error {
	p := &printer{w: bufio.NewWriter(w), model: m}
	p.line("model ir_version=%d", m.Proto.GetIrVersion())
	for _, o := range m.Proto.GetOpsetImport() {
		p.line("opset %s %d", name(cmp.Or(o.GetDomain(), "ai.onnx")), o.GetVersion())
	}
	for _, e := range m.Proto.GetMetadataProps() {
		p.line("metadata %s=%q", name(e.GetKey()), e.GetValue())
	}
	p.graph(m.Proto.GetGraph())
	for _, f := range m.Proto.GetFunctions() {
		p.line("function %v(%s) → (%s)", functionID{f.GetDomain(), f.GetName(), f.GetOverload()}, names(f.GetInput()), names(f.GetOutput()))
		p.indented(func() { p.nodes(f.GetNode()) })
	}
	if n := len(m.Proto.GetTrainingInfo()); n > 0 {
		p.line("training_info ×%d", n)
	}
	return p.w.Flush()
}

// printer writes lines; the buffer keeps the first error for Flush.
type printer struct {
	w      *bufio.Writer
	model  *Model
	indent int
}

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(p.w, "%s%s\n", strings.Repeat("  ", p.indent), fmt.Sprintf(format, args...))
}

func (p *printer) indented(body func()) {
	p.indent++
	body()
	p.indent--
}

func (p *printer) graph(g *onnxpb.GraphProto) {
	p.line("graph %s", name(g.GetName()))
	p.indented(func() {
		for _, v := range g.GetInput() {
			p.line("input %s: %s", name(v.GetName()), typeText(v.GetType()))
		}
		for _, t := range g.GetInitializer() {
			p.line("init %s: %s", name(t.GetName()), p.tensorText(t))
		}
		for _, t := range g.GetSparseInitializer() {
			p.line("init %s: %s", name(t.GetValues().GetName()), sparseText(t))
		}
		p.nodes(g.GetNode())
		for _, v := range g.GetValueInfo() {
			p.line("value %s: %s", name(v.GetName()), typeText(v.GetType()))
		}
		for _, v := range g.GetOutput() {
			p.line("output %s: %s", name(v.GetName()), typeText(v.GetType()))
		}
	})
}

func (p *printer) nodes(nodes []*onnxpb.NodeProto) {
	for _, n := range nodes {
		op := n.GetOpType()
		if n.GetDomain() != "" {
			op = n.GetDomain() + "::" + op
		}
		if n.GetOverload() != "" {
			op += "::" + n.GetOverload()
		}
		attrs := texts(n.GetAttribute(), func(a *onnxpb.AttributeProto) string { return name(a.GetName()) + "=" + p.attribute(a) })
		text := ""
		if len(attrs) > 0 {
			text = " {" + strings.Join(attrs, ", ") + "}"
		}
		p.line("node %s: %s = %s(%s)%s", name(n.GetName()), names(n.GetOutput()), name(op), names(n.GetInput()), text)
		p.indented(func() {
			for _, g := range Subgraphs(n) {
				p.graph(g)
			}
		})
	}
}

// attribute returns an attribute's value in words; graphs follow below their node.
func (p *printer) attribute(a *onnxpb.AttributeProto) string {
	var parts []string
	list := true
	one := func(s string) { parts, list = append(parts, s), false }
	switch {
	case a.GetRefAttrName() != "":
		one("@" + name(a.GetRefAttrName()))
	case a.F != nil:
		one(float(a.GetF()))
	case a.I != nil:
		one(integer(a.GetI()))
	case a.S != nil:
		one(strconv.Quote(string(a.S)))
	case a.T != nil:
		one(p.tensorText(a.T))
	case a.SparseTensor != nil:
		one(sparseText(a.SparseTensor))
	case a.G != nil:
		one("graph")
	case a.Tp != nil:
		one(typeText(a.Tp))
	}
	parts = slices.Concat(parts, texts(a.Floats, float), texts(a.Ints, integer),
		texts(a.Strings, func(s []byte) string { return strconv.Quote(string(s)) }),
		texts(a.Tensors, p.tensorText), texts(a.SparseTensors, sparseText),
		texts(a.Graphs, func(*onnxpb.GraphProto) string { return "graph" }), texts(a.TypeProtos, typeText))
	if list {
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return strings.Join(parts, ", ")
}

func texts[T any](list []T, text func(T) string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = text(v)
	}
	return out
}

// tensorText gives a tensor's type and shape, where it is kept if outside, and the numbers
// of a small integer tensor.
func (p *printer) tensorText(t *onnxpb.TensorProto) string {
	h := p.model.Tensor(t)
	text := fmt.Sprintf("%v[%s]", h.Type(), strings.Join(texts(h.Shape(), strconv.Itoa), ","))
	if h.External() {
		return text + " external"
	}
	if h.Type().IsFloat() || h.Len() > 8 {
		return text
	}
	d, err := h.Dense()
	if err != nil {
		return text
	}
	v, err := d.Int64s()
	if err != nil {
		return text
	}
	return text + " " + strings.ReplaceAll(fmt.Sprint(v), " ", ", ")
}

func sparseText(t *onnxpb.SparseTensorProto) string {
	nnz, _ := elements(t.GetValues().GetDims())
	return fmt.Sprintf("sparse %v[%s] nnz=%d", tensor.Type(t.GetValues().GetDataType()), strings.Join(texts(t.GetDims(), integer), ","), nnz)
}

// typeText gives a value's type, such as float32[N,3,?], seq(int64[]) or optional(…).
func typeText(t *onnxpb.TypeProto) string {
	switch {
	case t.GetTensorType() != nil:
		return elemText(t.GetTensorType().GetElemType(), t.GetTensorType().GetShape())
	case t.GetSparseTensorType() != nil:
		return "sparse " + elemText(t.GetSparseTensorType().GetElemType(), t.GetSparseTensorType().GetShape())
	case t.GetSequenceType() != nil:
		return "seq(" + typeText(t.GetSequenceType().GetElemType()) + ")"
	case t.GetOptionalType() != nil:
		return "optional(" + typeText(t.GetOptionalType().GetElemType()) + ")"
	case t.GetMapType() != nil:
		return fmt.Sprintf("map(%v, %s)", tensor.Type(t.GetMapType().GetKeyType()), typeText(t.GetMapType().GetValueType()))
	case t.GetOpaqueType() != nil:
		return fmt.Sprintf("opaque(%s, %s)", name(t.GetOpaqueType().GetDomain()), name(t.GetOpaqueType().GetName()))
	}
	return "?"
}

func elemText(elem int32, shape *onnxpb.TensorShapeProto) string {
	if shape == nil {
		return tensor.Type(elem).String() + "[...]"
	}
	parts := texts(shape.GetDim(), func(d *onnxpb.TensorShapeProto_Dimension) string {
		switch v := d.GetValue().(type) {
		case *onnxpb.TensorShapeProto_Dimension_DimValue:
			return integer(v.DimValue)
		case *onnxpb.TensorShapeProto_Dimension_DimParam:
			return name(v.DimParam)
		}
		return "?"
	})
	return tensor.Type(elem).String() + "[" + strings.Join(parts, ",") + "]"
}

func integer(v int64) string { return strconv.FormatInt(v, 10) }

func float(v float32) string {
	if v == float32(math.Trunc(float64(v))) && math.Abs(float64(v)) < 1e6 {
		return strconv.FormatFloat(float64(v), 'f', 1, 32)
	}
	return strconv.FormatFloat(float64(v), 'g', -1, 32)
}

func names(list []string) string {
	return strings.Join(texts(list, name), ", ")
}

// name returns a name, quoted where it is empty or has characters that would make a line
// ambiguous.
func name(s string) string {
	plain := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("_./:-+", r))
	})
	if plain {
		return s
	}
	return strconv.Quote(s)
}
