package onnxio

import (
	"bytes"
	"fmt"
	"math"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// Equal reports whether two models are the same message, unknown fields included, and
// otherwise where they first differ. Where a tensor is external in either model,
// the place of its data does not count, but the data does. Floats are compared by their
// bits.
func Equal(a, b *Model) (bool, string) {
	c := comparer{a: a, b: b}
	diff := c.messages("model", a.Proto.ProtoReflect(), b.Proto.ProtoReflect())
	return diff == "", diff
}

type comparer struct{ a, b *Model }

// messages returns the first difference of two messages of one type, or "".
func (c comparer) messages(path string, a, b protoreflect.Message) string {
	if a.Interface() == b.Interface() && c.a.files == c.b.files {
		return ""
	}
	s, ok := a.Interface().(*onnxpb.TensorProto)
	t, _ := b.Interface().(*onnxpb.TensorProto)
	if ok && (external(s) || external(t)) {
		return c.external(path, s, t)
	}
	return c.fields(path, a, b)
}

func (c comparer) fields(path string, a, b protoreflect.Message) string {
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		where := path + "." + string(fd.Name())
		if fd.IsList() {
			if diff := c.lists(where, fd, a.Get(fd).List(), b.Get(fd).List()); diff != "" {
				return diff
			}
			continue
		}
		if a.Has(fd) != b.Has(fd) {
			return fmt.Sprintf("%s: set in one model only", where)
		}
		if a.Has(fd) {
			if diff := c.values(where, fd, a.Get(fd), b.Get(fd)); diff != "" {
				return diff
			}
		}
	}
	if !bytes.Equal(a.GetUnknown(), b.GetUnknown()) {
		return path + ": unknown fields differ"
	}
	return ""
}

func (c comparer) lists(path string, fd protoreflect.FieldDescriptor, a, b protoreflect.List) string {
	for i := range min(a.Len(), b.Len()) {
		if diff := c.values("", fd, a.Get(i), b.Get(i)); diff != "" {
			return fmt.Sprintf("%s[%d]%s%s", path, i, label(a.Get(i)), diff)
		}
	}
	if a.Len() != b.Len() {
		return fmt.Sprintf("%s: %d entries against %d", path, a.Len(), b.Len())
	}
	return ""
}

// label gives the name of a list entry that has one.
func label(v protoreflect.Value) string {
	m, ok := v.Interface().(protoreflect.Message)
	if !ok {
		return ""
	}
	if n, ok := m.Interface().(interface{ GetName() string }); ok && n.GetName() != "" {
		return fmt.Sprintf(" %q", n.GetName())
	}
	return ""
}

func (c comparer) values(path string, fd protoreflect.FieldDescriptor, a, b protoreflect.Value) string {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		return c.messages(path, a.Message(), b.Message())
	case protoreflect.BytesKind:
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			return fmt.Sprintf("%s: %d bytes against %d other bytes", path, len(a.Bytes()), len(b.Bytes()))
		}
		return ""
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		if math.Float64bits(a.Float()) != math.Float64bits(b.Float()) {
			return fmt.Sprintf("%s: %v against %v", path, a.Float(), b.Float())
		}
		return ""
	}
	if a.Interface() != b.Interface() {
		return fmt.Sprintf("%s: %v against %v", path, a.Interface(), b.Interface())
	}
	return ""
}

// external compares two tensors of which one at least keeps its data elsewhere.
func (c comparer) external(path string, s, t *onnxpb.TensorProto) string {
	if diff := c.fields(path, pointOut(s, span{}).ProtoReflect(), pointOut(t, span{}).ProtoReflect()); diff != "" {
		return diff
	}
	x, err := c.a.Tensor(s).Raw()
	if err != nil {
		return fmt.Sprintf("%s: %v", path, err)
	}
	y, err := c.b.Tensor(t).Raw()
	if err != nil {
		return fmt.Sprintf("%s: %v", path, err)
	}
	if !bytes.Equal(x, y) {
		return path + ": the data differs"
	}
	return ""
}
