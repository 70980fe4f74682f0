package onnxio

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A file of external data is named by its content, MODEL.HASH.data: so a new one never takes the place of one that an old model
// still refers to, and what was changed can be told.

// sumLength is how many digits of the SHA-256 are in the name.
const sumLength = 16

var dataName = regexp.MustCompile(`\.([0-9a-f]{16})\.data$`)

// dataPath returns where the external data with a SHA-256, in hex, of a model written to path go.
func dataPath(path, sum string) string {
	return path + "." + sum[:sumLength] + ".data"
}

// removeOldData removes the external data that were written for a model at path but for those at keep, and what the new model was
// read from: they were an older model's, or those of a writer who died before the model was in its place.
func removeOldData(sources []os.FileInfo, path, keep string) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, e := range entries {
		rest, found := strings.CutPrefix(e.Name(), filepath.Base(path))
		old := filepath.Join(filepath.Dir(path), e.Name())
		if found && rest != "" && e.Type().IsRegular() && dataName.FindString(rest) == rest && e.Name() != filepath.Base(keep) && notASource(sources, old) == nil {
			_ = os.Remove(old) // else it is in nobody's way
		}
	}
}

// CheckData tells whether the external data of the model at path are there, whole, and where their names say their content, with
// that content. The error is a *DataError where they are not.
func CheckData(ctx context.Context, path string) error {
	names, folder, err := externalNames(path)
	if err != nil {
		return &DataError{Model: path, Why: err}
	}
	for _, name := range names {
		match := dataName.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		sum, err := fileDigest(ctx, filepath.Join(folder, filepath.FromSlash(name)))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && sum[:sumLength] != match[1] {
			err = fmt.Errorf("%s is not what was written: its SHA-256 begins with %s", name, sum[:sumLength])
		}
		if err != nil {
			return &DataError{Model: path, Why: err}
		}
	}
	return nil
}

// DataError says what is wrong with a model's external data.
type DataError struct {
	Model string
	Why   error
}

func (e *DataError) Error() string { return fmt.Sprintf("the weights of %s: %v", e.Model, e.Why) }

func (e *DataError) Unwrap() error { return e.Why }
