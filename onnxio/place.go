package onnxio

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

const (
	// alignment of external data, so that it can be mapped tensor by tensor; the ONNX
	// specification recommends it.
	alignment = 4096
	// minExternal is the size in bytes from which a tensor is made external when a model
	// is too large for one message; the limit that ONNX's own tools use.
	minExternal = 1024
)

// blob is the data of an external tensor and where it starts in the data file.
type blob struct {
	source Tensor
	offset int64
}

// layOut returns the message to write, with its external tensors pointing into one data
// file at location, and what goes into that file. Where limit is exceeded, large
// tensors are made external. Tensors that shared a place still do.
func layOut(m *Model, location string, limit int) (*onnxpb.ModelProto, []blob, error) {
	tooLarge := m.Proto.SizeVT() > limit
	var blobs []blob
	var end int64
	shared := map[span]int64{}
	moved, err := replaceTensors(m.Proto.ProtoReflect(), func(t *onnxpb.TensorProto) (*onnxpb.TensorProto, error) {
		l, err := tensorLayout(t)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.GetName(), err)
		}
		var from span
		switch {
		case external(t):
			if from, _, err = m.checkExternal(t, l); err != nil {
				return nil, fmt.Errorf("tensor %q: %w", t.GetName(), err)
			}
		case !tooLarge || l.bytes < minExternal || tensor.Type(t.GetDataType()) == tensor.String:
			return t, nil
		}
		offset, known := shared[from]
		if !known {
			offset = (end + alignment - 1) / alignment * alignment
			end = offset + int64(l.bytes)
			blobs = append(blobs, blob{source: m.Tensor(t), offset: offset})
			if external(t) {
				shared[from] = offset
			}
		}
		return pointOut(t, span{location: location, offset: offset, length: int64(l.bytes)}), nil
	})
	if err != nil {
		return nil, nil, err
	}
	p := moved.Interface().(*onnxpb.ModelProto)
	if n := p.SizeVT(); n > limit {
		return nil, nil, fmt.Errorf("the model takes %d bytes even with its weights outside, over the %d that a message may have", n, limit)
	}
	return p, blobs, nil
}

// pointOut returns a tensor whose data stands elsewhere, otherwise the same. A checksum of
// the old place does not hold for the new one and goes.
func pointOut(t *onnxpb.TensorProto, to span) *onnxpb.TensorProto {
	out := Shallow(t)
	out.RawData, out.FloatData, out.Int32Data, out.Int64Data = nil, nil, nil, nil
	out.DoubleData, out.Uint64Data = nil, nil
	out.DataLocation = onnxpb.TensorProto_EXTERNAL.Enum()
	entry := func(key, value string) *onnxpb.StringStringEntryProto {
		return &onnxpb.StringStringEntryProto{Key: proto.String(key), Value: proto.String(value)}
	}
	out.ExternalData = []*onnxpb.StringStringEntryProto{
		entry("location", to.location),
		entry("offset", strconv.FormatInt(to.offset, 10)),
		entry("length", strconv.FormatInt(to.length, 10)),
	}
	for _, e := range t.GetExternalData() {
		switch e.GetKey() {
		case "location", "offset", "length", "checksum":
		default:
			out.ExternalData = append(out.ExternalData, e)
		}
	}
	return out
}

// writeBlobs writes external data, with zeros up to each offset.
func writeBlobs(ctx context.Context, w io.Writer, blobs []blob) error {
	var at int64
	for _, b := range blobs {
		if _, err := w.Write(make([]byte, b.offset-at)); err != nil {
			return err
		}
		n, err := b.source.writeTo(ctx, w)
		if err != nil {
			return err
		}
		at = b.offset + n
	}
	return nil
}

// writeTo writes the elements as Raw has them. Those in a file of their own go from file to file, where the system can do that without
// them passing through memory.
func (t Tensor) writeTo(ctx context.Context, w io.Writer) (int64, error) {
	if !external(t.proto) {
		raw, err := t.Raw()
		if err != nil {
			return 0, err
		}
		n, err := cancellable{ctx, w}.Write(raw)
		t.forget(raw)
		return int64(n), err
	}
	l, err := tensorLayout(t.proto)
	if err != nil {
		return 0, fmt.Errorf("tensor %q: %w", t.Name(), err)
	}
	s, _, err := t.model.checkExternal(t.proto, l)
	if err != nil {
		return 0, fmt.Errorf("tensor %q: %w", t.Name(), err)
	}
	n, err := copySpan(ctx, w, t.model.folder, s)
	if err != nil {
		return n, fmt.Errorf("tensor %q: copying it from %s: %w", t.Name(), s.location, err)
	}
	return n, nil
}

// copySpan copies a part of a file in a folder, in pieces between which the context may end.
func copySpan(ctx context.Context, w io.Writer, folder string, s span) (int64, error) {
	f, err := os.OpenInRoot(folder, filepath.FromSlash(s.location))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if _, err := f.Seek(s.offset, io.SeekStart); err != nil {
		return 0, err
	}
	const piece = 64 << 20
	var done int64
	for done < s.length {
		if ctx.Err() != nil {
			return done, context.Cause(ctx)
		}
		n, err := io.CopyN(w, f, min(piece, s.length-done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// replaceTensors returns m with every tensor in it put through f. What does not
// change is shared; m itself is never changed.
func replaceTensors(m protoreflect.Message, f func(*onnxpb.TensorProto) (*onnxpb.TensorProto, error)) (protoreflect.Message, error) {
	if t, ok := m.Interface().(*onnxpb.TensorProto); ok {
		out, err := f(t)
		if err != nil {
			return nil, err
		}
		return out.ProtoReflect(), nil
	}
	result := m
	own := func() protoreflect.Message {
		if result == m {
			result = shallow(m)
		}
		return result
	}
	replace := func(v protoreflect.Value, set func(protoreflect.Value)) error {
		out, err := replaceTensors(v.Message(), f)
		if err == nil && out != v.Message() {
			set(protoreflect.ValueOfMessage(out))
		}
		return err
	}
	// Range promises no order, and the order of tensors is that of their data in the file.
	for i := range m.Descriptor().Fields().Len() {
		fd := m.Descriptor().Fields().Get(i)
		if fd.Kind() != protoreflect.MessageKind || !m.Has(fd) {
			continue
		}
		if !fd.IsList() {
			if err := replace(m.Get(fd), func(v protoreflect.Value) { own().Set(fd, v) }); err != nil {
				return nil, err
			}
			continue
		}
		list := m.Get(fd).List()
		for i := range list.Len() {
			set := func(v protoreflect.Value) { own().Mutable(fd).List().Set(i, v) }
			if err := replace(list.Get(i), set); err != nil {
				return nil, err
			}
		}
	}
	return result, nil
}
