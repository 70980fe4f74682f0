package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// standing are the models that files stand for, each once: a model for itself, a file of weights for the models beside it that have theirs
// there, and a configuration for all models in its folder and below. So a hook that is told what changed looks at every model
// concerned. Of weights that no model has there it is said that nothing is done about them.
func standing(files []string, told io.Writer) ([]string, error) {
	var out []string
	for _, path := range files {
		var found []string
		var err error
		switch name := filepath.Base(path); {
		case name == configName:
			found, err = below(filepath.Dir(path))
		case strings.HasSuffix(name, ".data") || strings.HasSuffix(name, "_data"):
			if found, err = owners(path); len(found) == 0 && err == nil {
				_, err = fmt.Fprintf(told, "%s: no model beside it has weights there\n", quote.Name(path))
			}
		default:
			found = []string{path}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, model := range found {
			if !slices.Contains(out, model) {
				out = append(out, model)
			}
		}
	}
	return out, nil
}

// below are the models in a folder and those in it, but for hidden ones.
func below(folder string) (models []string, err error) {
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != folder && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.Type().IsRegular() && strings.HasSuffix(path, ".onnx"):
			models = append(models, path)
		}
		return nil
	})
	return models, err
}

// owners are the models beside a file that have weights in it. Those that cannot be read are none: whoever names them is told.
func owners(path string) ([]string, error) {
	data, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	models, err := filepath.Glob(filepath.Join(quotedGlob(filepath.Dir(path)), "*.onnx"))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(models, func(model string) bool { return !hasWeightsIn(model, data) }), nil
}

func hasWeightsIn(model string, data os.FileInfo) bool {
	m, err := onnxio.Read(model)
	if err != nil {
		return false
	}
	defer m.Close()
	return slices.ContainsFunc(m.Files(), func(file string) bool {
		info, err := os.Stat(file)
		return err == nil && os.SameFile(info, data)
	})
}

// quotedGlob is a folder as a pattern that matches itself alone.
func quotedGlob(folder string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(folder)
}
