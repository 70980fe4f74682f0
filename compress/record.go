package compress

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// Data says where the samples of Options.Source came from, for the record in the written
// model. The zero value records nothing of them.
type Data struct {
	// Path is the file or folder that was opened.
	Path string
	// Preparation is how.
	Preparation samples.SourceOptions
}

// undecided names the fields of Options that do not decide on the written model: where
// things lie, who is told, and how fast the work goes.
func undecided() []string {
	return []string{
		"Output", "Overwrite", "Source", "Data", "Stats", "VerifySamples", "Time", "Command", "Threads", "Learning", "Lessons", "LessonsPath", "Runtime", "Progress",
	}
}

// longOption is how many bytes of an option are recorded as they are; of a longer one only
// the hash is.
const longOption = 400

// Recorded returns the options that decide on the written model, as text by name, as its
// record has them. Options at their zero value are left out.
func (o Options) Recorded() (map[string]string, error) {
	o = o.withDefaults()
	if o.Source == nil && o.Data.Path == "" { // without samples these decide nothing
		o.CalibSamples, o.Probes, o.NoRefit, o.Seed = 0, 0, false, 0
	}
	if o.FromPlan != nil { // which has to meet the targets, and does not follow from them
		o.Targets = nil
	}
	out := map[string]string{}
	skip := undecided()
	v := reflect.ValueOf(o)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if slices.Contains(skip, name) {
			continue
		}
		switch name { // to what the flags are called
		case "Select":
			name = ""
		case "Learning":
			name = "Tune"
		}
		if err := record(out, name, v.Field(i)); err != nil {
			return nil, err
		}
	}
	if o.Learning != nil {
		if err := record(out, "Tune", reflect.ValueOf(o.Learning.String())); err != nil {
			return nil, err
		}
	}
	preparation := o.Data.Preparation
	preparation.Labels = "" // which the result does not depend on
	return out, record(out, "", reflect.ValueOf(preparation))
}

// record adds an option that is set, one entry per field where it is a struct.
func record(out map[string]string, name string, v reflect.Value) error {
	if v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0 {
		return nil
	}
	if _, words := v.Interface().(fmt.Stringer); v.Kind() == reflect.Struct && !words {
		for i := range v.NumField() {
			if err := record(out, name+v.Type().Field(i).Name, v.Field(i)); err != nil {
				return err
			}
		}
		return nil
	}
	text, err := optionText(v)
	if err != nil {
		return fmt.Errorf("recording the option %s: %w", name, err)
	}
	if len(text) > longOption {
		sum := sha256.Sum256([]byte(text))
		text = "sha256:" + hex.EncodeToString(sum[:])
	}
	out[dashed(name)] = text
	return nil
}

// optionText writes words as they are, lists by comma, and all else as JSON.
func optionText(v reflect.Value) (string, error) {
	if s, ok := v.Interface().(fmt.Stringer); ok {
		return s.String(), nil
	}
	switch v.Kind() {
	case reflect.String:
		return v.String(), nil
	case reflect.Slice:
		words := make([]string, v.Len())
		for i := range words {
			var err error
			if words[i], err = optionText(v.Index(i)); err != nil {
				return "", err
			}
		}
		return strings.Join(words, ","), nil
	}
	text, err := json.Marshal(v.Interface())
	return string(text), err
}

// dashed writes a field's name as flags are written: RankMultiple as rank-multiple.
func dashed(name string) string {
	var b strings.Builder
	before := rune('A')
	for _, r := range name {
		if unicode.IsUpper(r) && !unicode.IsUpper(before) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
		before = r
	}
	return b.String()
}

// recorded gives the rewritten model the record of what it was made from.
func (j *job) recorded(ctx context.Context) error {
	m, err := j.attach(ctx, j.small)
	if err != nil {
		return err
	}
	_ = j.small.Close() // it only shares the maps of the original
	j.small = m
	return nil
}

// reserve keeps room in the file for the record.
func (j *job) reserve(ctx context.Context) error {
	m, err := j.attach(ctx, j.model)
	if err != nil {
		return err
	}
	j.tight += float64(m.Size() - j.model.Size())
	return m.Close()
}

// attach returns m with the record of this run, which is made once.
func (j *job) attach(ctx context.Context, m *onnxio.Model) (*onnxio.Model, error) {
	if j.provenance == nil {
		r, err := j.makeRecord(ctx)
		if err != nil {
			return nil, fmt.Errorf("recording what the model is made from: %w", err)
		}
		j.provenance = &r
	}
	return provenance.Attach(m, *j.provenance)
}

func (j *job) makeRecord(ctx context.Context) (r provenance.Record, err error) {
	r.Version = provenance.Version()
	if r.Options, err = j.opts.Recorded(); err != nil {
		return r, err
	}
	if r.Source.Path, err = provenance.RelativePath(j.opts.Output, j.model.Path); err != nil {
		return r, err
	}
	if err := j.hash(ctx); err != nil {
		return r, err
	}
	r.Source.SHA256, r.Data.SHA256 = j.sums.source, j.sums.data
	if j.recordsData() {
		r.Data.Path, err = provenance.RelativePath(j.opts.Output, j.opts.Data.Path)
	}
	if err == nil && j.recordsLessons() {
		r.Lessons.SHA256 = j.sums.lessons
		r.Lessons.Path, err = provenance.RelativePath(j.opts.Output, j.opts.LessonsPath)
	}
	return r, err
}

// recordsData says whether there are samples whose place is known.
func (j *job) recordsData() bool { return j.opts.Source != nil && j.opts.Data.Path != "" }

// recordsLessons says the same of the samples that the model is tuned on, where those are others.
func (j *job) recordsLessons() bool {
	return j.opts.Learning != nil && j.opts.Lessons != nil && j.opts.LessonsPath != ""
}

// digests are those of what a run reads.
type digests struct{ source, data, lessons string }

// hash finds the digests, once.
func (j *job) hash(ctx context.Context) (err error) {
	if j.sums != nil {
		return nil
	}
	var d digests
	if d.source, err = onnxio.Digest(ctx, j.model.Path); err != nil {
		return err
	}
	if j.recordsData() {
		if d.data, err = provenance.DataDigest(ctx, j.opts.Data.Path); err != nil {
			return err
		}
	}
	if j.recordsLessons() {
		if d.lessons, err = provenance.DataDigest(ctx, j.opts.LessonsPath); err != nil {
			return err
		}
	}
	j.sums = &d
	return nil
}
