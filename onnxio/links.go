package onnxio

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// Which files a model's external data may be. A model comes from elsewhere, so it must not choose what is read:
//
//   - its locations are relative paths below the folder that the model lies in, without "..";
//   - links in that folder are followed while what they lead to lies in it;
//   - where the model's file, as it was named, is a link itself, its data may also be links into the folder that the model's
//     own file really lies in. That is how caches of model hubs are laid out: snapshots/REVISION/model.onnx and model.onnx_data
//     are links into one folder blobs/. Whoever names a link means the file that it leads to, and that file's folder is as
//     good as if it had been named.
//
// ONNX Runtime has the same rule, so that what is read here runs there. Everything else is refused: absolute paths, links to
// other folders, devices and pipes. A hard link cannot be told from the file itself.

// settle returns the folder that a model's external data lies in, and the message with its locations relative to that. Both
// are as given, except for a model that is a link and whose data are links into the folder of its own file.
func settle(path, folder string, p *onnxpb.ModelProto) (string, *onnxpb.ModelProto) {
	named, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return folder, p
	}
	own, err := filepath.EvalSymlinks(path)
	if err == nil {
		own, err = filepath.Abs(filepath.Dir(own))
	}
	if err != nil || own == named {
		return folder, p
	}
	apart := false // something lies in the folder of the model's own file, and not in the one that was named
	moved, err := replaceTensors(p.ProtoReflect(), func(t *onnxpb.TensorProto) (*onnxpb.TensorProto, error) {
		if !external(t) {
			return t, nil
		}
		s, err := externalSpan(t)
		if err != nil {
			return nil, err
		}
		place, err := filepath.EvalSymlinks(filepath.Join(folder, filepath.FromSlash(s.location)))
		if err != nil {
			return nil, err
		}
		to, inside := below(own, place)
		if !inside {
			return nil, errors.New("elsewhere")
		}
		_, near := below(named, place)
		apart = apart || !near
		return relocated(t, filepath.ToSlash(to)), nil
	})
	if err != nil || !apart {
		return folder, p // Check says what is wrong with it, if anything is
	}
	return own, moved.Interface().(*onnxpb.ModelProto)
}

// below returns path relative to folder where it lies in it.
func below(folder, path string) (string, bool) {
	rel, err := filepath.Rel(folder, path)
	return rel, err == nil && filepath.IsLocal(rel)
}

// relocated returns an external tensor with another location, otherwise the same.
func relocated(t *onnxpb.TensorProto, location string) *onnxpb.TensorProto {
	out := Shallow(t)
	for i, e := range out.ExternalData {
		if e.GetKey() == "location" {
			e = Shallow(e)
			e.Value = &location
			out.ExternalData[i] = e
		}
	}
	return out
}

// unreachable says why a file of external data cannot be had, and what to do about that.
func unreachable(folder, location string, err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err // the file is named already, and the system's call tells nobody anything
	}
	err = fmt.Errorf("external data %s in folder %s: %w", location, folder, err)
	path := filepath.Join(folder, filepath.FromSlash(location))
	real, failed := filepath.EvalSymlinks(path)
	switch target, _ := os.Readlink(path); {
	case target != "" && errors.Is(failed, fs.ErrNotExist):
		return fmt.Errorf("%w: it is a link to %s, which is not there; download it again", err, target)
	case errors.Is(failed, fs.ErrNotExist):
		return fmt.Errorf("%w; it belongs beside the model, under this name", err)
	case failed == nil && escapes(folder, real):
		return fmt.Errorf("%w: it leads to %s; links out of the model's folder are not followed, so that no model reads files of its choice: "+
			"where that file is meant, put a copy of it in the place of the link (cp -L)", err, real)
	}
	return err
}

// besideTarget adds to the error of missing external data that the model is a link and the data lies where it leads to.
func (m *Model) besideTarget(location string, err error) error {
	target, failed := filepath.EvalSymlinks(m.Path)
	if failed != nil || !errors.Is(err, fs.ErrNotExist) || target == m.Path {
		return err
	}
	if _, failed := os.Stat(filepath.Join(filepath.Dir(target), filepath.FromSlash(location))); failed != nil {
		return err
	}
	return fmt.Errorf("%w; the model is a link to %s, and its data lies there: name that file", err, target)
}

// escapes tells whether a path without links lies outside of a folder.
func escapes(folder, real string) bool {
	named, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return false
	}
	_, inside := below(named, real)
	return !inside
}
