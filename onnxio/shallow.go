package onnxio

import (
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Shallow returns a copy of a message, unknown fields included, whose sub-messages are
// the original's own. Its lists of messages, strings and bytes are new, so they may be
// appended to and their entries replaced; lists of numbers are shared. It is how a
// changed model leaves everything else where it was.
func Shallow[M proto.Message](m M) M {
	return shallow(m.ProtoReflect()).Interface().(M)
}

func shallow(src protoreflect.Message) protoreflect.Message {
	dst := src.New()
	src.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		numeric := fd.Kind() != protoreflect.MessageKind && fd.Kind() != protoreflect.StringKind &&
			fd.Kind() != protoreflect.BytesKind
		if !fd.IsList() || numeric {
			dst.Set(fd, v)
			return true
		}
		from, to := v.List(), dst.Mutable(fd).List()
		for i := range from.Len() {
			to.Append(from.Get(i))
		}
		return true
	})
	dst.SetUnknown(slices.Clone(src.GetUnknown()))
	return dst
}
