package onnxio

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// wholeMessage is the size below which a message is encoded in one piece. Larger ones
// are written field by field, their bytes fields straight from where they are.
const wholeMessage = 1 << 20

// sized is what vtprotobuf generates for every message.
type sized interface {
	SizeVT() int
	MarshalVT() ([]byte, error)
}

// encoder writes a message without ever holding all of it encoded. Fields stand in the
// order of their numbers, unknown ones last.
type encoder struct {
	w       io.Writer
	whole   int          // size up to which messages are encoded in one piece
	written func([]byte) // told of bytes fields that were written; nil for nobody
}

func (e encoder) message(m protoreflect.Message) error {
	s, ok := m.Interface().(sized)
	if !ok {
		return fmt.Errorf("no encoder for message %s", m.Descriptor().FullName())
	}
	if s.SizeVT() <= e.whole {
		b, err := s.MarshalVT()
		if err != nil {
			return err
		}
		return e.write(b)
	}
	var set []protoreflect.FieldDescriptor
	m.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		set = append(set, fd)
		return true
	})
	slices.SortFunc(set, func(a, b protoreflect.FieldDescriptor) int { return cmp.Compare(a.Number(), b.Number()) })
	for _, fd := range set {
		if err := e.field(fd, m.Get(fd)); err != nil {
			return fmt.Errorf("%s: %w", fd.FullName(), err)
		}
	}
	return e.write(m.GetUnknown())
}

func (e encoder) write(b []byte) error {
	_, err := e.w.Write(b)
	return err
}

func (e encoder) field(fd protoreflect.FieldDescriptor, v protoreflect.Value) error {
	switch {
	case fd.IsPacked():
		return e.packed(fd, v.List())
	case fd.IsList():
		for i := range v.List().Len() {
			if err := e.single(fd, v.List().Get(i)); err != nil {
				return err
			}
		}
		return nil
	}
	return e.single(fd, v)
}

// single writes one value with its tag.
func (e encoder) single(fd protoreflect.FieldDescriptor, v protoreflect.Value) error {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		s, ok := v.Message().Interface().(sized)
		if !ok {
			return fmt.Errorf("no encoder for message %s", fd.Message().FullName())
		}
		if err := e.prefix(fd, s.SizeVT()); err != nil {
			return err
		}
		return e.message(v.Message())
	case protoreflect.BytesKind:
		if err := e.prefix(fd, len(v.Bytes())); err != nil {
			return err
		}
		err := e.write(v.Bytes())
		if e.written != nil {
			e.written(v.Bytes())
		}
		return err
	case protoreflect.StringKind:
		return e.write(protowire.AppendString(protowire.AppendTag(nil, fd.Number(), protowire.BytesType), v.String()))
	}
	wire := protowire.VarintType
	switch fd.Kind() {
	case protoreflect.FloatKind:
		wire = protowire.Fixed32Type
	case protoreflect.DoubleKind:
		wire = protowire.Fixed64Type
	}
	b, err := appendNumber(protowire.AppendTag(nil, fd.Number(), wire), fd.Kind(), v)
	if err != nil {
		return err
	}
	return e.write(b)
}

// prefix writes the tag and length of a length-delimited field.
func (e encoder) prefix(fd protoreflect.FieldDescriptor, n int) error {
	b := protowire.AppendTag(nil, fd.Number(), protowire.BytesType)
	return e.write(protowire.AppendVarint(b, uint64(n)))
}

// packed writes a list of numbers as one field, encoding it twice in small blocks, first
// for its length, rather than once in a large one.
func (e encoder) packed(fd protoreflect.FieldDescriptor, list protoreflect.List) error {
	total := 0
	count := func(b []byte) error { total += len(b); return nil }
	if err := numberBlocks(fd.Kind(), list, count); err != nil {
		return err
	}
	if err := e.prefix(fd, total); err != nil {
		return err
	}
	return numberBlocks(fd.Kind(), list, e.write)
}

func numberBlocks(kind protoreflect.Kind, list protoreflect.List, emit func([]byte) error) error {
	const block = 64 << 10
	buf := make([]byte, 0, block+16)
	for i := range list.Len() {
		var err error
		if buf, err = appendNumber(buf, kind, list.Get(i)); err != nil {
			return err
		}
		if len(buf) >= block {
			if err := emit(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	return emit(buf)
}

// appendNumber appends a number of one of the kinds that the ONNX schema uses.
func appendNumber(b []byte, kind protoreflect.Kind, v protoreflect.Value) ([]byte, error) {
	switch kind {
	case protoreflect.FloatKind:
		return protowire.AppendFixed32(b, math.Float32bits(float32(v.Float()))), nil
	case protoreflect.DoubleKind:
		return protowire.AppendFixed64(b, math.Float64bits(v.Float())), nil
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return protowire.AppendVarint(b, uint64(v.Int())), nil
	case protoreflect.Uint64Kind:
		return protowire.AppendVarint(b, v.Uint()), nil
	case protoreflect.EnumKind:
		return protowire.AppendVarint(b, uint64(v.Enum())), nil
	}
	return nil, fmt.Errorf("no encoder for fields of kind %v", kind)
}
