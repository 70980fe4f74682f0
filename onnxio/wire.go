package onnxio

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// maxDepth is how deep messages may nest in the model: the limit of protobuf's C++ and Python
// readers, so a deeper file is one that no runtime loads. It also keeps the recursive
// decoder's stack small.
const maxDepth = 100

// unmarshal decodes a model file, its nodes sorted. Only raw_data shares data's memory.
func unmarshal(data []byte) (*onnxpb.ModelProto, error) {
	if err := scan(data); err != nil {
		return nil, err
	}
	p := &onnxpb.ModelProto{}
	if err := p.UnmarshalVTUnsafe(data); err != nil {
		return nil, fmt.Errorf("not an ONNX model, or a damaged one: %w", err)
	}
	detach(p.ProtoReflect(), map[string]string{})
	sortModel(p)
	return p, nil
}

// detach gives every string, and every bytes field but raw_data, memory of its own, so
// that names outlive the map they were decoded from. Equal strings share it.
func detach(m protoreflect.Message, seen map[string]string) {
	own := func(s string) protoreflect.Value {
		t, ok := seen[s]
		if !ok {
			t = strings.Clone(s)
			seen[t] = t
		}
		return protoreflect.ValueOfString(t)
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		list := fd.IsList()
		switch kind := fd.Kind(); {
		case kind == protoreflect.StringKind && list:
			for i := range v.List().Len() {
				v.List().Set(i, own(v.List().Get(i).String()))
			}
		case kind == protoreflect.StringKind:
			m.Set(fd, own(v.String()))
		case kind == protoreflect.BytesKind && list:
			for i := range v.List().Len() {
				v.List().Set(i, protoreflect.ValueOfBytes(slices.Clone(v.List().Get(i).Bytes())))
			}
		case kind == protoreflect.BytesKind && fd.Name() != "raw_data":
			m.Set(fd, protoreflect.ValueOfBytes(slices.Clone(v.Bytes())))
		case kind == protoreflect.MessageKind && list:
			for i := range v.List().Len() {
				detach(v.List().Get(i).Message(), seen)
			}
		case kind == protoreflect.MessageKind:
			detach(v.Message(), seen)
		}
		return true
	})
}

// errTruncated says that a file ends inside a field.
var errTruncated = errors.New("the file is cut short")

// scan walks the wire format before anything is decoded. It tells a file that is no
// model from one that was cut short, and refuses messages nested deeper than maxDepth.
func scan(data []byte) error {
	types := newSchema((&onnxpb.ModelProto{}).ProtoReflect().Descriptor())
	type level struct{ end, kind int }
	stack := []level{{end: len(data)}}
	known := false // whether the top level has looked like a model so far
	for pos := 0; len(stack) > 0; {
		top := stack[len(stack)-1]
		if pos == top.end {
			stack = stack[:len(stack)-1]
			continue
		}
		rest := data[pos:top.end]
		num, wire, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return damage(data, pos, known && len(stack) == 1, n)
		}
		child := types.child(top.kind, num)
		if len(stack) == 1 {
			known = known || child >= 0 || num == 1 && wire == protowire.VarintType
		}
		if wire != protowire.BytesType || child < 0 {
			size := protowire.ConsumeFieldValue(num, wire, rest[n:])
			if size < 0 {
				return damage(data, pos, known && len(stack) == 1, size)
			}
			pos += n + size
			continue
		}
		length, m := protowire.ConsumeVarint(rest[n:])
		if m < 0 {
			return damage(data, pos, known && len(stack) == 1, m)
		}
		pos += n + m
		if length > uint64(top.end-pos) {
			if known && len(stack) == 1 {
				return fmt.Errorf("%w: field %d takes %d bytes from byte %d, but the file has %d bytes; copy or download it again", errTruncated, num, length, pos, len(data))
			}
			return damage(data, pos, false, -1)
		}
		if len(stack) > maxDepth {
			return fmt.Errorf("messages nest more than %d deep at byte %d, which no ONNX reader accepts", maxDepth, pos)
		}
		stack = append(stack, level{end: pos + int(length), kind: child})
	}
	return nil
}

// damage words a failure of the wire format at a byte of the file.
func damage(data []byte, pos int, cut bool, code int) error {
	err := protowire.ParseError(code)
	if cut && pos > 0 {
		return fmt.Errorf("%w, or damaged at byte %d of %d (%v); copy or download it again", errTruncated, pos, len(data), err)
	}
	return fmt.Errorf("not an ONNX model: no valid protobuf at byte %d of %d (%w)", pos, len(data), err)
}

// schema tells which fields of which messages hold messages: children[kind][field
// number] is the kind of the message there, or -1.
type schema struct{ children [][]int }

// newSchema lists every message that root can contain; root is kind 0.
func newSchema(root protoreflect.MessageDescriptor) schema {
	kinds := map[protoreflect.FullName]int{root.FullName(): 0}
	var s schema
	for queue := []protoreflect.MessageDescriptor{root}; len(queue) > 0; queue = queue[1:] {
		var row []int
		fields := queue[0].Fields()
		for i := range fields.Len() {
			fd := fields.Get(i)
			if fd.Kind() != protoreflect.MessageKind {
				continue
			}
			kind, ok := kinds[fd.Message().FullName()]
			if !ok {
				kind = len(kinds)
				kinds[fd.Message().FullName()] = kind
				queue = append(queue, fd.Message())
			}
			for len(row) <= int(fd.Number()) {
				row = append(row, -1)
			}
			row[fd.Number()] = kind
		}
		s.children = append(s.children, row)
	}
	return s
}

func (s schema) child(kind int, num protowire.Number) int {
	if row := s.children[kind]; int64(num) < int64(len(row)) {
		return row[num]
	}
	return -1
}
