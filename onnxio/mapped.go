package onnxio

import (
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// MarshalMapped is Marshal with the weights left where they lie, those inside of the model's own file too: the message says of them at
// which bytes of that file, as of external data. It is for readers that map external data and find it in ExternalFolder, and good for as
// long as the file is what was read. What lies in no file, and tensors below 1 KiB, are in the message.
func (m *Model) MarshalMapped() ([]byte, error) {
	name := m.ownName()
	if name == "" {
		return m.Marshal()
	}
	moved, err := replaceTensors(m.Proto.ProtoReflect(), func(t *onnxpb.TensorProto) (*onnxpb.TensorProto, error) {
		at, mapped := m.files.offset(t.RawData)
		if !mapped || len(t.RawData) < minExternal {
			return t, nil
		}
		return pointOut(t, span{location: name, offset: at, length: int64(len(t.RawData))}), nil
	})
	if err != nil {
		return nil, err
	}
	twin := New(moved.Interface().(*onnxpb.ModelProto))
	return twin.Marshal()
}

// ownName is the name in ExternalFolder of the file that the model was read from; "" where there is none, or it lies elsewhere.
func (m *Model) ownName() string {
	if m.files.path == "" || m.folder == "" {
		return ""
	}
	own, err := filepath.EvalSymlinks(m.files.path)
	if err != nil {
		return ""
	}
	if own, err = filepath.Abs(own); err != nil {
		return ""
	}
	folder, err := filepath.EvalSymlinks(m.folder)
	if err != nil || filepath.Dir(own) != folder {
		return ""
	}
	return filepath.Base(own)
}

// Files returns the paths of the file that the model was read from and of those with its external data.
func (m *Model) Files() []string {
	var paths []string
	if m.files.path != "" {
		paths = append(paths, m.files.path)
	}
	m.files.mu.Lock()
	defer m.files.mu.Unlock()
	for location := range m.files.external {
		paths = append(paths, filepath.Join(m.folder, filepath.FromSlash(location)))
	}
	return paths
}

// FileBytes returns how much of the model's tensors lies in these files: what MarshalMapped leaves there.
func (m *Model) FileBytes() int64 {
	var n int64
	_, _ = replaceTensors(m.Proto.ProtoReflect(), func(t *onnxpb.TensorProto) (*onnxpb.TensorProto, error) {
		if _, mapped := m.files.offset(t.RawData); mapped {
			n += int64(len(t.RawData))
		} else if external(t) {
			n += int64(m.Tensor(t).Bytes())
		}
		return t, nil // so there is no error
	})
	return n
}

// DiskBytes returns how much these files hold.
func (m *Model) DiskBytes() int64 {
	var n int64
	if m.files.info != nil {
		n = m.files.info.Size()
	}
	for _, info := range m.files.infos() {
		n += info.Size()
	}
	return n
}
