package compress

import (
	"context"
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Delivered is an assembled model as a file beside its place, and the evidence for it.
type Delivered struct {
	Assembled *Assembled
	// Output says what the file is, under the path that it is to have.
	Output File
	// Targets are Assembled.Targets with the size of the file.
	Targets []Reached
	// Verification is nil where nothing was verified by execution; Unverified then says why.
	Verification *verify.Report
	Unverified   string
	// Unjudged says that no real data judged the model, where none did.
	Unjudged string
	// Rounding has for every site what writing the factors in a 16-bit type adds to its loss, nil elsewhere.
	Rounding []*float64
	// Latency is nil where it was not asked for; Run and Compress then fill it in where the result is slower beyond doubt.
	Latency *Latency
	// Int8 is how the models fare as int8, where that is what the result is for; Run and Compress fill it in. Nil where they were not
	// quantized; Unquantized then says why.
	Int8        *Int8
	Unquantized string

	staged *onnxio.Pending
	others []*Delivered // further models with the same factors
	also   *AlsoResult  // what became of such a one
}

// Deliver writes a model beside its place at path, verifies that file on samples that calibration did not see, and times it
// where that is asked for and not done. The caller commits the file or discards it. A file that is larger than its target is a
// *heavyError.
func Deliver(ctx context.Context, env *Environment, a *Analysis, s *Assembled, o Options, path string, w onnxio.WriteOptions) (*Delivered, error) {
	o = o.WithDefaults()
	d := &Delivered{Assembled: s}
	err := env.stage(ctx, "write", func(*stage) (err error) {
		d.staged, err = sealed(ctx, s.Model, place{path: path, how: w})
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := d.prove(ctx, env, a, o, path); err != nil {
		d.Discard()
		return nil, err
	}
	return d, nil
}

// sealed writes a model beside its place, with the digest of its weights in its record.
func sealed(ctx context.Context, m *onnxio.Model, to place) (*onnxio.Pending, error) {
	whole, err := provenance.Seal(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("writing model %s: %w", to.path, err)
	}
	defer whole.Close()
	return onnxio.Create(ctx, whole, to.path, to.how)
}

// Commit moves the file to its place, together with those with the same factors: all of them, or none.
func (d *Delivered) Commit() error {
	var all []*onnxio.Pending
	for _, other := range d.others {
		all = append(all, other.staged)
	}
	return onnxio.CommitAll(append(all, d.staged)...)
}

// Discard removes the file; after Commit it does nothing.
func (d *Delivered) Discard() {
	if d == nil {
		return
	}
	for _, other := range d.others {
		other.Discard()
		other.Assembled.close()
	}
	d.staged.Discard()
}

// prove gathers the evidence for the written file.
func (d *Delivered) prove(ctx context.Context, env *Environment, a *Analysis, o Options, path string) (err error) {
	if d.Targets, err = weighed(d.Assembled.Targets, d.staged.Path()); err != nil {
		return err
	}
	err = env.stage(ctx, "verify", func(st *stage) error {
		st.covers(0, 1)
		return d.verify(ctx, st, a, o, path)
	})
	if err != nil {
		return err
	}
	if d.Rounding, err = rounding(ctx, env, a, d.Assembled); err != nil {
		return err
	}
	if d.Output, err = describe(ctx, d.staged.Path(), d.Assembled.Costs); err != nil {
		return err
	}
	d.Output.Path = path
	if d.Latency = d.Assembled.Latency; d.Latency == nil && o.Time {
		err = env.stage(ctx, "time", func(*stage) (err error) {
			d.Latency, err = d.Assembled.clock(ctx, env, a, o, d.staged.Path())
			return err
		})
	}
	d.Targets = d.Latency.measured(d.Targets)
	return errors.Join(err, ctx.Err())
}

// verify runs original and result on samples that calibration did not see, or
// says why it could not.
func (d *Delivered) verify(ctx context.Context, st *stage, a *Analysis, o Options, path string) error {
	if st.env.library == nil {
		d.Unverified = "ONNX Runtime was not found: " + st.env.Missing.Error()
		return nil
	}
	src, held, evidence := o.Source, a.Verify, verify.Unseen
	var random *noise
	if src == nil {
		var err error
		if random, err = newNoise(a.model, o.InputShapes, o.Seed); err != nil {
			d.Unverified = err.Error()
			return nil
		}
		src, held, evidence = random, firstOf(random.Len(), random.Len()), verify.Random
	}
	if len(held) == 0 {
		d.Unverified = fmt.Sprintf("all %d samples were used for calibration; give more, or lower %s", src.Len(), OptionCalibSamples)
		return nil
	}
	r, err := a.behind.compare(ctx, st.env.library, a.given, d.staged.Path(), src, held, o.judging(st.env, st.told, evidence))
	original := (*verify.OriginalError)(nil)
	switch {
	case err == nil:
		r.Compressed = path // where the file is about to go
		d.Verification = r
		if err := broken(r); err != nil || o.Source != nil {
			return err
		}
		return d.unjudged(random, o, r)
	case ctx.Err() == nil && o.Source == nil && errors.As(err, &original):
		// The model is not at fault for what it cannot do with random inputs, or in
		// this runtime.
		d.Unverified = "ONNX Runtime does not run the original on random inputs: " + original.Err.Error()
		return nil
	}
	return fmt.Errorf("verifying the result: %w", unrunnable(err))
}

// unjudged judges by random inputs a model that no real data judged, and says so.
func (d *Delivered) unjudged(random *noise, o Options, r *verify.Report) error {
	if d.Assembled.Tuning != nil { // which real data judged
		return nil
	}
	d.Unjudged = unjudged
	if o.AcceptDamage || !random.tells() {
		return nil
	}
	return damaged(r)
}

// broken refuses a result that computes numbers which are not finite where the
// original's are.
func broken(r *verify.Report) error {
	for _, o := range r.Outputs {
		if o.NonFiniteCompressed > o.NonFiniteOriginal {
			return &brokenError{output: o, samples: r.Samples}
		}
	}
	return nil
}

// brokenError says that a model computes numbers which are not finite.
type brokenError struct {
	output  verify.Output
	samples int
}

func (e *brokenError) Error() string {
	return fmt.Sprintf("the compressed model gives NaN or infinite numbers at output %q for %d of %d samples, the original for %d, so it is not delivered; ask for less compression, or leave nodes alone with %s",
		e.output.Name, e.output.NonFiniteCompressed, e.samples, e.output.NonFiniteOriginal, OptionKeep)
}
