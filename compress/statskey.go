package compress

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
)

// statsKey is a digest of all that statistics depend on, so that equal keys mean
// equal statistics to the last bit.
func statsKey(ctx context.Context, env *Environment, a *Analysis, opts Options) ([]byte, error) {
	model, err := onnxio.Digest(ctx, a.model.Path)
	if err != nil {
		return nil, err
	}
	data, err := samples.Digest(ctx, opts.Source, a.Calibrate, env.Threads)
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
	words := []any{
		calib.Version, model, opts.Source.Describe(), opts.Source.Len(), a.Calibrate, data,
		o.Seed, o.Probes, o.Batch, o.Memory, libraries.Runtime, libraries.Algebra, names, o.Classes, o.Weights,
	}
	if len(o.Kinds) > 0 { // which keys of earlier versions lack
		words = append(words, o.Kinds)
	}
	text, err := json.Marshal(words)
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(text)
	return key[:], nil
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
