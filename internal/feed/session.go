package feed

import (
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// mappedPart is the part of a memory limit that a model's weights have to take to stay in their files while it runs. Sessions that hold
// them take twice as much, and there are several at once; but they run faster.
const mappedPart = 8

// Mapped tells whether NewSession has a model's weights stay in their files.
func Mapped(m *onnxio.Model) bool { return m.FileBytes() >= (2<<30)/mappedPart }

// Shed has the weights of a model that stay in their files leave memory whenever the process takes more than so many bytes, until stop is
// called: what reads them next has them from the system's cache, which costs little beside the reading.
func Shed(m *onnxio.Model, memory int64) (stop func()) {
	if !Mapped(m) {
		return func() {}
	}
	return rss.Shed(m.Files(), memory).Stop
}

// NewSession makes a session of a model, or of one derived from it, that stands in no file, under a memory limit of 2 GiB. It writes none.
func NewSession(lib *ort.Library, m *onnxio.Model) (*ort.Session, error) {
	return NewSessionWithin(lib, m, 2<<30)
}

// NewSessionWithin is NewSession under another limit.
func NewSessionWithin(lib *ort.Library, m *onnxio.Model, memory int64) (*ort.Session, error) {
	return newSession(lib, m, memory/mappedPart)
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
