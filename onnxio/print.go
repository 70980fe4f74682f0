package onnxio

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math"
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
		var attrs []string
		for _, a := range n.GetAttribute() {
			attrs = append(attrs, name(a.GetName())+"="+p.attribute(a))
		}
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
		one(strconv.FormatInt(a.GetI(), 10))
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
	for _, v := range a.Floats {
		parts = append(parts, float(v))
	}
	for _, v := range a.Ints {
		parts = append(parts, strconv.FormatInt(v, 10))
	}
	for _, v := range a.Strings {
		parts = append(parts, strconv.Quote(string(v)))
	}
	for _, v := range a.Tensors {
		parts = append(parts, p.tensorText(v))
	}
	for _, v := range a.SparseTensors {
		parts = append(parts, sparseText(v))
	}
	for range a.Graphs {
		parts = append(parts, "graph")
	}
	for _, v := range a.TypeProtos {
		parts = append(parts, typeText(v))
	}
	if list {
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return strings.Join(parts, ", ")
}

// tensorText gives a tensor's type and shape, where it is kept if outside, and the numbers
// of a small integer tensor.
func (p *printer) tensorText(t *onnxpb.TensorProto) string {
	h := p.model.Tensor(t)
	text := h.Type().String() + dims(h.Shape())
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
	var shape []string
	for _, d := range t.GetDims() {
		shape = append(shape, strconv.FormatInt(d, 10))
	}
	nnz, _ := elements(t.GetValues().GetDims())
	return fmt.Sprintf("sparse %v[%s] nnz=%d", tensor.Type(t.GetValues().GetDataType()), strings.Join(shape, ","), nnz)
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
	parts := make([]string, len(shape.GetDim()))
	for i, d := range shape.GetDim() {
		switch v := d.GetValue().(type) {
		case *onnxpb.TensorShapeProto_Dimension_DimValue:
			parts[i] = strconv.FormatInt(v.DimValue, 10)
		case *onnxpb.TensorShapeProto_Dimension_DimParam:
			parts[i] = name(v.DimParam)
		default:
			parts[i] = "?"
		}
	}
	return tensor.Type(elem).String() + "[" + strings.Join(parts, ",") + "]"
}

func dims(shape []int) string {
	parts := make([]string, len(shape))
	for i, d := range shape {
		parts[i] = strconv.Itoa(d)
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func float(v float32) string {
	if v == float32(math.Trunc(float64(v))) && math.Abs(float64(v)) < 1e6 {
		return strconv.FormatFloat(float64(v), 'f', 1, 32)
	}
	return strconv.FormatFloat(float64(v), 'g', -1, 32)
}

func names(list []string) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = name(s)
	}
	return strings.Join(parts, ", ")
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
