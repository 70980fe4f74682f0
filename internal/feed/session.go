package feed

import (
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// mappedFrom is how much of a model's weights lies in files, in bytes, when they stay there while it runs. Sessions that hold them take
// twice as much, and there are several at once; but they run faster.
const mappedFrom = 256 << 20

// NewSession makes a session of a model, or of one derived from it, that stands in no file. It writes none.
func NewSession(lib *ort.Library, m *onnxio.Model) (*ort.Session, error) {
	return newSession(lib, m, mappedFrom)
}

func newSession(lib *ort.Library, m *onnxio.Model, from int64) (*ort.Session, error) {
	if m.FileBytes() < from {
		data, err := m.Marshal()
		if err != nil {
			return nil, err
		}
		return lib.NewSession(data, ort.Options{ExternalFolder: m.ExternalFolder()})
	}
	data, err := m.MarshalMapped()
	if err != nil {
		return nil, err
	}
	return lib.NewSession(data, ort.Options{ExternalFolder: m.ExternalFolder(), Mapped: true})
}
