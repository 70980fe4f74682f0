package feed

import (
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// Host makes sessions of models, or of ones derived from them, that stand in no file, under a memory limit in bytes, 0 for none. It
// writes none.
type Host struct {
	Library *ort.Library
	Memory  int64
}

// mappedPart is the part of a memory limit that a model's weights have to take to stay in their files while it runs. Sessions that hold
// them take twice as much, and there are several at once; but they run faster.
const mappedPart = 8

// Mapped tells whether sessions have a model's weights stay in their files.
func (h Host) Mapped(m *onnxio.Model) bool {
	return h.Memory > 0 && m.FileBytes() >= h.Memory/mappedPart
}

// Shed has the weights of a model that stay in their files leave memory whenever the process takes more than the limit, until stop is
// called: what reads them next has them from the system's cache, which costs little beside the reading.
func (h Host) Shed(m *onnxio.Model) (stop func()) {
	if !h.Mapped(m) {
		return func() {}
	}
	return rss.Shed(m.Files(), h.Memory).Stop
}

// NewSession makes a session of a model.
func (h Host) NewSession(m *onnxio.Model) (*ort.Session, error) {
	o := ort.Options{ExternalFolder: m.ExternalFolder(), Mapped: h.Mapped(m)}
	marshal := m.Marshal
	if o.Mapped {
		marshal = m.MarshalMapped
	}
	data, err := marshal()
	if err != nil {
		return nil, err
	}
	return h.Library.NewSession(data, o)
}
