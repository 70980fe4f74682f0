package compress

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-compress/onnx-compress/onnxio"
)

// place is where a model goes.
type place struct {
	path string
	how  onnxio.WriteOptions
	also []*follower // which go elsewhere
}

// placed is where a model goes that is asked for at path: beside it where nothing there may be replaced and something has come there since the run began.
func placed(path string, overwrite bool) place {
	return place{path: path, how: onnxio.WriteOptions{Overwrite: overwrite, Aside: true}}
}

// aside is a place for a model whose tuning was broken off: another one where there is an older file, which that is not to replace.
func (p place) aside() place {
	if _, err := os.Lstat(p.path); err != nil {
		return p
	}
	kind := filepath.Ext(p.path)
	return place{path: strings.TrimSuffix(p.path, kind) + ".interrupted" + kind, how: onnxio.WriteOptions{Aside: true}}
}
