package compress

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// Data says where the samples of a run came from, for the record in the written
// model. The zero value records nothing of them.
type Data struct {
	// Path is the file or folder that Options.Source was opened from, and Tune that of Options.Tune.
	Path, Tune string
	// Preparation is how.
	Preparation samples.SourceOptions
}

// longOption is how many bytes of an option are recorded as they are; of a longer one only
// the hash is.
const longOption = 400

// Recorded returns the options that decide on the written model, as text by key, as its
// record has them: not where things lie, who is told, or how fast the work goes. What is not set is left out. The keys are in
// the records of models that were written before, and so never change.
func (o RunOptions) Recorded() (map[string]string, error) {
	o.Options = o.WithDefaults()
	if o.Source == nil && o.Data.Path == "" { // without samples these decide nothing
		o.CalibSamples, o.Probes, o.NoRefit, o.Seed = 0, 0, false, 0
	}
	if o.FromPlan != nil { // which has to meet the targets, and does not follow from them
		o.Targets = nil
	}
	p := o.Data.Preparation
	out := map[string]string{}
	for _, e := range []struct {
		key   string
		set   bool
		value any
	}{
		{"targets", len(o.Targets) > 0, o.targetText()},
		{"goals", len(o.Goals) > 0, joined(o.Goals)},
		{"from-plan", o.FromPlan != nil, o.FromPlan},
		{"methods", len(o.Methods) > 0, joined(o.Methods)},
		{"only", len(o.Select.Only) > 0, joined(slices.Sorted(slices.Values(o.Select.Only)))},
		{"keep", len(o.Select.Keep) > 0, joined(slices.Sorted(slices.Values(o.Select.Keep)))},
		{"search", true, o.Search},
		{"effort", o.Effort != "" && o.Effort != decomp.Normal, string(o.Effort)},
		{"for", o.For != "", string(o.For)},
		{"rank-multiple", o.RankMultiple != 0, o.RankMultiple},
		{"input-shapes", len(o.InputShapes) > 0, o.InputShapes},
		{"calib-samples", o.CalibSamples != 0, o.CalibSamples},
		{"probes", o.probes() != 0, o.probes()},
		{"classes", o.Classes != "", o.Classes},
		{"weights", len(o.Weights) > 0, o.Weights},
		{"kinds", len(o.Kinds) > 0, o.Kinds},
		{"no-refit", o.NoRefit, o.NoRefit},
		{"seed", o.Seed != 0, o.Seed},
		{"batch", true, cmp.Or(o.asked, o.Batch)},
		{"memory", true, o.Memory},
		{"tune", o.Descent != nil, o.Descent},
		{"resize-short", p.Resize.Short != 0, p.Resize.Short},
		{"resize-exact", p.Resize.Exact != samples.Size{}, p.Resize.Exact},
		{"crop", p.Crop != samples.Size{}, p.Crop},
		{"scale", p.Scale != 0, p.Scale},
		{"mean", len(p.Mean) > 0, numbers(p.Mean)},
		{"std", len(p.Std) > 0, numbers(p.Std)},
		{"layout", p.Layout != "", string(p.Layout)},
		{"order", p.Order != "", string(p.Order)},
	} {
		if !e.set {
			continue
		}
		var err error
		if out[e.key], err = optionText(e.value); err != nil {
			return nil, fmt.Errorf("recording the option %s: %w", e.key, err)
		}
	}
	return out, nil
}

// targetText lists the targets, in the order of their words: that in which they were given decides nothing, but with goals,
// where the first is what is bisected.
func (o RunOptions) targetText() string {
	list := slices.Clone(o.Targets)
	if len(o.Goals) == 0 {
		slices.SortFunc(list, func(a, b Target) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return joined(list)
}

// joined writes a list as one word.
func joined[T any](list []T) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ",")
}

// numbers are written as JSON has them, without the brackets.
type numbers []float64

func (n numbers) String() string {
	text, err := json.Marshal([]float64(n))
	return strings.Trim(cmp.Or(string(text), fmt.Sprint(err)), "[]")
}

// optionText writes words as they are and all else as JSON, and only the hash of what is long.
func optionText(v any) (string, error) {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case fmt.Stringer:
		text = v.String()
	default:
		data, err := json.Marshal(v)
		if err != nil {
			return "", err
		}
		text = string(data)
	}
	if len(text) > longOption {
		sum := sha256.Sum256([]byte(text))
		text = "sha256:" + hex.EncodeToString(sum[:])
	}
	return text, nil
}

// ThroughKey is where a record has the digest of the model that the compressed one was judged through.
const ThroughKey = "through"

// digests are those of what a run reads.
type digests struct{ source, data, tuned, through string }

// hash finds the digests.
func (o RunOptions) hash(ctx context.Context, m *onnxio.Model) (d digests, err error) {
	if d.source, err = m.SourceDigest(ctx); err != nil {
		return d, err
	}
	if o.recordsData() {
		if d.data, err = provenance.DataDigest(ctx, o.Data.Path); err != nil {
			return d, err
		}
	}
	if o.recordsTuneData() {
		if d.tuned, err = provenance.DataDigest(ctx, o.Data.Tune); err != nil {
			return d, err
		}
	}
	if o.Through != nil {
		d.through, err = o.Through.SourceDigest(ctx)
	}
	return d, err
}

// unread are digests of nothing, as long as those that hash finds.
func (o RunOptions) unread() (d digests) {
	none := strings.Repeat("0", sha256.Size*2)
	d.source = none
	if o.recordsData() {
		d.data = none
	}
	if o.recordsTuneData() {
		d.tuned = none
	}
	if o.Through != nil {
		d.through = none
	}
	return d
}

// recordsData says whether there are samples whose place is known.
func (o RunOptions) recordsData() bool { return o.Source != nil && o.Data.Path != "" }

// recordsTuneData says the same of the samples that the model is tuned on, where those are others.
func (o RunOptions) recordsTuneData() bool {
	return o.Descent != nil && o.TuneSource != nil && o.Data.Tune != ""
}

// record says what a model is made from that is written to o.Output.
func (o RunOptions) record(m *onnxio.Model, d digests) (r *provenance.Record, err error) {
	r = &provenance.Record{Version: provenance.Version(), Weights: provenance.Unsealed}
	if r.Options, err = o.Recorded(); err != nil {
		return nil, err
	}
	if o.Through != nil {
		r.Options[ThroughKey] = d.through
	}
	if r.Source.Path, err = provenance.RelativePath(o.Output, m.Path); err != nil {
		return nil, err
	}
	r.Source.SHA256, r.Data.SHA256, r.TuneData.SHA256 = d.source, d.data, d.tuned
	if o.recordsData() {
		r.Used = o.calibSamples(o.Source.Len())
		if r.Data.Path, err = provenance.RelativePath(o.Output, o.Data.Path); err != nil {
			return nil, err
		}
	}
	if o.recordsTuneData() {
		r.TuneData.Path, err = provenance.RelativePath(o.Output, o.Data.Tune)
	}
	return r, err
}

// room is what a record takes in the file of a model.
func room(m *onnxio.Model, r *provenance.Record) (float64, error) {
	recorded, err := provenance.Attach(m, *r)
	if err != nil {
		return 0, err
	}
	return float64(recorded.Size() - m.Size()), recorded.Close()
}
