package provenance

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/onnx-compress/onnx-compress/onnxio"
)

// State says whether a model is what its source, samples and options would give.
type State string

const (
	// Fresh: nothing that the record names has changed.
	Fresh State = "fresh"
	// Stale: something has.
	Stale State = "stale"
	// Original: there is no record, and another one of the files was made from it.
	Original State = "source"
	// Unknown: there is no record, or what it names cannot be read.
	Unknown State = "unknown"
)

// The things that can change.
const (
	Source   = "source"
	Data     = "data"
	TuneData = "tune-data"
	Options  = "options"
	Weights  = "weights"
)

// Want says where things lie now, and what is wanted of them. The zero value looks for
// source and samples where the record says they are, and compares no options.
type Want struct {
	// Source is the original model, or a folder that has it by the name in the record.
	Source string
	// Data are the calibration samples.
	Data string
	// TuneData are the samples that the model is tuned on, where those are others.
	TuneData string
	// AnyData takes the samples to be what they were, where they are not at hand.
	AnyData bool
	// Options, when not nil, are held against those of the record. Then a model that was
	// calibrated is stale where Data is empty, and one that was not where it is set; likewise with TuneData.
	Options map[string]string
}

// Status is what became of one compressed model.
type Status struct {
	Path  string `json:"path"`
	State State  `json:"state"`
	// Version is that of the program that made the model.
	Version string `json:"version,omitempty"`
	// Source, Data and TuneData are where they were looked for.
	Source   string `json:"source,omitempty"`
	Data     string `json:"data,omitempty"`
	TuneData string `json:"tune_data,omitempty"`
	// Changed names what is not as it was: "source", "data", "tune-data", "options", and "weights" where those of the model
	// itself are missing or are not those that were written.
	Changed []string `json:"changed"`
	// Untold names what the record says nothing of, so that a change of it cannot be seen: "weights" inside of a model that a version
	// made which did not record them.
	Untold []string `json:"untold,omitempty"`
	// Options lists the options that differ.
	Options []OptionChange `json:"options,omitempty"`
	// Why says what keeps an unknown state from being known, or what is wrong with the weights.
	Why string `json:"why,omitempty"`
	// Err is the error behind Why.
	Err error `json:"-"`
}

// OptionChange is an option with another value than it had; "" stands for none.
type OptionChange struct {
	Name string `json:"name"`
	Was  string `json:"was"`
	Now  string `json:"now"`
}

// Check judges compressed model files, several at a time, by the contents of what their
// records name. want gives what is wanted of each. The only error is the context's.
func Check(ctx context.Context, paths []string, want func(path string) Want) ([]Status, error) {
	known := &digests{known: map[string]func() (string, error){}}
	out := make([]Status, len(paths))
	eachOf(paths, func(i int, path string) { out[i] = check(ctx, known, path, want(path)) })
	for i := range out {
		if made := madeFrom(out[i], out); made != "" {
			out[i].State, out[i].Why = Original, made+" was made from it"
		}
	}
	return out, ctx.Err()
}

// madeFrom is the path of the first of the files that was made from one without a record, empty for none.
func madeFrom(s Status, all []Status) string {
	none := (*NoRecordError)(nil)
	if !errors.As(s.Err, &none) {
		return ""
	}
	info, err := os.Stat(s.Path)
	if err != nil {
		return ""
	}
	for _, other := range all {
		if source, err := os.Stat(other.Source); other.Source != "" && err == nil && os.SameFile(info, source) {
			return other.Path
		}
	}
	return ""
}

func check(ctx context.Context, known *digests, path string, want Want) Status {
	s := Status{Path: path, State: Unknown, Changed: []string{}}
	r, err := Read(path)
	if err != nil {
		return s.unknown(err)
	}
	s.Version = r.Version
	s.Source = want.source(path, r.Source.Path)
	sum, err := known.source(ctx, s.Source)
	if err != nil {
		return s.unknown(missing(err, "source", s.Source))
	}
	if sum != r.Source.SHA256 {
		s.Changed = append(s.Changed, Source)
	}
	if s.Data, err = s.checkData(ctx, known, Data, r.Data, want.Data, want); err != nil {
		return s.unknown(missing(err, "calibration data", s.Data))
	}
	if s.TuneData, err = s.checkData(ctx, known, TuneData, r.TuneData, want.TuneData, want); err != nil {
		return s.unknown(missing(err, "data for tuning", s.TuneData))
	}
	if want.Options != nil {
		if s.Options = differences(r.Options, want.Options); len(s.Options) > 0 {
			s.Changed = append(s.Changed, Options)
		}
	}
	if r.Weights == "" {
		s.Untold = []string{Weights}
	}
	if err := checkWeights(ctx, path, r.Weights); err != nil {
		if damage := (*onnxio.DataError)(nil); !errors.As(err, &damage) {
			return s.unknown(err)
		}
		s.Changed, s.Why = append(s.Changed, Weights), err.Error()
	}
	s.State = Fresh
	if len(s.Changed) > 0 {
		s.State = Stale
	}
	return s
}

// checkWeights holds the weights of the model at path against the digest in its record, or where there is none, external data against
// the digests in their names. The error is an *onnxio.DataError where they are others.
func checkWeights(ctx context.Context, path, recorded string) error {
	fault := errors.New("they are not those that were written")
	if recorded != "" {
		m, err := onnxio.Read(path)
		if err == nil {
			var sum string
			sum, err = m.WeightsDigest(ctx)
			if err = errors.Join(err, m.Close()); err == nil && sum == recorded {
				return nil
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fault = err
		}
	}
	err := onnxio.CheckData(ctx, path) // which names a file that is to blame
	if err == nil && recorded != "" {
		err = &onnxio.DataError{Model: path, Why: fault}
	}
	return err
}

// checkData holds samples against the record, and returns where they were looked for.
func (s *Status) checkData(ctx context.Context, known *digests, what string, recorded File, path string, want Want) (string, error) {
	if want.AnyData {
		return "", nil
	}
	if path == "" && want.Options == nil && recorded.SHA256 != "" {
		path = resolve(s.Path, recorded.Path)
	}
	if (path == "") != (recorded.SHA256 == "") {
		if want.Options != nil {
			s.Changed = append(s.Changed, what)
		}
		return path, nil
	}
	if path == "" {
		return "", nil
	}
	sum, err := known.data(ctx, path)
	if err == nil && sum != recorded.SHA256 {
		s.Changed = append(s.Changed, what)
	}
	return path, err
}

// source is where the original of the model at path is looked for.
func (w Want) source(path, recorded string) string {
	if w.Source == "" {
		return resolve(path, recorded)
	}
	if info, err := os.Stat(w.Source); err == nil && info.IsDir() {
		return filepath.Join(w.Source, filepath.Base(filepath.FromSlash(recorded)))
	}
	return w.Source
}

// resolve is where a path of the record of the model at path leads.
func resolve(path, recorded string) string {
	recorded = filepath.FromSlash(recorded)
	if filepath.IsAbs(recorded) {
		return recorded
	}
	folder := filepath.Dir(path)
	if real, err := filepath.EvalSymlinks(folder); err == nil {
		folder = real
	}
	return filepath.Join(folder, recorded)
}

func (s Status) unknown(err error) Status {
	s.State, s.Why, s.Err = Unknown, err.Error(), err
	s.Changed, s.Untold, s.Options = []string{}, nil, nil
	return s
}

// MissingError says that what a record names is not there.
type MissingError struct{ What, Path string }

func (e *MissingError) Error() string { return "the " + e.What + " is not at " + e.Path }

func missing(err error, what, path string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &MissingError{what, path}
	}
	return err
}

// differences lists the options that are not the same, by name.
func differences(was, now map[string]string) []OptionChange {
	both := map[string]string{}
	maps.Copy(both, was)
	maps.Copy(both, now)
	var out []OptionChange
	for _, name := range slices.Sorted(maps.Keys(both)) {
		if was[name] != now[name] {
			out = append(out, OptionChange{name, was[name], now[name]})
		}
	}
	return out
}
