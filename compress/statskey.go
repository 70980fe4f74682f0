package compress

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
)

// statsKey is a digest of all that statistics depend on, so that equal keys mean
// equal statistics to the last bit.
func statsKey(ctx context.Context, env *Environment, a *Analysis, opts Options) ([]byte, error) {
	model, err := describe(ctx, a.model.Path, rewrite.Costs{})
	if err != nil {
		return nil, err
	}
	weights, err := externalDigest(ctx, a.model)
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
	text, err := json.Marshal([]any{
		model.SHA256, weights, opts.Source.Describe(), opts.Source.Len(), a.Calibrate, data,
		o.Seed, o.Probes, o.Batch, o.Memory, libraries.Runtime, libraries.Algebra, names,
	})
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(text)
	return key[:], nil
}

// externalDigest hashes the files of weights beside the model.
func externalDigest(ctx context.Context, m *onnxio.Model) (string, error) {
	files := map[string]bool{}
	locations(m.Graph(), files)
	for _, f := range m.Proto.GetFunctions() {
		nodeLocations(f.GetNode(), files)
	}
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%q\n", name)
		f, err := os.Open(filepath.Join(m.ExternalFolder(), filepath.FromSlash(name)))
		if err != nil {
			return "", err
		}
		n, err := io.Copy(h, reader{ctx, f})
		_ = f.Close() // it was only read
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "\n%d\n", n)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// locations adds the files that the constants of g lie in.
func locations(g *onnxpb.GraphProto, files map[string]bool) {
	for _, t := range g.GetInitializer() {
		addLocation(t, files)
	}
	for _, t := range g.GetSparseInitializer() {
		sparseLocations(t, files)
	}
	nodeLocations(g.GetNode(), files)
}

func nodeLocations(nodes []*onnxpb.NodeProto, files map[string]bool) {
	for _, n := range nodes {
		for _, a := range n.GetAttribute() {
			addLocation(a.GetT(), files)
			for _, t := range a.GetTensors() {
				addLocation(t, files)
			}
			sparseLocations(a.GetSparseTensor(), files)
			for _, t := range a.GetSparseTensors() {
				sparseLocations(t, files)
			}
			locations(a.GetG(), files)
			for _, g := range a.GetGraphs() {
				locations(g, files)
			}
		}
	}
}

func sparseLocations(t *onnxpb.SparseTensorProto, files map[string]bool) {
	addLocation(t.GetValues(), files)
	addLocation(t.GetIndices(), files)
}

func addLocation(t *onnxpb.TensorProto, files map[string]bool) {
	if t.GetDataLocation() != onnxpb.TensorProto_EXTERNAL {
		return
	}
	for _, e := range t.GetExternalData() {
		if e.GetKey() == "location" {
			files[e.GetValue()] = true
		}
	}
}

// fitStats holds statistics from a file against the sites that they are for.
func fitStats(stats []calib.Stats, sites []rewrite.Site) error {
	for i, s := range stats {
		k := sites[i].Kernel
		fits := s.Site == sites[i].Name && (s.G == nil || len(s.G) == k.Groups)
		switch {
		case s.Counts != nil:
			fits = fits && len(s.Counts) == k.Cols()
		case s.Columns.Rows > 0:
			fits = fits && s.Columns.Cols == k.Cols()
		default:
			fits = fits && len(s.A) == k.Groups
		}
		for _, a := range s.A {
			fits = fits && a.Rows == k.Cols()
		}
		for _, g := range s.G {
			fits = fits && g.Rows == k.Rows()
		}
		if !fits {
			return fmt.Errorf("the statistics of site %q are not those of site %q", s.Site, sites[i].Name)
		}
	}
	return nil
}
