package onnxio

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/onnx-compress/onnx-compress/internal/filekind"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// maxFile is the largest size of a protobuf message, and so of a model file, that
// readers accept: 2 GiB less one byte.
const maxFile = 1<<31 - 1

// Model is one ONNX file in memory. Its methods may be called from several goroutines.
type Model struct {
	// Path is the file that the model, or the model it derives from, was read from; ""
	// for a model made in memory.
	Path string
	// Proto is the message itself. It is read-only: a change is a new message, given
	// to Derive. The raw_data of its tensors may be part of a mapped file and must not be
	// touched after Close; everything else stays valid.
	Proto *onnxpb.ModelProto

	folder string
	files  *files
	held   []*held
	close  sync.Once
	once   sync.Once
	memo   any
}

// Read maps the file at path and returns its model, checked as by Check. Nodes that do not
// stand in topological order are brought into it, as far as there is one. Close
// releases the map. The file must not be changed meanwhile.
//
// External data lies below the model's folder. Links are followed while they stay there; where path is a link itself, as in
// the cache of a model hub, the data may be links into the folder that path leads to.
func Read(path string) (*Model, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading model: %w", err)
	}
	data, err := mapFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading model: %w", err)
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading model %s: %w", path, err), data.Unmap())
	}
	p, err := unmarshal(data)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading model %s: %w", path, recognised(data, err)), data.Unmap())
	}
	folder, p = settle(path, folder, p)
	m := newModel(p, path, folder, newFiles(data))
	m.files.path, m.files.info = path, info
	if err := m.Check(); err != nil {
		if p.GetGraph() == nil {
			err = recognised(data, err)
		}
		return nil, errors.Join(fmt.Errorf("reading model %s: %w", path, err), m.Close())
	}
	return m, nil
}

// recognised puts before the error of a file that is no model what it is, where that is known.
func recognised(data []byte, err error) error {
	if k := filekind.Of(data); k != nil {
		return fmt.Errorf("%s (%w)", k, err)
	}
	return err
}

// Parse returns the model that data holds, sorted and checked as by Read. External data is looked
// for in folder; "" refuses it. The model shares data's memory, so data must not be changed.
func Parse(data []byte, folder string) (*Model, error) {
	if folder != "" {
		abs, err := filepath.Abs(folder)
		if err != nil {
			return nil, fmt.Errorf("parsing model: %w", err)
		}
		folder = abs
	}
	p, err := unmarshal(data)
	if err != nil {
		return nil, fmt.Errorf("parsing model: %w", recognised(data, err))
	}
	m := newModel(p, "", folder, newFiles(nil))
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("parsing model: %w", errors.Join(err, m.Close()))
	}
	return m, nil
}

// New returns a model made in memory, unchecked. It has no folder, so its tensors
// cannot be external.
func New(p *onnxpb.ModelProto) *Model {
	return newModel(p, "", "", newFiles(nil))
}

// Derive returns a new model of the message p, which may share any part of m's message
// and finds external data where m does. Both must be closed, in any order: what they share
// is released with the last.
func (m *Model) Derive(p *onnxpb.ModelProto) *Model {
	next := newModel(p, m.Path, m.folder, m.files.retain())
	for _, h := range m.held {
		h.models.Add(1)
		next.held = append(next.held, h)
	}
	return next
}

// View is Derive for a model that is used no longer than m: closing it does nothing.
func (m *Model) View(p *onnxpb.ModelProto) *Model {
	next := newModel(p, m.Path, m.folder, m.files)
	next.held = slices.Clone(m.held)
	next.close.Do(func() {})
	return next
}

// held is what models have their numbers in, and how many do.
type held struct {
	models atomic.Int64
	what   io.Closer
}

// Hold has c, where tensors of m have their numbers, closed with the last to close of m and the models that are derived from it.
func (m *Model) Hold(c io.Closer) {
	h := &held{what: c}
	h.models.Add(1)
	m.held = append(m.held, h)
}

// release lets go of what is held for one model.
func (h *held) release() error {
	if h.models.Add(-1) > 0 {
		return nil
	}
	return h.what.Close()
}

func newModel(p *onnxpb.ModelProto, path, folder string, f *files) *Model {
	return &Model{Path: path, Proto: p, folder: folder, files: f}
}

// Close releases the model. The last of a family of derived models to close unmaps
// their files; no raw_data may be used after that. Closing twice does nothing.
func (m *Model) Close() error {
	var err error
	m.close.Do(func() {
		err = m.files.release()
		for _, h := range m.held {
			err = errors.Join(err, h.release())
		}
	})
	return err
}

// ExternalFolder returns the folder that external data is relative to, or "" for a model
// that cannot have any.
func (m *Model) ExternalFolder() string { return m.folder }

// Opset returns the version of a domain's operators that the model imports, or 0 for
// none. "" and "ai.onnx" are the same domain. Models older than IR version 3 have no
// imports and use version 1 of ONNX's own operators.
func (m *Model) Opset(domain string) int64 {
	for _, o := range m.Proto.GetOpsetImport() {
		if PlainDomain(o.GetDomain()) == PlainDomain(domain) {
			return o.GetVersion()
		}
	}
	if PlainDomain(domain) == "" && m.Proto.GetIrVersion() < 3 {
		return 1
	}
	return 0
}

// Memo returns what build returned the first time that Memo was called: a place for what is
// worked out from the model once, the view that package graph has of it.
func (m *Model) Memo(build func() any) any {
	m.once.Do(func() { m.memo = build() })
	return m.memo
}

// Size returns the bytes that Marshal returns.
func (m *Model) Size() int { return m.Proto.SizeVT() }

// Marshal returns the model as the bytes of a model file, for readers that take bytes.
// External data stays external, relative to ExternalFolder. A model over 2 GiB is an error.
func (m *Model) Marshal() ([]byte, error) {
	if n := m.Size(); n > maxFile {
		return nil, fmt.Errorf("the model takes %d bytes, over the 2 GiB that a message may have; write it to a file with external data", n)
	}
	b, err := m.Proto.MarshalVT()
	if err != nil {
		return nil, fmt.Errorf("encoding model: %w", err)
	}
	return b, nil
}
