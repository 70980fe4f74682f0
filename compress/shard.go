package compress

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// ShardPart is one of so many that the samples of a calibration, or the sites of a factoring, are cut into.
type ShardPart struct {
	Index int // from 1
	Of    int
}

// String is 3/16.
func (p ShardPart) String() string { return fmt.Sprintf("%d/%d", p.Index, p.Of) }

// partMagic starts a file of a part of a calibration. Behind it are the length of what follows in 4 bytes, little-endian, the key, the part and the numbers of
// samples and groups of sites as JSON, the sums of the samples that it read (partNotes), the sums of each group, as calib.Swept.Write writes them, and the
// SHA-256 of all that.
const partMagic = "onnx-compress.part\x02"

// partHead is what a file of a part says of itself.
type partHead struct {
	Key  statsKey
	Part ShardPart
	// Samples and Groups of sites are how many there are in a calibration, whatever the part.
	Samples int `json:",omitempty"`
	Groups  int `json:",omitempty"`
}

func (h partHead) bytes(magic string) []byte { return sealedHead(magic, h) }

// sealedHead is what a sealed file begins with: its magic, the length of what follows in 4 bytes, little-endian, and what it says of itself as JSON.
func sealedHead(magic string, says any) []byte {
	text, _ := json.Marshal(says) // which nothing in it can refuse
	return append(binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(text))), text...)
}

// Sharded says what a unit of work did.
type Sharded struct {
	// Found is set where the file was there already, of the same model, options, samples and program: nothing was done.
	Found bool
	// Samples is how many samples were summed, or are in all that was merged. A part may have none.
	Samples int
	// Sites is how many sites a part of a factoring has. It may have none.
	Sites int
}

// CalibratePart sums what one part of the calibration's samples shows at the sites of m, which must have been read from a file, and
// writes the sums to a file, from which MergeParts makes the statistics of all. Every part is given the same options. A file
// that is there is left as it is where it holds the same, and else replaced, if it is one of a part.
//
// Errors: *UsageError for options that cannot be, the context's error when it ends first.
func CalibratePart(ctx context.Context, env *Environment, m *onnxio.Model, o Options, p ShardPart, path string) (done Sharded, err error) {
	if err := o.checkPart(m, p); err != nil {
		return done, err
	}
	env, o = env.afresh(), o.WithDefaults()
	o.Source = o.kept()
	err = feed.OneByOne(o.Batch, func(batch int) (err error) {
		o.Batch = batch
		done, err = o.calibratePart(ctx, env, m, p, path)
		return err
	})
	return done, err
}

// checkPart refuses parts that there are not, and options without what they are of.
func (o Options) checkPart(m *onnxio.Model, p ShardPart) error {
	switch {
	case p.Of < 1 || p.Index < 1 || p.Index > p.Of:
		return &UsageError{Err: fmt.Errorf("there is no part %s", p)}
	case o.Source == nil:
		return &UsageError{Err: fmt.Errorf("there are no samples to calibrate on; give some with %s", OptionSource)}
	}
	return onFile(m)
}

// analysedForPart is the analysis of a run of the same options, and these options as it has them.
func (o Options) analysedForPart(ctx context.Context, env *Environment, m *onnxio.Model) (Options, *Analysis, error) {
	o, err := o.fitted(m)
	if err != nil {
		return o, nil, err
	}
	o, _ = o.profiled()
	o.Targets = slices.DeleteFunc(slices.Clone(o.Targets), func(t Target) bool { return t.Resource == RunTime }) // of which parts know nothing
	a, err := analysed(ctx, env, m, o)
	return o, a, err
}

func (o Options) calibratePart(ctx context.Context, env *Environment, m *onnxio.Model, p ShardPart, path string) (done Sharded, err error) {
	o, a, err := o.analysedForPart(ctx, env, m)
	if err != nil {
		return done, err
	}
	lib, err := env.need("calibration")
	if err != nil {
		return done, err
	}
	key, err := newPartKey(ctx, env, a, o)
	if err != nil {
		return done, err
	}
	return o.sumPart(ctx, env, lib, a, key, p, path)
}

// sumPart writes the sums of a part under its key.
func (o Options) sumPart(ctx context.Context, env *Environment, lib *ort.Library, a *Analysis, key statsKey, p ShardPart, path string) (done Sharded, err error) {
	head := partHead{Key: key, Part: p, Samples: len(a.Calibrate), Groups: len(a.Groups)}
	if done.Found, err = o.foundPart(ctx, env, a, head, path); err != nil || done.Found {
		return done, err
	}
	read := samples.Note(o.Source)
	o.Source = read
	if o.Weights, err = shares(ctx, env, lib, a, o); err != nil {
		return done, err
	}
	to, err := writeSealed(path, head.bytes(partMagic))
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	if len(a.Groups) == 0 { // and nothing to read samples for
		if _, err = samples.Digest(ctx, read, a.Calibrate, env.Threads); err == nil {
			err = notesOf(read, a.Calibrate).write(to)
		}
		if err != nil {
			return done, err
		}
	}
	from := &sweeping{env: env, lib: lib, a: a, o: o, part: calib.Part{Index: p.Index - 1, Of: p.Of}}
	defer from.close()
	for g := range a.Groups {
		err := env.stage(ctx, "calibrate"+a.turn(g), func(st *stage) error {
			swept, numbers, err := from.group(ctx, g, func(stage string, count, total int) {
				done.Samples = count
				st.told(stage, count, total)
			})
			if err == nil && g == 0 { // each sweep reads all samples of the part
				err = notesOf(read, a.Calibrate).write(to)
			}
			if err != nil {
				return err
			}
			return swept.Write(ctx, numbers, to)
		})
		if err != nil {
			return done, err
		}
	}
	return done, to.commit(ctx)
}

// foundSealed tells whether a file is there that begins so and is whole. Where another begins with the magic it is to be replaced; what
// does not is refused.
func foundSealed(ctx context.Context, path, magic string, head []byte) (bool, error) {
	f, info, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	begin := make([]byte, len(head))
	n, err := f.ReadAt(begin, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	version := len(magic) - 1
	if n < version || string(begin[:version]) != magic[:version] {
		return false, &UsageError{Err: fmt.Errorf("%s is there, and nothing that this would have written; choose another name", path)}
	}
	return bytes.Equal(begin, head) && checkSealed(ctx, f, info.Size()) == nil, ctx.Err()
}
