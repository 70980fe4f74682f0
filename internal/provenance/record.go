// Package provenance keeps with a compressed model what it was made from, and tells
// whether that is still so.
//
// The record is a few metadata_props of the model whose keys begin with Prefix. It has
// hashes and relative paths, no times and nothing of the machine, so that the same source,
// samples and options give the same bytes wherever they lie.
//
// Attach gives a model its Record, Read reads that of a file, and Check tells of files whether
// they are fresh.
package provenance

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// Prefix begins the keys of a record.
const Prefix = "onnx_compress."

// The keys, behind Prefix.
const (
	keyVersion     = "version"
	keySource      = "source"
	keySourceSum   = "source_sha256"
	keyData        = "data"
	keyDataSum     = "data_sha256"
	keyDataUsed    = "data_used"
	keyTuneData    = "tune_data"
	keyTuneDataSum = "tune_data_sha256"
	keyOptions     = "options"
	keyOptionsSum  = "options_sha256"
	keyWeightsSum  = "weights_sha256"
)

// Unsealed stands for the digest of weights until Seal finds it.
const Unsealed = "0000000000000000000000000000000000000000000000000000000000000000"

// Record is what a compressed model was made from.
type Record struct {
	// Version is that of the program that made it.
	Version string
	// Source is the original model; its digest is that of onnxio.Digest.
	Source File
	// Data are the calibration samples, with the digest of DataDigest; both fields are
	// empty where there were none, or none from files.
	Data File
	// Used is how many of these calibrated: the first that samples.Split draws by the seed among the options. It is 0 where Data is
	// empty or the record is of a version that kept none.
	Used int
	// TuneData are the samples that the model was tuned on, where those are others.
	TuneData File
	// Options are those that decide on the result, by name, as text.
	Options map[string]string
	// Weights is onnxio's WeightsDigest of the compressed model itself; empty where the record is of a version that kept none.
	Weights string
}

// File is a file or folder and the digest of its contents.
type File struct {
	// Path is relative to the folder of the compressed model, with forward slashes, or
	// absolute where the two have no common root.
	Path string
	// SHA256 is in hex.
	SHA256 string
}

// NoRecordError says that a model has no record.
type NoRecordError struct{ Path string }

func (e *NoRecordError) Error() string {
	return e.Path + " has no record of what it was made from: onnx-compress did not write it, or its metadata was removed"
}

// Attach returns a model that has the record r in place of any other. It shares everything
// else with m, and both must be closed.
func Attach(m *onnxio.Model, r Record) (*onnxio.Model, error) {
	options, sum, err := encodeOptions(r.Options)
	if err != nil {
		return nil, err
	}
	props := map[string]string{
		keyVersion: r.Version, keySource: r.Source.Path, keySourceSum: r.Source.SHA256, keyOptions: options, keyOptionsSum: sum,
	}
	if r.Data.SHA256 != "" {
		props[keyData], props[keyDataSum] = r.Data.Path, r.Data.SHA256
		if r.Used > 0 {
			props[keyDataUsed] = strconv.Itoa(r.Used)
		}
	}
	if r.TuneData.SHA256 != "" {
		props[keyTuneData], props[keyTuneDataSum] = r.TuneData.Path, r.TuneData.SHA256
	}
	if r.Weights != "" {
		props[keyWeightsSum] = r.Weights
	}
	return onnxio.WithMetadata(m, Prefix, props), nil
}

// Seal returns a model whose record, where it has one, has the digest of its weights. It shares everything else with m, and both
// must be closed.
func Seal(ctx context.Context, m *onnxio.Model) (*onnxio.Model, error) {
	props := map[string]string{}
	for _, e := range m.Proto.GetMetadataProps() {
		if key, ok := strings.CutPrefix(e.GetKey(), Prefix); ok {
			props[key] = e.GetValue()
		}
	}
	if len(props) > 0 {
		var err error
		if props[keyWeightsSum], err = m.WeightsDigest(ctx); err != nil {
			return nil, fmt.Errorf("the digest of its weights: %w", err)
		}
	}
	return onnxio.WithMetadata(m, Prefix, props), nil
}

// Read returns the record of the model file at path without reading the rest of it. A model
// without one is a *NoRecordError; a record whose parts do not fit is an error too.
func Read(path string) (Record, error) {
	props, err := onnxio.ReadMetadata(path, Prefix)
	if err != nil {
		return Record{}, err
	}
	if len(props) == 0 {
		return Record{}, &NoRecordError{path}
	}
	r := Record{
		Version:  props[keyVersion],
		Source:   File{props[keySource], props[keySourceSum]},
		Data:     File{props[keyData], props[keyDataSum]},
		TuneData: File{props[keyTuneData], props[keyTuneDataSum]},
		Weights:  props[keyWeightsSum],
	}
	if err := json.Unmarshal([]byte(props[keyOptions]), &r.Options); err != nil {
		return Record{}, fmt.Errorf("%s: the options in its record cannot be read: %w", path, err)
	}
	if used := props[keyDataUsed]; used != "" && r.Data.SHA256 != "" {
		if r.Used, err = strconv.Atoi(used); err != nil || r.Used < 1 {
			return Record{}, fmt.Errorf("%s: its record says that %s samples calibrated it; compress it anew", path, strconv.Quote(used))
		}
	}
	if r.Source.Path == "" || r.Source.SHA256 == "" {
		return Record{}, fmt.Errorf("%s: its record does not name the source; compress it anew", path)
	}
	if _, sum, err := encodeOptions(r.Options); err != nil || sum != props[keyOptionsSum] {
		return Record{}, errors.Join(fmt.Errorf("%s: the options in its record do not have the hash beside them; compress it anew", path), err)
	}
	return r, nil
}

// Seen are the numbers of those of n samples that the weights of the model were fitted to, by the digest that DataDigest gives of them. Where
// the record does not say which of its samples those are, all are.
func (r Record) Seen(digest string, n int) map[int]bool {
	used := r.Used
	seed, err := strconv.ParseUint(cmp.Or(r.Options["seed"], "0"), 10, 64)
	_, tuned := r.Options["tune"]
	switch {
	case tuned && digest == cmp.Or(r.TuneData.SHA256, r.Data.SHA256):
		used = n
	case digest != r.Data.SHA256:
		used = 0
	case err != nil || used == 0:
		used = n
	}
	out := map[int]bool{}
	drawn, _ := samples.Split(n, used, seed)
	for _, i := range drawn {
		out[i] = true
	}
	return out
}

// encodeOptions writes options in one form, and hashes that.
func encodeOptions(o map[string]string) (text, sum string, err error) {
	if o == nil {
		o = map[string]string{}
	}
	data, err := json.Marshal(o) // which sorts the keys
	if err != nil {
		return "", "", err
	}
	digest := sha256.Sum256(data)
	return string(data), hex.EncodeToString(digest[:]), nil
}

// RelativePath returns the path of a file as the record of a model written to model names it.
func RelativePath(model, path string) (string, error) {
	from, err := place(model)
	if err != nil {
		return "", err
	}
	to, err := place(path)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(filepath.Dir(from), to)
	if err != nil {
		return filepath.ToSlash(to), nil // on another volume
	}
	return filepath.ToSlash(rel), nil
}

// place is the absolute path of a file whose folder is no link, because ".." behind a link
// leads elsewhere than it reads.
func place(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, filepath.Base(abs)), nil
}

// module is the path of the module that this package is in.
const module = "github.com/onnx-compress/onnx-compress"

// Version is the version of this module in the running program, as the Go toolchain
// recorded it.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(devel)"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module && m.Version != "" {
			return m.Version
		}
	}
	return "(devel)"
}
