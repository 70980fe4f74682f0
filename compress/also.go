package compress

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Also is another model that holds weights of the one that is compressed, as the decoder that goes on with a cache holds those of the one that
// begins. Its nodes with such a weight get the same factors, to the last bit, so that the one can go on where the other stopped.
type Also struct {
	// Model must have been read from a file.
	Model *onnxio.Model
	// Output is where it goes with the factors.
	Output string
}

// AlsoResult is what became of such a model.
type AlsoResult struct {
	Input  File `json:"input"`
	Output File `json:"output"`
	// Sites counts its nodes that have weights of the compressed model's sites, and Changed those of them that have factors, or refitted
	// weights, of these now.
	Sites   int `json:"sites"`
	Changed int `json:"changed"`
	// Verification is that on random inputs, which show that it runs. It is null where there was none; Unverified then says why.
	Verification *verify.Report `json:"verification"`
	Unverified   string         `json:"unverified,omitempty"`
}

// follower is such a model on its way.
type follower struct {
	Also
	o      Options // without samples and targets
	a      *Analysis
	like   []int  // by site, the site of the compressed model that has its weight, -1 for none
	digest string // of the model's files
	record func() (*provenance.Record, error)
}

// followers are the models beside m, each with a record that says whose factors it has.
func (o RunOptions) followers(ctx context.Context, m *onnxio.Model, read *digests) ([]*follower, error) {
	var out []*follower
	places := []string{o.Output}
	for _, x := range o.Also {
		if err := onFile(x.Model); err != nil {
			return nil, err
		}
		if slices.Contains(places, x.Output) {
			return nil, &UsageError{Err: fmt.Errorf("two models would go to %s; want a place for each", x.Output)}
		}
		places = append(places, x.Output)
		for _, of := range []*onnxio.Model{m, x.Model} {
			if err := onnxio.CanWrite(of, x.Output, onnxio.WriteOptions{Overwrite: o.Overwrite}); err != nil {
				return nil, err
			}
		}
		if err := onnxio.CanWrite(x.Model, o.Output, onnxio.WriteOptions{Overwrite: o.Overwrite}); err != nil {
			return nil, err
		}
		f := &follower{Also: x}
		var err error
		if f.digest, err = x.Model.SourceDigest(ctx); err != nil {
			return nil, err
		}
		f.record = func() (*provenance.Record, error) {
			own, sums := o, *read
			own.Output, sums.source = x.Output, f.digest
			r, err := own.record(x.Model, sums)
			if err == nil {
				r.Options["factors-of"] = read.source
			}
			return r, err
		}
		out = append(out, f)
	}
	return out, nil
}

// unnarrowed leaves narrower layers out of what is on offer by default: nothing is handed on of them.
func (o Options) unnarrowed() Options {
	if o.mayNarrow() {
		o.Methods = decomp.Names()
	}
	return o
}

// followed finds what the followers have of a model's weights, before there is any work.
func followed(ctx context.Context, env *Environment, a *Analysis, o Options, list []*follower) error {
	if len(list) == 0 {
		return nil
	}
	if o.widths() {
		return &UsageError{Err: errors.New("several models are to get the same factors, and of narrower layers nothing is handed on; leave width out of the methods")}
	}
	for _, f := range list {
		f.o = Options{Memory: o.Memory, Seed: o.Seed, Batch: o.Batch, AcceptDamage: true}.WithDefaults() // for samples judge the factors
		f.o.InputShapes = guessedShapes(f.Model)
		var err error
		if f.a, err = analyse(ctx, env, f.Model, f.o); err != nil {
			return err
		}
		f.a.apart = true
		if f.like, err = counterparts(ctx, a.Sites, f.a.Sites); err != nil {
			return fmt.Errorf("%s: %w", f.Model.Path, err)
		}
		if f.sites() == 0 {
			return &UsageError{Err: fmt.Errorf("%s holds none of the weights of %s that could be factored, so there is nothing that it could get of it", f.Model.Path, a.model.Path)}
		}
	}
	return nil
}

// sites counts those that have a weight of the compressed model.
func (f *follower) sites() (n int) {
	for _, k := range f.like {
		if k >= 0 {
			n++
		}
	}
	return n
}

// guessedLength stands for sizes that a model leaves open, as those of texts.
const guessedLength = 8

// guessedShapes gives a size to every one that a model leaves open, the same where it calls them the same.
func guessedShapes(m *onnxio.Model) map[string][]int {
	known := map[string]int{}
	inputs := graph.Of(m).Feeds()
	for _, in := range inputs {
		if d := in.Dims(); len(d) > 0 && d[0].Name != "" {
			known[d[0].Name] = 1
		}
	}
	out := map[string][]int{}
	for _, in := range inputs {
		var shape []int
		for i, d := range in.Dims() {
			size, named := known[d.Name]
			switch {
			case named:
			case d.Name == "" && d.Size > 0:
				size = d.Size
			case i == 0:
				size = 1
			default:
				size = guessedLength
			}
			shape = append(shape, size)
		}
		if shape != nil {
			out[in.Name()] = shape
		}
	}
	return out
}

// weightSum is the digest of a weight's numbers and shape.
type weightSum [sha256.Size]byte

// siteSum is that of a site's weight as its node computes with it, false for weights that cannot be factored, such as those that are not finite.
func siteSum(s *rewrite.Site) (d weightSum, ok bool) {
	k, err := s.Load()
	if err != nil {
		return d, false
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d %t %d %v\n", s.Dtype, s.View.Kind == rewrite.TableRows, s.Kernel.Groups, s.Kernel)
	var word [8]byte
	for _, v := range k.Weights {
		binary.LittleEndian.PutUint64(word[:], math.Float64bits(v))
		h.Write(word[:])
	}
	h.Sum(d[:0])
	return d, true
}

// counterparts finds for every site of one model the site of another that computes with a weight of the same numbers, -1 for none. Of several
// it is that of the same name, else the one as far on as it is itself among its like.
func counterparts(ctx context.Context, of, sites []rewrite.Site) ([]int, error) {
	known := map[weightSum][]int{}
	for i := range of {
		if d, ok := siteSum(&of[i]); ok {
			known[d] = append(known[d], i)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	like, met := make([]int, len(sites)), map[weightSum]int{}
	for i := range sites {
		like[i] = -1
		d, ok := siteSum(&sites[i])
		list := known[d]
		if !ok || len(list) == 0 {
			continue
		}
		k := slices.IndexFunc(list, func(j int) bool { return of[j].Name == sites[i].Name })
		if k < 0 {
			k = min(met[d], len(list)-1)
		}
		met[d]++
		if of[list[k]].Bias() == rewrite.BiasNone || sites[i].Bias() != rewrite.BiasNone { // else a shift would have no place
			like[i] = list[k]
		}
	}
	return like, ctx.Err()
}

// hand gives the followers what d became of, s before any tuning, and delivers them with it. Without all of them there is nothing.
func (w *work) hand(ctx context.Context, d *Delivered, s *Assembled) (*Delivered, error) {
	for _, f := range w.place.also {
		other, err := w.handTo(ctx, f, s, d.Assembled)
		if err != nil {
			d.Discard()
			return nil, fmt.Errorf("%s: %w", f.Model.Path, err)
		}
		d.others = append(d.others, other)
	}
	return d, nil
}

// handTo gives a follower the factors of s, and the weights of tuned where that is another.
func (w *work) handTo(ctx context.Context, f *follower, s, tuned *Assembled) (*Delivered, error) {
	shelf, err := s.Choice.shelf(w.o)
	if err != nil {
		return nil, err
	}
	made := &Assembled{Choice: &Choice{}, Chains: make([]decomp.Chain, len(f.like)), Tuning: tuned.Tuning, on: &ground{a: f.a}}
	for i, k := range f.like {
		if k >= 0 {
			made.Chains[i] = s.Chains[k]
		}
	}
	err = w.env.stage(ctx, "rewrite", func(*stage) error { return made.rewrite(w.env, f.a, f.o, shelf) })
	if err != nil {
		made.close()
		return nil, errors.Join(err, shelf.Close())
	}
	made.Model.Hold(shelf)
	if tuned != s {
		err = made.retune(f.a, s, tuned)
	}
	var other *Delivered
	if err == nil {
		other, err = w.handOver(ctx, f, made)
	}
	if err != nil {
		made.close()
	}
	return other, err
}

// handOver writes a follower's model with its record beside its place, and verifies that it runs.
func (w *work) handOver(ctx context.Context, f *follower, made *Assembled) (*Delivered, error) {
	r, err := f.record()
	if err != nil {
		return nil, fmt.Errorf("recording what %s is made from: %w", f.Output, err)
	}
	recorded, err := made.recorded(r)
	if err != nil {
		return nil, err
	}
	*made = *recorded
	d := &Delivered{Assembled: made}
	to := place{path: f.Output, how: w.place.how}
	if made.Tuning != nil && made.Tuning.End == tune.Interrupted {
		to = to.aside()
	}
	err = w.env.stage(ctx, "write", func(*stage) (err error) {
		d.staged, err = sealed(ctx, made.Model, to)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = w.env.stage(ctx, "verify", func(st *stage) error { return d.verify(ctx, st, f.a, f.o, to.path) })
	if err == nil {
		if d.Output, err = describe(ctx, d.staged.Path(), made.Costs); err == nil {
			d.Output.Path = to.path
			d.also, err = f.result(ctx, d)
		}
	}
	if err != nil {
		d.Discard()
		return nil, err
	}
	return d, nil
}

// result is what became of a follower.
func (f *follower) result(ctx context.Context, d *Delivered) (*AlsoResult, error) {
	r := &AlsoResult{Output: d.Output, Sites: f.sites(), Verification: d.Verification, Unverified: d.Unverified}
	for _, c := range d.Assembled.Chains {
		if c != nil {
			r.Changed++
		}
	}
	var err error
	r.Input, err = describe(ctx, f.Model.Path, f.a.Costs)
	return r, err
}
