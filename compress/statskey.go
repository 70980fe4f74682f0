package compress

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
)

// statsKey is all that statistics depend on, so that equal keys mean equal statistics: facts in a fixed order, of which none tells paths,
// times, or the machine. With other kernels of the same libraries, which a processor may ask for, the last bits are others.
type statsKey []keyFact

type keyFact struct{ Name, Value string }

// factSamples is the fact that tells all samples by their numbers, which a part of a calibration does not read.
const factSamples = "samples"

// firstSamples is how many of the samples every part reads, so that parts of others, or of the same prepared otherwise, are told apart. To
// prepare an image takes as long as to run a small model on it, and parts are small.
const firstSamples = 1

// newStatsKey returns the key of a calibration.
func newStatsKey(ctx context.Context, env *Environment, a *Analysis, opts Options) (statsKey, error) {
	read := samples.Note(opts.Source)
	data, err := samples.Digest(ctx, read, a.Calibrate, env.Threads)
	if err != nil {
		return nil, err
	}
	first := make([]samples.Sum, min(len(a.Calibrate), firstSamples))
	for place := range first {
		first[place], _ = read.Sum(a.Calibrate[place]) // each was read
	}
	key, err := keyOn(ctx, env, a, opts, samples.DigestOf(first))
	return key.on(data), err
}

// newPartKey returns what the key of a calibration says without all samples being read.
func newPartKey(ctx context.Context, env *Environment, a *Analysis, opts Options) (statsKey, error) {
	first, err := samples.Digest(ctx, opts.Source, a.Calibrate[:min(len(a.Calibrate), firstSamples)], env.Threads)
	if err != nil {
		return nil, err
	}
	return keyOn(ctx, env, a, opts, first)
}

// keyOn is what the key of a calibration says of all but the samples, of which the first have such a digest.
func keyOn(ctx context.Context, env *Environment, a *Analysis, opts Options, first string) (statsKey, error) {
	model, err := onnxio.Digest(ctx, a.model.Path)
	if err != nil {
		return nil, err
	}
	names := make([][]string, len(a.Groups))
	for g, group := range a.Groups {
		for _, k := range group {
			names[g] = append(names[g], a.Sites[k].Name)
		}
	}
	o, libraries := env.calibOptions(a, opts), env.result(opts.Seed)
	algebra, _, _ := strings.Cut(libraries.Algebra, " (") // not for which processor
	key := statsKey{
		{"program", provenance.Version()},
		{"version of the statistics", fmt.Sprint(calib.Version)},
		{"model", model},
		{"numbers of samples", digest(a.Calibrate)},
		{"first sample", first},
	}
	for _, fact := range []struct {
		name  string
		value any
	}{
		{"seed", o.Seed},
		{"probes", o.Probes},
		{"batch", o.Batch},
		{"memory limit", opts.Memory},
		{"classes", o.Classes},
		{"weights of outputs", o.Weights},
		{"kinds of outputs", o.Kinds},
		{"ONNX Runtime", libraries.Runtime},
		{"linear algebra", algebra},
	} {
		text, err := json.Marshal(fact.value)
		if err != nil {
			return nil, err
		}
		key = append(key, keyFact{fact.name, string(text)})
	}
	if opts.Through != nil {
		through, err := opts.Through.SourceDigest(ctx)
		if err != nil {
			return nil, err
		}
		key = append(key, keyFact{"judged through", through})
	}
	return append(key, keyFact{"nodes", digest(names)}), nil
}

// on is the key of a part as that of the calibration on all samples, of such a digest.
func (k statsKey) on(data string) statsKey {
	return append(slices.Clone(k), keyFact{factSamples, data})
}

// apart is the key of a calibration as its parts have it, and the digest of all samples.
func (k statsKey) apart() (key statsKey, data string) {
	for _, f := range k {
		if f.Name == factSamples {
			data = f.Value
			continue
		}
		key = append(key, f)
	}
	return key, data
}

// digest is the SHA-256 of what fmt writes of a value.
func digest(v any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", v))
	return hex.EncodeToString(sum[:])
}

// text is the key as it is written.
func (k statsKey) text() []byte {
	text, _ := json.Marshal(k) // which nothing in it can refuse
	return text
}

// maxKey bounds the text of a key.
const maxKey = 1 << 20

// readStatsKey reads what text wrote.
func readStatsKey(text []byte) (k statsKey, err error) {
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, fmt.Errorf("its key is damaged: %w", err)
	}
	if !bytes.Equal(k.text(), text) {
		return nil, fmt.Errorf("its key is damaged")
	}
	return k, nil
}

// differs says in what a key differs from the one that is wanted, "" where it does not.
func (k statsKey) differs(wanted statsKey) string {
	for i, w := range wanted {
		at := slices.IndexFunc(k, func(f keyFact) bool { return f.Name == w.Name })
		switch {
		case at < 0:
			return fmt.Sprintf("nothing is said of its %s", w.Name)
		case k[at].Value != w.Value:
			return fmt.Sprintf("its %s is %s, wanted %s", w.Name, shortened(k[at].Value), shortened(w.Value))
		case at != i:
			return "its key is in another order"
		}
	}
	if len(k) > len(wanted) {
		return "its key says more"
	}
	return ""
}

// shortened is the beginning of a digest, and all of other values.
func shortened(value string) string {
	if len(value) == 2*sha256.Size && strings.Trim(value, "0123456789abcdef") == "" {
		return value[:12] + "…"
	}
	return value
}

// fitStats holds statistics from a file against the site that they are for.
func fitStats(s *calib.Stats, site *rewrite.Site) error {
	k := site.Kernel
	fits := s.Site == site.Name && (s.G == nil || len(s.G) == k.Groups) && (s.Pullback == nil || s.G == nil && len(s.Pullback) == k.Groups)
	switch {
	case s.Unusable != "":
		fits = fits && s.A == nil && s.Counts == nil && s.Columns.Rows == 0
	case s.Counts != nil:
		fits = fits && len(s.Counts) == k.Cols()
	case s.Columns.Rows > 0:
		fits = fits && s.Columns.Cols == k.Cols()
	default:
		fits = fits && len(s.A) == k.Groups
	}
	for _, a := range slices.Concat(s.A, s.Pullback) {
		fits = fits && a.Rows == k.Cols()
	}
	for _, g := range s.G {
		fits = fits && g.Rows == k.Rows()
	}
	if !fits {
		return fmt.Errorf("the statistics of site %q are not those of site %q", s.Site, site.Name)
	}
	return nil
}
