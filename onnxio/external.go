package onnxio

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/filekind"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// external reports whether a tensor's data is kept in another file.
func external(p *onnxpb.TensorProto) bool {
	return p.GetDataLocation() == onnxpb.TensorProto_EXTERNAL
}

// span is where in the model's folder a tensor's external data stands.
type span struct {
	location string
	offset   int64
	length   int64 // -1 where the model does not say
}

// externalSpan reads a tensor's external_data entries. The location must name a file
// below the model's folder by a relative path with forward slashes; which links are followed there
// stands in links.go.
func externalSpan(p *onnxpb.TensorProto) (span, error) {
	s := span{length: -1}
	for _, e := range p.GetExternalData() {
		var err error
		switch e.GetKey() {
		case "location":
			s.location = e.GetValue()
		case "offset":
			s.offset, err = parseCount(e)
		case "length":
			s.length, err = parseCount(e)
		}
		if err != nil {
			return span{}, err
		}
	}
	return s, checkLocation(s.location)
}

func parseCount(e *onnxpb.StringStringEntryProto) (int64, error) {
	n, err := strconv.ParseInt(e.GetValue(), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s %q of the external data is not a byte count", e.GetKey(), e.GetValue())
	}
	return n, nil
}

func checkLocation(location string) error {
	switch {
	case location == "":
		return fmt.Errorf("external data has no location")
	case strings.HasPrefix(location, "/"), strings.Contains(location, `\`),
		len(location) > 1 && location[1] == ':':
		return fmt.Errorf("external data location %q is not a relative path with forward slashes; put the file beside the model", location)
	case slices.Contains(strings.Split(location, "/"), ".."):
		return fmt.Errorf("external data location %q leaves the model's folder; put the file beside the model", location)
	}
	return nil
}

// checkExternal checks, without reading it, that a tensor's external data is there.
func (m *Model) checkExternal(p *onnxpb.TensorProto, l layout) (span, os.FileInfo, error) {
	s, err := externalSpan(p)
	if err != nil {
		return span{}, nil, err
	}
	if m.folder == "" {
		return span{}, nil, fmt.Errorf("external data %q: there is no folder to find it in, because the model was not read from a file", s.location)
	}
	if s.length >= 0 && s.length != int64(l.bytes) {
		return span{}, nil, fmt.Errorf("shape %v takes %d bytes, the external data says %d", p.Dims, l.bytes, s.length)
	}
	s.length = int64(l.bytes)
	info, err := m.files.stat(m.folder, s.location)
	if err != nil {
		return span{}, nil, m.besideTarget(s.location, err)
	}
	if s.offset > info.Size() || s.length > info.Size()-s.offset {
		err := fmt.Errorf("external data takes bytes %d to %d of %s, which has %d", s.offset, s.offset+s.length, s.location, info.Size())
		if k := filekind.At(filepath.Join(m.folder, filepath.FromSlash(s.location))); k != nil {
			err = fmt.Errorf("%w: %s", err, k)
		}
		return span{}, nil, err
	}
	return s, info, nil
}

// Inlined returns the model with the numbers of its tensors inside, those that lie in files of their own too: as far as they are read, they are in
// memory only while they are used. It is used no longer than m.
func (m *Model) Inlined() (*Model, error) {
	inside, err := replaceTensors(m.Proto.ProtoReflect(), func(t *onnxpb.TensorProto) (*onnxpb.TensorProto, error) {
		if !external(t) {
			return t, nil
		}
		d, err := m.Tensor(t).Dense()
		if err != nil {
			return nil, err
		}
		return DenseTensor(t.GetName(), d).proto, nil
	})
	if err != nil {
		return nil, err
	}
	return m.View(inside.Interface().(*onnxpb.ModelProto)), nil
}

// readExternal returns the mapped bytes of a tensor's external data.
func (m *Model) readExternal(p *onnxpb.TensorProto, l layout) ([]byte, error) {
	s, _, err := m.checkExternal(p, l)
	if err != nil {
		return nil, err
	}
	data, err := m.files.read(m.folder, s.location)
	if err != nil {
		return nil, err
	}
	if s.offset+s.length > int64(len(data)) {
		return nil, fmt.Errorf("external data file %s shrank to %d bytes while the model was open", s.location, len(data))
	}
	end := s.offset + s.length
	return data[s.offset:end:end], nil
}
